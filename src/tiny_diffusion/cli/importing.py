"""``tiny-diffusion import``: an exported model as a checkpoint again."""

from pathlib import Path

import click

from ..files import check_file
from .console import say
from .help import examples


@examples("tiny-diffusion import my-model --output outputs/best_model.pt")
@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Checkpoint to write.")
def command(folder: Path, output: Path) -> None:
    """Read a FOLDER of ``tiny-diffusion export`` back, with the weights that are in it now, as a checkpoint.

    No code in the folder is run.
    """
    from ..checkpoint import save_checkpoint
    from ..exchange.folder import read_folder
    from ..runtime import find_device

    check_file(output)
    checkpoint = read_folder(folder)
    checkpoint.build(find_device("cpu"))  # weights that do not fit are refused now
    save_checkpoint(output, checkpoint)
    say(f"written to {output}")
