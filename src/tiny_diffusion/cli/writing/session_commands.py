"""The commands of a session: ``/name argument``."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import click

from ...config import GenerationConfig, value_text
from ...errors import UserError
from ...wording import counted
from ..console import console, say
from .session import Session

Act = Callable[[Session, str], None]


@dataclass(frozen=True)
class Command:
    """One command: its argument as help shows it ([] if optional), its help, and its action."""

    argument: str
    help: str
    act: Act


def find_command(line: str) -> Callable[[Session], None]:
    """The command of a line that begins with a slash; raises UserError if there is none of that name."""
    name, _, argument = line[1:].partition(" ")
    argument = argument.strip()
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean /{near[0]}?" if near else "/help lists the commands; // begins a prompt with a slash"
        raise UserError(f"unknown command /{name}: {hint}")
    command = COMMANDS[name]
    if not argument and command.argument and not command.argument.startswith("["):
        raise UserError(f"write /{name} {command.argument}")
    if argument and not command.argument:
        raise UserError(f"/{name} takes nothing after it, but {argument!r} follows")
    return lambda session: command.act(session, argument)


def _help(session: Session, _: str) -> None:
    shown = {f"/{name} {command.argument}": command.help for name, command in COMMANDS.items()}
    width = max(map(len, shown))
    for usage, text in {"any other line": "a prompt to continue", **shown}.items():
        click.echo(f"{usage:{width}}  {text}")


def _infill(session: Session, template: str) -> None:
    session.write(lambda: session.writer.filling(template, session.in_use))


def _rewrite(session: Session, text: str) -> None:
    session.write(lambda: session.writer.rewriting(text, session.settings))


def _set(session: Session, assignment: str) -> None:
    session.change(assignment)
    _tell(session, assignment.partition("=")[0].strip().removeprefix("generation."))


def _change(setting: str) -> Act:
    """A command that changes one setting, or without a value shows it."""

    def act(session: Session, value: str) -> None:
        if value:
            session.change(f"generation.{setting}={value}")
        _tell(session, setting)

    return act


def _tell(session: Session, setting: str) -> None:
    say(f"{setting} {value_text(getattr(session.settings, setting))}", style="dim")


def _settings(session: Session, _: str) -> None:
    for name in GenerationConfig.model_fields:
        click.echo(f"generation.{name} = {value_text(getattr(session.settings, name))}")


def _save(session: Session, name: str) -> None:
    from ...files import check_file, write_text

    try:
        path = Path(name).expanduser().resolve()
    except (RuntimeError, ValueError, OSError) as error:  # no such home, a NUL in the name, links in a circle
        raise UserError(f"cannot save in {name!r}: {error}") from error
    if not session.texts:
        raise UserError("nothing is written yet")
    check_file(path)
    if path.exists() and path not in session.saved:
        raise UserError(f"{name} exists; name a new file")
    write_text(path, "\n\n".join(session.texts) + "\n")
    session.saved.add(path)
    say(f"{counted(len(session.texts), 'text')} saved in {name}", style="dim")


def _again(session: Session, _: str) -> None:
    if session.last is None:
        raise UserError("nothing is written yet")
    session.last()


def _watch(session: Session, argument: str) -> None:
    from ...show.terminal import can_animate

    if argument not in ("", "on", "off"):
        raise UserError(f"write /watch, /watch on or /watch off, not {argument!r}")
    wanted = argument == "on" if argument else not session.showing.watch
    if wanted and not can_animate(console):
        raise UserError("there is no terminal with colours to show it")
    session.showing = replace(session.showing, watch=wanted)
    say(f"watch {'on' if wanted else 'off'}", style="dim")


def _quit(session: Session, _: str) -> None:
    session.over = True


COMMANDS = {
    "help": Command("", "this list", _help),
    "infill": Command("TEMPLATE", "fill gaps, marked by three or more underscores", _infill),
    "rewrite": Command("TEXT", "write a text anew, close to the given one", _rewrite),
    "again": Command("", "the same again with the next seed", _again),
    "temp": Command("[0.7]", "temperature: below 1 safer, above 1 wilder", _change("temperature")),
    "steps": Command("[32]", "most denoising steps", _change("steps")),
    "length": Command("[80]", "tokens to write after a prompt", _change("length")),
    "sampler": Command("[NAME]", "order of unmasking; for gaps: generation.gap_sampler", _change("sampler")),
    "level": Command("[3]", "vocabulary level, 1 to 5", _change("vocab_level")),
    "seed": Command("[N]", "seed of the next text; each text adds one", _change("seed")),
    "set": Command("generation.key=value", "any other setting", _set),
    "settings": Command("", "show all settings", _settings),
    "watch": Command("[on|off]", "show how each text comes out of the noise", _watch),
    "save": Command("FILE", "save all texts of this session", _save),
    "quit": Command("", "end; so does an empty line or Ctrl-D", _quit),
}
