"""``tiny-diffusion config``: print the settings that a run would use."""

import textwrap

import click

from ..config import ProjectConfig, Row
from ..errors import UserError
from .console import console
from .help import examples
from .settings import ROWS, SETTINGS, config_flags, resolve

WIDEST = 100  # columns of the reference; a narrower terminal uses its own width


@examples(
    "tiny-diffusion config cpu_2m > mine.toml",
    "tiny-diffusion config cpu_2m --set training.batch_size=8",
    "tiny-diffusion config --reference learning_rate",
)
@click.command("config")
@click.argument("name", required=False)
@click.option(
    "--reference", is_flag=True, help="List every setting, or those with NAME in their key: type, default, meaning."
)
@config_flags(also=SETTINGS)
@click.pass_context
def command(ctx: click.Context, name: str | None, reference: bool) -> None:
    """Print the resolved configuration NAME, a preset or a file, as TOML that --config reads.

    Without NAME it is the preset default.
    """
    if not reference:
        click.echo(resolve(ctx, ProjectConfig.preset(name or "default")).to_toml())
        return
    rows = [row for key, row in ROWS.items() if name is None or name in key]
    if not rows:
        raise UserError(f"no setting has {name!r} in its key; tiny-diffusion config --reference lists them all")
    width = min(WIDEST, console.width)
    click.echo("\n\n".join(entry(row, width) for row in rows))


def entry(row: Row, width: int) -> str:
    """A setting's key on a line of its own; below it, indented, its type, its default and its meaning."""
    default = f"default {row.default}" if row.default else "no default"
    lines = [
        textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
        for text in (f"{row.type}; {default}", row.description)
    ]
    return "\n".join([row.key, *lines])
