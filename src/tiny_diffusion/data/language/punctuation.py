"""How a book uses its punctuation marks: which stand side by side, and which brackets come in pairs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from .words import PUNCTUATION

BRACKETS = ("()", "[]", "（）")
PAIRED = 0.95  # share of the paragraphs with a bracket in which it has its other one; lists by "1)" have none

_RUN = re.compile(f"{PUNCTUATION}+")


@dataclass(frozen=True)
class Punctuation:
    """``runs``: marks as they stand side by side, such as ``,`` or ``.”``, each once; ``brackets``: pairs of them."""

    runs: tuple[str, ...]
    brackets: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """The punctuation of passages, whose paragraphs are parted by blank lines."""
        paragraphs = [paragraph for text in texts for paragraph in text.split("\n\n")]
        runs = {run for paragraph in paragraphs for run in _RUN.findall(paragraph)}
        return cls(tuple(sorted(runs)), tuple(pair for pair in BRACKETS if _is_paired(pair, paragraphs)))


def _is_paired(pair: str, paragraphs: Iterable[str]) -> bool:
    """Whether the brackets of ``pair`` open and close in turn in nearly all ``paragraphs`` that have any."""
    found = ["".join(mark for mark in paragraph if mark in pair) for paragraph in paragraphs]
    held = [marks for marks in found if marks]
    return bool(held) and sum(marks == pair * (len(marks) // 2) for marks in held) >= PAIRED * len(held)
