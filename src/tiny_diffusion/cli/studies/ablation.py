"""``tiny-diffusion ablation``: schedules of the curriculum at equal compute."""

import click

from ...config import ProjectConfig
from ..help import examples
from ..options import config_flags
from .shared import DATA_DIR, DRY_RUN, OUTPUT, STUDY_CONFIG, UNREAD, open_study, study_flag


@examples("tiny-diffusion ablation --epochs 20 --dry-run", "tiny-diffusion ablation --config cpu_1m --seeds 3")
@click.command("ablation")
@DATA_DIR
@OUTPUT
@STUDY_CONFIG
@study_flag("--epochs", "study.ablation_epochs")
@study_flag("--seeds", "study.seeds")
@DRY_RUN
@config_flags("model", "training", "evaluation", without=UNREAD)
@click.pass_context
def command(ctx: click.Context, data_dir: str, output: str, config_name: str, dry_run: bool) -> None:
    """Train the described schedule, the same with full-range masks, reversed, none, and its last stage alone.

    All take the same number of optimiser steps of the same batches. Ctrl-C at any time: the same command goes on.
    """
    from ...evaluation.seeds import seeds_note
    from ...studies.ablation import ablation_plan, ablation_rows, ablation_runs
    from ...studies.tables import Section, ablation_table

    study = open_study(ctx, ProjectConfig.preset(config_name), data_dir, output)
    runs = ablation_runs(study.config, study.lengths)
    plan = ablation_plan(runs)
    if not study.follow(lambda find: plan, dry_run):
        return
    rows = ablation_rows(runs, study.store.find)
    section = Section(ablation_table(rows), (seeds_note(study.config.study.seeds),))
    study.publish("ablation", output, plan, rows, [section])
