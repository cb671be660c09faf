"""How the filling of a gap begins and ends: which tokens may, and what of the text before belongs to it.

Shapes: V text vocabulary.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from functools import cached_property

import torch
from torch import Tensor

from ...data.language.segmentation import ENGLISH, split_sentences
from ...data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from ...errors import UserError
from ...sampling.characters import moves
from ..filler import Edge
from .template import Fixed, GapRequest

MARKS = ".,;:!?…"
"""What never follows another of its kind directly in print, but for dots."""
_NEXT = "The end"  # its first word often begins a sentence, so it shows whether the text before it has ended one


class Opening(Enum):
    """How the filling of a gap begins. Within a text, a token carries the space before it.

    SPACE: with the space that the text before the gap has given to it. WORD: without white space, because the gap is at
    the beginning of the text or after a line break. JOIN: with a space of its own, because the gap follows another
    gap. FREE: as the model likes, because the gap follows a character.
    """

    SPACE = "space"
    WORD = "word"
    JOIN = "join"
    FREE = "free"


def opening_after(before: Fixed | GapRequest | None) -> Opening:
    """How what is written after ``before`` begins."""
    if isinstance(before, GapRequest):
        return Opening.JOIN
    if before is None or before.text[-1:].isspace():
        return Opening.SPACE if before is not None and before.text.endswith(" ") else Opening.WORD
    return Opening.FREE


def encode_before(text: str, opening: Opening | None, encode: Callable[[str], list[int]]) -> list[int]:
    """Ids of given text before something with this opening, or before nothing."""
    if opening is Opening.SPACE:
        return encode(text[:-1])
    if opening is Opening.WORD:
        return encode(f"{text}a")[:-1]  # white space is split differently before a word than at the end of a text
    return encode(text)


def ends_sentence(text: str, language: str = ENGLISH) -> bool:
    """Whether ``text`` ends where a sentence of a two-letter ``language`` does."""
    return split_sentences(f"{text} {_NEXT}", language)[-1] == _NEXT


class Edges:
    """Masks (V,) over the first ``allowed`` text tokens of a tokenizer, for a model with ``size`` text tokens."""

    def __init__(self, tokenizer: BookTokenizer, size: int, allowed: int, language: str = ENGLISH) -> None:
        self._bytes = [tokenizer.token_bytes(NUM_RESERVED + i) for i in range(allowed)]
        self._tokens = [token.decode("utf-8", "replace") for token in self._bytes]
        self._size = size
        self._language = language

    def ended(self, edges: Sequence[Edge], ids: Sequence[int], last: int) -> list[Edge]:
        """``edges`` so that the masked place ``last`` holds whole characters: what is filled next begins a new one."""
        if ids[last] != MASK:
            return list(edges)
        here = [edge.permitted for edge in edges if edge.place == last]
        permitted = here[0] & self._whole if here else self._whole
        return [*(edge for edge in edges if edge.place != last), Edge(last, permitted)]

    def opening(self, opening: Opening, single: bool) -> Tensor | None:
        """Tokens (V,) that may begin a gap, of one token if ``single``; None if all may.

        Raises UserError if the vocabulary has none: a vocabulary of bytes has no single token for a word.
        """
        if opening is Opening.FREE:
            return None
        if opening is Opening.WORD:
            return self._word
        permitted = self._spaced_word if single else self._spaced
        if not permitted.any():
            raise UserError("no token of this vocabulary is a word with its space: give the gap 2 tokens or more")
        return permitted

    @cached_property
    def closing(self) -> Tensor:
        """Tokens (V,) that end a sentence, the full stop among them."""
        return self._mask([t == t.rstrip() and ends_sentence(f"Word{t}", self._language) for t in self._tokens])

    @cached_property
    def unmarked(self) -> Tensor:
        """Tokens (V,) that end with a letter or digit; all if there are none."""
        mask = self._mask([t[-1:].isalnum() for t in self._tokens])
        return mask if mask.any() else ~mask

    @cached_property
    def _whole(self) -> Tensor:
        return self._mask([moves(token)[0] == 0 for token in self._bytes])

    @cached_property
    def _spaced(self) -> Tensor:
        return self._mask([t[:1] == " " and not t[1:2].isspace() for t in self._tokens])

    @cached_property
    def _spaced_word(self) -> Tensor:
        return self._mask([t[:1] == " " and not t[1:2].isspace() and len(t) > 1 for t in self._tokens])

    @cached_property
    def _word(self) -> Tensor:
        return self._mask([not t[:1].isspace() for t in self._tokens])

    def _mask(self, chosen: list[bool]) -> Tensor:
        mask = torch.zeros(self._size, dtype=torch.bool)
        mask[: len(chosen)] = torch.tensor(chosen)
        return mask
