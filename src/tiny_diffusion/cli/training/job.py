"""One training from its settings to its end."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...config import ProjectConfig
from ...files import write_text
from ...training.output_folder import CONFIG_FILE, check_begun, locked, move_aside
from ...wording import duration
from ..console import errors, say, warn
from ..stopping import EXIT_INTERRUPTED
from . import description
from .budget import Budget, Choice, keep_deadline
from .progress import attend, complete, follow
from .trackers import check_trackers

if TYPE_CHECKING:
    from ...checkpoint import Checkpoint
    from ...data.artefacts import Processed
    from ...training.events import Finished
    from ...training.processes import Ranks
    from ...training.trainer import Trainer


def open_book(folder: Path) -> "Processed":
    """The prepared book in ``folder``."""
    with errors.status("starting torch, reading the prepared book"):
        from ...data.artefacts import load_processed

        data = load_processed(folder)
    if data.outdated is not None:
        warn(data.outdated)
    return data


@dataclass(frozen=True)
class Job:
    """What to train, on which book, and where.

    Attributes:
        config: all settings.
        data: the prepared book, read from ``data_dir``.
        output: the folder of the run.
        resume: continue the run in ``output``.
        preset: the name of a preset or file, and its settings; ``dry_run`` prints what differs from it.
        dry_run: only print the settings and the estimates.
        verbose: print all settings in a dry run.
        start: a checkpoint whose weights the run begins with, read from ``start_path``.
        budget: the time that the run must keep.
        choice: the choice of a size for that time.
        again: what a user does to continue a stopped run; ``train --resume`` if None.
        member: one of several runs of one command, of which only the last says what comes next.
    """

    config: ProjectConfig
    data: "Processed"
    data_dir: Path
    output: Path
    resume: bool = False
    preset: tuple[str, ProjectConfig] = ("default", ProjectConfig.default())
    dry_run: bool = False
    verbose: bool = False
    start: "Checkpoint | None" = None
    start_path: str | None = None
    budget: Budget | None = None
    choice: Choice | None = None
    again: str | None = None
    member: bool = False

    @property
    def seconds_left(self) -> float | None:
        """Seconds left of the budget; None without one."""
        return None if self.budget is None else self.budget.left()

    def trainer(self, ranks: "Ranks") -> "Trainer":
        """The trainer of this job, for one of the processes that share it."""
        from ...training.trainer import Trainer

        config = self.config.override(pipeline=self.data.pipeline)
        return Trainer(config, self.data, self.output, resume=self.resume, start=self.start, ranks=ranks)


def run(job: Job) -> None:
    """Train with a progress bar; raises click's Exit after Ctrl-C, with the state saved."""
    from ...training.processes import joined

    with joined(job.config.training.device) as ranks:
        stopped = take_part(job, ranks)
    # Raised within, the exception would keep the trainer, and with it the processes' group, during its tear-down.
    if stopped:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)


def take_part(job: Job, ranks: "Ranks") -> bool:
    """Train as one of ``ranks``, the first of which reports and saves; return whether the run was stopped.

    An earlier run in the folder is moved aside only after everything that may refuse the new one.
    """
    from ...runtime import memory_errors

    settings, output = job.config.training, job.output
    if not ranks.first:
        with memory_errors():
            trainer = job.trainer(ranks)
            if job.budget is not None and not job.dry_run:
                trainer.progress.finished = False
                keep_deadline(job.budget, trainer, 0.0)
            return not job.dry_run and attend(trainer)
    free = description.free_memory(settings.device)
    if job.dry_run:
        trainer = job.trainer(ranks)
        if job.verbose:
            click.echo(trainer.state.given.to_toml())
        else:
            description.describe_settings(trainer.state.given, *job.preset)
        description.describe_run(trainer, free, job.seconds_left)
        return False
    if job.resume:
        check_begun(output)  # before a folder is made
    with locked(output), memory_errors():
        check_trackers(settings)
        with errors.status("building the model, reading the book's rows"):
            trainer = job.trainer(ranks)
        if job.budget is not None:  # more time for a finished run
            trainer.progress.finished = False
        if trainer.progress.finished:
            how = description.how_to_extend(trainer)
            say(f"the run in {output} is finished, after {trainer.progress.step:,} steps; {how}")
            if complete(trainer):
                say("its log or TensorBoard lacked its end, which is written now")
            return False
        if job.start is not None:
            description.describe_start(job.start, job.data)
        pace = description.describe_run(trainer, free, job.seconds_left)
        if job.budget is not None:
            keep_deadline(job.budget, trainer, pace.validation + pace.state)
        if not job.resume and (moved := move_aside(output)) is not None:
            say(f"the run that was in {output} is now in {moved}")
        write_text(output / CONFIG_FILE, trainer.state.given.to_toml())
        finished = follow(trainer, resumed=job.resume)
    return _conclude(job, trainer, finished)


def _conclude(job: Job, trainer: "Trainer", finished: "Finished") -> bool:
    """Print the result, or how to continue; return whether the run was stopped."""
    if finished.interrupted:
        say(f"stopped after step {finished.step}; everything is saved in {job.output}; continue with", to=errors)
        again = job.again or description.command_to_continue(job.data_dir, job.output)
        if trainer.ranks.count > 1:  # started by torchrun, with a command that we do not know
            again = "the same command and --resume"
        say(f"  {again}", to=errors, whole=True)
        return True
    say(f"best validation {finished.best_bits_per_byte:.3f} bits per byte: {finished.checkpoint}")
    if job.choice is not None and not trainer.progress.cooling:
        job.choice.tell_if_wrong(finished.step, trainer.total_steps)
    if (deadline := trainer.course.deadline) is not None:
        say(f"the run took {duration(deadline.used)} of {duration(deadline.seconds)}")
    if not job.member:
        say(description.verdict(finished.best_bits_per_byte, job.data, job.config.model.vocab_level))
        description.say_what_next(finished.checkpoint, job.data_dir)
    return False
