"""``tiny-diffusion config``: print what a run would use."""

import click
from rich.table import Table

from ..config import ProjectConfig
from ..config.reference import describe
from .options import config_flags, console, resolve


@click.command("config")
@click.argument("name", default="default")
@click.option("--reference", is_flag=True, help="List every setting with its type, default and meaning.")
@config_flags()
@click.pass_context
def command(ctx: click.Context, name: str, reference: bool) -> None:
    """Print the resolved configuration NAME (a preset or a file) as TOML, which --config reads back."""
    if not reference:
        click.echo(resolve(ctx, ProjectConfig.preset(name)).to_toml())
        return
    table = Table("key", "type", "default", "meaning", title="settings")
    for row in describe(ProjectConfig):
        table.add_row(*(text.replace("[", r"\[") for text in (row.key, row.type, row.default, row.description)))
    console.print(table)
