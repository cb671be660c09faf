"""The model that a writing command opens: its options, its settings, and the writer that they make."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ...config import Controls, GenerationConfig, ProjectConfig
from ...training.output_folder import best_models
from ..options import CHECKPOINT, DEVICE, DRAW_PRESET
from ..settings import resolve, short_flag

if TYPE_CHECKING:
    from ...writing.writer import Writer

DATA_DIR = click.option(
    "--data-dir",
    default="data/processed",
    show_default=True,
    help="Folder written by prepare, for its training text. Read only if given, or if a setting needs it.",
)


@dataclass(frozen=True)
class Source:
    """Where texts come from: checkpoints, a preset of their settings, a device, and the training text if it is read.

    checkpoints: the first one gives the settings; the laws of all are averaged.
    """

    checkpoints: list[Path]
    preset: str | None
    device: str
    data_dir: Path
    reads_data: bool


def writer_options(function: Any) -> Any:
    """Add ``--checkpoint``, ``--data-dir``, ``--preset`` and ``--device``, which reach the command as ``source``."""

    @CHECKPOINT
    @DATA_DIR
    @DRAW_PRESET
    @DEVICE
    @click.pass_context
    @wraps(function)
    def command(
        ctx: click.Context,
        *args: Any,
        checkpoint: str,
        data_dir: str,
        preset: str | None,
        device: str,
        **rest: Any,
    ) -> Any:
        given = ctx.get_parameter_source("data_dir") is ParameterSource.COMMANDLINE
        models = best_models(Path(checkpoint))
        return function(*args, source=Source(models, preset, device, Path(data_dir), given), **rest)

    return command


def short_flags(*names: str, rare: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Add ``--name`` for settings of generation; only ``--help-all`` lists those of ``rare``."""

    def add(function: Any) -> Any:
        for name in reversed((*names, *rare)):
            flag = f"--{name.replace('_', '-')}"
            function = short_flag(flag, f"generation.{name}", rare=name in rare)(function)
        return function

    return add


def control_flags(*common: str) -> Callable[[Any], Any]:
    """Add a flag for each learnt control; ``--help`` lists only those of ``common``."""
    return short_flags(*common, rare=tuple(name for name in Controls.model_fields if name not in common))


def open_writer(ctx: click.Context, source: Source) -> "tuple[Writer, GenerationConfig]":
    """The writer of the checkpoints, and its settings: those of the first one, then the preset's, then the flags'.

    The training text is read if the user named its folder, or if the settings need it.
    """
    from ...checkpoint import load_checkpoint
    from ...runtime import find_device
    from ...writing.writer import Writer

    resolve(ctx, ProjectConfig.default())  # wrong flags are refused before the model is read
    first, *others = map(load_checkpoint, source.checkpoints)
    config = first.config if source.preset is None else first.config.override(generation=source.preset)
    settings = resolve(ctx, config).generation
    needs_text = settings.max_copied_words or settings.expert != "none"
    training = source.data_dir if source.reads_data or needs_text else None
    return Writer.of(first, find_device(source.device), training, others), settings
