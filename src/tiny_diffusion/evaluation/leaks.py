"""Finds held-out sentences that also occur in the training text, which would make every figure too good."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..data.artefacts import Processed
from ..data.sentences import sentences_of
from ..data.splitting import sentence_key


@dataclass(frozen=True)
class Leaks:
    """Held-out sentences long enough to check, those of them in the training text, their share, and the first one."""

    checked: int
    found: int
    share: float
    example: str | None


def find_leaks(held_out: Sequence[str], training: Sequence[str]) -> Leaks:
    """Compare sentences without case, punctuation and spacing; ``sentence_key`` says which are long enough to count."""
    known = {sentence_key(text) for text in training}
    counted = [text for text in held_out if sentence_key(text) is not None]
    found = [text for text in counted if sentence_key(text) in known]
    return Leaks(len(counted), len(found), len(found) / max(1, len(counted)), found[0] if found else None)


def leaks_of(data: Processed, split: str) -> Leaks:
    """Compare the sentences of ``split``'s passages with those of the training passages."""
    held_out, training = (
        [s.text for s in sentences_of([p for p in data.passages if p.split == side], data.language)]
        for side in (split, "train")
    )
    return find_leaks(held_out, training)
