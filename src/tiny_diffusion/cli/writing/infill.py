"""``tiny-diffusion infill``: fill the gaps of a text."""

from typing import BinaryIO

import click

from ...config import Controls, Drawing, Gaps, Texts
from ..console import check_utf8
from ..help import examples
from ..settings import config_flags
from .showing import Showing, origin, show_flags
from .texts import FILE, OUTPUT, check_output, deliver, read_text
from .writer import Source, control_flags, open_writer, short_flags, writer_options


@examples(
    'tiny-diffusion infill "It was a {1 word} night, and the ____ was near."',
    "tiny-diffusion infill --file letter.txt --output filled.txt",
    'tiny-diffusion infill "She saw ____ there." --must lantern --watch',
)
@click.command("infill")
@click.argument("template", required=False)
@FILE
@OUTPUT
@click.option("--must", multiple=True, metavar="WORD", help="A word that the fillings must contain; may be repeated.")
@show_flags
@writer_options
@short_flags("temperature", "steps", "gap_tokens", "num_samples", "seed", rare=("vocab_level",))
@control_flags()
@config_flags(Drawing, Controls, Gaps, Texts)
@click.pass_context
def command(
    ctx: click.Context,
    template: str | None,
    file: BinaryIO | None,
    output: str,
    must: tuple[str, ...],
    showing: Showing,
    source: Source,
) -> None:
    r"""Fill each gap of TEMPLATE, or of a file of any length, and change nothing else.

    "It was on a {1 word} night of November that I beheld my ____."

    Gaps: three or more underscores (generation.gap_tokens tokens), {3 words}, {3-5 words}, {4 tokens}, {4-8 tokens},
    {sentence}, {paragraph}. White space separates words. A backslash makes \_ \{ \[ \\ plain.
    """
    from ...writing.infilling.template import gap_settings, parse_gaps

    given = read_text(template, file, "TEMPLATE")
    check_output(output, showing)
    for word in must:
        check_utf8(word, "--must")
    parse_gaps(given)  # a faulty template is refused before the model is read
    writer, settings = open_writer(ctx, source)
    settings = showing.shown(gap_settings(settings, given), writer)
    found = showing.write(writer.filling(given, settings, must), writer, settings)
    about = {"template": given, "must": must, **origin(source.checkpoints, showing)}
    deliver(found, output, showing, writer, settings, exact=file is not None, **about)
