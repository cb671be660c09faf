"""Difficulty that follows the model while it trains."""

from typing import Any, Self

import numpy as np

from .difficulty import percentiles

GROUP = 20
"""Examples of like length among which the easiest are chosen."""


def easiest(difficulty: np.ndarray, lengths: np.ndarray, share: float) -> np.ndarray:
    """Numbers, rising, of the easiest ``share`` of the examples among those of like length.

    ``difficulty`` and ``lengths`` are float or integer arrays [examples]. Groups of GROUP or more examples with
    neighbouring lengths give the same share each, and at least one example. So the chosen ones are as long as all of
    them on average, and their text is about the same share of all text.
    """
    by_length = np.argsort(lengths, kind="stable")
    chosen = []
    for group in np.array_split(by_length, max(1, len(by_length) // GROUP)):
        ranked = group[np.argsort(difficulty[group], kind="stable")]
        chosen.append(ranked[: max(1, round(share * len(group)))])
    return np.sort(np.concatenate(chosen))


class DynamicScorer:
    """A running mean of the model's loss per sentence, blended with a static score."""

    def __init__(self, static: np.ndarray, weight: float, decay: float = 0.9) -> None:
        """Start from the static scores [sentences]; no loss is known yet.

        ``weight`` in [0, 1] is that of the loss, ``decay`` in [0, 1) that of the running mean. Raises ValueError for a
        weight or decay outside its range.
        """
        if not 0 <= weight <= 1:
            raise ValueError(f"weight={weight} must lie in [0, 1]")
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay} must lie in [0, 1)")
        self.static = np.asarray(static, dtype=np.float64)
        self.weight = weight
        self.decay = decay
        self._loss = np.full(len(self.static), np.nan)

    def update(self, indices: np.ndarray, losses: np.ndarray) -> None:
        """Add the losses (nats) of some sentences; a sentence given twice counts with its mean.

        Raises ValueError for shapes that differ or losses that are not finite, and IndexError for a wrong index.
        """
        where = np.asarray(indices, dtype=np.int64)
        values = np.asarray(losses, dtype=np.float64)
        if where.shape != values.shape or where.ndim != 1:
            raise ValueError(f"indices {where.shape} and losses {values.shape} must be vectors of one length")
        if not np.isfinite(values).all():
            raise ValueError("losses must be finite")
        if where.size and (where.min() < 0 or where.max() >= len(self._loss)):
            raise IndexError(f"indices must lie in [0, {len(self._loss)})")
        seen, inverse, times = np.unique(where, return_inverse=True, return_counts=True)
        mean = np.bincount(inverse, weights=values, minlength=len(seen)) / times
        old = self._loss[seen]
        self._loss[seen] = np.where(np.isnan(old), mean, self.decay * old + (1 - self.decay) * mean)

    def scores(self) -> np.ndarray:
        """Blended percentiles [sentences], high means harder; sentences without a loss keep their static score."""
        blended = percentiles(self.static)
        seen = ~np.isnan(self._loss)
        blended[seen] = (1 - self.weight) * blended[seen] + self.weight * percentiles(self._loss[seen])
        return blended

    def to_dict(self) -> dict[str, Any]:
        """The state as plain data for JSON; unknown losses are None."""
        losses = [None if np.isnan(loss) else float(loss) for loss in self._loss]
        return {"static": self.static.tolist(), "weight": self.weight, "decay": self.decay, "loss": losses}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore the scorer from ``to_dict``. Raises ValueError if the lengths disagree."""
        scorer = cls(np.array(state["static"], dtype=np.float64), state["weight"], state["decay"])
        if len(state["loss"]) != len(scorer.static):
            raise ValueError(f"{len(state['loss'])} losses for {len(scorer.static)} static scores")
        known = [np.nan if loss is None else loss for loss in state["loss"]]
        scorer._loss = np.array(known, dtype=np.float64)
        return scorer
