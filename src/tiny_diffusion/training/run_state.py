"""The state of a run: what training changes, and how it is saved so that a resumed run goes on to the bit."""

import copy
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoint import Checkpoint, load_plain, new_model, save_checkpoint, save_plain, warm_start
from ..config import ProjectConfig
from ..data.artefacts import Processed
from ..data.curriculum import DynamicScorer
from ..errors import DivergedError, UserError
from ..model.loss import Teachers
from ..model.transformer import Transformer
from ..runtime import find_device, seed_for
from ..version import PROGRAM_VERSION
from .course import Line, Progress
from .epochs import StageRows, stage_steps, with_shelf
from .optimizers import Optimizers, make_optimizers, rates_in_use
from .output_folder import check_begun
from .processes import Ranks
from .teachers import load_teachers

RUN_VERSION = 3
PLACE = {
    f"training.{name}"
    for name in ("device", "threads", "memory_limit_gb", "tensorboard", "tracker", "time_budget_minutes")
}
"""Settings of the place where a run happens; none of them changes the training."""
_STEP = ("micro_batch_size", "gradient_checkpointing", "compile")  # equal but for rounding and the draws of dropout
MAY_CHANGE = PLACE | {f"training.{name}" for name in (*_STEP, "sample_every_epochs", "eval_every_epochs")}
"""What a resumed run may change: its place, how a step is computed, and what is reported on the way."""


@dataclass
class RunState:
    """All that a run works on.

    ``config`` has the stage of the shelf before all others if the run has one; ``given`` is without it, and is what
    files hold. ``average`` are the averaged weights; ``written`` (R, T) are rows of its own text; ``teachers`` do not
    change. ``origin``: what a checkpoint says of the model that the run began from, and of its shelf.
    """

    config: ProjectConfig
    given: ProjectConfig
    data: Processed
    output: Path
    ranks: Ranks
    model: Transformer
    average: Transformer
    optimizers: Optimizers
    rows: StageRows
    progress: Progress
    written: Tensor | None = None
    teachers: Teachers | None = None
    origin: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, config: ProjectConfig, data: Processed, output: Path, start: Checkpoint | None, ranks: Ranks
    ) -> "RunState":
        """The state before the first step; ``start`` gives the first weights, see ``checkpoint.warm_start``."""
        given, config = config, with_shelf(config, data)
        settings = config.training
        torch.manual_seed(seed_for(settings.seed))
        model = new_model(config, data.tokenizer)
        if start is not None:
            warm_start(model, config, data.tokenizer, start)
        device = find_device(settings.device)
        model.to(device)
        model.marks = True
        model.gradient_checkpointing = settings.gradient_checkpointing
        average = copy.deepcopy(model).eval().requires_grad_(False)
        optimizers, rows = make_optimizers(model, settings), StageRows(config, data)
        progress = Progress(line=Line(sum(stage_steps(config, rows.rows_per_epoch))))
        state = cls(config, given, data, output, ranks, model, average, optimizers, rows, progress)
        state.teachers = load_teachers(config, data, state.best_path, device)
        state.origin = _origin(state, start)
        return state

    @property
    def steps_per_epoch(self) -> list[int]:
        """Optimiser steps in an epoch of each stage."""
        return [math.ceil(rows / self.config.training.batch_size) for rows in self.rows.rows_per_epoch]

    @property
    def stage_steps(self) -> list[int]:
        """Planned optimiser steps of each stage."""
        return stage_steps(self.config, self.rows.rows_per_epoch)

    @property
    def run_path(self) -> Path:
        """The file that ``--resume`` reads."""
        return self.output / "checkpoints" / "last.pt"

    @property
    def best_path(self) -> Path:
        """The best checkpoint so far."""
        return self.output / "best_model.pt"

    def check_finite(self, value: float, what: str) -> None:
        """Raise DivergedError, which says what to lower, if ``value`` is not a finite number."""
        if math.isfinite(value):
            return
        kept = f"; the best checkpoint so far is kept, and --from {self.best_path} starts from it"
        rates, kept = rates_in_use(self.config.training), kept if self.progress.best < math.inf else ""
        raise DivergedError(f"{what} is {value}, not a finite number: lower {rates} and train again{kept}")

    def save_best(self, epoch: int) -> None:
        """Write the averaged weights as the best checkpoint, found after ``epoch`` epochs of the stage."""
        if not self.ranks.first:
            return
        meta = {
            "data": self.data.identity,
            "book": self.data.book_identity,
            "source": self.data.source,
            **self.origin,
            "language": self.data.language,
            "lines": self.data.keeps_lines,
            "words": self.data.words,
            "doubled": self.data.doubled,
            "punctuation": asdict(self.data.punctuation),
            "lengths": self.data.lengths,
            "marks": self.average.marks,
            "step": self.progress.step,
            "stage": self.progress.stage,
            "epoch": epoch,
            "validation_bits_per_byte": self.progress.best,
        }
        save_checkpoint(self.best_path, Checkpoint(self.given, self.data.tokenizer, self.average.state_dict(), meta))

    def save(self) -> None:
        """Write what ``--resume`` needs, whole or not at all; raises DivergedError if the weights are not finite."""
        norm = float(torch.nn.utils.get_total_norm([parameter.detach() for parameter in self.model.parameters()]))
        self.check_finite(norm, f"the norm of the weights after step {self.progress.step}")
        if not self.ranks.first:
            return
        saved = {
            "format": "tiny_diffusion run",
            "version": RUN_VERSION,
            "program": PROGRAM_VERSION,
            "config": self.given.to_dict(),
            "data": self.data.identity,
            "origin": self.origin,
            "progress": asdict(self.progress),
            "weights": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": self.optimizers.state(),
            "scorers": [s.to_dict() if s else None for s in self.rows.scorers],
            "written": self.written,
            "teachers": [*self.teachers.fingerprints] if self.teachers else [],
        }
        save_plain(self.run_path, saved)

    def restore(self) -> None:
        """Go on from the saved state; raises UserError if there is none, or it has other data or settings."""
        path = self.run_path
        check_begun(self.output)
        if (read := _read(path)) is None:
            raise UserError(f"{path} is not the state of a run that this program can resume")
        saved, before = read
        if saved["data"] != self.data.identity:
            raise UserError(f"{path} was trained on other data than {self.data.source}; start a new run")
        self.progress = Progress(**{**saved["progress"], "line": Line(**saved["progress"]["line"])})
        if _length_changed(self, before):
            _lengthen(self, before)
        taught = self.teachers.fingerprints if self.teachers else ()
        for teacher, now, then in zip(self.config.training.teachers, taught, saved.get("teachers", []), strict=True):
            if now != then:
                raise UserError(f"{path} began with another model in {teacher}: give the same teacher, or train anew")
        self.model.load_state_dict(saved["weights"])
        self.average.load_state_dict(saved["average"])
        self.optimizers.restore(saved["optimizers"])
        self.written, self.origin = saved["written"], saved.get("origin", self.origin)
        self.rows.scorers = [DynamicScorer.from_dict(s) if s else None for s in saved["scorers"]]


