"""Where a run stands, and all that it takes to go on as if it had never stopped."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..checkpoint import load_plain
from ..config import ProjectConfig
from ..data.dynamic_scorer import DynamicScorer
from ..errors import UserError
from ..version import PROGRAM_VERSION
from .pace import Plan

if TYPE_CHECKING:
    from .trainer import Trainer

RUN_VERSION = 2
# What a resumed run may change: where it runs and what it shows, not what it learns.
MAY_CHANGE = ("training.device", "training.threads", "training.memory_limit_gb", "training.tensorboard")


@dataclass
class Progress:
    """Where the run stands. ``stage_step`` counts the stage's steps; the step of its epoch follows from it.

    ``plan`` is there when the run's end was moved: it then ends by its steps, not by the last stage's epochs.
    """

    step: int = 0
    stage: int = 0
    stage_step: int = 0
    best: float = math.inf
    since_best: int = 0
    finished: bool = False
    plan: Plan | None = None


def run_state(trainer: "Trainer") -> dict[str, Any]:
    """Tensors and plain data from which ``restore_run`` goes on."""
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


def restore_run(trainer: "Trainer") -> None:
    """Put ``trainer`` where its saved state says; raises UserError without one, or with other data or settings."""
    path = trainer.run_path
    if not path.exists():
        raise UserError(f"nothing to resume: there is no {path}; train without --resume first")
    state = load_plain(path)
    if state.get("format") != "tiny_diffusion run" or state.get("version") != RUN_VERSION:
        raise UserError(f"{path} is not the state of a run that this program can resume")
    if state["data"] != trainer.data.identity:
        raise UserError(f"{path} was trained on other data than {trainer.data.source}; start a new run")
    _check_same_settings(trainer, ProjectConfig.from_saved(state["config"], path, state.get("program")))
    trainer.model.load_state_dict(state["weights"])
    trainer.average.load_state_dict(state["average"])
    trainer.optimizers.restore(state["optimizers"])
    saved = state["progress"]
    trainer.progress = Progress(**{**saved, "plan": Plan(**saved["plan"]) if saved["plan"] else None})
    trainer.written = state["written"]
    trainer.rows.scorers = [DynamicScorer.from_dict(s) if s else None for s in state["scorers"]]


def _check_same_settings(trainer: "Trainer", before: ProjectConfig) -> None:
    """Raise UserError, naming what differs, unless the run began with these settings (but for MAY_CHANGE)."""
    changed = {key: pair for key, pair in trainer.config.differences(before).items() if key not in MAY_CHANGE}
    if changed:
        listed = [f"{key} is {now} and was {then}" for key, (now, then) in list(changed.items())[:5]]
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise UserError(
            f"{trainer.run_path} began with other settings: {', '.join(listed)}{more}; resume with the same ones"
        )
