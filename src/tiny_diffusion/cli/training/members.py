"""``train --seeds``: members of an ensemble, one after the other, which differ by their seeds; then their student."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ...errors import UserError
from ...training.output_folder import CONFIG_FILE, locked, move_aside
from ...wording import counted
from ..console import say
from .description import command_to_continue
from .job import Job, run


def member_folder(output: Path, number: int) -> Path:
    """The folder of one member, counted from 0, in the ``output`` of all."""
    return output / f"member-{number}"


def run_members(job: Job, count: int, *, student: bool) -> None:
    """Train ``count`` members of ``job`` into folders in its output, by the seeds ``training.seed`` + 0, 1, ...

    ``student``: then train a student of them into the output itself. A budget is shared out among all. With
    ``job.resume`` what is finished is left as it is, the stopped one goes on, and the rest begin. A dry run shows the
    first. Raises click's Exit after Ctrl-C.
    """
    again = _command_to_continue(job, count, student)
    members = [_member(job, number, again) for number in range(count)]
    jobs = [*members, _student(job, members, again)] if student else members
    if not (job.resume or job.dry_run) and (moved := _move_aside(job.output, members)) is not None:
        say(f"the run that was in {job.output} is now in {moved}")
    for number, (each, share) in enumerate(zip(jobs, _shares(job, count), strict=False)):
        what = (
            f"member {number}, {number + 1} of {count}" if number < count else f"student of {counted(count, 'member')}"
        )
        say(f"{what}: seed {each.config.training.seed}, in {each.output}")
        run(each if job.budget is None else _within(each, share))
        if job.dry_run:
            return
    if not student:
        say(f"to make one network of them: {_command_to_continue(job, count, student=True)}", whole=True)


def _member(job: Job, number: int, again: str) -> Job:
    output = member_folder(job.output, number)
    config = job.config.override(**{"training.seed": job.config.training.seed + number})
    return replace(_part(job, output), config=config, again=again, member=True)


def _student(job: Job, members: Sequence[Job], again: str) -> Job:
    """The job of a student: of another seed than the members, with more epochs of the last stage."""
    training, last = job.config.training, len(job.config.curriculum.stages) - 1
    if last < 0:
        raise UserError("--student needs stages of the book, but curriculum.stages=[]: give --config for them")
    epochs = round(training.student_epochs * job.config.curriculum.stages[last].epochs)
    config = job.config.override(
        **{
            "training.seed": training.seed + len(members),
            "training.teachers": tuple(str(each.output / "best_model.pt") for each in members),
            f"curriculum.stages[{last}].epochs": epochs,
        }
    )
    return replace(_part(job, job.output), config=config, again=again)


def _part(job: Job, output: Path) -> Job:
    """``job`` in ``output``: it goes on if it was begun there, else it starts as all of them do."""
    begun = job.resume and (output / "checkpoints" / "last.pt").exists()
    return replace(job, output=output, resume=begun, start=None if begun else job.start)


def _move_aside(output: Path, members: Sequence[Job]) -> Path | None:
    """Move earlier members in ``output``, and the run beside them, aside; raises UserError if one is being trained."""
    earlier = [each.output for each in members if (each.output / CONFIG_FILE).exists()]
    with ExitStack() as stack:
        for folder in [output, *earlier] if earlier else []:
            stack.enter_context(locked(folder))
        return move_aside(output, *(folder.name for folder in earlier))


def _shares(job: Job, count: int) -> Iterator[float]:
    """Share that each of the runs has of the time that is left when it begins, the student's last."""
    from ...studies.budget import student_share

    own = student_share(count, job.config.training.student_epochs)
    yield from (1 / (count - done + own) for done in range(count))
    yield 1.0


def _within(job: Job, share: float) -> Job:
    """``job`` with a ``share`` of the time that is left of its budget, counted from now."""
    assert job.budget is not None
    return replace(job, budget=replace(job.budget, seconds=share * job.budget.left(), began=time.monotonic()))


def _command_to_continue(job: Job, count: int, student: bool) -> str:
    """The command that trains what is left of ``count`` members, and of a ``student``."""
    flags = ["--seeds", str(count), *(["--student"] if student else [])]
    flags += [] if job.start_path is None else ["--from", job.start_path]
    return command_to_continue(job.data_dir, job.output, *flags)
