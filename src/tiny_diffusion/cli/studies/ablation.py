"""``tiny-diffusion ablation``: schedules of the curriculum at equal compute."""

import click

from ...config import ProjectConfig
from ..help import examples
from ..options import DATA_DIR, config_option
from ..settings import short_flag
from .study import DRY_RUN, OUTPUT, SETTINGS, OpenStudy


@examples("tiny-diffusion ablation --epochs 20 --dry-run", "tiny-diffusion ablation --config cpu_1m --seeds 3")
@click.command("ablation")
@DATA_DIR
@OUTPUT
@config_option("cpu_2m")
@short_flag("--epochs", "study.ablation_epochs", default=True)
@short_flag("--schedules", "study.schedules", default=True)
@short_flag("--seeds", "study.seeds", default=True)
@DRY_RUN
@SETTINGS
@click.pass_context
def command(ctx: click.Context, data_dir: str, output: str, config_name: str, dry_run: bool) -> None:
    """Compare schedules: three stages, the same with full-range masks, reversed, none, and the last stage alone.

    All take the same number of optimiser steps of the same batch size. Press Ctrl-C at any time: the same command
    continues.
    """
    from ...studies.ablation import ablation_plan, ablation_rows, ablation_runs
    from ...studies.tables import ablation_table

    study = OpenStudy(ctx, ProjectConfig.preset(config_name), data_dir, output)
    runs = ablation_runs(study.config, study.lengths)
    plan = ablation_plan(runs)
    if not study.follow(lambda find: plan, dry_run):
        return
    rows = ablation_rows(runs, study.store.find)
    study.publish("ablation", output, plan, rows, [ablation_table(rows)])
