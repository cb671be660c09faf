"""Rules of a text: which tokens may stand at a place, and which places of a finished row break them.

While tokens are drawn in order, each is drawn from those that all rules allow there. What diffusion has written is
looked at afterwards, and what breaks a rule is drawn again in that way (``repair.py``).

Shapes: B rows, T tokens, N places, V text vocabulary.
"""

import codecs
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Protocol

import torch
from torch import Tensor

from ..data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from ..sampling.characters import WholeCharacters

Span = tuple[int, int]
"""The first token (or character) and the one after the last."""
BREAK = "\n\n"
"""What separates paragraphs in passages and training rows."""
_BEHIND = 24  # tokens behind a place that a rule sees


@dataclass(frozen=True)
class Place:
    """What rules see of a place in a text.

    before: the characters before it, as many as the rules reach. pending: bytes of a character that is not complete.
    behind: the text that follows directly, None while that is open. left: tokens of the row after the place.
    """

    before: str
    pending: bytes = b""
    behind: str | None = None
    left: int = 1


class Rule(Protocol):
    """What a finished text must keep."""

    def allowed(self, place: Place) -> Tensor | None:
        """Tokens (V,) with which the rule can be kept; None if all are."""

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Tokens to draw again, the first of each place being ``free``; empty if the text keeps the rule."""

    def refusal(self, ids: Sequence[int], free: Sequence[bool]) -> str | None:
        """Why a text that breaks the rule is refused; None if it is accepted as it is."""

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """How many of the settled tokens ``ids`` may matter to what is written after them.

        ``behind``: to what is written before them.
        """


@dataclass(frozen=True)
class Rules:
    """Several rules for rows that are drawn in order, the ones that must not be waived first; see ``in_order.Permit``.

    size: V of the model, which may be less than the tokenizer has. ahead, after: for each row, the ids of the text
    around it. extra: masks (V,) by place. barred: for each row, tokens that must not stand at some places. finished:
    in which rows each token ends a word. Where a rule leaves none of the tokens that those before it allow, it is
    waived at that place.
    """

    tokenizer: BookTokenizer
    whole: WholeCharacters
    size: int
    rules: Sequence[Rule]
    ahead: Sequence[Sequence[int]] = ()
    after: Sequence[Sequence[int]] = ()
    extra: Mapping[int, Tensor] = field(default_factory=dict)
    barred: Sequence[Mapping[int, Collection[int]]] = ()
    finished: Sequence[bool] = ()

    def permitted(self, ids: Tensor, where: Tensor) -> Tensor:
        """Masks (N, V) of the tokens that may be drawn at the places ``where`` (B, T) of ``ids`` (B, T)."""
        rows = ids.tolist()
        return torch.stack([self._at(row, rows[row], place) for row, place in where.nonzero().tolist()])

    def _at(self, row: int, ids: list[int], place: int) -> Tensor:
        """The mask (V,) of one place of a row."""
        mask = self.whole.permitted(ids, place)[: self.size]
        seen = self._seen(row, ids, place)
        masks = [self.extra.get(place), self._others(row, place), *(rule.allowed(seen) for rule in self.rules)]
        for own in masks:
            if own is not None and bool((both := mask & own[: self.size]).any()):
                mask = both
        return mask

    def _seen(self, row: int, ids: list[int], place: int) -> Place:
        prefix, suffix = ids[:place], ids[place + 1 : place + 1 + _BEHIND]
        left = len(ids) - place - 1
        if self.ahead:
            prefix = [*self.ahead[row], *prefix]
        if self.after and left <= len(suffix):
            suffix += self.after[row][:_BEHIND]
        if MASK in prefix:
            prefix = prefix[len(prefix) - prefix[::-1].index(MASK) :]
        reach = max((rule.reach(prefix) for rule in self.rules), default=0)
        before, pending = read_bytes(b"".join(map(self.tokenizer.token_bytes, prefix[len(prefix) - reach :])))
        if self.finished and self.finished[row] and suffix[:1] in ([], [MASK]):
            behind: str | None = " "
        elif suffix and suffix[0] != MASK:
            behind = self.tokenizer.decode(takewhile(lambda token: token != MASK, suffix))
        else:
            behind = None
        return Place(before, pending, behind, left)

    def _others(self, row: int, place: int) -> Tensor | None:
        barred = self.barred[row].get(place) if self.barred else None
        if not barred:
            return None
        mask = torch.ones(self.tokenizer.text_vocab_size, dtype=torch.bool)
        mask[[token - NUM_RESERVED for token in barred]] = False
        return mask


def token_spans(tokenizer: BookTokenizer, ids: Iterable[int]) -> list[Span]:
    """The characters of ``tokenizer.decode(ids)`` that each token contributes to.

    Both ends rise from token to token. A token that ends within a character includes it, and the next one begins there.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    spans, done = [], 0
    for index in ids:
        start = done
        done += len(decoder.decode(tokenizer.token_bytes(index)))
        spans.append((start, done + bool(decoder.getstate()[0])))
    return spans


def tokens_of(spans: Sequence[Span], places: Iterable[Span]) -> list[range]:
    """The tokens, given by their ``token_spans``, that contribute to each of ``places`` of the text."""
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    return [range(bisect_right(ends, start), bisect_left(starts, end)) for start, end in places]


def read_bytes(spelled: bytes) -> tuple[str, bytes]:
    """The text of some bytes, and the incomplete character at their end."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return decoder.decode(spelled), decoder.getstate()[0]


def break_ids(tokenizer: BookTokenizer) -> list[int]:
    """Ids of ``BREAK`` between two paragraphs, where the tokenizer's pattern splits it into two line feeds."""
    return 2 * tokenizer.encode(BREAK[0])
