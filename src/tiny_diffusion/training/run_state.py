"""Where a run stands, and all that it takes to go on as if it had never stopped."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoint import load_plain
from ..config import ProjectConfig
from ..data.dynamic_scorer import DynamicScorer
from ..errors import UserError
from ..version import PROGRAM_VERSION
from .scheduler import Line, stage_steps

if TYPE_CHECKING:
    from ..data.artefacts import Processed
    from .trainer import Trainer

RUN_VERSION = 3
READABLE = (2, 3)
# Where a run takes place: nothing of it moves the training.
PLACE = (
    "training.device",
    "training.threads",
    "training.memory_limit_gb",
    "training.tensorboard",
    "training.time_budget_minutes",
)
# What a resumed run may change: its place, how a step is computed (the same but for rounding, and dropout's draws where
# passes are of other rows), and what is told on the way.
MAY_CHANGE = (
    *PLACE,
    "training.micro_batch_size",
    "training.gradient_checkpointing",
    "training.compile",
    "training.sample_every_epochs",
    "training.eval_every_epochs",
)

ALL_STEPS, VALIDATED, SAMPLED = 1, 2, 3


@dataclass
class Progress:
    """Where the run stands. ``stage_step`` counts the stage's steps; the step of its epoch follows from it.

    ``line``: its way through the schedule. ``cooling``: early stopping has set in, and the learning rate decays to the
    end. With a deadline, ``seconds`` are those of the whole run, ``used`` those used when the state was saved, and
    ``stretches`` tells whether it may take more than its planned epochs.
    ``closing`` tells what is done of the work at an epoch's end: 0 while its steps go on, then ALL_STEPS, VALIDATED,
    SAMPLED.
    """

    step: int = 0
    stage: int = 0
    stage_step: int = 0
    best: float = math.inf
    since_best: int = 0
    finished: bool = False
    line: Line = Line(0.0)
    cooling: bool = False
    seconds: float | None = None
    used: float = 0.0
    stretches: bool = True
    closing: int = 0


def run_state(trainer: "Trainer") -> dict[str, Any]:
    """Tensors and plain data from which ``restore_run`` goes on."""
    if trainer.course.deadline is not None:
        trainer.progress.used = trainer.course.deadline.used
    return {
        "format": "tiny_diffusion run",
        "version": RUN_VERSION,
        "program": PROGRAM_VERSION,
        "config": trainer.config.to_dict(),
        "data": trainer.data.identity,
        "progress": asdict(trainer.progress),
        "weights": trainer.model.state_dict(),
        "average": trainer.average.state_dict(),
        "optimizers": trainer.optimizers.state(),
        "scorers": [s.to_dict() if s else None for s in trainer.rows.scorers],
        "written": trainer.written,
    }


def unfinished(path: Path, config: ProjectConfig, data: "Processed") -> bool:
    """Whether a run of ``config`` on ``data`` that was stopped before its end lies at ``path``."""
    if not path.exists():
        return False
    state = load_plain(path)
    if state.get("format") != "tiny_diffusion run" or state.get("version") not in READABLE:
        return False
    before = ProjectConfig.from_saved(state["config"], path, state.get("program"))
    same = state["data"] == data.identity and config.differences(before).keys() <= {*MAY_CHANGE}
    return same and not state["progress"]["finished"]


def restore_run(trainer: "Trainer") -> None:
    """Put ``trainer`` where its saved state says; raises UserError without one, or with other data or settings."""
    path = trainer.run_path
    if not path.exists():
        raise UserError(f"nothing to resume: there is no {path}; train without --resume first")
    state = load_plain(path)
    if state.get("format") != "tiny_diffusion run" or state.get("version") not in READABLE:
        raise UserError(f"{path} is not the state of a run that this program can resume")
    if state["data"] != trainer.data.identity:
        raise UserError(f"{path} was trained on other data than {trainer.data.source}; start a new run")
    before = ProjectConfig.from_saved(state["config"], path, state.get("program"))
    trainer.progress = _read_progress(state["progress"], trainer.total_steps)
    if _check_settings(trainer, before):
        _lengthen(trainer, before)
    trainer.model.load_state_dict(state["weights"])
    trainer.average.load_state_dict(state["average"])
    trainer.optimizers.restore(state["optimizers"])
    trainer.written = state["written"]
    trainer.rows.scorers = [DynamicScorer.from_dict(s) if s else None for s in state["scorers"]]


def _read_progress(saved: dict[str, Any], total_steps: int) -> Progress:
    if "plan" not in saved:
        return Progress(**{**saved, "line": Line(**saved["line"])})
    # Version 2: a plan in steps, or none where the end had not moved.
    rest = {key: value for key, value in saved.items() if key != "plan"}
    plan = saved["plan"]
    line = Line(plan["end"], plan["since"], plan["at"] / plan["total"]) if plan else Line(total_steps)
    return Progress(**rest, line=line)


def _check_settings(trainer: "Trainer", before: ProjectConfig) -> bool:
    """Whether the run's length changed. Raises UserError, naming what differs, for any other setting but MAY_CHANGE."""
    length = _length_keys(trainer)
    changed = trainer.config.differences(before)
    allowed = {*MAY_CHANGE, *length}
    if trainer.config.training.early_stopping_patience:  # which counts validations
        allowed.remove("training.eval_every_epochs")
    refused = [f"{key} is {now} and was {then}" for key, (now, then) in changed.items() if key not in allowed]
    if refused:
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        raise UserError(
            f"{trainer.run_path} began with other settings: {', '.join(refused[:5])}{more}; resume with the same ones"
        )
    return not changed.keys().isdisjoint(length)


