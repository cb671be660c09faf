"""``tiny-diffusion compare``: where diffusion passes its autoregressive twin."""

from pathlib import Path

import click

from ...config import ProjectConfig
from ...files import check_file
from ..console import say
from ..help import examples
from ..options import DATA_DIR, config_option
from ..settings import short_flag
from .study import DRY_RUN, OUTPUT, SETTINGS, OpenStudy, study_config


@examples(
    "tiny-diffusion compare --epochs 5,10,20 --dry-run",
    "tiny-diffusion compare --sizes cpu_1m,cpu_2m --seeds 3",
)
@click.command("compare")
@DATA_DIR
@OUTPUT
@config_option("cpu_2m")
@short_flag("--epochs", "study.epochs", default=True)
@short_flag("--sizes", "study.sizes", default=True)
@short_flag("--seeds", "study.seeds", default=True)
@short_flag("--dropouts", "study.twin_dropouts", default=True)
@short_flag("--weight-decays", "study.twin_weight_decays", default=True)
@short_flag("--twin-epochs", "study.twin_epochs", default=True)
@click.option(
    "--plot", "kind", type=click.Choice(["svg", "png"]), default="svg", show_default=True, help="Format of the drawing."
)
@click.option("--no-plot", is_flag=True, help="Draw nothing. Drawing needs the extra 'report'.")
@DRY_RUN
@SETTINGS
@click.pass_context
def command(
    ctx: click.Context, data_dir: str, output: str, config_name: str, kind: str, no_plot: bool, dry_run: bool
) -> None:
    """Train diffusion and its twin on paragraphs for each number of epochs, and find where the curves cross.

    The twin's dropout and weight decay come from a sweep of its own. Press Ctrl-C at any time: the same command
    continues.
    """
    from ...studies.compare import compare_plan, size_result
    from ...studies.plots import draw_compare, new_figure
    from ...studies.tables import compare_table

    drawing = Path(output) / f"compare.{kind}"
    if not (no_plot or dry_run):
        new_figure()  # a missing extra is reported now, not after hours
        check_file(drawing)
    base = ProjectConfig.preset(config_name)
    study = OpenStudy(ctx, base, data_dir, output)
    shaped = {size: base.override(model=size) for size in study.config.study.sizes}
    sizes = {size: study_config(ctx, each, study.data) for size, each in shaped.items()}
    sizes = sizes or {Path(config_name).stem: study.config}
    if not study.follow(lambda find: compare_plan(sizes, find), dry_run):
        return
    find = study.store.find
    results = [size_result(size, each, study.lengths, find) for size, each in sizes.items()]
    tables = [compare_table(sizes[each.size], each) for each in results]
    study.publish("compare", output, compare_plan(sizes, find), results, tables)
    if not no_plot:
        draw_compare(results, drawing)
        say(f"written to {drawing}")
