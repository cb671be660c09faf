"""``tiny-diffusion export``: a model for other programs."""

from pathlib import Path

import click

from ..errors import UserError
from .console import say
from .help import examples
from .options import CHECKPOINT


@examples("tiny-diffusion export --to my-model", "tiny-diffusion export --to my-model --format onnx")
@click.command("export")
@CHECKPOINT
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["transformers", "onnx"]),
    default="transformers",
    show_default=True,
    help="transformers: a folder for from_pretrained. onnx: the network for onnxruntime.",
)
@click.option(
    "--evaluation",
    type=click.Path(path_type=Path),
    help="Figures for the model card; without it, evaluation.json beside the checkpoint if it is there.",
)
def command(checkpoint: str, folder: Path, kind: str, evaluation: Path | None) -> None:
    """Write a trained model to a folder that transformers or onnxruntime uses without this program."""
    from ..checkpoint import load_checkpoint
    from ..exchange.folder import read_evaluation, write_folder
    from ..exchange.onnx import write_onnx

    if kind == "onnx" and evaluation is not None:
        raise UserError("--evaluation is for the model card, which --format onnx does not write")
    loaded = load_checkpoint(Path(checkpoint))
    if kind == "onnx":
        write_onnx(folder, loaded)
    else:
        beside = Path(checkpoint).parent / "evaluation.json"
        found = evaluation or (beside if beside.exists() else None)
        write_folder(folder, loaded, None if found is None else read_evaluation(found))
        say(f"model card: {'no evaluation' if found is None else f'figures of {found}'}")
    say(f"written to {folder}")
