"""Which tokens may begin and end the filling of a gap.

Shapes: V text vocabulary.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from ...data.language.segmentation import ENGLISH, split_sentences
from ...data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from ...errors import UserError
from ...sampling.characters import moves
from ..filler import Edge
from ..rules import Span
from .gapped_text import Gap, Opening

MARKS = ".,;:!?…"
"""What never follows another of its kind directly in print, but for dots."""
_NEXT = "The end"  # its first word often begins a sentence, so it shows whether the text before it has ended one


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

    def of(self, gap: Gap, ids: Sequence[int], span: Span) -> tuple[Edge, ...]:
        """The edges of a gap at ``span`` of the row ``ids``, except where a word stands already.

        Raises UserError as ``opening`` does.
        """
        start, end = span
        opening = self.opening(gap.opening, single=end - start == 1)
        found = [Edge(start, opening)] if opening is not None else []
        if gap.request.is_whole:
            found.append(Edge(end - 1, self.closing))
        elif gap.after[:1] in MARKS and gap.after:  # no mark before a mark
            here = opening if opening is not None and end - start == 1 else None
            found = [edge for edge in found if edge.place != end - 1]
            found.append(Edge(end - 1, self._unmarked if here is None else here & self._unmarked))
        return tuple(edge for edge in found if ids[edge.place] == MASK)

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
    def _unmarked(self) -> Tensor:
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
