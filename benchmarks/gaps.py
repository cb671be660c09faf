"""Gaps cut from held-out text, for ``infilling_quality``: so many words, or a sentence, in a window of the context."""

import bisect
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from tiny_diffusion.data.language.segmentation import split_sentences
from tiny_diffusion.data.language.words import split_words, word_spans
from tiny_diffusion.data.tokenizer import BookTokenizer
from tiny_diffusion.writing.filler import window

KINDS = ("1 word", "3 words", "10 words", "sentence")
BESIDE = 8  # tokens on either side of a gap at least


@dataclass(frozen=True)
class Gap:
    """Where text was cut out: ``ids`` (T,) of the window with the true filling at ``start``..``end``.

    before: the tokens of the passage before the window.
    """

    ids: Tensor
    start: int
    end: int
    text: str
    before: Tensor

    @property
    def size(self) -> int:
        """Tokens of the true filling."""
        return self.end - self.start

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the true filling."""
        return len(self.text.encode("utf-8"))

    @property
    def left(self) -> list[int]:
        """Ids before the gap."""
        return self.ids[: self.start].tolist()

    @property
    def filling(self) -> list[int]:
        """Ids of the true filling."""
        return self.ids[self.start : self.end].tolist()

    @property
    def right(self) -> list[int]:
        """Ids behind the gap."""
        return self.ids[self.end :].tolist()


def cut_gaps(
    texts: Sequence[str], tokenizer: BookTokenizer, level: int, context: int, most: int, language: str, seed: int
) -> dict[str, list[Gap]]:
    """``most`` gaps of each kind, or as many as there are, drawn by ``seed``; gaps of one kind may overlap.

    Words are those that ``split_words`` counts. A gap takes the space before it and the marks between its words, not
    those around them; a sentence ends with its own. It lies within a paragraph, begins and ends where tokens do, has
    at least ``BESIDE`` tokens on either side, and takes half the context at most.
    """
    found: dict[str, list[Gap]] = {kind: [] for kind in KINDS}
    for text in texts:
        ids = torch.tensor(tokenizer.encode(text, level))
        edges = list(accumulate((len(tokenizer.token_bytes(i)) for i in ids.tolist()), initial=0))
        for kind, first, last in _spans(text, language):
            first -= text[first - 1 : first] == " "
            bounds = [_place(edges, len(text[:at].encode("utf-8"))) for at in (first, last)]
            if None in bounds:
                continue
            start, end = bounds
            if BESIDE <= start < end <= len(ids) - BESIDE and end - start <= context // 2:
                a, b = window(start, end, len(ids), context)
                found[kind].append(Gap(ids[a:b], start - a, end - a, text[first:last], ids[:a]))
    picks = random.Random(seed)
    return {kind: picks.sample(gaps, min(most, len(gaps))) for kind, gaps in found.items()}


def _spans(text: str, language: str) -> Iterator[tuple[str, int, int]]:
    """Kind, first character, and end of each stretch of ``text`` that may become a gap."""
    words = word_spans(text)
    for count in (1, 3, 10):
        kind = f"{count} word{'s' * (count > 1)}"
        for i in range(len(words) - count + 1):
            first, last = words[i][0], words[i + count - 1][1]
            if "\n" not in text[first:last] and len(split_words(text[first:last])) == count:
                yield kind, first, last
    at = 0
    for paragraph in text.split("\n\n"):
        for sentence in split_sentences(paragraph, language):
            at = text.index(sentence, at)
            if split_words(sentence):
                yield "sentence", at, at + len(sentence)
            at += len(sentence)


def _place(edges: Sequence[int], byte: int) -> int | None:
    """Which token begins at ``byte``; None where none does."""
    found = bisect.bisect_left(edges, byte)
    return found if found < len(edges) and edges[found] == byte else None
