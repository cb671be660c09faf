"""``tiny-diffusion twin``: the autoregressive twin at its best."""

from pathlib import Path

import click
from click.core import ParameterSource

from ..config import ProjectConfig
from ..errors import UserError
from .options import config_flags, say
from .studies import (
    DATA_DIR,
    DRY_RUN,
    OUTPUT,
    STUDY_CONFIG,
    SWEPT,
    UNREAD,
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
@DRY_RUN
@config_flags("model", "training", "curriculum", "evaluation", without=(*UNREAD, *SWEPT))
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
    from ..checkpoint import check_same_data, load_checkpoint
    from ..data.artefacts import load_processed
    from ..studies.plan import Lengths, distinct
    from ..studies.runs import Store
    from ..studies.tables import edge_lines, twin_table, write_study
    from ..studies.twin import best_of, publish, steps_within, twin_plan, winner

    data = load_processed(Path(data_dir))
    lengths = Lengths(data)
    if checkpoint is None:
        config = study_config(ctx, ProjectConfig.preset(config_name), data, (*UNREAD, *SWEPT))
        flops = lengths.flops(config, lengths.steps(config))
    else:
        if ctx.get_parameter_source("config_name") is not ParameterSource.DEFAULT:
            raise UserError("give --checkpoint or --config, not both: a checkpoint holds its own configuration")
        trained = load_checkpoint(Path(checkpoint))
        check_same_data(trained, data)
        config = study_config(ctx, trained.config, data, (*UNREAD, *SWEPT, "curriculum"))
        flops = lengths.flops(trained.config, lengths.steps(trained.config))
    steps = steps_within(config, flops, lengths)
    store = Store(Path(output) / "runs", data, config.evaluation)
    if dry_run:
        show_plan(lambda find: twin_plan(config, steps, lengths, find), store, lengths)
        return
    follow_study(lambda find: twin_plan(config, steps, lengths, find), store, lengths)
    runs = distinct(twin_plan(config, steps, lengths, store.find), store)
    table = twin_table(f"autoregressive twin, bits per byte; equal compute: {flops:.1e} FLOPs", runs, store.find)
    show_table(table)
    best, result = best_of(runs, store.find)
    target = Path(twin_output) / "best_model.pt"
    publish(result, target)
    notes = [f"best: {best.label}, validation {result.best.bits_per_byte:.3f} bits per byte, in {target}"]
    notes += edge_lines(config, winner(config, store.find))
    for note in notes:
        say(note)
    text = f"{table.markdown()}\n" + "".join(f"- {note}\n" for note in notes)
    for path in write_study(Path(twin_output), "twin", config, data, store, runs, {"best": best.label}, text):
        say(f"written to {path}")
