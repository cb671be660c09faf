"""``tiny-diffusion generate``: write text."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config import GenerationConfig, ProjectConfig
from ..errors import UserError
from .options import config_flags, resolve, say

if TYPE_CHECKING:
    from ..sampling.writer import Writer

# What is done to texts for their readers only: see GenerationConfig.as_drawn.
FINISHING = ("ending", "layout", "max_copied_words")
DATA_OPTION = click.option(
    "--data-dir",
    default="data/processed",
    show_default=True,
    help="Folder that prepare wrote: the training text, read for --generation.max_copied_words only.",
)
CHECKPOINT_OPTION = click.option(
    "--checkpoint", default="outputs/best_model.pt", show_default=True, help="The trained model."
)
PRESET_OPTION = click.option(
    "--preset",
    type=click.Choice(["default", "creative", "conservative", "fast"]),
    default=None,
    help="How to draw; without it, the checkpoint's own settings.",
)


def short_flags(*names: str) -> Callable[[Any], Any]:
    """Add ``--name`` beside ``--generation.name`` for the settings that people change most."""

    def add(function: Any) -> Any:
        for name in reversed(names):
            kind = GenerationConfig.model_fields[name].annotation
            flag = "--" + name.replace("_", "-")
            option = click.option(flag, type=kind, default=None, help=f"The same as --generation.{name}.")
            function = option(function)
        return function

    return add


@click.command("generate")
@CHECKPOINT_OPTION
@DATA_OPTION
@click.option("--prompt", default="", help="Text to go on from.")
@click.option("--interactive", is_flag=True, help="Read prompts line by line; an empty line ends.")
@PRESET_OPTION
@short_flags("vocab_level", "temperature", "steps", "length", "num_samples", "seed")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@config_flags("generation", without=("generation.gap_tokens",))
@click.pass_context
def command(
    ctx: click.Context,
    checkpoint: str,
    data_dir: str,
    prompt: str,
    interactive: bool,
    preset: str | None,
    device: str,
    **short: int | float | None,
) -> None:
    """Write text in the book's style, from a prompt or from nothing."""
    writer, settings = open_writer(ctx, checkpoint, data_dir, preset, device, short)
    if not interactive:
        for text in writer.write(prompt, settings):
            click.echo(text.text)
            click.echo() if settings.num_samples > 1 else None
        return
    say("a prompt a line; an empty line ends", style="dim")
    while True:
        try:
            line = click.prompt("", default="", show_default=False, prompt_suffix="> ")
        except click.Abort:  # end of input
            return
        if not line:
            return
        try:
            click.echo("\n\n".join(text.text for text in writer.write(line, settings)))
        except UserError as error:  # a prompt too long ends the line, not the session
            say(f"error: {error}", style="red")
        settings = settings.model_copy(update={"seed": settings.seed + 1})


def open_writer(
    ctx: click.Context,
    checkpoint: str,
    data_dir: str,
    preset: str | None,
    device: str,
    short: dict[str, int | float | None],
) -> "tuple[Writer, GenerationConfig]":
    """The writer of a checkpoint, and its settings: the checkpoint's, then the preset's, then the flags'.

    ``data_dir`` is read when the settings limit what may be copied from it.
    """
    from ..checkpoint import load_checkpoint
    from ..runtime import find_device
    from ..sampling.writer import Writer

    check = ProjectConfig.default().override(
        **{f"generation.{key}": value for key, value in short.items() if value is not None}
    )
    resolve(ctx, check)  # wrong flags are refused before the model is read
    loaded = load_checkpoint(Path(checkpoint))
    config = loaded.config
    if preset is not None:
        chosen: GenerationConfig = getattr(GenerationConfig, preset)()
        config = config.override(generation=chosen.model_dump(mode="json"))
    config = config.override(**{f"generation.{key}": value for key, value in short.items() if value is not None})
    config = resolve(ctx, config)
    training = Path(data_dir) if config.generation.max_copied_words else None
    writer = Writer.of(loaded, find_device(device), training)
    return writer, config.generation
