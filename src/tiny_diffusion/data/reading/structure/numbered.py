"""Finds headings without a word such as "Chapter" by their numbers, which count on through the book."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..document import Block
from .lines import ends_sentence

ROMAN = r"(?=[IVXLC])C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_NUMBER = rf"(?:(\d{{1,3}}(?:\.\d{{1,2}}){{0,3}})|({ROMAN})|([一二三四五六七八九十]{{1,3}}))"
_LETTER = re.compile(r"([A-ZΑ-ΩА-Я])(?:[.)] (?=[^\W\d_a-zα-ωа-я].*\w$)|\.?$)")
_FIRST_LETTERS = "АΑA"  # of three alphabets, the last in Unicode first
_TITLED = re.compile(rf"([§#№]+ ?)?{_NUMBER}(?:(?:[.):]? ?[.):—–-]* |、)(?=\W*\w)|(?(1)[.:]?$|(?!)))")
_BARE = re.compile(rf"(?:(\d{{1,3}})|({ROMAN}))\.?")
_WORDED = re.compile(rf"\W?([^\W\d_]+)[.:]? {_NUMBER}(?:\W* (?=\W*\w)|\W*$)")
_HAN = "一二三四五六七八九"
_TITLE_WORDS, _TITLE_LINES = 12, 2
_ROMAN = "%"  # stands for the system of a number
_SERIES = 3  # numbers that count on, from which they are taken for those of headings


@dataclass(frozen=True)
class _Numbered:
    """A short line that begins with a number: where it is, and the number, (2, 1) for "2.1".

    word: what stands before the number, or after it: "Capitolul II", "2. fejezet"; of letters, the first that counts;
    with a sign for Roman numbers, which count by themselves.
    """

    place: int
    number: tuple[int, ...]
    word: str = ""

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
    of_word: dict[str, list[_Numbered]] = {}
    for i, block in enumerate(blocks):
        for found in _numbered(i, block):
            series = of_word.setdefault(found.word, [])
            if found.follows(series[-1] if series else None) and not (series and _listed(series[-1], found)):
                series.append(found)
            elif found.follows(None):
                _mark(blocks, series)
                of_word[found.word] = [found]
    for series in of_word.values():
        _mark(blocks, series)


def _listed(one: _Numbered, other: _Numbered) -> bool:
    """True for two items of a list: of one level, with nothing between."""
    return other.place == one.place + 1 and len(other.number) == len(one.number)


def _mark(blocks: list[Block], series: list[_Numbered]) -> None:
    listed = series and series[0].place and blocks[series[0].place - 1].flat.endswith((":", "："))
    if len(series) >= _SERIES and not listed:
        for found in series:
            blocks[found.place].kind = "headings"


def _numbered(place: int, block: Block) -> Iterator[_Numbered]:
    """The block's number, if it is as short as a title; "I." may be a letter too.

    Only a bare number may be taken for a heading already: titles may stand below some numbers and behind others.
    """
    line = block.flat.strip("*=~ ")
    bare = _BARE.fullmatch(line)
    if len(block.lines) > _TITLE_LINES or len(line.split()) > _TITLE_WORDS + 1 or line[-1:] == ",":
        return
    if block.kind and not (block.kind == "headings" and bare):
        return
    if len(block.lines) > 1 and ends_sentence(line):
        return
    if letter := _LETTER.match(line):
        first = next(sign for sign in _FIRST_LETTERS if sign <= letter[1])
        yield _Numbered(place, (ord(letter[1]) - ord(first) + 1,), first)
    found = [("", *bare.groups(""), "")] if bare else []
    if worded := _WORDED.match(line):
        found.append(worded.groups(""))
    if not bare and (titled := _TITLED.match(line)):
        title = line[titled.end() :].lstrip("\"“‘'«„ ")
        word = title if title[:1].islower() and title.isalpha() else ""
        if word or not title[:1].islower():
            found.append((word, *titled.groups("")[1:]))
    for word, arabic, roman, han in found:
        numbers = arabic.split(".") if arabic else [_value(roman) if roman else _han_value(han)]
        yield _Numbered(place, tuple(map(int, numbers)), word.casefold() + _ROMAN * bool(roman))


def _han_value(signs: str) -> int:
    """The number that 三, 十三, 三十 or 三十三 stand for."""
    tens, ten, ones = signs.rpartition("十")
    return 10 * ((_HAN.find(tens) + 1 if tens else 1) if ten else 0) + (_HAN.find(ones) + 1 if ones else 0)


def _value(roman: str) -> int:
    """The number that Roman numerals stand for."""
    values = [_VALUES[sign] for sign in roman]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))
