"""Novelty: how much of a text was copied word for word from its source."""

import unicodedata
from dataclasses import dataclass

import numpy as np
from pydivsufsort import divsufsort, kasai

from tiny_diffusion.errors import UserError

_APOSTROPHES = "'\u2018\u2019\u02bc"
# Scripts written without spaces, where one character stands for one word: kana, Han and their extensions.
_UNSPACED = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))


class _WordCharacters(dict[int, str]):
    """A table for `str.translate` that fills itself: keeps word characters, turns the rest into spaces."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in _APOSTROPHES or category == "Cf":
            value = ""
        elif any(low <= code <= high for low, high in _UNSPACED):
            value = f" {character} "
        else:
            value = character if category[0] in "LMN" else " "
        self[code] = value
        return value


_TABLE = _WordCharacters()


@dataclass(frozen=True)
class CopiedRun:
    """The longest run shared with the source: its length in words, and these words (folded, spaced)."""

    words: int
    text: str


def split_words(text: str) -> list[str]:
    """Return the words of `text`, NFC, case-folded and without punctuation.

    Apostrophes vanish ("don't" is "dont"), other punctuation parts words; each Han or kana character is
    a word.
    """
    folded = unicodedata.normalize("NFC", text.casefold())
    return folded.translate(_TABLE).split()


def longest_copied_run(text: str, source: str) -> CopiedRun:
    """Return the longest run of whole words of `text` that stands in `source` too.

    Case, punctuation and line breaks do not matter. Of several longest runs one is returned, always the same;
    a text that shares no word with the source gives `CopiedRun(0, "")`.
    """
    words, source_words = split_words(text), split_words(source)
    if not words or not source_words:
        return CopiedRun(0, "")
    identity: dict[str, int] = {}
    ids = [identity.setdefault(word, len(identity) + 1) for word in source_words]
    boundary = len(ids)
    # The separator 0 occurs once, so no common prefix of two suffixes runs across the boundary.
    ids.append(0)
    ids.extend(identity.setdefault(word, len(identity) + 1) for word in words)
    joined = np.asarray(ids, dtype=np.int64)
    suffixes = np.asarray(divsufsort(joined), dtype=np.int64)
    common = np.asarray(kasai(joined, suffixes), dtype=np.int64)[: len(joined) - 1]
    # The longest common run is the common prefix of some two neighbours, one from each side of the boundary.
    from_text = suffixes > boundary
    common = np.where(from_text[:-1] != from_text[1:], common, 0)
    length = int(common.max())
    if length == 0:
        return CopiedRun(0, "")
    best = np.flatnonzero(common == length)
    start = int(np.maximum(suffixes[best], suffixes[best + 1]).min()) - boundary - 1
    return CopiedRun(length, " ".join(words[start : start + length]))


def copied_ngram_share(text: str, source: str, n: int) -> float:
    """Return the share, in [0, 1], of the word n-grams of `text` that stand in `source` too.

    Each occurrence counts. A text of fewer than `n` words has no n-gram, so none is copied: 0.0.
    Raises `UserError` when `n` is below 1.
    """
    if n < 1:
        raise UserError(f"n-gram length {n} is too small: it must be 1 or more")
    grams = _ngrams(split_words(text), n)
    if not grams:
        return 0.0
    known = set(_ngrams(split_words(source), n))
    return sum(gram in known for gram in grams) / len(grams)


def _ngrams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[offset:] for offset in range(n)), strict=False))
