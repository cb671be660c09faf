"""Reads the log of a training run, and from it the training curves of a checkpoint."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError

POINTS = 120
# What is read of each kind of event.
FIELDS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "StepDone": {"step": int, "total": int, "loss": float, "seconds": float},
    "Validated": {"step": int, "bits_per_byte": float},
    "Finished": {"interrupted": bool},
}


@dataclass(frozen=True)
class Curves:
    """Points of training (place, nats per scored token) and of validation (place, bits per byte).

    Training points are means over equal numbers of steps. A place is a step, or the minutes that the steps took so far.
    """

    training: list[tuple[float, float]]
    validation: list[tuple[float, float]]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read the events in ``FIELDS`` of a ``logs/metrics.jsonl``, in order: their kind as ``event``, and those fields.

    Ignores a last line that a crash cut short. Raises UserError for any other broken line.
    """
    rows = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")  # a crash may cut a character
    except OSError as error:
        raise UserError(f"cannot read {path} ({error}); move the file away to do without it") from error
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            row = json.loads(line)
            fields = FIELDS.get(row["event"])
            if fields is not None:
                rows.append({"event": row["event"], **{key: kind(row[key]) for key, kind in fields.items()}})
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise UserError(
                f"{path}:{number} is not an event of a training run; move the file away to do without it"
            ) from error
    return rows


def read_curves(checkpoint: Path, *, minutes: bool = False) -> Curves | None:
    """Read the log beside a checkpoint, by steps or by ``minutes`` of training; None if there is none.

    Ignores losses that are not finite. If steps were repeated after a crash, the later ones count. Minutes are those of
    the steps, without validations and pauses. Raises UserError as ``read_log`` does.
    """
    path = checkpoint.parent / "logs" / "metrics.jsonl"
    rows = read_log(path) if path.is_file() else []
    losses = {row["step"]: row["loss"] for row in rows if row["event"] == "StepDone"}
    validations = {row["step"]: row["bits_per_byte"] for row in rows if row["event"] == "Validated"}
    places = {step: float(step) for step in {*losses, *validations}}
    if minutes:
        seconds = {row["step"]: row["seconds"] for row in rows if row["event"] == "StepDone"}
        spent = accumulate(seconds.get(step, 0.0) for step in sorted(places))
        places = dict(zip(sorted(places), (each / 60 for each in spent), strict=True))
    training, validation = ([(places[step], y) for step, y in _finite(each)] for each in (losses, validations))
    return Curves(_thin(training), validation) if training else None


def _finite(values: dict[int, float]) -> list[tuple[int, float]]:
    return [(step, value) for step, value in sorted(values.items()) if math.isfinite(value)]


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    parts = np.array_split(np.array(points), min(POINTS, len(points)))
    return [(float(x), float(y)) for x, y in (part.mean(0) for part in parts)]
