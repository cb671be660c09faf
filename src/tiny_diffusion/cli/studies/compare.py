"""``tiny-diffusion compare``: where diffusion passes its autoregressive twin."""

from pathlib import Path

import click

from ...config import ProjectConfig
from ...files import check_file
from ..help import examples
from ..options import config_flags, say
from .shared import DATA_DIR, DRY_RUN, OUTPUT, STUDY_CONFIG, UNREAD, open_study, study_config, study_flag


@examples(
    "tiny-diffusion compare --epochs 5,10,20 --dry-run",
    "tiny-diffusion compare --sizes cpu_1m,cpu_2m --seeds 3",
)
@click.command("compare")
@DATA_DIR
@OUTPUT
@STUDY_CONFIG
@study_flag("--epochs", "study.epochs")
@study_flag("--sizes", "study.sizes")
@study_flag("--seeds", "study.seeds")
@study_flag("--dropouts", "study.twin_dropouts")
@study_flag("--weight-decays", "study.twin_weight_decays")
@study_flag("--twin-epochs", "study.twin_epochs")
@click.option("--plot", "kind", type=click.Choice(["svg", "png"]), default="svg", show_default=True, help="Drawing.")
@click.option("--no-plot", is_flag=True, help="Draw nothing; else the extra 'report' is needed.")
@DRY_RUN
@config_flags("model", "training", "evaluation", without=UNREAD)
@click.pass_context
def command(
    ctx: click.Context, data_dir: str, output: str, config_name: str, kind: str, no_plot: bool, dry_run: bool
) -> None:
    """Train diffusion and its twin on paragraphs for each number of epochs, and find where the curves cross.

    The twin's dropout and weight decay come from a sweep of its own. Ctrl-C at any time: the same command goes on.
    """
    from ...studies.compare import compare_plan, size_result
    from ...studies.plots import draw_compare, new_figure
    from ...studies.tables import Section, compare_lines, compare_table

    drawing = Path(output) / f"compare.{kind}"
    if not (no_plot or dry_run):
        new_figure()  # a missing extra is told now, not after hours
        check_file(drawing)
    base = ProjectConfig.preset(config_name)
    study = open_study(ctx, base, data_dir, output)
    shaped = {size: base.override(model=size) for size in study.config.study.sizes}
    sizes = {size: study_config(ctx, each, study.data) for size, each in shaped.items()}
    sizes = sizes or {Path(config_name).stem: study.config}
    if not study.follow(lambda find: compare_plan(sizes, find), dry_run):
        return
    find = study.store.find
    results = [size_result(size, each, study.lengths, find) for size, each in sizes.items()]
    sections = [Section(compare_table(each), tuple(compare_lines(sizes[each.size], each))) for each in results]
    study.publish("compare", output, compare_plan(sizes, find), results, sections)
    if not no_plot:
        draw_compare(results, drawing)
        say(f"written to {drawing}")
