"""Help in two lengths, both with examples to copy: ``--help`` lists common options, ``--help-all`` every option."""

import inspect
from collections.abc import Callable
from typing import Any

import click

_SHOW_ALL = "tiny_diffusion.help_all"


class RareOption(click.Option):
    """An option that only ``--help-all`` lists."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The option's lines in the long help; None in the short one."""
        return super().get_help_record(ctx) if ctx.meta.get(_SHOW_ALL) else None


def _print_all(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_SHOW_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()


def help_all(what: str) -> Callable[[Any], Any]:
    """Add ``--help-all``, which lists each ``RareOption`` too; ``what`` describes them."""
    return click.option(
        "--help-all",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_all,
        help=f"Show every option, including {what}, and exit.",
    )


def first_example(command: click.Command) -> str:
    """The first of a command's examples; empty if it has none."""
    _, _, lines = (command.help or "").partition("Examples:\n  ")
    return lines.partition("\n")[0]


def examples(*lines: str) -> Callable[[click.Command], click.Command]:
    """Show ``lines``, each a whole command, below the command's text. Goes above ``@click.command``."""

    def add(command: click.Command) -> click.Command:
        text = inspect.cleandoc(command.help or "")  # click takes away only the margin that all lines share
        # Click does not wrap a paragraph that begins with \b.
        command.help = "\n".join([text, "", "\b", "Examples:", *(f"  {line}" for line in lines)])
        return command

    return add
