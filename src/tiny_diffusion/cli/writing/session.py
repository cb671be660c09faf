"""``generate --interactive``: a prompt or a command a line, until the user has enough."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...config import GenerationConfig, ProjectConfig
from ...errors import UserError, WorldError
from ..options import check_utf8, say
from .session_commands import COMMANDS, find_command
from .showing import Showing

if TYPE_CHECKING:
    from ...writing.results import Run
    from ...writing.writer import Writer

PROMPT = "> "


@dataclass
class Session:
    """What a session remembers: its settings, what it wrote, and how to write the last thing again."""

    writer: "Writer"
    settings: GenerationConfig
    showing: Showing
    texts: list[str] = field(default_factory=list)
    saved: set[Path] = field(default_factory=set)
    last: Callable[[], None] | None = None
    over: bool = False

    def run(self, history: Path | None = None, read: Callable[[], str] | None = None) -> None:
        """Answer lines until an empty one, ``/quit`` or the end of input; ``read`` raises EOFError there."""
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="surrogateescape")  # bytes that are no text spoil their line, not the session
        with _line_editing(history):
            say("a line is a prompt to go on from; /help lists the commands; an empty line ends", style="dim")
            while not self.over:
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
                self.answer(line)

    def answer(self, line: str) -> None:
        """Do what a line asks for. What goes wrong, or Ctrl-C, ends the line and not the session."""
        try:
            check_utf8(line, "the line")
            if line.startswith("/") and not line.startswith("//"):
                find_command(line)(self)
            else:
                prompt = line[1:] if line.startswith("//") else line
                self.write(lambda: self.writer.writing(prompt, self.settings))
        except KeyboardInterrupt:
            click.echo()
            say("stopped", style="dim")
        except BrokenPipeError:  # nobody reads what is said: the session is over
            raise
        except (UserError, WorldError) as error:
            say(f"error: {error}", style="red")
        except (OSError, MemoryError, RuntimeError) as error:  # of torch, the disk, or a text nested too deeply
            reason = next(iter(str(error).splitlines()), "")
            say(f"error: {type(error).__name__}: {reason}; the session goes on", style="red")

    def write(self, begin: "Callable[[], Run]") -> None:
        """Write, print and remember; ``begin`` starts it by the settings of its moment. The seed moves on by one."""
        self.last = lambda: self.write(begin)
        texts, refused = self.showing.write(begin(), self.writer, self.settings)
        self.showing.echo(texts, self.writer, self.settings)
        self.texts += [text.text for text in texts]
        self.settings = self.settings.model_copy(update={"seed": self.settings.seed + 1})
        if refused is not None:
            raise refused

    def change(self, assignment: str) -> None:
        """Change one setting by ``generation.key=value``; raises UserError when it does not exist or cannot be so."""
        config = ProjectConfig.default().override(generation=self.settings.model_dump(mode="json"))
        changed = config.override_from_args([assignment])
        others = [key for key in config.differences(changed) if not key.startswith("generation.")]
        if others:
            raise UserError(f"{others[0]} does nothing here: a session has the settings generation.*")
        self.settings = changed.generation


def _read_line() -> str:
    return input(PROMPT if sys.stdin.isatty() else "")


@contextmanager
def _line_editing(history: Path | None) -> Iterator[None]:
    """Arrow keys, a history, and commands completed by Tab, where Python has ``readline``.

    The history is kept in a file only where one is named. Raises UserError where that cannot be.
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
        readline.write_history_file(history)  # a file that cannot be written is told of before the session
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