def _length_keys(trainer: "Trainer") -> list[str]:
    """Settings that say how long the rest of the run is: epochs of stages that are not over, and the most steps."""
    p = trainer.progress
    # A dynamic scorer chooses examples by the share of the stage's epochs that is done.
    first = p.stage if p.stage < len(trainer.rows.scorers) and trainer.rows.scorers[p.stage] is None else p.stage + 1
    stages = range(first, len(trainer.config.curriculum.stages))
    return [*(f"curriculum.stages[{stage}].epochs" for stage in stages), "training.max_steps"]


def _lengthen(trainer: "Trainer", before: ProjectConfig) -> None:
    """Let the run end by its new epochs and most steps; a finished one goes on if they are more than they were.

    The schedule is then that of the longer run: its learning rate may rise again. Raises UserError for less than what
    is done already.
    """
    p, config = trainer.progress, trainer.config
    if p.finished and not p.stage_step:
        raise UserError(
            f"{trainer.run_path} was finished by an earlier version: train anew, --from {trainer.best_path}"
        )
    epochs, most = config.curriculum.stages[p.stage].epochs, config.training.max_steps
    in_epoch = trainer.steps_per_epoch[p.stage]
    all_done = p.stage_step >= epochs * in_epoch
    if p.stage_step > epochs * in_epoch or (all_done and not p.finished and not p.closing):
        done = -(-p.stage_step // in_epoch)
        raise UserError(f"curriculum.stages[{p.stage}].epochs={epochs}, but {done} are done: give more")
    if 0 < most < p.step:
        raise UserError(f"training.max_steps={most}, but {p.step} are done: give more, or 0 for all epochs")
    p.line, p.cooling, p.seconds = Line(trainer.total_steps), False, None
    final = p.stage == len(config.curriculum.stages) - 1
    longer = trainer.total_steps > sum(stage_steps(before, trainer.rows.rows_per_epoch))
    if p.finished and longer and not (all_done and final):
        p.finished, p.since_best = False, 0
        if all_done:  # the most steps had ended the run together with the stage
            p.stage, p.stage_step = p.stage + 1, 0
