"""One training run of a study, stored: found again by its settings, and resumed where it was interrupted.

Each run has its own folder, named by a hash of the data and of all settings except those that say where it runs.
``logs/metrics.jsonl`` and the trainer's state hold an unfinished run, ``result.json`` a finished one.
"""

import json
import math
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ..checkpoint import load_checkpoint
from ..config import EvaluationConfig, PageConfig, ProjectConfig, StudyConfig
from ..config.evaluation_config import SCORING
from ..config.overrides import flatten
from ..data.artefacts import Processed
from ..data.folder import digest
from ..errors import DivergedError, UserError
from ..evaluation.likelihood.bound import Likelihood, held_out, model_nats, summarise
from ..files import write_text
from ..model.flops import run_flops
from ..runtime import autocast, find_device
from ..training.events import Event, Finished, RunLog
from ..training.output_folder import CONFIG_FILE, locked
from ..training.run_state import PLACE
from ..training.trainer import Trainer

VERSION = 1  # of result.json and of the meaning of its figures; part of a run's hash


class Interrupted(Exception):
    """The study was asked to stop; everything done so far is saved, and the same call continues from there."""


@dataclass(frozen=True)
class Run:
    """One training run to be done: its name in tables, and its whole configuration, made by ``study_run``."""

    label: str
    config: ProjectConfig


@dataclass(frozen=True)
class Scoring:
    """The training of a run is over; its best checkpoint is now scored on held-out text."""

    run: Run


@dataclass(frozen=True)
class Point:
    """A validation: optimiser steps, epochs begun (of all stages), bits per byte, and training FLOPs so far."""

    step: int
    epoch: int
    bits_per_byte: float
    flops: float


@dataclass(frozen=True)
class RunResult:
    """The result of a finished run. ``tokens`` counts real tokens shown, ``seconds`` is the optimiser steps' time."""

    steps: int
    epochs: int
    tokens: int
    parameters: int
    flops: float
    seconds: float
    curve: tuple[Point, ...]
    best: Point
    test: Likelihood
    checkpoint: Path


def study_run(label: str, config: ProjectConfig, **changes: Any) -> Run:
    """A run of ``config`` with ``changes``; settings that do not affect its training have their defaults."""
    neutral = {"study": StudyConfig(), "page": PageConfig(), "evaluation": EvaluationConfig()}
    return Run(label, config.override(**neutral, **{"training.sample_every_epochs": 0}, **changes))


