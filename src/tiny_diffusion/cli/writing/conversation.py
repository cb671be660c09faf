"""``generate --interactive``: a prompt or a command per line, until the user has enough."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from ...errors import UserError, WorldError
from ..console import check_utf8, say
from .session import Session
from .session_commands import COMMANDS, find_command

SIGN = "> "


def converse(session: Session, history: Path | None = None, read: Callable[[], str] | None = None) -> None:
    """Answer lines until an empty one, ``/quit`` or the end of input, at which ``read`` raises EOFError."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # bytes that are no text spoil their line, not the session
    with _line_editing(history):
        say("a line is a prompt to continue; /help lists the commands; an empty line ends", style="dim")
        while not session.over:
            try:
                line = (read or _read_line)()
            except EOFError:
                return
            except KeyboardInterrupt:
                click.echo()
                say("an empty line, /quit or Ctrl-D ends", style="dim")
                continue
            if not line.strip():
                return
            answer(session, line)


def answer(session: Session, line: str) -> None:
    """Do what a line asks for. An error or Ctrl-C ends the line, not the session."""
    try:
        check_utf8(line, "the line")
        if line.startswith("/") and not line.startswith("//"):
            find_command(line)(session)
        else:
            prompt = line[1:] if line.startswith("//") else line
            session.write(lambda: session.writer.writing(prompt, session.in_use))
    except KeyboardInterrupt:
        click.echo()
        say("stopped", style="dim")
    except BrokenPipeError:  # nobody reads the answers: the session is over
        raise
    except (UserError, WorldError) as error:
        say(f"error: {error}", style="red")
    except (OSError, MemoryError, RuntimeError) as error:  # of torch, the disk, or a text nested too deeply
        reason = next(iter(str(error).splitlines()), "")
        say(f"error: {type(error).__name__}: {reason}; the session goes on", style="red")


def _read_line() -> str:
    return input(SIGN if sys.stdin.isatty() else "")


@contextmanager
def _line_editing(history: Path | None) -> Iterator[None]:
    """Arrow keys, a history, and commands completed by Tab, if Python has ``readline``.

    Raises:
        UserError: a file is named for the history, and it cannot be kept there.
    """
    try:
        import readline
    except ModuleNotFoundError:  # Windows
        if history is not None:
            raise UserError("--history needs Python's readline module, which this Python lacks") from None
        yield
        return
    if sys.stdin.isatty():
        names = [f"/{name} " for name in COMMANDS]
        readline.set_completer(lambda typed, n: [*(x for x in names if x.startswith(typed)), None][n])
        readline.set_completer_delims(" ")
        libedit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    if history is None:
        yield
        return
    with _history_errors(history):
        with suppress(FileNotFoundError):
            readline.read_history_file(history)
        readline.write_history_file(history)  # a file that cannot be written is refused before the session
    try:
        yield
    finally:
        with _history_errors(history):
            readline.write_history_file(history)


@contextmanager
def _history_errors(history: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot keep the history in {history}: {error.strerror or error}") from error
