"""What a training run tells its reader as it goes, and how that is kept: running means, a JSONL log."""

import json
import os
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import WorldError
from .course import SAMPLED, VALIDATED, Progress


@dataclass(frozen=True)
class StepDone:
    """An optimiser step: loss in nats per scored token, learning-rate scale, tokens without padding, seconds.

    ``total``: steps of the whole run; with a deadline, an estimate from the pace so far.
    """

    step: int
    total: int
    stage: int
    stage_name: str
    epoch: int
    loss: float
    scale: float
    gradient_norm: float
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Validated:
    """A validation of the averaged weights in bits per byte: the bound, or the exact figure of the twin."""

    step: int
    stage: int
    epoch: int
    bits_per_byte: float
    best: bool


@dataclass(frozen=True)
class Sampled:
    """A text written during training, and the file that holds it."""

    step: int
    text: str
    path: Path


@dataclass(frozen=True)
class StageEnded:
    """A stage has ended, by its epochs or by early stopping."""

    stage: int
    name: str
    early: bool


@dataclass(frozen=True)
class CoolingDown:
    """Early stopping has set in: the learning rate decays over ``left`` more steps, or seconds with a deadline."""

    step: int
    left: float


@dataclass(frozen=True)
class Finished:
    """The run has ended, or was interrupted with its state saved."""

    step: int
    interrupted: bool
    best_bits_per_byte: float
    checkpoint: Path


Event = StepDone | Validated | Sampled | StageEnded | CoolingDown | Finished


class RunningMetrics:
    """Means over the last ``window`` steps, for a progress bar."""

    def __init__(self, window: int = 50) -> None:
        self._steps: deque[StepDone] = deque(maxlen=window)
        self._times: deque[float] = deque(maxlen=window + 1)
        self.validation: float | None = None

    def add(self, event: Event) -> None:
        """Note an event."""
        if isinstance(event, StepDone):
            self._steps.append(event)
            self._times.append(time.perf_counter())
        elif isinstance(event, Validated):
            self.validation = event.bits_per_byte

    @property
    def loss(self) -> float:
        """Mean loss of the window, in nats per token."""
        return sum(e.loss for e in self._steps) / max(1, len(self._steps))

    @property
    def tokens_per_second(self) -> float:
        """Tokens per second, without padding, in the window's optimiser steps."""
        return sum(e.tokens for e in self._steps) / max(1e-9, sum(e.seconds for e in self._steps))

    @property
    def seconds_left(self) -> float:
        """Seconds to the end of the run at the window's pace, which includes validation and saving."""
        if len(self._times) < 2:
            return float("nan")
        pace = (self._times[-1] - self._times[0]) / (len(self._times) - 1)
        return pace * (self._steps[-1].total - self._steps[-1].step)


class RunLog:
    """Writes events to ``logs/metrics.jsonl``; leaving the context closes it.

    Each has the ``time`` of the day, and the seconds that have ``elapsed`` in this start of the run, by a clock that is
    never set.
    A run that goes on ``after`` a saved state repeats what came later, so that is cut off: each step is there once.
    """

    def __init__(self, output: Path, *, after: Progress | None = None) -> None:
        path, self._began = output / "logs" / "metrics.jsonl", time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if after is not None and path.exists():
                os.truncate(path, _known_bytes(path, after))
            self._file = path.open("w" if after is None else "a", encoding="utf-8")
        except OSError as error:
            raise WorldError(f"cannot write the log in {output}: {error.strerror}") from error

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, event: Event) -> None:
        """Append one event; raises WorldError if the file cannot be written, or was removed."""
        times = {"time": round(time.time(), 3), "elapsed": round(time.monotonic() - self._began, 3)}
        row = {"event": type(event).__name__, **times, **asdict(event)}
        try:
            self._file.write(json.dumps(row, default=str, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise WorldError(f"cannot write the log: {error.strerror}") from error
        if os.fstat(self._file.fileno()).st_nlink == 0:  # saving on would leave a folder without settings and log
            raise WorldError("the folder of the run was removed, or its log")


def tells_end(output: Path) -> bool:
    """Whether the log of a run ends with the run's end, not with a step or an interruption."""
    path = output / "logs" / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    last = _row(lines[-1]) if lines else None
    return last is not None and last.get("event") == "Finished" and not last.get("interrupted")


def _row(line: bytes) -> dict[str, Any] | None:
    """An event of a log; None if its line is cut short, or is no event."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and line.endswith(b"\n") else None


def _known_bytes(path: Path, after: Progress) -> int:
    """How much of a log comes before what a run repeats ``after`` a saved state; a line that is cut short is not."""
    last = {"StepDone": after.step, "Validated": after.step, "Sampled": after.step}
    if after.closing:  # the work at the end of an epoch is not finished
        last["Sampled"] -= after.closing < SAMPLED
        last["Validated"] -= after.closing < VALIDATED
    known = 0
    for line in path.read_bytes().splitlines(keepends=True):
        row = _row(line)
        if row is None or row.get("step", 0) > last.get(row.get("event", ""), after.step):
            break
        known += len(line)
    return known
