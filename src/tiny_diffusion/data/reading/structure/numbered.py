"""Finds headings without a word such as "Chapter" by their numbers, which count on through the book."""

import re
from dataclasses import dataclass

from ..document import Block

ROMAN = r"(?=[IVXLC])C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_TITLED = re.compile(rf"(?:§+ ?)?(?:(\d{{1,3}}(?:\.\d{{1,2}}){{0,3}})|({ROMAN}))[.):]? ?[.):—–-]* (?=\W*\w)")
_TITLE_WORDS = 12
_SERIES = 3  # numbers that count on, from which they are taken for those of headings


@dataclass(frozen=True)
class _Numbered:
    """A short line that begins with a number: where it is, and the number, (2, 1) for "2.1"."""

    place: int
    number: tuple[int, ...]

    def follows(self, before: "_Numbered | None") -> bool:
        """Whether it counts on from the line before: 1, 1.1, 1.2, 2, 3."""
        if before is None:
            return set(self.number) == {1}
        first, level = before.number, len(self.number) - 1
        deeper = self.number == (*first, 1)
        return deeper or (level < len(first) and self.number == (*first[:level], first[level] + 1))


def mark_numbered(blocks: list[Block]) -> None:
    """Mark short lines such as "IV. Who Rang?" or "2.1 The Law" as headings where their numbers count on from 1.

    Text must be between any two of them of one level: the items of a list follow each other.
    """
    series: list[_Numbered] = []
    for i, block in enumerate(blocks):
        found = _numbered(i, block)
        if found is None:
            continue
        if found.follows(series[-1] if series else None) and not (series and _listed(series[-1], found)):
            series.append(found)
        elif found.follows(None):
            _mark(blocks, series)
            series = [found]
    _mark(blocks, series)


def _listed(one: _Numbered, other: _Numbered) -> bool:
    """True for two items of a list: of one level, with nothing between."""
    return other.place == one.place + 1 and len(other.number) == len(one.number)


def _mark(blocks: list[Block], series: list[_Numbered]) -> None:
    if len(series) >= _SERIES:
        for found in series:
            blocks[found.place].kind = "headings"


def _numbered(place: int, block: Block) -> _Numbered | None:
    """The block's number, if it is one line as short as a title and not yet anything else."""
    if block.kind or len(block.lines) != 1 or len(block.flat.split()) > _TITLE_WORDS + 1:
        return None
    found = _TITLED.match(block.flat.strip("*=~ "))
    if found is None or block.flat[-1] == ",":
        return None
    title = block.flat[found.end() :].lstrip("\"“‘'«„ ")
    if title[:1].islower():
        return None
    arabic, roman = found.groups()
    numbers = arabic.split(".") if arabic else [_value(roman)]
    return _Numbered(place, tuple(map(int, numbers)))


def _value(roman: str) -> int:
    """The number that Roman numerals stand for."""
    values = [_VALUES[sign] for sign in roman]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))
