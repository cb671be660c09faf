"""Given texts and where their variants go: an argument, a file, or a pipe."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ...errors import UserError
from ...files import check_file
from ..console import check_utf8
from .showing import Showing

if TYPE_CHECKING:
    from ...config import GenerationConfig
    from ...writing.results import Refused, Written
    from ...writing.writer import Writer

PIPE = "-"
FILE = click.option("--file", type=click.File("rb"), help="Read the text from a file; - is the standard input.")
OUTPUT = click.option(
    "--output",
    default=PIPE,
    help="Write to this file, as UTF-8, instead of printing. Several samples go to NAME.1.txt, NAME.2.txt ...",
)


def read_text(argument: str | None, file: BinaryIO | None, name: str) -> str:
    """The given text with its line ends unchanged; a file may be in any encoding.

    Raises:
        UserError: both the argument, which the message calls ``name``, and a file are given, or neither, or the file
            holds no text.
    """
    from ...data.reading.encoding import decode

    if file is not None and argument is None:
        opened = getattr(file, "name", None)  # of the standard input a number, or nothing
        return decode(file.read(), opened if isinstance(opened, str) else "the standard input")[0]
    if argument is None or file is not None:
        raise UserError(f"give either {name} or --file")
    check_utf8(argument, name)
    return argument


def check_output(output: str, showing: Showing) -> None:
    """Raise UserError if JSON lines would go to a file of plain text, or if the file cannot be written."""
    if output == PIPE:
        return
    if showing.jsonl:
        raise UserError("--jsonl prints its lines: give either --jsonl or --output")
    check_file(Path(output))


def deliver(
    found: "tuple[Sequence[Written], Refused | None]",
    output: str,
    showing: Showing,
    writer: "Writer",
    settings: "GenerationConfig",
    *,
    exact: bool,
    **source: Any,
) -> None:
    """Print the texts as ``showing`` says, or write each to its own file; then raise the reason for missing ones.

    ``exact``: see ``Showing.echo``.
    """
    from ...files import write_text

    texts, refused = found
    if output == PIPE:
        showing.echo(texts, writer, settings, exact=exact, **source)
    else:
        path = Path(output)
        for text in texts:
            numbered = settings.num_samples > 1
            target = path.with_name(f"{path.stem}.{text.sample}{path.suffix}") if numbered else path
            write_text(target, text.text)
            click.echo(f"written to {target}", err=True)
    if refused is not None:
        raise refused
