"""Real words: a text consists of words that are in the book or in common use.

Shapes: V text vocabulary.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.language.words import WORD_RUN, spelled_spans
from ..data.tokenizer import NUM_RESERVED, BookTokenizer
from .known_words import KnownWords, is_within
from .rules import Place, Span, read_bytes, token_spans, tokens_of

BoolArray = npt.NDArray[np.bool_]
_NEAR = 16  # tokens that hold the word at an edge and the characters before it
_KEPT = 4096  # beginnings of words whose masks are kept


@cache
def _beginnings() -> frozenset[bytes]:
    """Incomplete characters that can become one that is part of no word and no symbol."""
    characters = (chr(code) for code in (*range(0x80, 0xD800), *range(0xE000, 0x20000)))
    spelled = (each.encode() for each in characters if not WORD_RUN.match(each) and not _is_symbol(each))
    return frozenset(bytes_[:cut] for bytes_ in spelled for cut in range(1, len(bytes_)))


def _is_symbol(character: str) -> bool:
    """Whether it is a symbol such as ``÷``, or no character at all; marks of punctuation are none."""
    return unicodedata.category(character)[0] in "SC"


@dataclass
class Node:
    """A beginning of the letters that tokens begin with.

    tokens: those that begin with exactly these letters, and what follows in each.
    """

    onward: dict[str, "Node"] = field(default_factory=lambda: defaultdict(Node))
    tokens: list[tuple[int, str]] = field(default_factory=list)


class RealWords:
    """A rule: every finished word that holds a written token is known, and one that is not finished can become so.

    open_end: the word at the end of the text need not be finished. In scripts without spaces each character is a word,
    and known.
    """

    def __init__(self, known: KnownWords, tokenizer: BookTokenizer, *, open_end: bool = False) -> None:
        self.known, self.tokenizer, self.size, self.open_end = known, tokenizer, tokenizer.text_vocab_size, open_end
        self._tree, self._others = Node(), dict[bool, BoolArray]()
        for token in range(self.size):
            text, rest = read_bytes(tokenizer.token_bytes(NUM_RESERVED + token))
            if not rest and "\ufffd" not in text:
                match, node = WORD_RUN.match(text), self._tree
                for letter in match.group() if match else "":
                    node = node.onward[letter]
                node.tokens.append((token, text[match.end() if match else 0 :]))
        self._masks, self._parts = lru_cache(_KEPT)(self._make_masks), lru_cache(_KEPT)(self._split_by)
        self._state = lru_cache(8 * _KEPT)(self._run_state)

    def with_end(self, *, is_open: bool) -> Self:
        """The same rule, with its tables, for a text whose last word need not be finished, or must be."""
        rule = copy(self)
        rule.open_end = is_open
        return rule

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """For each word that is not known, its ``free`` tokens."""
        text = self.tokenizer.decode(ids)
        spans = [span for span in self.known.unknown(text) if span[1] < len(text) or not self._may_go_on(text, span)]
        words = tokens_of(token_spans(self.tokenizer, ids), spans)
        own = [[i for i in tokens if free[i]] for tokens in words]
        return [(min(tokens), max(tokens) + 1) for tokens in own if tokens]

    def _may_go_on(self, text: str, span: Span) -> bool:
        return self.open_end and self.known.begins(text[slice(*span)], within=is_within(text[: span[0]]))

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """A few tokens, which hold the word at the edge of ``ids``."""
        return min(_NEAR, len(ids))

    def refusal(self, ids: Sequence[int], free: Sequence[bool]) -> None:
        """Leave the word: the given text around it leaves no known one."""

    def allowed(self, place: Place) -> Tensor:
        """Tokens (V,) with which the words so far are known, and the one in progress can become known.

        Before known text, or at a fixed end, the token must finish the word. A given word that cannot become known is
        ended.
        """
        before = f"  {place.before}"
        runs = [*WORD_RUN.finditer(before, before.rfind(" ") + 1)]
        start = runs[-1].start() if runs and runs[-1].end() == len(before) else len(before)
        context, letters = before[start - 2 : start], before[start:]
        context = "a " if is_within(context) else " a" if context[1].isalnum() else "  "  # few, so that masks are kept
        opened, finished = self._masks(context, letters, place.pending)
        if place.behind is None and (place.left or self.open_end):
            return opened
        head = WORD_RUN.match(place.behind or "")
        if head is None:
            return finished if bool(finished.any()) else opened
        mask = torch.zeros(self.size, dtype=torch.bool)
        for token in opened.nonzero().flatten().tolist():
            text = (place.pending + self.tokenizer.token_bytes(NUM_RESERVED + token)).decode("utf-8", "replace")
            mask[token] = self._check(context, letters + text + head.group())[1]
        return mask

    def _make_masks(self, context: str, letters: str, pending: bytes) -> tuple[Tensor, Tensor]:
        """Tokens (V,) that may follow ``letters``, a word in progress, and those of them after which none is.

        context: the two characters before the letters.
        """
        masks = np.zeros((2, self.size), dtype=bool)
        within = is_within(context)
        whole, begun = self._state(letters, within)
        for text, rest, tokens in self._parts(pending):
            may, done = self._check(context, letters + text) if text else (begun, whole)
            if rest:
                may, done = self._may_become(context, letters + text, rest, done), False
            if may or done:
                masks[0, tokens], masks[1, tokens] = may, done
        if pending:
            return torch.from_numpy(masks[0]), torch.from_numpy(masks[1])
        if whole or not begun:
            masks |= self._next_words((context + letters)[-1].isalnum())
        nodes = [(letters, self._tree)] if begun else []
        while nodes:
            start, node = nodes.pop()
            likely = self.known.letters_after(start) if start.isascii() and "'" not in start else None
            for letter, onward in node.onward.items():
                if likely is not None and letter.isascii() and letter != "'" and letter.lower() not in likely:
                    continue  # most letters, without a closer look
                done, may = self._state(start + letter, within)
                if may:
                    nodes.append((start + letter, onward))
                    for token, after in onward.tokens:
                        masks[:, token] = self._check(context, start + letter + after) if after else (True, done)
        return torch.from_numpy(masks[0]), torch.from_numpy(masks[1])

    def _split_by(self, pending: bytes) -> list[tuple[str, bytes, list[int]]]:
        """Tokens that hold a part of a character, by the text that each adds and the incomplete character behind it."""
        found = defaultdict[tuple[str, bytes], list[int]](list)
        for token in range(self.size):
            spelled = self.tokenizer.token_bytes(NUM_RESERVED + token)
            text, rest = read_bytes(pending + spelled)
            if (bool(pending) == (spelled[0] & 0xC0 == 0x80)) and (pending or rest):
                # A symbol that the book uses often is a token. One of bytes is a slip, and some begin like letters.
                if not (pending and text and _is_symbol(text[0])):
                    found[text, rest].append(token)
        return [(text, rest, tokens) for (text, rest), tokens in found.items()]

    def _next_words(self, after_letter: bool) -> BoolArray:
        """As ``_make_masks`` for tokens that do not go on with a word."""
        if after_letter not in self._others:
            masks = np.zeros((2, self.size), dtype=bool)
            for token, text in self._tree.tokens:
                masks[:, token] = self._check(" a" if after_letter else "  ", text)
            self._others[after_letter] = masks
        return self._others[after_letter]

    def _check(self, context: str, text: str) -> tuple[bool, bool]:
        """Whether the words of ``text`` are known if its last one may go on, and if it may not."""
        whole = context + text
        for match in WORD_RUN.finditer(text):
            start, end = match.span()
            known, begun = self._state(match.group(), is_within(whole[start : start + 2]))
            if end == len(text):
                return begun, known
            if not known:
                return False, False
        return True, True

    def _run_state(self, run: str, within: bool) -> tuple[bool, bool]:
        """Whether letters and apostrophes are known words, and whether such words begin so."""
        if not run:
            return True, True
        spans = [(0, len(run))] if run.isascii() and run.isalnum() else spelled_spans(run)
        if not spans:
            return True, True
        *first, (start, end) = spans
        if not all(self.known.knows(run[a:b], within=within and a == 0) for a, b in first):
            return False, False
        within = within and start == 0
        known = self.known.knows(run[start:end], within=within)
        return known, known or (end + 1 >= len(run) and self.known.begins(run[start:], within=within))

    def _may_become(self, context: str, text: str, rest: bytes, whole: bool) -> bool:
        """Whether an incomplete character ``rest`` can become one that may stand after ``text``."""
        if whole and rest in _beginnings():
            return True
        letters = self.known.letters.get(rest[0], ())
        return any(letter.encode().startswith(rest) and self._check(context, text + letter)[0] for letter in letters)
