"""``tiny-diffusion twin``: the best autoregressive twin of a diffusion model."""

from pathlib import Path

import click
from click.core import ParameterSource

from ...config import CurriculumConfig, HeldOut, ModelConfig, Optimisation, Passes, ProjectConfig, StudyConfig, keys_of
from ...errors import UserError
from ...files import check_file
from ..help import examples
from ..options import DATA_DIR, config_option
from ..settings import changes, config_flags, refuse, short_flag
from .study import DRY_RUN, OUTPUT, OpenStudy

BEST = "best_model.pt"
# What the sweep sets.
SETS = ("model.causal", "model.dual", "model.dropout", "training.weight_decay", "training.eval_every_epochs")


@examples("tiny-diffusion twin --checkpoint outputs/best_model.pt", "tiny-diffusion twin --config cpu_2m --dry-run")
@click.command("twin")
@DATA_DIR
@OUTPUT
@click.option("--twin-output", default="outputs/twin", show_default=True, help="Folder of best_model.pt and the table.")
@config_option("cpu_2m")
@click.option("--checkpoint", default=None, help="Diffusion model whose settings and compute the twin gets.")
@short_flag("--seeds", "study.seeds", default=True)
@short_flag("--dropouts", "study.twin_dropouts", default=True)
@short_flag("--weight-decays", "study.twin_weight_decays", default=True)
@short_flag("--epochs", "study.twin_epochs", default=True)
@DRY_RUN
@config_flags(ModelConfig, Optimisation, CurriculumConfig, Passes, HeldOut, sets=SETS, also=keys_of(StudyConfig))
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
    """Sweep the twin's dropout, weight decay and epochs, then train it with the compute of the diffusion run.

    The best twin by validation goes to best_model.pt, for tiny-diffusion evaluate --twin. Press Ctrl-C at any time:
    the same command continues.
    """
    from ...studies.plan import distinct
    from ...studies.tables import edge_lines, twin_seeds_table, twin_table
    from ...studies.twin import best_of, over_seeds, publish, steps_within, twin_plan, winner

    check_file(Path(twin_output) / BEST)
    study, flops = _open(ctx, data_dir, output, config_name, checkpoint)
    config, store, lengths = study.config, study.store, study.lengths
    steps = steps_within(config, flops, lengths)
    if not study.follow(lambda find: twin_plan(config, steps, lengths, find), dry_run):
        return
    runs = distinct(twin_plan(config, steps, lengths, store.find), store)
    seeds = over_seeds(config, steps, lengths, store.find)
    best, result = best_of(runs, store.find)
    target = Path(twin_output) / BEST
    publish(result, target)
    notes = [f"best: {best.label}, validation {result.best.bits_per_byte:.3f} bits per byte, in {target}"]
    notes += edge_lines(config, winner(config, store.find))
    title = f"autoregressive twin, bits per byte; equal compute: {flops:.1e} FLOPs"
    tables = [twin_table(title, runs, store.find, notes), twin_seeds_table(config, seeds)]
    study.publish("twin", twin_output, runs, {"best": best.label, "over_seeds": seeds}, tables)


def _open(
    ctx: click.Context, data_dir: str, output: str, config_name: str, checkpoint: str | None
) -> tuple[OpenStudy, float]:
    """The study, and the training FLOPs of the diffusion run, which the twin gets too."""
    from ...checkpoint import check_same_data, load_checkpoint

    if checkpoint is None:
        study = OpenStudy(ctx, ProjectConfig.preset(config_name), data_dir, output)
        diffusion = study.config
    else:
        if ctx.get_parameter_source("config_name") is not ParameterSource.DEFAULT:
            raise UserError("give --checkpoint or --config, not both: a checkpoint holds its own configuration")
        trained = load_checkpoint(Path(checkpoint))
        refuse(ctx, keys_of(CurriculumConfig), changes(ctx))  # the checkpoint was trained by its own
        study = OpenStudy(ctx, trained.config, data_dir, output)
        check_same_data(trained, study.data)
        diffusion = trained.config
    return study, study.lengths.flops(diffusion, study.lengths.steps(diffusion))
