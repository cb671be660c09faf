"""The curves of the training that made a checkpoint, from the log beside it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError

POINTS = 120


@dataclass(frozen=True)
class Curves:
    """Points of (step, nats a scored token) in training, means over equal spans, and of (step, bits per byte)."""

    training: list[tuple[float, float]]
    validation: list[tuple[float, float]]


def read_curves(checkpoint: Path) -> Curves | None:
    """Read ``logs/metrics.jsonl`` beside a checkpoint; None when there is none. Raises UserError for a broken line."""
    path = checkpoint.parent / "logs" / "metrics.jsonl"
    if not path.is_file():
        return None
    training: list[tuple[float, float]] = []
    validation: list[tuple[float, float]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            if row["event"] == "StepDone":
                training.append((float(row["step"]), float(row["loss"])))
            elif row["event"] == "Validated":
                validation.append((float(row["step"]), float(row["bits_per_byte"])))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}:{number} is no event of a training; move the file away to do without it"
            ) from error
    return Curves(_thin(training), validation) if training else None


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    parts = np.array_split(np.array(points), min(POINTS, len(points)))
    return [(float(x), float(y)) for x, y in (part.mean(0) for part in parts)]
