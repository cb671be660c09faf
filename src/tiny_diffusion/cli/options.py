"""Options that several commands have, each declared once."""

import shlex
from pathlib import Path

import click

from ..config import GenerationConfig
from ..config.overrides import group_presets
from .console import program
from .settings import Decorator

PREPARED, OUTPUTS = "data/processed", "outputs"  # where prepare and train leave their files
BEST = f"{OUTPUTS}/best_model.pt"

CHECKPOINT = click.option("--checkpoint", default=BEST, show_default=True, help="The trained model.")
DATA_DIR = click.option("--data-dir", default=PREPARED, show_default=True, help="Folder written by prepare.")
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
DRAW_PRESET = click.option(
    "--preset",
    type=click.Choice(group_presets(GenerationConfig)),
    help="How to draw; without it, the checkpoint's own settings.",
)


def command_line(*parts: str, **places: Path | str) -> str:
    """A command to type: ``parts`` of this program, and those ``places`` that are not where all commands look.

    ``places`` are ``checkpoint``, ``data_dir`` and ``output``.
    """
    usual = {"checkpoint": BEST, "data_dir": PREPARED, "output": OUTPUTS}
    for name, place in places.items():
        if str(place) != usual[name]:
            parts += (f"--{name.replace('_', '-')}", str(place))
    return f"{program()} {shlex.join(parts)}"


def config_option(default: str) -> Decorator:
    """``--config``, which reaches the command as ``config_name``."""
    return click.option(
        "--config",
        "config_name",
        default=default,
        show_default=True,
        metavar="NAME|FILE",
        help="A preset (default, debug, memory_efficient, comprehensive, cpu_1m, cpu_2m, cpu_5m, cpu_10m, cpu_30m ...) "
        "or a .toml, .yaml or .py file.",
    )
