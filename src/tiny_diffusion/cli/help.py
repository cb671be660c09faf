"""Help in two lengths: ``--help`` lists what people use, ``--help-all`` every option; both have examples to copy."""

from collections.abc import Callable
from typing import Any

import click

_SHOW_ALL = "tiny_diffusion.help_all"


class RareOption(click.Option):
    """An option that works like any other, but is listed by ``--help-all`` alone."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The option's lines in the help that is being printed; None in the short one."""
        return super().get_help_record(ctx) if ctx.meta.get(_SHOW_ALL) else None


def _print_all(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_SHOW_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()


def help_all(what: str) -> Callable[[Any], Any]:
    """Add ``--help-all``, which also lists each ``RareOption``; ``what`` says what those are."""
    return click.option(
        "--help-all",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_all,
        help=f"Show every option, {what} too, and exit.",
    )


def examples(*lines: str) -> Callable[[click.Command], click.Command]:
    """Show ``lines``, each a whole command, below the command's text. Stands above ``@click.command``."""

    def add(command: click.Command) -> click.Command:
        # Click leaves the lines of a paragraph that begins with \b as they are.
        command.help = "\n".join([command.help or "", "", "\b", "Examples:", *(f"  {line}" for line in lines)])
        return command

    return add
