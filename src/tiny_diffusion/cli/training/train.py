"""``tiny-diffusion train``: the training run and its progress bar."""

import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, Progress, TextColumn

from ...config import ProjectConfig
from ...errors import UserError
from ...files import check_folder, write_text
from ...training.output_folder import CONFIG_FILE, locked, move_aside
from ..help import examples
from ..options import CONFIG_OPTION, OVERRIDES, config_flags, duration, errors, read_duration, resolve, say
from ..self_tests import check_architecture, check_pipeline
from ..stopping import EXIT_INTERRUPTED, STOPPING, graceful_stop
from .budget import Budget, Choice, choose, keep_deadline
from .notes import command_to_go_on, describe_start, free_memory, how_to_extend, warn_of_memory

if TYPE_CHECKING:
    from ...checkpoint import Checkpoint
    from ...data.artefacts import Processed
    from ...training.events import Finished
    from ...training.processes import Ranks
    from ...training.run_time import Pace
    from ...training.trainer import Trainer

AGAIN = "go on with the same command and --resume"


@examples(
    "tiny-diffusion train --time-budget 20m",
    "tiny-diffusion train --config cpu_2m --training.batch_size 8",
    "tiny-diffusion train --resume",
)
@click.command("train")
@click.option("--data-dir", default="data/processed", show_default=True, help="Folder that prepare wrote.")
@click.option("--output", default="outputs", show_default=True, help="Folder for checkpoints, logs and samples.")
@CONFIG_OPTION
@click.option("--debug", is_flag=True, help="A small model, one epoch a stage: the same as --config debug.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in --output, by its own settings; also a finished one, with more epochs or steps.",
)
@click.option(
    "--from",
    "start",
    metavar="CHECKPOINT",
    help="Start from a checkpoint's weights, by its settings unless --config is given: the same model, and a tokenizer "
    "that begins with the checkpoint's (a larger model.vocab_level).",
)
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and the estimates, then stop.")
@click.option(
    "--time-budget",
    metavar="TIME",
    help="Choose size, epochs and batch for this machine, and end after 90s, 20m, 2h or 1h30m, all counted. "
    "Without a GPU and --config this is what train does, in training.time_budget_minutes.",
)
@click.option("--test", "self_test", is_flag=True, help="Check that the architecture works, within 10 s.")
@click.option("--test-integration", is_flag=True, help="Run the whole pipeline on a small text, within 30 s.")
@config_flags("model", "training", "curriculum")
@click.pass_context
def command(
    ctx: click.Context,
    data_dir: str,
    output: str,
    config_name: str,
    debug: bool,
    resume: bool,
    start: str | None,
    dry_run: bool,
    time_budget: str | None,
    self_test: bool,
    test_integration: bool,
) -> None:
    """Train a masked diffusion model (or its autoregressive twin) by the three-stage curriculum."""
    began = time.monotonic()
    check_folder(Path(output))
    given = debug or ctx.get_parameter_source("config_name") is not click.core.ParameterSource.DEFAULT
    preset = ("debug" if debug else config_name) if given else None
    if start is not None and (resume or time_budget is not None):
        other = "--resume goes on with the run's own weights" if resume else "--time-budget chooses the model itself"
        raise UserError(f"--from gives the model and its weights, but {other}: take one of the two")
    overrides = ctx.meta.get(OVERRIDES, [])
    seconds = None if time_budget is None else read_duration(time_budget, "--time-budget")
    if seconds is None and not (given or resume or start is not None or self_test or test_integration):
        seconds = default_seconds(overrides)
    if seconds is not None:
        budget = Budget(seconds, began, preset, overrides)
        run_within(budget, Path(data_dir), Path(output), resume=resume, dry_run=dry_run)
        return
    kept = Path(output) / CONFIG_FILE
    goes_on = resume and not given and kept.exists()
    began_with = None if start is None else _read_start(start)
    if began_with is not None and not given:
        config = resolve(ctx, began_with.config)
    else:
        config = resolve(ctx, ProjectConfig.preset(kept if goes_on else preset or config_name))
    if self_test:
        check_architecture()
    elif test_integration:
        check_pipeline()
    else:
        run(config, Path(data_dir), Path(output), resume=resume, start=began_with, dry_run=dry_run)


def default_seconds(overrides: list[str]) -> float | None:
    """The time in which ``train`` trains a size of its own choice, where it was given none; None on a GPU."""
    from ...runtime import find_device

    settings = ProjectConfig.default().override_from_args(overrides).training
    if find_device(settings.device).type != "cpu":
        return None
    seconds = 60 * settings.time_budget_minutes
    say(
        f"no GPU here: choosing a size that learns most in {duration(seconds)}. Another time: --time-budget 20m; "
        "the full size, for a GPU: --config default"
    )
    return seconds


def _read_start(path: str) -> "Checkpoint":
    from ...checkpoint import load_checkpoint

    return load_checkpoint(Path(path))


