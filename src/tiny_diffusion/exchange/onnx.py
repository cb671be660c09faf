"""A checkpoint's denoiser as one ONNX file, for onnxruntime and other programs without torch.

Shapes: B rows, T tokens, V text vocabulary.
"""

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoint import Checkpoint
from ..errors import UserError
from ..files import check_folder, write_together
from ..model.transformer import Transformer
from .tokens import positions, tokenizer_files

OPSET = 20


class _Denoiser(nn.Module):
    """Logits over all ids at the place of their token, as ``modeling_tiny_diffusion`` gives them."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (B, T, reserved + V) of ``input_ids`` (B, T); ``attention_mask`` (B, T) is 0 for padding."""
        own = torch.eye(input_ids.shape[1], dtype=torch.bool)
        hidden = self.model.hidden(input_ids, attention_mask[:, None, None, :].bool() | own)
        if self.model.shift:
            hidden = F.pad(hidden[:, :-1], (0, 0, 1, 0))
        return F.pad(self.model.logits(hidden), (self.model.reserved, 0), value=-torch.inf)


def write_onnx(folder: Path, checkpoint: Checkpoint) -> None:
    """Write ``model.onnx``, with inputs ``input_ids`` and ``attention_mask`` and output ``logits``, and the tokenizer.

    A dual model is exported with its masked reading, an autoregressive one with its causal reading. Raises UserError
    if the extra is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError("ONNX needs an extra: pip install 'tiny-diffusion[onnx]'") from error
    check_folder(folder)
    shape = checkpoint.config.model
    rows = torch.full((2, 8), checkpoint.build(torch.device("cpu")).reserved)
    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim("tokens", min=2, max=positions(shape))}
    denoiser = _Denoiser(checkpoint.build(torch.device("cpu"))).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            denoiser,
            (rows, torch.ones_like(rows)),
            dynamo=True,
            verbose=False,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes=(sizes, sizes),
        )
    assert program is not None  # with dynamo=True it is a program
    model = {"model.onnx": program.model_proto.SerializeToString()}
    write_together(folder, model | tokenizer_files(checkpoint.tokenizer, shape))
