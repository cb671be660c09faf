"""An index of the words of the training text that finds how long any text runs along with it."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydivsufsort import divsufsort

from .language.words import split_words

IntArray = npt.NDArray[np.int64]

_TOKEN = re.compile(r"\S+")
BOUNDARY, UNKNOWN, PAST = 0, -1, -2


@dataclass(frozen=True, eq=False)
class Matches:
    """For each of the W words of a text: the longest run, starting there, that also occurs in the source, and where.

    words: W folded words. length: [W] in words. place: [W] position in the index, meaningless where length is 0.
    """

    words: list[str]
    length: IntArray
    place: IntArray

    @property
    def longest(self) -> int:
        """Length of the longest run, in words."""
        return int(self.length.max(initial=0))


class CopyIndex:
    """A suffix array over the words of some texts, built once and queried with any number of other texts.

    No run crosses from one source text into the next. Building takes O(n log n) time and 40 bytes per word.
    """

    def __init__(self, source: Sequence[str]) -> None:
        """Index the texts of ``source``; they may contain no word at all."""
        self.source = source
        self._identity: dict[str, int] = {}
        ids: list[int] = []
        starts = []
        for text in source:
            starts.append(len(ids))
            ids.extend(self._identity.setdefault(word, len(self._identity) + 1) for word in split_words(text))
            ids.append(BOUNDARY)
        self._starts = np.array(starts, dtype=np.int64)
        self._names = list(self._identity)
        self._ids = np.array(ids, dtype=np.int64)
        self._order = np.asarray(divsufsort(self._ids), dtype=np.int64) if ids else self._ids

    def match(self, texts: Sequence[str]) -> list[Matches]:
        """Find for each word of each text how far the source continues alike, ignoring case, punctuation and breaks."""
        words = [split_words(text) for text in texts]
        # An unknown word between two texts ends every run.
        ids = np.array(
            [i for found in words for i in (*(self._identity.get(word, UNKNOWN) for word in found), UNKNOWN)],
            dtype=np.int64,
        )
        length, place = self._match(ids)
        ends = np.cumsum([len(found) + 1 for found in words])
        return [
            Matches(found, length[end - 1 - len(found) : end - 1], place[end - 1 - len(found) : end - 1])
            for found, end in zip(words, ends, strict=True)
        ]

    def following(self, words: Sequence[str]) -> frozenset[str]:
        """The folded words that stand behind ``words``, at least one, somewhere in the source."""
        ids = [self._identity.get(word, UNKNOWN) for word in words]
        if UNKNOWN in ids:
            return frozenset()

        def run(place: int) -> list[int]:
            found: list[int] = self._ids[place : place + len(ids)].tolist()
            return found

        first = bisect_left(self._order, ids, key=run)
        end = bisect_right(self._order, ids, lo=first, key=run)
        behind = np.unique(self._ids[self._order[first:end] + len(ids)])
        return frozenset(self._names[i - 1] for i in behind.tolist() if i != BOUNDARY)

    def _match(self, ids: IntArray) -> tuple[IntArray, IntArray]:
        """Length and place of the longest run from each of ``ids`` on; the last id must be unknown."""
        length, place = np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=np.int64)
        active = np.arange(len(ids))
        first, end = np.zeros(len(ids), dtype=np.int64), np.full(len(ids), len(self._order), dtype=np.int64)
        depth = 0
        while active.size:
            wanted = ids[active + depth]
            first = self._bisect(first, end, depth, wanted, after=False)
            end = self._bisect(first, end, depth, wanted, after=True)
            found = first < end
            active, first, end = active[found], first[found], end[found]
            depth += 1
            length[active] = depth
            place[active] = self._order[first]
        return length, place

    def _bisect(self, low: IntArray, high: IntArray, depth: int, wanted: IntArray, after: bool) -> IntArray:
        """First suffix of each range whose word at ``depth`` is not below (with ``after``: is above) the wanted one."""
        while (open_ := low < high).any():
            middle = (low + high) // 2
            at = self._order[np.minimum(middle, len(self._order) - 1)] + depth
            # A suffix that has ended sorts first; only the last boundary of the source can be passed.
            found = np.where(at < len(self._ids), self._ids[np.minimum(at, len(self._ids) - 1)], PAST)
            below = open_ & ((found <= wanted) if after else (found < wanted))
            low = np.where(below, middle + 1, low)
            high = np.where(open_ & ~below, middle, high)
        return low

    def passage(self, place: int, words: int, margin: int) -> tuple[int, str]:
        """Return the number of the source text at position ``place``, and an excerpt of ``words`` words from there on.

        The excerpt includes up to ``margin`` more words on either side, as the source spells them.
        """
        owner = int(np.searchsorted(self._starts, place, side="right")) - 1
        start = place - int(self._starts[owner])
        return owner, excerpt(self.source[owner], start - margin, start + words + margin)


def excerpt(text: str, start: int, end: int) -> str:
    """The part of ``text`` that contains its words ``start`` to ``end`` (exclusive), as written."""
    first, last, count = None, 0, 0
    for token in _TOKEN.finditer(text):
        if count >= end:
            break
        count += len(split_words(token.group()))
        if count > start:
            first = token.start() if first is None else first
            last = token.end()
    return "" if first is None else text[first:last]
