"""Which tokens may begin and end the filling of a gap.

Shapes: V text vocabulary.
"""

from enum import Enum
from functools import cached_property

import torch
from torch import Tensor

from ...data.language.segmentation import ENGLISH, split_sentences
from ...data.tokenizer import NUM_RESERVED, BookTokenizer
from ...errors import UserError

_NEXT = "The end"  # begins with a word that often begins a sentence: what stands before it has ended, or has not


class Opening(Enum):
    """How a filling begins. A token in the middle of a text carries the space before it.

    SPACE: with the space that the text before the gap has given it. WORD: without white space, for the gap stands at
    the text's beginning or behind a line break. JOIN: with a space of its own, for the gap stands right behind
    another. FREE: as the model likes, for the gap stands right behind a character.
    """

    SPACE = "space"
    WORD = "word"
    JOIN = "join"
    FREE = "free"


def ends_sentence(text: str, language: str = ENGLISH) -> bool:
    """Whether ``text`` ends where a sentence of a two-letter ``language`` does."""
    return split_sentences(f"{text} {_NEXT}", language)[-1] == _NEXT


class Edges:
    """Masks (V,) over the first ``allowed`` text tokens of a tokenizer, for a model of ``size`` text tokens."""

    def __init__(self, tokenizer: BookTokenizer, size: int, allowed: int, language: str = ENGLISH) -> None:
        self._tokens = [tokenizer.token_bytes(NUM_RESERVED + i).decode("utf-8", "replace") for i in range(allowed)]
        self._size = size
        self._language = language

    def opening(self, opening: Opening, single: bool) -> Tensor | None:
        """Tokens that may begin a gap, of one token where ``single``; None where all may.

        Raises UserError when the vocabulary has none, as one of bytes alone has no single token for a word.
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
        """Tokens that end a sentence, the full stop among them."""
        return self._mask([t == t.rstrip() and ends_sentence(f"Word{t}", self._language) for t in self._tokens])

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
