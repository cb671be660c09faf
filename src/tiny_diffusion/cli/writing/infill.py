"""``tiny-diffusion infill``: fill the gaps of a text."""

import click

from ..help import examples
from ..options import check_utf8, config_flags
from .generate import CONTROL_FLAGS, FINISHING, open_writer, short_flags, writer_options
from .showing import Showing, origin
from .texts import check_output, deliver, read_text, text_options

UNUSED = ("sampler", "length", "rewrite_strength", *FINISHING)


@examples(
    'tiny-diffusion infill "It was a {1 word} night, and the ____ was near."',
    "tiny-diffusion infill --file letter.txt --output filled.txt",
    'tiny-diffusion infill "She saw ____ there." --must lantern --watch',
)
@click.command("infill")
@click.argument("template", required=False)
@text_options
@click.option("--must", multiple=True, metavar="WORD", help="A word that a filling must hold; may be given often.")
@writer_options
@short_flags(
    "vocab_level",
    "temperature",
    "steps",
    "gap_tokens",
    "num_samples",
    "seed",
    *CONTROL_FLAGS,
    rare=("vocab_level", *CONTROL_FLAGS),
)
@config_flags("generation", without=tuple(f"generation.{name}" for name in UNUSED))
@click.pass_context
def command(
    ctx: click.Context,
    template: str | None,
    file: str | None,
    output: str,
    must: tuple[str, ...],
    checkpoint: str,
    data_dir: str,
    showing: Showing,
    preset: str | None,
    device: str,
    **short: str | float | None,
) -> None:
    r"""Fill each gap of TEMPLATE, or of a file of any length, and leave all else as it is.

    "It was on a {1 word} night of November that I beheld my ____."

    Gaps: three or more underscores (generation.gap_tokens tokens), {3 words}, {3-5 words}, {4 tokens}, {4-8 tokens},
    {sentence}, {paragraph}. Words are parted by white space. A backslash makes \_ \{ \[ \\ plain.
    """
    from ...writing.infilling.template import parse_gaps
    from ...writing.writer import gap_settings

    given = read_text(template, file, "TEMPLATE")
    check_output(output, showing)
    for word in must:
        check_utf8(word, "--must")
    parse_gaps(given)  # what cannot be read is refused before the model is
    writer, settings = open_writer(ctx, checkpoint, preset, device, short, data_dir)
    settings = gap_settings(settings)
    found = showing.write(writer.filling(given, settings, must), writer, settings)
    source = {"template": given, "must": must, **origin(checkpoint, showing)}
    deliver(found, output, showing, writer, settings, exact=file is not None, **source)
