"""``tiny-diffusion rewrite``: variants of a given text."""

import click

from ..help import examples
from ..options import config_flags
from .generate import CONTROL_FLAGS, FINISHING, open_writer, short_flags, writer_options
from .showing import Showing, origin
from .texts import check_output, deliver, read_text, text_options

UNUSED = ("length", "gap_sampler", "gap_tokens", "gap_candidates", "gap_rounds", *FINISHING)


@examples(
    'tiny-diffusion rewrite "It was a [[dreary night]]." --strength 0.6',
    "tiny-diffusion rewrite --file letter.txt --output new.txt --num-samples 3",
)
@click.command("rewrite")
@click.argument("text", required=False)
@text_options
@click.option(
    "--strength",
    "rewrite_strength",
    type=float,
    default=None,
    help="Share of the text's tokens that are written anew, above 0 and up to 1.",
)
@writer_options
@short_flags(
    "vocab_level", "temperature", "steps", "num_samples", "seed", *CONTROL_FLAGS, rare=("vocab_level", *CONTROL_FLAGS)
)
@config_flags("generation", without=tuple(f"generation.{name}" for name in UNUSED))
@click.pass_context
def command(
    ctx: click.Context,
    text: str | None,
    file: str | None,
    output: str,
    checkpoint: str,
    data_dir: str,
    showing: Showing,
    preset: str | None,
    device: str,
    **short: str | float | None,
) -> None:
    r"""Rewrite TEXT, or a file of any length, in the book's manner: "It was a [[dreary night]] of November."

    A share of its tokens (--strength, above 0 and up to 1) is hidden at random and written anew. What stands in
    [[double brackets]] is kept as it is. A backslash makes \[ plain.
    """
    from ...writing.infilling.template import parse_kept

    given = read_text(text, file, "TEXT")
    check_output(output, showing)
    parse_kept(given)  # what cannot be read is refused before the model is
    writer, settings = open_writer(ctx, checkpoint, preset, device, short, data_dir)
    found = showing.write(writer.rewriting(given, settings), writer, settings)
    source = {"original": given, **origin(checkpoint, showing)}
    deliver(found, output, showing, writer, settings, exact=file is not None, **source)