def run(
    config: ProjectConfig,
    data_dir: Path,
    output: Path,
    *,
    resume: bool = False,
    start: "Checkpoint | None" = None,
    dry_run: bool = False,
) -> None:
    """Train with a progress bar; raises click's Exit after Ctrl-C, with the state saved."""
    with errors.status("starting torch, reading the prepared book"):
        from ...data.artefacts import load_processed
        from ...training.processes import joined

        data = load_processed(data_dir)
    config = config.override(pipeline=data.pipeline.model_dump(mode="json"))
    with joined(config.training.device) as ranks:
        stopped = take_part(config, data, data_dir, output, resume, dry_run, ranks, start=start)
    # Raised within, the exception would hold the trainer, and with it the processes' group, while that is torn down.
    if stopped:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)


def run_within(budget: Budget, data_dir: Path, output: Path, *, resume: bool, dry_run: bool) -> None:
    """Choose what to train within the budget, or take up the run in ``output``, and end on time."""
    from ...data.artefacts import load_processed
    from ...runtime import memory_errors
    from ...training.processes import launched

    if launched() > 1:
        raise UserError("--time-budget plans for one process; with torchrun name a --config and its epochs")
    data = load_processed(data_dir)
    if resume:
        config = ProjectConfig.preset(output / CONFIG_FILE).override_from_args(budget.overrides)
        train(config, data_dir, output, resume, dry_run, budget)
        return
    with memory_errors():
        choice = choose(budget, data, output)
    train(choice.config, data_dir, output, resume, dry_run, budget, choice)


def train(
    config: ProjectConfig,
    data_dir: Path,
    output: Path,
    resume: bool,
    dry_run: bool,
    budget: Budget | None = None,
    choice: Choice | None = None,
    again: str | None = None,
) -> None:
    """Train ``config`` on a prepared book, within ``budget`` when there is one; raises click's Exit when stopped.

    ``again``: what a user who stops it is told to do to go on; train's own command if not given.
    """
    from ...data.artefacts import load_processed
    from ...training.processes import ALONE

    data = load_processed(data_dir)
    if take_part(config, data, data_dir, output, resume, dry_run, ALONE, budget, choice, again=again):
        raise click.exceptions.Exit(EXIT_INTERRUPTED)


def take_part(
    config: ProjectConfig,
    data: "Processed",
    data_dir: Path,
    output: Path,
    resume: bool,
    dry_run: bool,
    ranks: "Ranks",
    budget: Budget | None = None,
    choice: Choice | None = None,
    start: "Checkpoint | None" = None,
    again: str | None = None,
) -> bool:
    """Train as one of ``ranks``, of which the first one tells and keeps the run; True when it was stopped.

    An earlier run is moved aside when all that may refuse the new one is behind.
    """
    from ...runtime import memory_errors
    from ...training.events import summary_writer
    from ...training.trainer import Trainer

    if not ranks.first:
        with memory_errors():
            trainer = Trainer(config, data, output, resume=resume, start=start, ranks=ranks)
            return not dry_run and attend(trainer)
    free = free_memory(config.training.device)
    if dry_run:
        click.echo(config.to_toml())
        describe_run(Trainer(config, data, output, start=start, ranks=ranks), free)
        return False
    with locked(output), memory_errors():
        if config.training.tensorboard:
            summary_writer()
        with errors.status("building the model, reading the book's rows"):
            trainer = Trainer(config, data, output, resume=resume, start=start, ranks=ranks)
        if budget is not None:  # more time for a finished run
            trainer.progress.finished = False
        if trainer.progress.finished:
            say(f"the run in {output} is finished, after {trainer.progress.step:,} steps; {how_to_extend(trainer)}")
            return False
        if start is not None:
            describe_start(start, data)
        pace = describe_run(trainer, free)
        if budget is not None:
            keep_deadline(budget, trainer, pace)
        if not resume and (moved := move_aside(output)) is not None:
            say(f"the run that was in {output} is now in {moved}")
        write_text(output / CONFIG_FILE, config.to_toml())
        finished = follow(trainer, append=resume)
    if finished.interrupted:
        if ranks.count > 1:  # which torchrun started, by a command that is not ours
            how = " the same command and --resume"
        else:
            how = f": {again or command_to_go_on(data_dir, output)}"
        say(f"stopped after step {finished.step}, with all saved in {output}; go on with{how}", to=errors)
        return True
    say(f"best validation {finished.best_bits_per_byte:.3f} bits per byte: {finished.checkpoint}")
    if choice is not None and not trainer.progress.cooling:
        choice.tell_if_wrong(finished.step, trainer.total_steps)
    if (deadline := trainer.course.deadline) is not None:
        say(f"the run took {duration(deadline.used)} of {duration(deadline.seconds)}")
    return False


def attend(trainer: "Trainer") -> bool:
    """Train in silence, beside the process that tells of the run; True when it was stopped."""
    if trainer.progress.finished:  # as the first process says
        return False
    with graceful_stop(trainer, lambda: None):
        deque(trainer.run(), maxlen=0)
    return not trainer.progress.finished


