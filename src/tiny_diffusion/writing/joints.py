"""Joints, which are what stands between two words: white space and marks stand in a text as they stand in the book.

Shapes: V text vocabulary.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import cache
from typing import Self

import torch
from torch import Tensor

from ..data.language.punctuation import OTHER, SMALL, Punctuation, shape_of
from ..data.language.words import WORD_CHARACTER
from ..data.tokenizer import NUM_RESERVED, BookTokenizer
from .rules import BREAK, Place, Span, read_bytes, token_spans, tokens_of

_FAR = 32  # tokens that show enough of a row of dots, however long those of the book are

Between = tuple[str, str | None, bool]
"""The joint before a place, the one behind it, None where the text is open, and whether the first begins the text."""


class Joints:
    """A rule: each joint is one that the book has, with a small letter behind it only where the book has such.

    At either end of a text, a part of a joint is right too.
    """

    def __init__(self, tokenizer: BookTokenizer, word: str, good: Collection[str], letters: str | None = None) -> None:
        """``word``: pattern of a character between joints; ``good``: the joints, see ``Punctuation``.

        ``letters``: the only ones beyond ASCII that may be put together from bytes; None allows any.
        """
        self.tokenizer, self.good = tokenizer, frozenset(good)
        self._beginnings = {joint[:end] for joint in self.good for end in range(1, len(joint))}
        self._endings = {joint[start:] for joint in self.good for start in range(1, len(joint))}
        self._parts = {ending[:end] for ending in self._endings for end in range(1, len(ending))} | self._beginnings
        self.joint = re.compile(f"(?:(?!{word}).)+(?:{word})?", re.DOTALL)
        self._marks = re.compile(f"(?:(?!{word}).)*\\Z", re.DOTALL)
        self._head = re.compile(f"(?:(?!{word}).)*(?:{word})?", re.DOTALL)
        # Tokens whose words begin alike are alike to the rule.
        runs = re.compile(f"(?:{word})+", re.DOTALL)
        self._shape = cache(lambda text: runs.sub(lambda match: shape_of(match.group()[0]), text))
        self._tokens = [tokenizer.token_bytes(NUM_RESERVED + i) for i in range(tokenizer.text_vocab_size)]
        marks = {mark for joint in self.good for mark in joint if not mark.isascii()}
        self._known = None if letters is None else marks | set(letters)
        self._ends = defaultdict[bytes, set[str]](set if letters is not None else lambda: {SMALL, OTHER} | marks)
        for each in marks | set(letters or ""):
            for cut in range(1, len(each.encode())):
                self._ends[each.encode()[:cut]].add(each if each in marks else shape_of(each))
        self._masks: dict[tuple[bytes, Between], Tensor] = {}

    @classmethod
    def white_space(cls, tokenizer: BookTokenizer, *, lines: bool) -> Self:
        """One space between words, one blank line between paragraphs: preparation leaves nothing else in a book.

        lines: the book is of verse or plays, where single line feeds are right too.
        """
        spaces = (" ", BREAK, BREAK[0]) if lines else (" ", BREAK)
        return cls(tokenizer, r"\S", [space + letter for space in spaces for letter in (SMALL, OTHER)])

    @classmethod
    def of_book(cls, tokenizer: BookTokenizer, book: Punctuation) -> Self:
        """Words are joined only as in ``book``: no ",," and no small letter after ". "; and none has other letters."""
        return cls(tokenizer, WORD_CHARACTER, book.joints, book.letters)

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Joints that the book does not have, as far as their tokens are ``free``."""
        text = self.tokenizer.decode(ids)
        wrong = [self._fault(m) for m in self.joint.finditer(text) if not self._is_right(m.group(), cut=not m.start())]
        tokens = tokens_of(token_spans(self.tokenizer, ids), wrong)
        return [(min(own), max(own) + 1) for places in tokens if (own := [i for i in places if free[i]])]

    def allowed(self, place: Place) -> Tensor:
        """Tokens (V,) that leave no wrong joint, and none before or behind them that cannot become right."""
        before = self._marks.search(place.before)
        assert before is not None
        ahead = None if place.behind is None else self._head.match(place.behind)
        between = before.group(), None if ahead is None else self._shape(ahead.group()), not before.start()
        if (key := (place.pending, between)) not in self._masks:
            joins = cache(lambda shape: self._joins(between, shape))
            spelled = (read_bytes(place.pending + token) for token in self._tokens)
            verdicts = [
                self._has_known(text)
                and any(joins(self._shape(text + end)) for end in (self._ends[rest] if rest else [""]))
                for text, rest in spelled
            ]
            self._masks[key] = torch.tensor(verdicts)
        return self._masks[key]

    def _has_known(self, text: str) -> bool:
        """Whether all characters of ``text`` are the book's."""
        return text.isascii() or self._known is None or all(each.isascii() or each in self._known for each in text)

    def _joins(self, between: Between, token: str) -> bool:
        """Whether ``token`` may stand ``between`` two joints."""
        lead, ahead, is_start = between
        for match in self.joint.finditer(lead + token + (ahead or "")):
            (start, end), joint = match.span(), match.group()
            if start >= len(lead) + len(token):  # it stands behind the token
                continue
            right = self._is_right(joint, cut=not start and is_start)
            if not right and (end > len(lead) or joint in self._beginnings):
                return False
        return True

    def _is_right(self, joint: str, *, cut: bool) -> bool:
        """Whether the book has ``joint``, or can have it with more behind it; ``cut``: with more before it."""
        if self._marks.fullmatch(joint):  # no word follows yet
            return joint in (self._parts if cut else self._beginnings)
        shape = shape_of(joint)
        return shape in self.good or (cut and shape in self._endings)

    def _fault(self, match: re.Match[str]) -> Span:
        """What is at fault in a wrong joint: all if only its small letter is, else what stands before the word."""
        start, end = match.span()
        is_word = not self._marks.fullmatch(match.group())
        small_alone = is_word and self._is_right(match.group()[:-1] + OTHER, cut=not start)
        return start, end - (is_word and not small_alone)

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """As many tokens as show a joint that is too long, and what stands beside it."""
        return min(max(map(len, self.good), default=0) + 2, _FAR, len(ids))

    def refusal(self, ids: Sequence[int], free: Sequence[bool]) -> None:
        """Leave the joint: the given text around it may leave no other."""
