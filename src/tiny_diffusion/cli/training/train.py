"""``tiny-diffusion train``: what to train, from the flags."""

import json
import time
from dataclasses import replace
from pathlib import Path

import click
from click.core import ParameterSource

from ...config import (
    CurriculumConfig,
    EvaluationConfig,
    GenerationConfig,
    ModelConfig,
    ProjectConfig,
    TrainingConfig,
    keys_of,
)
from ...errors import UserError
from ...files import check_folder
from ...training.output_folder import CONFIG_FILE, best_models
from ...wording import duration, read_duration
from ..console import say
from ..help import examples
from ..options import DATA_DIR, OUTPUTS, config_option
from ..self_tests import check_architecture, check_pipeline
from ..settings import changes, config_flags, resolve
from .budget import Budget, choose
from .job import Job, open_book, run
from .members import member_folder, run_members


def _note_teachers(ctx: click.Context, parameter: click.Parameter, paths: tuple[str, ...]) -> None:
    if paths:
        found = [str(model) for path in paths for model in best_models(Path(path))]
        changes(ctx).append(f"training.teachers={json.dumps(found)}")


@examples(
    "tiny-diffusion train --time-budget 20m",
    "tiny-diffusion train --config cpu_2m --training.batch_size 8",
    "tiny-diffusion train --resume",
    "tiny-diffusion train --config cpu_2m --seeds 2 --student",
)
@click.command("train")
@DATA_DIR
@click.option("--output", default=OUTPUTS, show_default=True, help="Folder for checkpoints, logs and samples.")
@config_option("default")
@click.option("--debug", is_flag=True, help="A small model, one epoch per stage: the same as --config debug.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run in --output with its own settings. A finished run needs more epochs or steps.",
)
@click.option(
    "--from",
    "start",
    metavar="CHECKPOINT",
    help="Start from a checkpoint's weights, with its settings unless --config is given. The model must be the same; "
    "model.vocab_level may be larger.",
)
@click.option(
    "--teachers",
    multiple=True,
    expose_value=False,
    callback=_note_teachers,
    metavar="PATH",
    help="Learn from this trained model's predictions too: a checkpoint, or the folder of a run or of train --seeds; "
    "may be repeated. training.teacher_share says how much.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    metavar="K",
    help="Train K models one after the other, into member-0, member-1 ... of --output, by seeds from training.seed on.",
)
@click.option(
    "--student", is_flag=True, help="With --seeds: then train a student of the K models, into --output itself."
)
@click.option("--dry-run", is_flag=True, help="Print what differs from the preset, and the estimates; then stop.")
@click.option("--verbose", is_flag=True, help="With --dry-run: print every setting.")
@click.option(
    "--time-budget",
    metavar="TIME",
    help="Choose size, epochs and batch for this machine, and end after this whole time: 90s, 20m, 2h or 1h30m. "
    "Without a GPU and without --config, train does this for training.time_budget_minutes.",
)
@click.option("--test", "self_test", is_flag=True, help="Check that the architecture works, within 10 s.")
@click.option("--test-integration", is_flag=True, help="Run the whole pipeline on a small text, within 30 s.")
# The checkpoint keeps the settings of generation and evaluation.
@config_flags(ModelConfig, TrainingConfig, CurriculumConfig, also=keys_of(GenerationConfig, EvaluationConfig))
@click.pass_context
def command(
    ctx: click.Context,
    data_dir: str,
    output: str,
    config_name: str,
    debug: bool,
    resume: bool,
    start: str | None,
    seeds: int | None,
    student: bool,
    dry_run: bool,
    verbose: bool,
    time_budget: str | None,
    self_test: bool,
    test_integration: bool,
) -> None:
    """Train a masked diffusion model, or its autoregressive twin, with the three-stage curriculum."""
    began = time.monotonic()
    book, folder = Path(data_dir), Path(output)
    check_folder(folder)
    if verbose and not dry_run:
        raise UserError("--verbose belongs to --dry-run; config prints every setting too")
    if self_test or test_integration:
        resolve(ctx, ProjectConfig.default())  # wrong flags are refused here too
        check_architecture() if self_test else check_pipeline()
        return
    named = debug or ctx.get_parameter_source("config_name") is not ParameterSource.DEFAULT
    preset = "debug" if debug else config_name
    if start is not None and ((resume and seeds is None) or time_budget is not None):
        other = "--resume continues with the run's own weights" if resume else "--time-budget chooses the model itself"
        raise UserError(f"--from gives the model and its weights, but {other}: take one of the two")
    if student and seeds is None:
        raise UserError("--student is taught by the models of --seeds: give --seeds 2 too")
    if seeds is not None:
        check_members(named or resume or start is not None, time_budget)
    seconds = None if time_budget is None else read_duration(time_budget, "--time-budget")
    if seconds is None and not (named or resume or start is not None):
        seconds = default_seconds(resolve(ctx, ProjectConfig.default()))
    budget = None if seconds is None else Budget(seconds, began, preset if named else None, changes(ctx))
    if budget is not None and not (named or resume):
        check_alone("choosing a size needs", "give --config with --time-budget")
    if budget is not None and not resume and not (named and several()):
        data = open_book(book)
        choice = choose(budget, data, folder)
        chosen = choice.ranked[0].option.name
        student = choice.ranked[0].members > 0
        seeds = choice.ranked[0].members or None
        described = (chosen, ProjectConfig.preset(chosen))
        job = Job(choice.config, data, book, folder, preset=described, budget=budget, choice=choice)
    else:
        begun = None
        if start is not None:
            from ...checkpoint import load_checkpoint

            begun = load_checkpoint(Path(start))
        kept = (folder if seeds is None else member_folder(folder, 0)) / CONFIG_FILE
        if begun is not None and not (named or resume):
            name, base = str(start), begun.config
        else:
            continues = resume and (budget is not None or (not named and kept.exists()))
            name = str(kept) if continues else preset
            base = ProjectConfig.preset(name)
        if begun is not None and begun.shelf:  # one run on a shelf serves many that begin from it
            base = base.override(**{"curriculum.shelf_epochs": 0})
        config = resolve(ctx, base)
        job = Job(config, open_book(book), book, folder, resume, (name, base), start=begun, budget=budget)
    job = replace(job, start_path=start, dry_run=dry_run, verbose=verbose)
    if seeds is None:
        run(job)
    else:
        run_members(job, seeds, student=student)


def default_seconds(config: ProjectConfig) -> float | None:
    """The time for which ``train`` trains a size of its own choice if no time is given; None on a GPU."""
    from ...runtime import find_device

    if find_device(config.training.device).type != "cpu":
        return None
    seconds = 60 * config.training.time_budget_minutes
    say(
        f"no GPU here: choosing the size that learns most in {duration(seconds)}. For another time give "
        "--time-budget 20m; for the full size, on a GPU, --config default"
    )
    return seconds


def several() -> bool:
    """Whether torchrun started several processes."""
    from ...training.processes import launched

    return launched() > 1


def check_alone(what: str, instead: str) -> None:
    """Raise UserError, with ``what`` needs one process and what to do ``instead``, if torchrun started several."""
    if several():
        raise UserError(f"{what} one process; with torchrun {instead}")


def check_members(chosen: bool, time_budget: str | None) -> None:
    """Raise UserError unless all members are of one ``chosen`` size and length, trained by one process."""
    if time_budget is not None:
        raise UserError("--time-budget plans a single run, but --seeds trains several: give --config and its epochs")
    if not chosen:
        raise UserError("--seeds needs a size of your own choice: give --config, such as --config cpu_2m")
    check_alone("--seeds trains in", "train each member by its own --training.seed and --output")
