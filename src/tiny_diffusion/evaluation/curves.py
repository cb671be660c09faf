"""Reads the training curves of a checkpoint from the log beside it."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError

POINTS = 120


@dataclass(frozen=True)
class Curves:
    """Points of training (step, nats per scored token) and of validation (step, bits per byte).

    Training points are means over equal spans.
    """

    training: list[tuple[float, float]]
    validation: list[tuple[float, float]]


def read_curves(checkpoint: Path) -> Curves | None:
    """Read ``logs/metrics.jsonl`` beside a checkpoint; None if there is none.

    Ignores a last line that a crash cut short and losses that are not finite. If steps were repeated after a crash, the
    later ones count. Raises UserError for any other broken line.
    """
    path = checkpoint.parent / "logs" / "metrics.jsonl"
    if not path.is_file():
        return None
    training: dict[int, float] = {}
    validation: dict[int, float] = {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error}); move the file away to do without it") from error
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            row = json.loads(line)
            if row["event"] == "StepDone":
                training[int(row["step"])] = float(row["loss"])
            elif row["event"] == "Validated":
                validation[int(row["step"])] = float(row["bits_per_byte"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise UserError(
                f"{path}:{number} is not an event of a training run; move the file away to do without it"
            ) from error
    return Curves(_thin(_finite(training)), _finite(validation)) if _finite(training) else None


def _finite(points: dict[int, float]) -> list[tuple[float, float]]:
    return [(float(step), value) for step, value in sorted(points.items()) if math.isfinite(value)]


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    parts = np.array_split(np.array(points), min(POINTS, len(points)))
    return [(float(x), float(y)) for x, y in (part.mean(0) for part in parts)]