def describe_run(trainer: "Trainer", free: int | None) -> "Pace":
    """Print the model, the memory and the time that the run will take, and a preset that fits if it is too long.

    ``free``: bytes that were free before the trainer was built. Returns the pace that was measured for it.
    """
    from ...runtime import fast_bfloat16
    from ...training.flops import critical_flops, run_flops
    from ...training.memory import estimate_memory
    from ...training.run_time import DAY, expected_seconds, measure_pace, preset_within

    config = trainer.config
    total, embedding = trainer.model.count()
    memory = estimate_memory(
        config,
        trainer.model.vocab_size,
        device="cuda" if trainer.device.type == "cuda" else "cpu",
        bfloat16=fast_bfloat16(trainer.device),
        processes=trainer.ranks.count,
    )
    each = "" if trainer.ranks.count == 1 else f"in each of {trainer.ranks.count} processes "
    say(
        f"{total / 1e6:.2f}M parameters ({embedding / total:.0%} in the embedding), {trainer.model.vocab_size:,} ids, "
        f"{config.model.n_layers} layers of {config.model.d_model}, {config.model.context} tokens, on {trainer.device}",
    )
    warn_of_memory(trainer, memory.total, free)
    compiling = "compiling the blocks (about a minute, once), " if trainer.compiled else ""
    with errors.status(f"{compiling}timing a few steps"):
        pace = measure_pace(trainer)
    seconds = expected_seconds(trainer, pace)
    step = pace.step(config.training.batch_size)
    flops = run_flops(config, trainer.model.vocab_size, trainer.total_steps)
    unique = int(trainer.rows.encoded[-1].lengths.sum())
    kept = memory.parameters + memory.ema + memory.optimizer
    say(
        f"{trainer.course.end:,} steps of {step:.2g} s, about {duration(seconds)} with validation and saving "
        f"({pace.steps} steps timed); at the peak {each}"
        f"{memory.total / 1e9:.2f} GB ({kept / 1e9:.2f} weights, average, optimizer; "
        f"{memory.activations / 1e9:.2f} activations); "
        f"{flops:.1e} FLOPs, {flops / critical_flops(unique):,.1f} times the critical compute "
        f"for {unique / 1e6:.3f}M tokens (an extrapolation at this size)",
    )
    if seconds > DAY:
        fits = preset_within(unique, flops / trainer.total_steps / step)
        hint = f"--config {fits} would end within a day" if fits else "no preset would end within a day"
        say(f"this run cannot finish within a day on this machine; {hint}", style="yellow", to=errors)
    return pace


def follow(trainer: "Trainer", *, append: bool) -> "Finished":
    """Read a trainer's events into the log and a progress bar, to the end."""
    from ...training.events import (
        CoolingDown,
        Finished,
        RunLog,
        RunningMetrics,
        Sampled,
        StageEnded,
        StepDone,
        Validated,
    )

    metrics = RunningMetrics()
    columns = (BarColumn(bar_width=20), TextColumn("{task.percentage:>3.0f}% {task.description}"))
    settings = trainer.config.training
    part = "micro-batch" if trainer.ranks.count == 1 else "step"
    with (
        RunLog(trainer.output, tensorboard=settings.tensorboard, append=append) as log,
        Progress(*columns, console=errors, refresh_per_second=4) as progress,
        graceful_stop(trainer, lambda: say(STOPPING.format(part=part), to=errors)),
    ):
        state = "starting"
        task, deadline = progress.add_task(state, total=1.0), trainer.course.deadline
        trainer.tell = lambda what: progress.update(task, description=f"{state}, {what}")
        for event in trainer.run():
            metrics.add(event)
            log.write(event)
            if isinstance(event, StepDone):
                left = metrics.seconds_left if deadline is None else max(0.0, deadline.left)
                bits = "-" if metrics.validation is None else f"{metrics.validation:.3f}"
                state = (
                    f"{event.stage_name} {event.epoch} loss {metrics.loss:.3f} bpb {bits} "
                    f"{metrics.tokens_per_second:,.0f} tok/s {duration(left)} left"
                )
                progress.update(task, completed=trainer.course.place, description=state)
            elif isinstance(event, Validated) and not errors.is_terminal:  # a log file sees no bar
                say(f"step {event.step}/{trainer.course.end}: {state}", to=errors)
            elif isinstance(event, Sampled):
                text = " ".join(event.text.split())
                say(f"step {event.step} writes: {text[:160]}", style="dim", to=errors)
            elif isinstance(event, CoolingDown):
                rest = f"{event.left:,.0f} more steps" if deadline is None else f"the next {duration(event.left)}"
                say(f"no better validation: the learning rate decays over {rest}, then the run ends", to=errors)
            elif isinstance(event, StageEnded) and event.early and not trainer.progress.cooling:
                say(f"stage {event.name} ended early: no better validation", to=errors)
            elif isinstance(event, Finished):
                finished = event
                progress.update(task, description=state)
    return finished
