"""Where a run stands, and all that it takes to go on as if it had never stopped."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..checkpoint import load_plain
from ..config import ProjectConfig
from ..data.dynamic_scorer import DynamicScorer
from ..errors import UserError
from .scheduler import Line

if TYPE_CHECKING:
    from .trainer import Trainer

RUN_VERSION = 3
READABLE = (2, 3)
# What a resumed run may change: where it runs and what it shows, not what it learns.
MAY_CHANGE = ("training.device", "training.threads", "training.memory_limit_gb", "training.tensorboard")


@dataclass
class Progress:
    """Where the run stands. ``stage_step`` counts the stage's steps; the step of its epoch follows from it.

    ``line``: its way through the schedule. ``cooling``: early stopping has set in, and the learning rate decays to the
    end. With a deadline, ``seconds`` are those of the whole run, ``used`` those used when the state was saved, and
    ``stretches`` tells whether it may take more than its planned epochs.
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


def run_state(trainer: "Trainer") -> dict[str, Any]:
    """Tensors and plain data from which ``restore_run`` goes on."""
    if trainer.course.deadline is not None:
        trainer.progress.used = trainer.course.deadline.used
    return {
        "format": "tiny_diffusion run",
        "version": RUN_VERSION,
        "config": trainer.config.to_dict(),
        "data": trainer.data.identity,
        "progress": asdict(trainer.progress),
        "weights": trainer.model.state_dict(),
        "average": trainer.average.state_dict(),
        "optimizers": trainer.optimizers.state(),
        "scorers": [s.to_dict() if s else None for s in trainer.rows.scorers],
        "written": trainer.written,
    }


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
    _check_same_settings(trainer, ProjectConfig.from_dict(state["config"]))
    trainer.model.load_state_dict(state["weights"])
    trainer.average.load_state_dict(state["average"])
    trainer.optimizers.restore(state["optimizers"])
    trainer.progress = _read_progress(state["progress"], trainer.total_steps)
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


def _check_same_settings(trainer: "Trainer", before: ProjectConfig) -> None:
    """Raise UserError, naming what differs, unless the run began with these settings (but for MAY_CHANGE)."""
    changed = {key: pair for key, pair in trainer.config.differences(before).items() if key not in MAY_CHANGE}
    if changed:
        listed = [f"{key} is {now} and was {then}" for key, (now, then) in list(changed.items())[:5]]
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise UserError(
            f"{trainer.run_path} began with other settings: {', '.join(listed)}{more}; resume with the same ones"
        )
