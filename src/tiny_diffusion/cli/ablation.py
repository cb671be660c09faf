"""``tiny-diffusion ablation``: schedules of the curriculum at equal compute."""

from pathlib import Path

import click

from ..config import ProjectConfig
from .options import config_flags, say
from .studies import (
    DATA_DIR,
    DRY_RUN,
    OUTPUT,
    STUDY_CONFIG,
    UNREAD,
    follow_study,
    show_plan,
    show_table,
    study_config,
    study_flag,
)


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
    from ..data.artefacts import load_processed
    from ..evaluation.seeds import seeds_note
    from ..studies.ablation import ablation_plan, ablation_rows, ablation_runs
    from ..studies.plan import Lengths
    from ..studies.runs import Store
    from ..studies.tables import ablation_table, write_study

    data = load_processed(Path(data_dir))
    config = study_config(ctx, ProjectConfig.preset(config_name), data)
    store, lengths = Store(Path(output) / "runs", data, config.evaluation), Lengths(data)
    runs = ablation_runs(config, lengths)
    plan = ablation_plan(runs)
    if dry_run:
        show_plan(lambda find: plan, store, lengths)
        return
    follow_study(lambda find: plan, store, lengths)
    rows = ablation_rows(runs, store.find)
    table = ablation_table(rows)
    show_table(table)
    note = seeds_note(config.study.seeds)
    say(note)
    text = f"{table.markdown()}\n{note}\n"
    for path in write_study(Path(output), "ablation", config, data, store, plan, rows, text):
        say(f"written to {path}")
