"""``tiny-diffusion infill``: fill the gaps of a text."""

import click

from .generate import CHECKPOINT_OPTION, DATA_OPTION, PRESET_OPTION, open_writer, short_flags
from .options import config_flags


@click.command("infill")
@click.argument("template")
@CHECKPOINT_OPTION
@DATA_OPTION
@PRESET_OPTION
@short_flags("vocab_level", "temperature", "steps", "gap_tokens", "num_samples", "seed")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@config_flags("generation", without=("generation.length", "generation.cache_context", "generation.ending"))
@click.pass_context
def command(
    ctx: click.Context,
    template: str,
    checkpoint: str,
    data_dir: str,
    preset: str | None,
    device: str,
    **short: int | float | None,
) -> None:
    """Fill each gap of TEMPLATE, marked by three or more underscores: "It was on a ____ night"."""
    writer, settings = open_writer(ctx, checkpoint, data_dir, preset, device, short)
    for text in writer.infill(template, settings):
        click.echo(text.text)