class Store:
    """Stored runs on one prepared book. Set ``stop_requested`` to end the current run with its state saved."""

    def __init__(self, root: Path, data: Processed, evaluation: EvaluationConfig) -> None:
        # Studies compare ways to learn one book: a shelf is left out, and so is its setting from the runs' hashes.
        self.data = data.without_shelf()
        self.root, self.evaluation = root, evaluation
        self._stop_requested = False
        self._trainer: Trainer | None = None
        self._known: dict[str, RunResult] = {}

    @property
    def stop_requested(self) -> bool:
        """Whether the study was asked to stop; setting it tells the current run at once."""
        return self._stop_requested

    @stop_requested.setter
    def stop_requested(self, asked: bool) -> None:
        self._stop_requested = asked
        if self._trainer is not None:
            self._trainer.stop_requested = asked

    def key(self, run: Run) -> str:
        """The run's hash: equal if and only if the data and all settings that affect its training are equal.

        Other settings are left out: even at its default, a new one would change the hash of every run.
        """
        unread = ("study.", "page.", "evaluation.", "curriculum.shelf_epochs")
        unread = (*unread, *(() if run.config.training.self_training_share else ("generation.",)))
        flat = flatten(run.config.to_dict_in_full())
        settings = {k: v for k, v in flat.items() if k not in PLACE and not k.startswith(unread)}
        return digest(json.dumps([VERSION, self.data.identity, settings], sort_keys=True))[:16]

    def folder(self, run: Run) -> Path:
        """Where the run is stored."""
        return self.root / self.key(run)

    def find(self, run: Run) -> RunResult | None:
        """The result of a run that is finished and scored as ``evaluation`` asks; None if there is none."""
        key = self.key(run)
        if key not in self._known:
            record = self._read(run)
            if record is None or record["scoring"] != self._scoring():
                return None
            self._known[key] = self._result(run, record)
        return self._known[key]

    def train(self, run: Run) -> Generator[Event | Scoring, None, RunResult]:
        """Train and score a run, or what is left of it; yields the trainer's events.

        Raises Interrupted, with the state saved, if ``stop_requested`` was set; DivergedError if its figures are not
        finite.
        """
        folder = self.folder(run)
        with locked(folder):
            record = self._read(run)
            if record is None:
                record = {"version": VERSION, "source": self.data.source, "data": self.data.identity}
                record |= {"config": run.config.to_dict(), "trained": (yield from self._train(run))}
            yield Scoring(run)
            record |= {"scoring": self._scoring(), "test": asdict(self._score(run))}
            write_text(folder / "result.json", json.dumps(record, indent=1) + "\n")
            (folder / "checkpoints" / "last.pt").unlink(missing_ok=True)  # not needed to resume any more
        self._known[self.key(run)] = self._result(run, record)
        return self._known[self.key(run)]

    def _train(self, run: Run) -> Generator[Event, None, dict[str, Any]]:
        folder = self.folder(run)
        log = folder / "logs" / "metrics.jsonl"
        resume = (folder / "checkpoints" / "last.pt").exists()
        self._trainer = trainer = Trainer(run.config, self.data, folder, resume=resume)
        trainer.stop_requested = self.stop_requested
        write_text(folder / CONFIG_FILE, run.config.to_toml())
        if resume:
            _read_log(log, trainer.progress.step)
        with RunLog(folder, after=trainer.progress if resume else None) as writer:
            try:
                for event in trainer.run():
                    if hasattr(event, "step"):
                        writer.write(event)
                    yield event
            except DivergedError as error:
                raise DivergedError(f"{run.label}: {error}") from error
        self._trainer = None
        assert isinstance(event, Finished)
        if event.interrupted:
            raise Interrupted
        return _trained(_read_log(log, event.step), run.config, trainer.model.vocab_size)

    def _scoring(self) -> dict[str, Any]:
        return self.evaluation.model_dump(mode="json", include=set(SCORING))

    def _score(self, run: Run) -> Likelihood:
        """Score the best checkpoint on the held-out text by protocol 1."""
        settings, device = self.evaluation, find_device(run.config.training.device)
        checkpoint = load_checkpoint(self.folder(run) / "best_model.pt")
        model = checkpoint.build(device)
        texts, level = self.data.texts(settings.split), run.config.model.vocab_level
        windows = held_out(texts, checkpoint.tokenizer, level, run.config.model.context, settings.windows)
        with autocast(device, run.config.training.precision):
            nats = model_nats(model, windows.windows, settings.draws, settings.batch_size, settings.seed)
        return summarise(run.label, nats, windows, settings.bootstrap, settings.seed)

    def _read(self, run: Run) -> dict[str, Any] | None:
        path = self.folder(run) / "result.json"
        if not path.exists():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise _damaged(path) from error
        if not isinstance(record, dict) or not {"trained", "scoring", "test"} <= record.keys():
            raise _damaged(path)
        return record

    def _result(self, run: Run, record: dict[str, Any]) -> RunResult:
        trained, path = record["trained"], self.folder(run) / "best_model.pt"
        try:
            best = min(trained["curve"], key=lambda p: p["bits_per_byte"])
            known = {**trained, "best": best, "test": record["test"], "checkpoint": path}
            return TypeAdapter(RunResult).validate_python(known)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path.with_name("result.json")) from error


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged; delete the folder {path.parent}, and the run is repeated")


def _read_log(path: Path, steps: int) -> list[dict[str, Any]]:
    """Rows of a run's log without a last line cut short by a crash; raises UserError if one of ``steps`` is missing."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        whole = {r["step"] for r in rows if r["event"] == "StepDone"} >= set(range(1, steps + 1))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise UserError(f"{path} is incomplete: delete the folder {path.parents[1]}, and the run is repeated")
    return rows


def _trained(rows: list[dict[str, Any]], config: ProjectConfig, vocab_size: int) -> dict[str, Any]:
    """Figures of a finished run from its log."""
    epochs: set[tuple[int, int]] = set()
    steps = tokens = 0
    seconds = 0.0
    curve = []
    for row in rows:
        if row["event"] == "StepDone":
            steps = row["step"]
            tokens += row["tokens"]
            seconds += row["seconds"]
            epochs.add((row["stage"], row["epoch"]))
        elif row["event"] == "Validated" and math.isfinite(row["bits_per_byte"]):
            curve.append(Point(steps, len(epochs), row["bits_per_byte"], run_flops(config, vocab_size, steps)))
    return {
        "steps": steps,
        "epochs": len(epochs),
        "tokens": tokens,
        "parameters": config.model.parameters(vocab_size),
        "flops": run_flops(config, vocab_size, steps),
        "seconds": seconds,
        "curve": [asdict(point) for point in curve],
    }
