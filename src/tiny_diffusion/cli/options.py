"""Flags made from the config: each setting of a section is a flag with the config's own help and default."""

import math
import os
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ..config import ProjectConfig
from ..config.reference import describe
from ..errors import UserError
from .help import RareOption, help_all
from .stopping import end_quietly


class Terminal(Console):
    """A console whose reader may go away."""

    def on_broken_pipe(self) -> None:
        """End well; rich would end with exit code 1."""
        end_quietly()


console = Terminal(highlight=False, emoji=False)
errors = Terminal(stderr=True, highlight=False, emoji=False)
LONGEST_TYPE = 40  # characters of a type that are shown beside its flag; a longer one goes into the flag's text
OVERRIDES = "tiny_diffusion.overrides"
# Hours, minutes, seconds, each of them optional.
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def say(text: str, *, to: Console = console, style: str | None = None) -> None:
    """Print a sentence without markup (a path may hold brackets): on a terminal wrapped at words, else as one line."""
    on_terminal = to.is_terminal
    if on_terminal and errors.is_terminal and not to.quiet:
        to = errors  # a spinner or a bar lives there, and makes room only for what its own console prints
    to.print(text, style=style, markup=False, soft_wrap=not on_terminal)


def program() -> str:
    """How to call this program from this shell and folder: by its bare name only where that finds it."""
    called, name = Path(sys.argv[0]), "tiny-diffusion"
    if called.name == "__main__.py":
        return f"{_callable(Path(sys.executable))} -m tiny_diffusion"
    return _callable(called) if called.name == name else name


def _callable(path: Path) -> str:
    """The name of a program if the shell finds this very one by it, else its path, from here if it lies below."""
    found = shutil.which(path.name)
    if found is not None and Path(found).absolute() == path.absolute():
        return path.name
    inside = path.absolute().is_relative_to(Path.cwd())
    return shlex.quote(os.path.relpath(path) if inside else str(path.absolute()))


def print_text(text: str, *, end: str = "\n") -> None:
    """Print a text and ``end``. Into a pipe or a file each byte goes as it is, in UTF-8.

    Without a terminal, click would drop escape sequences.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        click.echo(text + end, nl=False)
    else:
        click.echo((text + end).encode("utf-8"), nl=False)


def check_utf8(text: str, name: str) -> None:
    """Raise UserError for a text that came in bytes that are not UTF-8; ``name``: what the message calls it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = text.encode("utf-8", errors="replace").decode("utf-8")
        raise UserError(f"{name} is not UTF-8 at character {error.start + 1}: {shown!r}") from error


def duration(seconds: float) -> str:
    """Seconds as a short text: 42s, 3m10s, 2h05m, 12 days."""
    if math.isnan(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 172_800:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400} days"


def read_duration(text: str, name: str) -> float:
    """Seconds of ``90s``, ``20m``, ``2h`` or ``1h30m``; raises UserError, naming the flag ``name``, for all else."""
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = 0
    if match is not None:
        hours, minutes, rest = (int(part) if part else 0 for part in match.groups())
        seconds = 3600 * hours + 60 * minutes + rest
    if seconds == 0:
        raise UserError(f"{name} {text!r} is no length of time above 0; write it like 90s, 20m, 2h or 1h30m")
    return float(seconds)


def config_flags(*sections: str, without: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Add ``--section.key VALUE`` for every setting of ``sections``, and ``--set key=value`` for any other.

    ``--help-all`` lists the former. ``without``: settings that do nothing in this command.
    """

    def add(function: Any) -> Any:
        rows = [row for row in describe(ProjectConfig) if row.key.split(".")[0] in sections and "[i]" not in row.key]
        rows = [row for row in rows if row.key not in without]
        if rows:
            function = help_all(f"one for each setting of {' and '.join(sections)}")(function)
        for row in reversed(rows):
            short = len(row.type) <= LONGEST_TYPE
            function = click.option(
                f"--{row.key}",
                row.key.replace(".", "__"),  # click's own name for the flag must be an identifier
                cls=RareOption,
                expose_value=False,
                callback=_collect,
                metavar=f"<{row.type}>" if short else "<NAME>",
                help=f"{row.description}{'' if short else f': {row.type}'}  [default: {row.default}]",
            )(function)
        return click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            expose_value=False,
            callback=_collect_pairs,
            help="Change any setting, such as curriculum.stages[0].epochs=25; may be given often.",
        )(function)

    return add


def _collect(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta.setdefault(OVERRIDES, []).append(f"{parameter.opts[0].removeprefix('--')}={value}")


def _collect_pairs(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    ctx.meta.setdefault(OVERRIDES, []).extend(value)


def resolve(ctx: click.Context, base: ProjectConfig, short: Sequence[str] = ()) -> ProjectConfig:
    """``base`` with the command line's changes on top.

    Raises UserError for a setting that is given twice, by ``--set`` and a flag of its own, or a ``short`` flag.
    """
    changes = ctx.meta.get(OVERRIDES, [])
    keys = [*short, *(item.partition("=")[0].strip() for item in changes)]
    for key, times in Counter(keys).items():
        if times > 1:
            raise UserError(f"{key} is given {times} times: give it once")
    return base.override_from_args(changes)


CONFIG_OPTION = click.option(
    "--config",
    "config_name",
    default="default",
    show_default=True,
    metavar="NAME|FILE",
    help="A preset (default debug memory_efficient comprehensive cpu_1m cpu_2m cpu_10m cpu_30m ...) or a "
    ".toml, .yaml or .py file.",
)
