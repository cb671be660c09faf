"""``tiny-diffusion infill``: fill the gaps of a text."""

import click

from .generate import CHECKPOINT_OPTION, PRESET_OPTION, open_writer, short_flags
from .options import config_flags
from .showing import Showing, show_flags


@click.command("infill")
@click.argument("template")
@CHECKPOINT_OPTION
@show_flags
@PRESET_OPTION
@short_flags("vocab_level", "temperature", "steps", "gap_tokens", "num_samples", "seed")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@config_flags("generation", without=("generation.length", "generation.cache_context"))
@click.pass_context
def command(
    ctx: click.Context,
    template: str,
    checkpoint: str,
    showing: Showing,
    preset: str | None,
    device: str,
    **short: int | float | None,
) -> None:
    """Fill each gap of TEMPLATE, marked by three or more underscores: "It was on a ____ night"."""
    writer, settings = open_writer(ctx, checkpoint, preset, device, short)
    texts = showing.write(writer.filling(template, settings), writer, settings)
    showing.echo(texts, writer, settings, template=template)
