"""What a blind test is made of: passages and their origin, what raters are asked, and what they answered."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BlindPassage:
    """A passage to judge, and whether it is the book's."""

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
    """What a rater is asked next: ``ask`` of the passage at ``position`` (from 1) of ``total``."""

    rater: str
    position: int
    total: int
    text: str
    ask: str


@dataclass(frozen=True)
class Answer:
    """A finished rater's whole answer to one passage; ``ratings`` (1 to 5, by aspect) is empty without ratings."""

    rater: str
    position: int
    passage: int
    text: str
    real: bool
    said_real: bool
    ratings: dict[str, int]


@dataclass(frozen=True)
class Progress:
    """How many passages a rater has done with."""

    rater: str
    done: int
    total: int
