"""``train --seeds``: members of an ensemble, trained one after the other, which differ by their seeds alone."""

import shlex
from dataclasses import replace
from pathlib import Path

from ...errors import UserError
from ...training.output_folder import CONFIG_FILE
from ..console import say
from .job import Job, run


def member_folder(output: Path, number: int) -> Path:
    """The folder of one member, counted from 0, in the ``output`` of all."""
    return output / f"member-{number}"


def run_members(job: Job, count: int) -> None:
    """Train ``count`` members of ``job`` into folders in its output, by the seeds ``training.seed`` + 0, 1, ...

    With ``job.resume`` finished members are left as they are, the stopped one goes on, and the rest begin. A dry run
    shows the first. Raises UserError if a new training finds any, and click's Exit after Ctrl-C.
    """
    jobs = [_member(job, number, count) for number in range(count)]
    begun = [each.output for each in jobs if (each.output / CONFIG_FILE).exists()]
    if begun and not (job.resume or job.dry_run):
        raise UserError(f"{begun[0]} holds a run: give --resume to go on with these members, or another --output")
    for number, each in enumerate(jobs):
        say(f"member {number}, {number + 1} of {count}: seed {each.config.training.seed}, in {each.output}")
        run(each)
        if job.dry_run:
            return
    say(f"to make one network of them: {_command_to_teach(job, jobs)}")


def _member(job: Job, number: int, count: int) -> Job:
    output = member_folder(job.output, number)
    config = job.config.override(**{"training.seed": job.config.training.seed + number})
    begun = (output / "checkpoints" / "last.pt").exists()
    parts = ["train", "--resume", "--seeds", str(count), "--data-dir", str(job.data_dir), "--output", str(job.output)]
    again = shlex.join(["tiny-diffusion", *parts])
    return replace(job, config=config, output=output, resume=job.resume and begun, again=again)


def _command_to_teach(job: Job, members: list[Job]) -> str:
    """The command that trains a student of all ``members``."""
    folder = members[0].output
    teachers = [part for each in members for part in ("--teachers", str(each.output / "best_model.pt"))]
    where = ["--data-dir", str(job.data_dir), "--output", str(job.output / "student")]
    return shlex.join(["tiny-diffusion", "train", "--config", str(folder / CONFIG_FILE), *teachers, *where])
