"""The records of a blind test: passages and their origin, the questions to raters, and their answers."""

from dataclasses import dataclass
from typing import Any

from ...config import BlindTest, Controls, Drawing, Order, ProjectConfig, Reading, keys_of

# The settings that make the passages. Their number, length and seed are the test's, and they stay as drawn.
KEPT = (*keys_of(BlindTest), "evaluation.seed", *keys_of(Drawing, Order, Reading, Controls))


def kept_settings(config: ProjectConfig) -> dict[str, Any]:
    """The settings that make the passages, by dotted key."""
    groups = config.to_dict()
    return {key: groups[key.split(".")[0]][key.split(".")[1]] for key in KEPT}


@dataclass(frozen=True)
class BlindPassage:
    """A passage to judge, and whether it is from the book."""

    text: str
    real: bool


@dataclass(frozen=True)
class Origin:
    """What a test's passages were made from. ``settings`` are values by dotted key; hashes are SHA-256."""

    settings: dict[str, Any]
    checkpoint: str
    checkpoint_hash: str
    book: str
    data: str
    made: str


@dataclass(frozen=True)
class Question:
    """The next question to a rater: ``ask`` about the passage at ``position`` (from 1) of ``total``."""

    rater: str
    position: int
    total: int
    text: str
    ask: str


@dataclass(frozen=True)
class Answer:
    """A finished rater's complete answer to one passage; ``ratings`` (1 to 5, by aspect) is empty without ratings."""

    rater: str
    position: int
    passage: int
    text: str
    real: bool
    said_real: bool
    ratings: dict[str, int]


@dataclass(frozen=True)
class Progress:
    """How many passages a rater has finished."""

    rater: str
    done: int
    total: int
