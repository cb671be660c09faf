"""What a training run tells its reader as it goes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StepDone:
    """An optimiser step: loss in nats per scored token, learning-rate scale, real tokens, seconds it took.

    ``total``: steps of the whole run; with a deadline, what they come to if the pace so far goes on.
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
    """Validation by the averaged weights: bits per byte (bound, or exact for the twin)."""

    step: int
    stage: int
    epoch: int
    bits_per_byte: float
    best: bool


@dataclass(frozen=True)
class Sampled:
    """A text written during training, and where it was kept."""

    step: int
    text: str
    path: Path


@dataclass(frozen=True)
class StageEnded:
    """A stage is over, by its epochs or by early stopping."""

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
    """The run is over, or was interrupted with its state saved."""

    step: int
    interrupted: bool
    best_bits_per_byte: float
    checkpoint: Path


Event = StepDone | Validated | Sampled | StageEnded | CoolingDown | Finished
