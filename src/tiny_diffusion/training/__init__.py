"""Training a model on a prepared book: rows and epochs, the optimiser step, the loop, and what a run takes.

It may import everything below it, from ``config`` to ``writing``, but not ``evaluation`` or ``studies``.
Start reading with ``trainer`` (the loop) and ``step`` (one optimiser step).
"""

from .events import CoolingDown, Event, Finished, Sampled, StageEnded, StepDone, Validated

__all__ = ["CoolingDown", "Event", "Finished", "Sampled", "StageEnded", "StepDone", "Validated"]
