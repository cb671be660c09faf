"""``tiny-diffusion twin``: the autoregressive twin at its best."""

from pathlib import Path

import click

from ..config import ProjectConfig
from .options import config_flags, say
from .studies import (
    DATA_DIR,
    DRY_RUN,
    OUTPUT,
    STUDY_CONFIG,
    follow_study,
    show_plan,
    show_table,
    study_config,
    study_flag,
)


@click.command("twin")
@DATA_DIR
@OUTPUT
@click.option("--twin-output", default="outputs/twin", show_default=True, help="Folder of best_model.pt and the table.")
@STUDY_CONFIG
@click.option("--checkpoint", default=None, help="Diffusion model whose settings and compute the twin takes.")
@study_flag("--seeds", "study.seeds")
@study_flag("--dropouts", "study.twin_dropouts")
@study_flag("--weight-decays", "study.twin_weight_decays")
@study_flag("--epochs", "study.twin_epochs")
@study_flag("--patience", "study.twin_patience")
@DRY_RUN
@config_flags("model", "training", "curriculum", "evaluation")
@click.pass_context
def command(
    ctx: click.Context,
    data_dir: str,
    output: str,
    twin_output: str,
    config_name: str,
    checkpoint: str | None,
    dry_run: bool,
) -> None:
    """Sweep the twin's dropout, weight decay and epochs; then train it with the compute of the diffusion run.

    The best one by validation goes to best_model.pt, for: tiny-diffusion evaluate --twin. Ctrl-C at any time: the
    same command goes on.
    """
    from ..checkpoint import load_checkpoint
    from ..data.artefacts import load_processed
    from ..studies.plan import Lengths
    from ..studies.runs import Store
    from ..studies.tables import run_table, write_study
    from ..studies.twin import best_of, publish, steps_within, twin_plan

    data = load_processed(Path(data_dir))
    lengths = Lengths(data)
    if checkpoint is None:
        config = study_config(ctx, ProjectConfig.preset(config_name), data, curriculum=True)
        flops = lengths.flops(config, lengths.steps(config))
    else:
        trained = load_checkpoint(Path(checkpoint))
        config = study_config(ctx, trained.config, data, curriculum=False)
        flops = lengths.flops(trained.config, int(trained.meta["step"]))
    steps = steps_within(config, flops, lengths)
    store = Store(Path(output) / "runs", data, config.evaluation)
    if dry_run:
        show_plan(lambda find: twin_plan(config, steps, lengths, find), store, lengths)
        return
    follow_study(lambda find: twin_plan(config, steps, lengths, find), store, lengths)
    runs = twin_plan(config, steps, lengths, store.find)
    table = run_table(f"autoregressive twin; equal compute: {flops:.1e} FLOPs", runs, store.find)
    show_table(table)
    best, result = best_of(runs, store.find)
    target = Path(twin_output) / "best_model.pt"
    publish(result, target)
    note = f"best: {best.label}, validation {result.best.bits_per_byte:.3f} bits per byte, in {target}"
    say(note)
    text = f"{table.markdown()}\n{note}\n"
    for path in write_study(Path(twin_output), "twin", config, data, store, runs, {"best": best.label}, text):
        say(f"written to {path}")
