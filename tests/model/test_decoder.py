"""The causal reading token by token against the whole pass that training makes."""

import pytest
import torch

from tiny_diffusion.config import ModelConfig
from tiny_diffusion.data.tokenizer import BOS, NUM_RESERVED
from tiny_diffusion.model.decoder import Decoder
from tiny_diffusion.model.transformer import Transformer

WORDS, CONTEXT = 40, 16


def build(**changes: object) -> Transformer:
    torch.manual_seed(0)
    plain = {"d_model": 32, "n_layers": 3, "n_heads": 2, "d_ff": 64, "context": CONTEXT, "init_std": 0.3, "dual": True}
    model = Transformer(ModelConfig(**{**plain, **changes}), NUM_RESERVED + WORDS, NUM_RESERVED).eval()
    for parameter in model.parameters():
        if parameter.dim() < 2:  # norms and mixtures do something
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model


@pytest.mark.parametrize(
    "changes", [{}, {"qk_norm": True}, {"value_residual": True}, {"tie_embeddings": False}, {"controls": True}]
)
@pytest.mark.parametrize("first", [1, 6])
def test_it_gives_the_logits_of_the_whole_pass(changes: dict[str, bool], first: int) -> None:
    model = build(**changes)
    ids = torch.randint(NUM_RESERVED, NUM_RESERVED + WORDS, (3, CONTEXT + 1), generator=torch.Generator())
    ids[:, 0] = BOS
    levels = None
    if model.controls is not None:
        torch.nn.init.normal_(model.controls.table.weight)
        levels = torch.tensor([[[1, 0, 2, 0]], [[0, 0, 0, 0]], [[3, 1, 1, 2]]])
    with torch.inference_mode():
        whole = model.logits(model.hidden(ids, controls=levels, causal=True))
        added = None if model.controls is None or levels is None else model.controls(levels)
        decoder = Decoder(model, torch.float32, added)
        pieces = [ids[:, :first], *ids[:, first:].split(1, dim=1)]
        found = torch.stack([decoder.next_logits(piece) for piece in pieces], dim=1)
    torch.testing.assert_close(found, whole[:, first - 1 :], rtol=1e-3, atol=1e-3)
    assert whole.std() > 0.3


def test_bfloat16_is_near_and_logits_are_float32() -> None:
    model = build(qk_norm=True)
    ids = torch.tensor([[BOS, NUM_RESERVED + 1, NUM_RESERVED + 2]])
    exact, near = (Decoder(model, dtype).next_logits(ids) for dtype in (torch.float32, torch.bfloat16))
    assert near.dtype == torch.float32 and not near.equal(exact)
    torch.testing.assert_close(near, exact, rtol=0.05, atol=0.1)


def test_it_refuses_what_it_cannot_read() -> None:
    decoder = Decoder(build(), torch.float32)
    decoder.next_logits(torch.full((1, CONTEXT - 1), BOS))
    with pytest.raises(ValueError, match="one at a time"):
        decoder.next_logits(torch.full((1, 2), BOS))
    for _ in range(2):
        decoder.next_logits(torch.full((1, 1), BOS))
    with pytest.raises(ValueError, match="18 tokens are more than the model's context of 17"):
        decoder.next_logits(torch.full((1, 1), BOS))
