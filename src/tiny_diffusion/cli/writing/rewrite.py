"""``tiny-diffusion rewrite``: variants of a given text."""

from typing import BinaryIO

import click

from ...config import Controls, Drawing, Order, Rewriting, Texts
from ..help import examples
from ..settings import config_flags, short_flag
from .showing import Showing, origin, show_flags
from .texts import FILE, OUTPUT, check_output, deliver, read_text
from .writer import Source, control_flags, open_writer, short_flags, writer_options


@examples(
    'tiny-diffusion rewrite "It was a [[dreary night]]." --strength 0.6',
    "tiny-diffusion rewrite --file letter.txt --output new.txt --num-samples 3",
)
@click.command("rewrite")
@click.argument("text", required=False)
@FILE
@OUTPUT
@short_flag("--strength", "generation.rewrite_strength", help="Share of the tokens to write anew, above 0 and up to 1")
@show_flags
@writer_options
@short_flags("temperature", "steps", "num_samples", "seed", rare=("vocab_level",))
@control_flags()
@config_flags(Drawing, Order, Controls, Rewriting, Texts)
@click.pass_context
def command(
    ctx: click.Context,
    text: str | None,
    file: BinaryIO | None,
    output: str,
    showing: Showing,
    source: Source,
) -> None:
    r"""Rewrite TEXT, or a file of any length, in the book's style: "It was a [[dreary night]] of November."

    A random share of its tokens (--strength) is hidden and written anew. Text in [[double brackets]] is kept. A
    backslash makes \[ plain.
    """
    from ...writing.infilling.template import parse_kept

    given = read_text(text, file, "TEXT")
    check_output(output, showing)
    parse_kept(given)  # a faulty text is refused before the model is read
    writer, settings = open_writer(ctx, source)
    settings = settings.model_copy(update={"reading": "masked"})  # which sees both sides of what it writes anew
    found = showing.write(writer.rewriting(given, settings), writer, settings)
    about = {"original": given, **origin(source.checkpoints, showing)}
    deliver(found, output, showing, writer, settings, exact=file is not None, **about)
