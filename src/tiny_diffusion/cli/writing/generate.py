"""``tiny-diffusion generate``: write text."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click
from click.core import ParameterSource

from ...config import GenerationConfig, ProjectConfig
from ...config.controls import CONTROLS
from ...errors import UserError
from ...files import check_file
from ..help import RareOption, examples
from ..options import check_utf8, config_flags, resolve
from .showing import Showing, origin, show_flags

if TYPE_CHECKING:
    from ...writing.writer import Writer

# Settings of infill and rewrite alone.
FILLING = ("gap_sampler", "gap_tokens", "gap_candidates", "gap_rounds", "rewrite_strength")
FINISHING = ("ending", "layout")  # what infill and rewrite leave alone
CONTROL_FLAGS = (*CONTROLS, "guidance")
RARE_FLAGS = ("vocab_level", "difficulty", "stage", "guidance")
DATA_OPTION = click.option(
    "--data-dir",
    cls=RareOption,
    default="data/processed",
    show_default=True,
    help="Folder that prepare wrote: the training text, read where this is given or generation.max_copied_words is.",
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


def writer_options(function: Any) -> Any:
    """Add what ``open_writer`` reads, but for the settings, and how texts are shown."""
    device = click.option("--device", cls=RareOption, default="auto", show_default=True, help="auto, cpu, cuda or mps.")
    for option in (device, PRESET_OPTION, show_flags, DATA_OPTION, CHECKPOINT_OPTION):
        function = option(function)
    return function


def short_flags(*names: str, rare: tuple[str, ...] = RARE_FLAGS) -> Callable[[Any], Any]:
    """Add ``--name`` beside ``--generation.name``; those of ``rare`` are listed by ``--help-all`` alone."""

    def add(function: Any) -> Any:
        for name in reversed(names):
            field = GenerationConfig.model_fields[name]
            annotation, text = field.annotation, (field.description or "").split("; ")[0]
            kind = click.Choice(get_args(annotation)) if get_origin(annotation) is Literal else annotation
            flag = "--" + name.replace("_", "-")
            kept = RareOption if name in rare else click.Option
            option = click.option(flag, cls=kept, type=kind, default=None, help=f"{text[0].upper()}{text[1:]}.")
            function = option(function)
        return function

    return add


@examples(
    'tiny-diffusion generate --prompt "The door opened and" --length 200',
    "tiny-diffusion generate --watch --num-samples 3 --temperature 0.8",
    "tiny-diffusion generate --interactive",
)
@click.command("generate")
@click.option("--prompt", default="", help="Text to go on from.")
@click.option("--prompts-file", metavar="FILE", help="A file with a prompt a line, - for the standard input.")
@click.option("--interactive", is_flag=True, help="Read prompts and commands line by line; an empty line ends.")
@click.option(
    "--history", cls=RareOption, type=click.Path(path_type=Path), help="Keep the lines of --interactive in this file."
)
@writer_options
@short_flags("vocab_level", "temperature", "steps", "length", "num_samples", "seed", *CONTROL_FLAGS)
@config_flags("generation", without=tuple(f"generation.{name}" for name in FILLING))
@click.pass_context
def command(
    ctx: click.Context,
    checkpoint: str,
    data_dir: str,
    prompt: str,
    prompts_file: str | None,
    interactive: bool,
    history: Path | None,
    showing: Showing,
    preset: str | None,
    device: str,
    **short: str | float | None,
) -> None:
    """Write text in the book's style, from a prompt or from nothing."""
    check_together(prompt, prompts_file, interactive, history, showing)
    check_utf8(prompt, "--prompt")
    if history is not None:
        check_file(history)
    prompts = [prompt] if prompts_file is None else read_prompts(prompts_file)
    writer, settings = open_writer(ctx, checkpoint, preset, device, short, data_dir)
    if interactive:
        from .session import Session

        Session(writer, settings, showing).run(history)
        return
    for number, line in enumerate(prompts, start=1):
        try:
            writer.encode_prompt(line)
        except UserError as error:  # before others are gone on from
            raise UserError(f"prompt {number} of {len(prompts)}: {error}") from error
    refused: list[str] = []
    source = origin(checkpoint, showing)
    for number, line in enumerate(prompts, start=1):
        texts, refusal = showing.write(writer.writing(line, settings), writer, settings)
        showing.echo(texts, writer, settings, prompt=line, **source)
        if number < len(prompts) and texts and not showing.jsonl:
            click.echo()
        if refusal is not None:
            refused.append(f"prompt {number} of {len(prompts)}: {refusal}" if len(prompts) > 1 else str(refusal))
    if refused:  # when all others have come
        raise UserError("; ".join(refused))


def check_together(
    prompt: str, prompts_file: str | None, interactive: bool, history: Path | None, showing: Showing
) -> None:
    """Raise UserError for flags of which one would do nothing beside the other."""
    ways = {"--prompt": bool(prompt), "--prompts-file": prompts_file is not None, "--interactive": interactive}
    given = [name for name, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} do not go together: give one of them")
    files = {"--gif": showing.gif is not None, "--html": showing.html is not None}
    one_text = [name for name, is_given in files.items() if is_given]
    if one_text and given and not prompt:
        raise UserError(f"{one_text[0]} saves what is written from one prompt; it does not go with {given[0]}")
    if interactive and showing.jsonl:
        raise UserError("--jsonl does not go with --interactive; /save keeps the texts of a session")
    if history is not None and not interactive:
        raise UserError("--history keeps the lines of --interactive; without that flag there are none")


def read_prompts(file: str) -> list[str]:
    """The lines of a UTF-8 file, or of the standard input for ``-``; empty ones are left out.

    Raises UserError when the file cannot be read, is not UTF-8 (a few lines are too little to guess by), or is empty.
    """
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read --prompts-file {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"--prompts-file {file} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    prompts = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    if not prompts:
        raise UserError(f"--prompts-file {file} holds no prompt: write one a line")
    return prompts


def open_writer(
    ctx: click.Context,
    checkpoint: str,
    preset: str | None,
    device: str,
    short: dict[str, str | float | None],
    data_dir: str,
) -> "tuple[Writer, GenerationConfig]":
    """The writer of a checkpoint, and its settings: the checkpoint's, then the preset's, then the flags'.

    ``data_dir`` is read when the user gave it, or the settings limit what may be copied from it.
    """
    from ...checkpoint import load_checkpoint
    from ...runtime import find_device
    from ...writing.writer import Writer

    chosen = {f"generation.{key}": value for key, value in short.items() if value is not None}
    resolve(ctx, ProjectConfig.default().override(**chosen), tuple(chosen))  # before the model is read
    loaded = load_checkpoint(Path(checkpoint))
    config = loaded.config
    if preset is not None:
        drawn: GenerationConfig = getattr(GenerationConfig, preset)()
        config = config.override(generation=drawn.model_dump(mode="json"))
    config = resolve(ctx, config.override(**chosen))
    given = ctx.get_parameter_source("data_dir") is ParameterSource.COMMANDLINE
    training = Path(data_dir) if given or config.generation.max_copied_words else None
    writer = Writer.of(loaded, find_device(device), training)
    return writer, config.generation
