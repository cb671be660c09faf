"""A training run as its log tells it while it grows: curves, samples, time left, and the commands to go on."""

import json
import math
import shlex
import time
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

MOST_POINTS = 600  # of a curve; beyond it, neighbours are joined
WINDOW = 50  # steps whose pace gives the time left
KEPT_SAMPLES = 5
SILENT = 120.0  # seconds without an event after which a run counts as stopped, unless its steps take longer
MOST_READ = 8_000_000  # bytes of the log in one look
REPORT = "report.html"


Points = list[tuple[float, float]]


class RunReader:
    """Reads the log in a run's folder from where it stopped last time. A line that is still being written waits."""

    def __init__(self, folder: Path, data_dir: Path | None) -> None:
        self.folder, self.data_dir = folder, data_dir
        self._begin()

    def _begin(self) -> None:
        self._at, self._file = 0, -1
        self.loss: Points = []
        self.bits: Points = []
        self.last: dict[str, Any] = {}
        self.finished: dict[str, Any] | None = None
        self.samples: deque[dict[str, Any]] = deque(maxlen=KEPT_SAMPLES)
        self._times: deque[tuple[int, float]] = deque(maxlen=WINDOW + 1)
        self._heard = 0.0
        self.damaged = 0  # lines that are no events

    @property
    def path(self) -> Path:
        """The log."""
        return self.folder / "logs" / "metrics.jsonl"

    def look(self) -> dict[str, Any]:
        """Read what is new, and tell all. Another run in the folder begins anew."""
        self._read()
        return {
            "folder": str(self.folder),
            "state": self._state(time.time()),
            "step": self.last.get("step"),
            "total": self.last.get("total"),
            "stage": self.last.get("stage_name"),
            "epoch": self.last.get("epoch"),
            "seconds_left": self._seconds_left(),
            "loss": thinned(self.loss),
            "bits_per_byte": thinned(self.bits),
            "samples": list(self.samples),
            "damaged": self.damaged,
            "report": (self.folder / REPORT).is_file(),
            "commands": self._commands(),
        }

    def _read(self) -> None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._begin()
            return
        if status.st_ino != self._file or status.st_size < self._at:
            self._begin()
            self._file = status.st_ino
        with self.path.open("rb") as file:
            file.seek(self._at)
            part = file.read(MOST_READ)
        whole = part[: part.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.split(b"\n")[:-1]:
            try:
                self._add(json.loads(line))
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                self.damaged += 1

    def _add(self, row: dict[str, Any]) -> None:
        kind, self._heard = row["event"], float(row["time"])
        if kind == "StepDone":
            self._point(self.loss, row, "loss")
            self._times.append((int(row["step"]), float(row.get("elapsed", self._heard))))
            self.last, self.finished = row, None
        elif kind == "Validated":
            self._point(self.bits, row, "bits_per_byte")
        elif kind == "Sampled":
            self.samples.append({"step": int(row["step"]), "text": str(row["text"])})
        elif kind == "Finished":
            self.finished = row

    @staticmethod
    def _point(curve: Points, row: dict[str, Any], name: str) -> None:
        """Add the figure of that ``name`` to a curve, unless it is not finite."""
        step, value = float(int(row["step"])), float(row[name])
        if math.isfinite(value):
            curve.append((step, value))

    def _pace(self) -> float:
        """Seconds of a step, by the last ones, with validation and saving; nan if it is not known."""
        if len(self._times) < 2:
            return math.nan
        steps, times = zip(*self._times, strict=True)
        seconds = sum(max(0.0, later - earlier) for earlier, later in pairwise(times))  # another start of the run
        return seconds / (steps[-1] - steps[0]) if steps[-1] > steps[0] else math.nan

    def _seconds_left(self) -> float | None:
        seconds = self._pace() * (self.last.get("total", 0) - self.last.get("step", 0))
        return seconds if math.isfinite(seconds) and self.finished is None else None

    def _state(self, now: float) -> str:
        """none, running, finished, interrupted (stopped by the user), or silent (its program seems to be gone)."""
        if self.finished is not None:
            return "interrupted" if self.finished.get("interrupted") else "finished"
        if not self._heard:
            return "none"
        pace = self._pace()
        return "silent" if now - self._heard > max(SILENT, 10 * pace if pace > 0 else 0) else "running"

    def _commands(self) -> dict[str, str]:
        """The exact commands that train, go on, and measure here; a person runs them in a terminal."""
        data = ["--data-dir", "data/processed" if self.data_dir is None else str(self.data_dir)]
        output = ["--output", str(self.folder)]
        checkpoint = ["--checkpoint", str(self.folder / "best_model.pt")]
        return {
            "train": shlex.join(["tiny-diffusion", "train", *data, *output]),
            "resume": shlex.join(["tiny-diffusion", "train", "--resume", *data, *output]),
            "evaluate": shlex.join(["tiny-diffusion", "evaluate", "--fast", *checkpoint, *data]),
        }


def thinned(points: Points) -> Points:
    """Points (step, value) of a curve; of more than MOST_POINTS, each is the mean of neighbours."""
    parts = np.array_split(np.array(points), min(MOST_POINTS, len(points))) if points else []
    return [(float(step), float(value)) for step, value in (part.mean(0) for part in parts)]