def _origin(state: RunState, start: Checkpoint | None) -> dict[str, Any]:
    """What a checkpoint says of the model that the run began from, and of all other books that its weights know."""
    own = state.data.shelf.books if state.config.curriculum.first else ()
    taught = state.teachers.shelf if state.teachers else ()
    shelf = dict.fromkeys((*(start.shelf if start else ()), *own, *taught))
    found: dict[str, Any] = {"shelf": [*shelf]} if shelf else {}
    if start is not None:
        found["from"] = {key: start.meta.get(key) for key in ("data", "source", "step", "validation_bits_per_byte")}
    return found


def unfinished(path: Path, config: ProjectConfig, data: Processed) -> bool:
    """Whether ``path`` holds a run of ``config`` on ``data`` that was stopped before its end."""
    if (read := _read(path)) is None:
        return False
    saved, before = read
    same = saved["data"] == data.identity and config.differences(before).keys() <= MAY_CHANGE
    return same and not saved["progress"]["finished"]


def _read(path: Path) -> tuple[dict[str, Any], ProjectConfig] | None:
    """What ``save`` wrote to ``path``, and its settings; None if there is no file, or another one or version."""
    saved = load_plain(path) if path.exists() else {}
    known = saved.get("format") == "tiny_diffusion run" and saved.get("version") == RUN_VERSION
    return (saved, ProjectConfig.from_saved(saved["config"], path, saved.get("program"))) if known else None


def _length_changed(state: RunState, before: ProjectConfig) -> bool:
    """Whether the run's length changed. Raises UserError, naming them, if settings beyond MAY_CHANGE did too."""
    p, scorers = state.progress, state.rows.scorers
    # The length may change for stages that are not over. A dynamic scorer chooses its examples by the share of the
    # stage's epochs that is done, so the present stage must have none.
    first = p.stage if p.stage < len(scorers) and scorers[p.stage] is None else p.stage + 1
    if not before.curriculum.shelf_epochs:  # a stage of the shelf cannot be put before those that are done
        first = max(first, state.config.curriculum.first)
    stages = range(first, len(state.config.curriculum.stages))
    length = [*map(state.config.curriculum.epochs_key, stages), "training.max_steps"]
    changed = state.given.differences(before)
    allowed = MAY_CHANGE | {*length}
    if state.config.training.early_stopping_patience:  # it counts validations
        allowed.remove("training.eval_every_epochs")
    # A teacher's file may have moved; its content is compared instead.
    allowed |= {key for key, pair in changed.items() if key.startswith("training.teachers[") and None not in pair}
    refused = [f"{key} is {now} and was {then}" for key, (now, then) in changed.items() if key not in allowed]
    if refused:
        shown = ", ".join(refused[:5]) + (f" and {len(refused) - 5} more" if len(refused) > 5 else "")
        raise UserError(f"{state.run_path} began with other settings: {shown}; resume with the same ones")
    return not changed.keys().isdisjoint(length)


def _lengthen(state: RunState, before: ProjectConfig) -> None:
    """Let the run end by its new epochs and max_steps; a finished run goes on if they are more than before.

    The schedule becomes that of the longer run, so its learning rate may rise again. Raises UserError for less than
    what is done already.
    """
    p, config, total = state.progress, state.config, sum(state.stage_steps)
    epochs, most = config.curriculum.stages[p.stage].epochs, config.training.max_steps
    in_epoch = state.steps_per_epoch[p.stage]
    all_done = p.stage_step >= epochs * in_epoch
    if p.stage_step > epochs * in_epoch or (all_done and not p.finished and not p.closing):
        done = -(-p.stage_step // in_epoch)
        raise UserError(f"{config.curriculum.epochs_key(p.stage)}={epochs}, but {done} are done: give more")
    if 0 < most < p.step:
        raise UserError(f"training.max_steps={most}, but {p.step} are done: give more, or 0 for all epochs")
    p.line, p.cooling, p.seconds = Line(total), False, None
    longer = total > sum(stage_steps(with_shelf(before, state.data), state.rows.rows_per_epoch))
    if p.finished and longer and not (all_done and p.stage == len(config.curriculum.stages) - 1):
        p.finished, p.since_best = False, 0
        if all_done:  # max_steps had ended the run together with the stage
            p.stage, p.stage_step = p.stage + 1, 0
