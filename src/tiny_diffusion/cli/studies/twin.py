"""``tiny-diffusion twin``: the autoregressive twin at its best."""

from pathlib import Path

import click
from click.core import ParameterSource

from ...config import ProjectConfig
from ...errors import UserError
from ...files import check_file
from ..help import examples
from ..options import config_flags
from .shared import DATA_DIR, DRY_RUN, OUTPUT, STUDY_CONFIG, SWEPT, UNREAD, OpenStudy, open_study, study_flag

BEST = "best_model.pt"


@examples("tiny-diffusion twin --checkpoint outputs/best_model.pt", "tiny-diffusion twin --config cpu_2m --dry-run")
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
    from ...studies.plan import distinct
    from ...studies.tables import Section, edge_lines, twin_seeds_lines, twin_seeds_table, twin_table
    from ...studies.twin import best_of, over_seeds, publish, steps_within, twin_plan, winner

    check_file(Path(twin_output) / BEST)
    study, flops = _open(ctx, data_dir, output, config_name, checkpoint)
    config, store, lengths = study.config, study.store, study.lengths
    steps = steps_within(config, flops, lengths)
    if not study.follow(lambda find: twin_plan(config, steps, lengths, find), dry_run):
        return
    runs = distinct(twin_plan(config, steps, lengths, store.find), store)
    table = twin_table(f"autoregressive twin, bits per byte; equal compute: {flops:.1e} FLOPs", runs, store.find)
    seeds = over_seeds(config, steps, lengths, store.find)
    best, result = best_of(runs, store.find)
    target = Path(twin_output) / BEST
    publish(result, target)
    notes = [f"best: {best.label}, validation {result.best.bits_per_byte:.3f} bits per byte, in {target}"]
    notes += edge_lines(config, winner(config, store.find))
    sections = [
        Section(table, tuple(notes)),
        Section(twin_seeds_table(seeds), tuple(twin_seeds_lines(config))),
    ]
    study.publish("twin", twin_output, runs, {"best": best.label, "over_seeds": seeds}, sections)


def _open(
    ctx: click.Context, data_dir: str, output: str, config_name: str, checkpoint: str | None
) -> tuple[OpenStudy, float]:
    """The study, and the training FLOPs of the diffusion run whose compute the twin takes."""
    from ...checkpoint import check_same_data, load_checkpoint

    unread = (*UNREAD, *SWEPT)
    if checkpoint is None:
        study = open_study(ctx, ProjectConfig.preset(config_name), data_dir, output, unread)
        diffusion = study.config
    else:
        if ctx.get_parameter_source("config_name") is not ParameterSource.DEFAULT:
            raise UserError("give --checkpoint or --config, not both: a checkpoint holds its own configuration")
        trained = load_checkpoint(Path(checkpoint))
        study = open_study(ctx, trained.config, data_dir, output, (*unread, "curriculum"))
        check_same_data(trained, study.data)
        diffusion = trained.config
    return study, study.lengths.flops(diffusion, study.lengths.steps(diffusion))
