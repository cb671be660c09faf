"""The novelty guard: it limits how many words in a row are copied from the training text. Given text is exempt.

Slots: slot 2i of a text is its word i; slot 2i + 1 is what stands between the words i and i + 1.
Shapes: V text vocabulary.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ..data.copies import CopyIndex
from ..data.language.words import split_words, word_spans, words_so_far
from ..data.tokenizer import NUM_RESERVED, BookTokenizer
from .rules import Place, Span, token_spans, tokens_of

_KEPT = 4096  # runs of which the words that follow are kept


class NoveltyGuard:
    """A rule: no run of more than ``limit`` words that holds a written token occurs in the indexed text.

    Words are compared as ``evaluation.text_quality.novelty`` compares them: without case and punctuation, across line
    breaks. A run of given text alone may have any length.
    """

    def __init__(self, index: CopyIndex, tokenizer: BookTokenizer, limit: int) -> None:
        self.index, self.tokenizer, self.limit = index, tokenizer, limit
        self._following = lru_cache(_KEPT)(index.following)
        self._one = defaultdict[tuple[bool, str], list[int]](list)  # tokens of one word, and whether that is a new one
        self._several = defaultdict[str, list[tuple[int, list[str]]]](list)  # by their first word
        self._going_on = list[tuple[int, bytes]]()  # tokens that may go on with a character
        for token in range(tokenizer.text_vocab_size):
            spelled = tokenizer.token_bytes(NUM_RESERVED + token)
            words = split_words(text := spelled.decode("utf-8", "ignore"))
            if len(words) == 1:
                self._one[bool(words_so_far("a" + text)[0]), words[0]].append(token)
            elif words:
                self._several[words[0]].append((token, words))
            if spelled[0] & 0xC0 == 0x80:
                self._going_on.append((token, spelled))
        self._most = max((len(words) for group in self._several.values() for _, words in group), default=1)

    def allowed(self, place: Place) -> Tensor | None:
        """Tokens (V,) after which no run is too long, and the word in progress is no beginning of one that makes it so.

        None if no run is near the limit.
        """
        words, begun = words_so_far(place.before)
        ended = [*words, begun] if begun else words
        barred = [token for start in self._starts(words, begun) for token in self._one[False, start]]
        barred += [token for start in self._starts(ended, "") for token in self._one[True, start]]
        near = ended[len(ended) - max(0, self.limit + 1 - self._most) :]
        if self._most > 1 and len(ended) + self._most > self.limit:
            for first in self._following(tuple(near)) if near else list(self._several):
                barred += [t for t, own in self._several.get(first, ()) if self._breaks([*ended, *own], len(ended))]
        for token, spelled in self._going_on if place.pending else ():
            text = place.before + (place.pending + spelled).decode("utf-8", "ignore")
            if self._breaks(split_words(text), len(words)):
                barred.append(token)
        if not barred:
            return None
        mask = torch.ones(self.tokenizer.text_vocab_size, dtype=torch.bool)
        mask[barred] = False
        return mask

    def _starts(self, words: Sequence[str], begun: str) -> list[str]:
        """What could go on with ``begun`` towards a word that makes the run of the ``words`` before it too long."""
        if len(words) < self.limit:
            return []
        onward = [word[len(begun) :] for word in self._following(tuple(words[-self.limit :])) if word.startswith(begun)]
        return [word[:end] for word in onward for end in range(1, len(word) + 1)]

    def _breaks(self, words: Sequence[str], first: int) -> bool:
        """Whether one of ``words`` from number ``first`` on ends a run that is too long."""
        ends = range(max(first, self.limit), len(words))
        return any(words[end] in self._following(tuple(words[end - self.limit : end])) for end in ends)

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Tokens whose change breaks every copied run that is too long; few words in a long run, from its end."""
        lengths, slots = self._copied(ids, free)
        chosen = [slots[slot] for slot in breaking_slots(lengths, self.limit, [bool(own) for own in slots])]
        return [(own[0], own[-1] + 1) for own in chosen]

    def refusal(self, ids: Sequence[int], free: Sequence[bool]) -> str:
        """The error about the first run that could not be broken."""
        words = self.first_run(ids, free)
        return (
            f"generation.max_copied_words={self.limit} cannot be kept: the text still holds "
            f'{len(words)} words of the training text, "{" ".join(words)}"; raise the limit or generation.temperature'
        )

    def first_run(self, ids: Sequence[int], free: Sequence[bool]) -> list[str]:
        """The words of the first run that is too long; empty if the text keeps the rule."""
        lengths, slots = self._copied(ids, free)
        for slot, _ in offending_windows(lengths, self.limit, [bool(own) for own in slots]):
            first = slot // 2
            while first and lengths[first - 1] == lengths[first] + 1:  # given words before it
                first -= 1
            return split_words(self.tokenizer.decode(ids))[first : first + lengths[first]]
        return []

    def run_across(self, before: Sequence[int], ids: Sequence[int], behind: Sequence[int]) -> list[str]:
        """The words of the first run that is too long and holds some of the written tokens ``ids``."""
        near = before[len(before) - self.reach(before) :]
        far = behind[: self.reach(behind, behind=True)]
        return self.first_run([*near, *ids, *far], len(near) * [False] + len(ids) * [True] + len(far) * [False])

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """Number of tokens at the end of ``ids`` with ``limit`` whole words, or all: a longer run is there already.

        ``behind``: at their beginning.
        """
        size = 8 * (self.limit + 2)

        def words() -> int:
            return len(split_words(self.tokenizer.decode(ids[:size] if behind else ids[-size:])))

        # One word more than needed, because the outermost may be cut.
        while size < len(ids) and words() < self.limit + 2:
            size *= 2
        return min(size, len(ids))

    def _copied(self, ids: Sequence[int], free: Sequence[bool]) -> tuple[list[int], list[list[int]]]:
        """For each word, how many words from it on are copied, and the free tokens of each slot.

        Empty if no run is too long.
        """
        text = self.tokenizer.decode(ids)
        match = self.index.match([text])[0]
        if match.longest <= self.limit:
            return [], []
        words = tokens_of(token_spans(self.tokenizer, ids), word_spans(text))
        between = [range(left.stop, right.start) for left, right in zip(words, words[1:], strict=False)]
        slots = [slot for pair in zip(words, [*between, range(0)], strict=True) for slot in pair]
        return match.length.tolist(), [[i for i in slot if free[i]] for slot in slots]


def offending_windows(lengths: Sequence[int], limit: int, free: Sequence[bool]) -> Iterator[Span]:
    """First and last slot of each copied run of ``limit`` + 1 words with a ``free`` slot in it, from left to right.

    ``lengths``: for each word, how many words from it on are copied.
    """
    for word, length in enumerate(lengths):
        first, last = 2 * word, 2 * (word + limit)
        if length > limit and any(free[first : last + 1]):
            yield first, last


def breaking_slots(lengths: Sequence[int], limit: int, free: Sequence[bool]) -> list[int]:
    """Free slots, at least one in every offending window, each as far right as possible; words rather than gaps.

    If each window has a free word, they are as few as possible.
    """
    chosen: list[int] = []
    for first, last in offending_windows(lengths, limit, free):
        if not chosen or chosen[-1] < first:
            own = [slot for slot in range(first, last + 1) if free[slot]]
            chosen.append(max([slot for slot in own if slot % 2 == 0] or own))
    return chosen
