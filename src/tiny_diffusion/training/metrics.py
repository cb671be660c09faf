"""Keeping the figures of a run: running means, a JSONL log, TensorBoard."""

import json
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import UserError, WorldError
from .events import Event, Sampled, StepDone, Validated


class RunningMetrics:
    """Means over the last ``window`` steps, for a progress display."""

    def __init__(self, window: int = 50) -> None:
        self._steps: deque[StepDone] = deque(maxlen=window)
        self._times: deque[float] = deque(maxlen=window + 1)
        self.validation: float | None = None

    def add(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, StepDone):
            self._steps.append(event)
            self._times.append(time.perf_counter())
        elif isinstance(event, Validated):
            self.validation = event.bits_per_byte

    @property
    def loss(self) -> float:
        """Mean loss of the window, in nats a token."""
        return sum(e.loss for e in self._steps) / max(1, len(self._steps))

    @property
    def tokens_per_second(self) -> float:
        """Real tokens a second in the window's optimiser steps."""
        return sum(e.tokens for e in self._steps) / max(1e-9, sum(e.seconds for e in self._steps))

    @property
    def seconds_left(self) -> float:
        """Time to the end of the run at the window's pace, with validation and saving in it."""
        if len(self._times) < 2:
            return float("nan")
        pace = (self._times[-1] - self._times[0]) / (len(self._times) - 1)
        return pace * (self._steps[-1].total - self._steps[-1].step)


class RunLog:
    """Writes events to ``logs/metrics.jsonl``, and to TensorBoard when asked; closes with the context."""

    def __init__(self, output: Path, *, tensorboard: bool, append: bool) -> None:
        try:
            (output / "logs").mkdir(parents=True, exist_ok=True)
            self._file = (output / "logs" / "metrics.jsonl").open("a" if append else "w", encoding="utf-8")
        except OSError as error:
            raise WorldError(f"cannot write the log in {output}: {error.strerror}") from error
        self._board = summary_writer()(str(output / "tensorboard")) if tensorboard else None

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, event: Event) -> None:
        """Append one event; raises WorldError when the disk refuses."""
        row = {"event": type(event).__name__, "time": round(time.time(), 3), **asdict(event)}
        try:
            self._file.write(json.dumps(row, default=str, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise WorldError(f"cannot write the log: {error.strerror}") from error
        if self._board is None:
            return
        if isinstance(event, StepDone):
            self._board.add_scalar("train/loss", event.loss, event.step)
            self._board.add_scalar("train/learning_rate_scale", event.scale, event.step)
            self._board.add_scalar("train/gradient_norm", event.gradient_norm, event.step)
        elif isinstance(event, Validated):
            self._board.add_scalar("validation/bits_per_byte", event.bits_per_byte, event.step)
        elif isinstance(event, Sampled):
            self._board.add_text("sample", event.text, event.step)


def summary_writer() -> Any:
    """TensorBoard's class; raises UserError where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise UserError(
            "training.tensorboard=true needs an extra: pip install 'tiny-diffusion[tensorboard]'"
        ) from error
    return SummaryWriter
