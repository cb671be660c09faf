"""How a book uses its characters: what joins two words, which brackets come in pairs, which letters are not ASCII."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Self

from .words import WORD_CHARACTER

SMALL, OTHER = "aA"
"""Signs for the first character of a word: a small letter; any other letter, or a digit."""
BRACKETS = ("()", "[]", "（）")
PAIRED = 0.95  # share of the paragraphs with a bracket in which it has its other one; lists by "1)" have none
RARELY = 0.01  # where at most this share of a joint's places has a small letter behind it, those are slips

_WORD = re.compile(WORD_CHARACTER)
_JOINT = re.compile(f"((?!{WORD_CHARACTER}).)+({WORD_CHARACTER})", re.DOTALL)


@dataclass(frozen=True)
class Punctuation:
    """``joints``: what stands between two words, with ``SMALL`` or ``OTHER`` at its end; ``brackets``: pairs of them.

    ``letters``: the characters of words beyond ASCII. All come once. A joint may be `` a``, ``, A`` or ``.”\\n\\n“A``.
    """

    joints: tuple[str, ...]
    brackets: tuple[str, ...]
    letters: str

    @classmethod
    def of(cls, texts: Collection[str]) -> Self:
        """The punctuation of passages, whose paragraphs are parted by blank lines."""
        seen = Counter(shape_of(match.group()) for text in texts for match in _JOINT.finditer(text) if match.start())
        joints = set[str]()
        for joint in {each[:-1] for each in seen}:
            small, other = (seen[joint + letter] for letter in (SMALL, OTHER))
            joints |= {joint + OTHER} | ({joint + SMALL} if small > RARELY * (small + other) else set())
        paragraphs = [paragraph for text in texts for paragraph in text.split("\n\n")]
        pairs = tuple(pair for pair in BRACKETS if _is_paired(pair, paragraphs))
        letters = {each for each in set("".join(texts)) if each > "\x7f" and _WORD.match(each)}
        return cls(tuple(sorted(joints)), pairs, "".join(sorted(letters)))


def shape_of(joint: str) -> str:
    """``joint`` with ``SMALL`` or ``OTHER`` for the character at its end."""
    return joint[:-1] + (SMALL if joint[-1].islower() else OTHER)


def _is_paired(pair: str, paragraphs: Iterable[str]) -> bool:
    """Whether the brackets of ``pair`` open and close in turn in nearly all ``paragraphs`` that have any."""
    found = ["".join(mark for mark in paragraph if mark in pair) for paragraph in paragraphs]
    held = [marks for marks in found if marks]
    return bool(held) and sum(marks == pair * (len(marks) // 2) for marks in held) >= PAIRED * len(held)
