"""``tiny-diffusion generate``: write text."""

from pathlib import Path
from typing import BinaryIO

import click

from ...config import Continuation, Controls, Drawing, GenerationConfig, Order, Reading, Texts, keys_of
from ...errors import UserError
from ...files import check_file
from ..console import check_utf8
from ..help import RareOption, examples
from ..settings import config_flags
from .showing import Showing, origin, show_flags
from .writer import Source, control_flags, open_writer, short_flags, writer_options


@examples(
    'tiny-diffusion generate --prompt "The door opened and" --length 200',
    "tiny-diffusion generate --watch --num-samples 3 --temperature 0.8",
    "tiny-diffusion generate --interactive",
)
@click.command("generate")
@click.option("--prompt", default="", help="Text to continue.")
@click.option(
    "--prompts-file",
    type=click.File("rb"),
    help="A file with one prompt per line; - is the standard input.",
)
@click.option("--interactive", is_flag=True, help="Read prompts and commands line by line, until an empty line.")
@click.option(
    "--history",
    cls=RareOption,
    type=click.Path(path_type=Path),
    help="File that keeps the lines of --interactive for the next session.",
)
@show_flags
@writer_options
@short_flags("temperature", "steps", "length", "num_samples", "seed", rare=("vocab_level",))
@control_flags("sentence_length", "dialogue")
# A session fills gaps and rewrites too, so --set takes all of generation.
@config_flags(Drawing, Order, Reading, Controls, Continuation, Texts, also=keys_of(GenerationConfig))
@click.pass_context
def command(
    ctx: click.Context,
    prompt: str,
    prompts_file: BinaryIO | None,
    interactive: bool,
    history: Path | None,
    showing: Showing,
    source: Source,
) -> None:
    """Write text in the book's style, from a prompt or from nothing."""
    check_together(prompt, prompts_file, interactive, history, showing)
    check_utf8(prompt, "--prompt")
    if history is not None:
        check_file(history)
    prompts = [prompt] if prompts_file is None else read_prompts(prompts_file)
    writer, settings = open_writer(ctx, source)
    if interactive:
        from .conversation import converse
        from .session import Session

        converse(Session(writer, settings, showing), history)
        return
    settings = showing.shown(settings, writer)
    refused: list[str] = []
    about = origin(source.checkpoints, showing)
    for number, line in enumerate(prompts, start=1):
        texts, refusal = showing.write(writer.writing(line, settings), writer, settings)
        showing.echo(texts, writer, settings, prompt=line, **about)
        if number < len(prompts) and texts and not showing.jsonl:
            click.echo()
        if refusal is not None:
            refused.append(f"prompt {number} of {len(prompts)}: {refusal}" if len(prompts) > 1 else str(refusal))
    if refused:  # after all others are written
        raise UserError("; ".join(refused))


def check_together(
    prompt: str, prompts_file: BinaryIO | None, interactive: bool, history: Path | None, showing: Showing
) -> None:
    """Raise UserError for flags that exclude each other."""
    ways = {"--prompt": bool(prompt), "--prompts-file": prompts_file is not None, "--interactive": interactive}
    given = [name for name, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} do not go together: give one of them")
    animation = "--gif" if showing.gif is not None else "--html" if showing.html is not None else None
    if animation and given and not prompt:
        raise UserError(f"{animation} saves what is written from one prompt; it does not go with {given[0]}")
    if interactive and showing.jsonl:
        raise UserError("--jsonl does not go with --interactive; /save keeps the texts of a session")
    if history is not None and not interactive:
        raise UserError("--history keeps the lines of --interactive: give that flag too")


def read_prompts(file: BinaryIO) -> list[str]:
    """The lines of a UTF-8 file without empty ones.

    Raises:
        UserError: the file is not UTF-8 (a few lines are too short to guess an encoding), or holds no prompt.
    """
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"--prompts-file {file.name} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    prompts = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    if not prompts:
        raise UserError(f"--prompts-file {file.name} holds no prompt: write one per line")
    return prompts
