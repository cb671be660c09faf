"""Quotations and brackets: within a paragraph a mark closes only what is open, and opens only what is not open.

A quotation may be left open, since speech that goes on in the next paragraph is.

Shapes: V text vocabulary.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

import torch
from torch import Tensor

from ..data.tokenizer import NUM_RESERVED, BookTokenizer
from .rules import BREAK, Place, Span, token_spans, tokens_of

_PAIRS = ("„“", "„”", "“”", "「」", "『』")
"""Marks whose shape tells their direction; of pairs with a common mark the first counts. Not «», which German turns
round, nor ‘’, which are apostrophes too."""
_SEEN = 256  # tokens of a paragraph that are read at most


class Quotations:
    """A rule: see above. It knows the pairs of which the vocabulary has both marks."""

    def __init__(self, tokenizer: BookTokenizer, brackets: Sequence[str] = ()) -> None:
        """``brackets``: the pairs of them that the book keeps, see ``Punctuation``."""
        self.tokenizer = tokenizer
        texts = [
            tokenizer.token_bytes(NUM_RESERVED + i).decode("utf-8", "ignore") for i in range(tokenizer.text_vocab_size)
        ]
        spelled = set("".join(texts))
        self.closes = dict[str, str]()  # the opening mark of each closing one
        for pair in (*_PAIRS, *brackets):
            if set(pair) <= spelled and not set(pair) & {*self.closes, *self.closes.values()}:
                self.closes[pair[1]] = pair[0]
        marks = {*self.closes, *self.closes.values()}
        self._marked = {token: text for token, text in enumerate(texts) if marks & set(text)}
        self._breaks = {NUM_RESERVED + token for token, text in enumerate(texts) if BREAK[0] in text}
        self._turns = re.compile(f"[{re.escape(''.join(marks))}]|{BREAK}" if marks else BREAK)
        self._mask = lru_cache(self._fresh_mask)

    def faults(self, text: str) -> list[int]:
        """The characters of ``text`` that close nothing, or open what is open."""
        return self._read(text, frozenset())[0]

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """The ``free`` tokens with a mark that breaks the rule."""
        wrong = [(at, at + 1) for at in self.faults(self.tokenizer.decode(ids))]
        tokens = tokens_of(token_spans(self.tokenizer, ids), wrong) if wrong else []
        return [(min(own), max(own) + 1) for each in tokens if (own := [i for i in each if free[i]])]

    def allowed(self, place: Place) -> Tensor | None:
        """Tokens (V,) whose marks keep the rule after the text before them; None if all do."""
        return None if place.pending or not self._marked else self._mask(self._read(place.before, frozenset())[1])

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """The tokens of the paragraph, which show what it has opened."""
        lines = 0  # line feeds in a row
        for back, token in enumerate(islice(reversed(ids), _SEEN)):
            lines = lines + 1 if token in self._breaks else 0
            if lines == len(BREAK):
                return back
        return min(_SEEN, len(ids))

    def refusal(self, ids: Sequence[int], free: Sequence[bool]) -> None:
        """Leave the mark: a prompt may ask for it."""

    def _read(self, text: str, opened: frozenset[str]) -> tuple[list[int], frozenset[str]]:
        """The faults of ``text`` after a text that left marks ``opened``, and the marks that are open at its end."""
        found, now = [], set(opened)
        for match in self._turns.finditer(text):
            mark = match[0]
            if mark == BREAK:
                now.clear()
            elif opening := self.closes.get(mark):
                found += [match.start()] * (opening not in now)
                now.discard(opening)
            else:
                found += [match.start()] * (mark in now)
                now.add(mark)
        return found, frozenset(now)

    def _fresh_mask(self, opened: frozenset[str]) -> Tensor:
        mask = torch.ones(self.tokenizer.text_vocab_size, dtype=torch.bool)
        mask[[token for token, text in self._marked.items() if self._read(text, opened)[0]]] = False
        return mask


def is_open(paragraph: str) -> bool:
    """Whether a quotation or a bracket begins or ends in ``paragraph`` without its other mark."""
    for opening, closing in ("„“" if "„" in paragraph else "“”", "«»", "「」", '""', "()"):
        opened, closed = paragraph.count(opening), paragraph.count(closing)
        unequal = opened % 2 if opening == closing else opened != closed and (opened or closed % 2)
        if unequal:  # in Swedish ” opens, too
            return True
    return False
