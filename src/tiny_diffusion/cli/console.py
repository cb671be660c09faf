"""What is printed: two consoles, sentences and texts for them, and the notes that the library logs."""

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.box import HEAVY_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import UserError
from .stopping import end_quietly


class Terminal(Console):
    """A console whose reader may go away."""

    def on_broken_pipe(self) -> None:
        """End with exit code 0; rich would end with 1."""
        end_quietly()


console = Terminal(highlight=False, emoji=False)
errors = Terminal(stderr=True, highlight=False, emoji=False)


def say(text: str, *, to: Console = console, style: str | None = None, whole: bool = False) -> None:
    """Print a sentence without markup, since a path may hold brackets. Only a terminal wraps it, at words.

    ``whole``: never, as of a command, so that it can be copied.
    """
    on_terminal = to.is_terminal
    if on_terminal and errors.is_terminal and not to.quiet:
        to = errors  # a spinner or a bar lives there, and makes room only for what its own console prints
    to.print(text, style=style, markup=False, soft_wrap=whole or not on_terminal)


def warn(text: str) -> None:
    """Print a warning to the standard error."""
    say(text, style="yellow", to=errors)


def print_table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    title: str | None = None,
    *,
    bold: int | None = None,
    boxed: bool = True,
) -> None:
    """Print a table of texts and numbers without markup; the row of index ``bold`` is emphasised."""
    table = Table(*map(escape, head), title=title and escape(title), box=HEAVY_HEAD if boxed else None, pad_edge=boxed)
    for number, row in enumerate(rows):
        table.add_row(*(escape(str(cell)) for cell in row), style="bold" if number == bold else None)
    console.print(table)


def print_text(text: str, *, end: str = "\n") -> None:
    """Print a text and ``end``. A pipe or a file gets every byte unchanged, in UTF-8.

    Without a terminal, click would drop escape sequences.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        click.echo(text + end, nl=False)
    else:
        click.echo((text + end).encode("utf-8"), nl=False)


def check_utf8(text: str, name: str) -> None:
    """Raise UserError if a text, which the message calls ``name``, was given in bytes that are not UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = text.encode("utf-8", errors="replace").decode("utf-8")
        raise UserError(f"{name} is not UTF-8 at character {error.start + 1}: {shown!r}") from error


def program() -> str:
    """How to call this program from this shell and folder: by its bare name only if the shell finds it."""
    called, name = Path(sys.argv[0]), "tiny-diffusion"
    if called.name == "__main__.py":
        return f"{_callable(Path(sys.executable))} -m tiny_diffusion"
    return _callable(called) if called.name == name else name


def _callable(path: Path) -> str:
    """A program's name if the shell finds this very program by it, else its path, relative if below this folder."""
    found = shutil.which(path.name)
    if found is not None and Path(found).absolute() == path.absolute():
        return path.name
    inside = path.absolute().is_relative_to(Path.cwd())
    return shlex.quote(os.path.relpath(path) if inside else str(path.absolute()))


class Notes(logging.Handler):
    """Prints each logged message once to the standard error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message, unless it was printed already."""
        message = record.getMessage()
        if message not in self.seen:
            self.seen.add(message)
            say(f"note: {message}", to=errors)


_NOTES = Notes()


def show_notes() -> None:
    """Show what the library logs during this command."""
    _NOTES.seen.clear()
    logging.getLogger(__package__.partition(".")[0]).addHandler(_NOTES)
