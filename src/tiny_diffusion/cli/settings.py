"""Settings on the command line: flags made from the config, and the config with their changes."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import click

from ..config import Config, ProjectConfig, Row, describe, keys_of
from ..errors import UserError
from .help import RareOption, help_all

_CHANGES = "tiny_diffusion.changes"  # the place in a click context's ``meta``
LONGEST_TYPE = 40  # characters of a type that are shown beside its flag; a longer one goes into the flag's text
SETTINGS = keys_of(*(field.annotation for field in ProjectConfig.model_fields.values()))  # type: ignore[arg-type]
ROWS = {row.key: row for row in describe(ProjectConfig)}
Decorator = Callable[[Any], Any]


def changes(ctx: click.Context) -> list[str]:
    """The user's changes of settings so far, as ``key=value``; the list may be extended."""
    found: list[str] = ctx.meta.setdefault(_CHANGES, [])
    return found


def config_flags(*groups: type[Config], sets: Collection[str] = (), also: Collection[str] = ()) -> Decorator:
    """Add ``--section.key VALUE`` for every setting of ``groups``, listed by ``--help-all``, and ``--set key=value``.

    ``--set`` takes the settings of ``groups``, and refuses those that would do nothing in this command.

    Args:
        groups: classes of settings that the command reads.
        sets: keys among them that the command sets itself, and therefore refuses.
        also: other keys that ``--set`` takes.
    """
    taken = [key for key in keys_of(*groups) if key not in sets]
    refused = {*SETTINGS} - {*taken, *also}

    def collect(ctx: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]) -> None:
        refuse(ctx, refused, pairs)
        changes(ctx).extend(pairs)

    def add(function: Any) -> Any:
        rows = [row for key, row in ROWS.items() if _setting(key) in taken and "[i]" not in key]
        if rows:
            *most, last = dict.fromkeys(row.key.partition(".")[0] for row in rows)
            sections = f"{', '.join(most)} and {last}" if most else last
            function = help_all(f"one for each setting of {sections}")(function)
        for row in reversed(rows):
            short = len(row.type) <= LONGEST_TYPE
            function = click.option(
                f"--{row.key}",
                row.key.replace(".", "__"),  # click's own name for the flag must be an identifier
                cls=RareOption,
                expose_value=False,
                callback=_collector(row),
                metavar=f"<{row.type}>" if short else "<NAME>",
                help=f"{row.description}{'' if short else f': {row.type}'}  [default: {row.default}]",
            )(function)
        example = f"{rows[0].key}={rows[0].default}" if rows else "training.seed=1"
        return click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            expose_value=False,
            callback=collect,
            help=f"Change a setting, such as {example}; may be repeated. config --reference lists all settings.",
        )(function)

    return add


def short_flag(flag: str, *keys: str, help: str = "", rare: bool = False, default: bool = False) -> Decorator:
    """Add ``flag`` for the setting ``keys[0]`` (and others that get the same value); a list is given as ``5,10,20``.

    Args:
        flag: such as ``--length``.
        keys: dotted keys of the settings.
        help: text of the flag; the setting's own if empty.
        rare: list the flag only in ``--help-all``.
        default: show the setting's default.
    """
    row = ROWS[keys[0]]
    shown = (help or row.description.split("; ")[0]).rstrip(".") + "."
    if default:
        plain = re.sub(r'[\[\] "]', "", row.default)
        shown += f"  [default: {plain or 'none'}]"
    kinds = {"int": int, "float": float}
    many, choices = row.type.startswith("list of "), row.type.removeprefix("list of ").split(" | ")
    return click.option(
        flag,
        f"short__{keys[0].replace('.', '__')}",
        cls=RareOption if rare else click.Option,
        type=click.Choice(choices) if len(choices) > 1 and not many else kinds.get(row.type.split()[0], str),
        metavar=f"{'NAME' if len(choices) > 1 else choices[0].upper()},..." if many else None,
        expose_value=False,
        callback=_collector(row, *keys),
        help=shown,
    )


def _collector(row: Row, *keys: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that notes a flag's value as a change of ``keys``, or of the row's own key."""

    def collect(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value is None:
            return
        if keys and row.type.startswith("list of "):
            value = json.dumps([part.strip() for part in value.split(",")])  # the config reads the numbers
        changes(ctx).extend(f"{key}={value}" for key in keys or (row.key,))

    return collect


def _setting(key: str) -> str:
    """The setting that a dotted key begins with: ``curriculum.stages`` for ``curriculum.stages[0].epochs``."""
    return ".".join(key.partition("=")[0].strip().split("[")[0].split(".")[:2])


def refuse(ctx: click.Context, keys: Collection[str], pairs: Collection[str]) -> None:
    """Raise UserError if one of ``pairs``, as ``key=value``, changes one of ``keys``, or a section of nothing else."""
    for pair in pairs:
        setting = _setting(pair)
        section = [key for key in SETTINGS if key.startswith(f"{setting}.")]
        if setting in keys or (section and all(key in keys for key in section)):
            raise UserError(f"{setting} does nothing in {ctx.info_name}, which sets it itself or does not read it")


def resolve(ctx: click.Context, base: ProjectConfig) -> ProjectConfig:
    """``base`` with the command line's changes on top.

    Raises:
        UserError: a setting is given twice, by ``--set`` and by a flag of its own, or a change is not valid.
    """
    pairs = changes(ctx)
    for key, times in Counter(pair.partition("=")[0].strip() for pair in pairs).items():
        if times > 1:
            raise UserError(f"{key} is given {times} times: give it once")
    return base.override_from_args(pairs)
