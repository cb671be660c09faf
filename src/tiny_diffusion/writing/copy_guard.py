"""The novelty guard: no more than so many words in a row are copied from the training text, but for what was given.

Slots: slot 2i of a text is its word i, slot 2i + 1 what stands between the words i and i + 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..data.copies import CopyIndex
from ..data.language.words import split_words, word_spans
from ..data.tokenizer import BookTokenizer
from .mending import ROUNDS
from .spans import Span, token_spans, tokens_of


@dataclass(frozen=True)
class NoveltyGuard:
    """A rule for ``mend``: no run of more than ``limit`` words with a written token in it stands in the indexed text.

    Words are compared as ``evaluation.novelty`` compares them: without case and punctuation, across line breaks.
    A run of given text alone may be as long as it likes.
    """

    index: CopyIndex
    tokenizer: BookTokenizer
    limit: int
    patience: int = 0  # the same words would be drawn again and again: a copy is mostly a sure one

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Tokens whose change breaks every copied run: of a long run those of every so many-th word, from its end."""
        lengths, slots = self._copied(ids, free)
        chosen = [slots[slot] for slot in breaking_slots(lengths, self.limit, [bool(own) for own in slots])]
        return [(own[0], own[-1] + 1) for own in chosen]

    def give_up(self, ids: Sequence[int], free: Sequence[bool]) -> str:
        """An error's words about the first run that could not be broken."""
        words = self.first_run(ids, free)
        return (
            f"generation.max_copied_words={self.limit} cannot be kept: after {ROUNDS} draws the text still holds "
            f'{len(words)} words of the training text, "{" ".join(words)}"; raise the limit or generation.temperature'
        )

    def first_run(self, ids: Sequence[int], free: Sequence[bool]) -> list[str]:
        """The words of the first run that is too long; none where the text keeps the rule."""
        lengths, slots = self._copied(ids, free)
        for slot, _ in offending_windows(lengths, self.limit, [bool(own) for own in slots]):
            first = slot // 2
            while first and lengths[first - 1] == lengths[first] + 1:  # given words before it
                first -= 1
            return split_words(self.tokenizer.decode(ids))[first : first + lengths[first]]
        return []

    def run_across(self, before: Sequence[int], ids: Sequence[int], behind: Sequence[int]) -> list[str]:
        """The words of the first run that is too long and has some of the written tokens ``ids`` in it."""
        near = before[len(before) - self.reach(before) :]
        far = behind[: self.reach(behind, behind=True)]
        return self.first_run([*near, *ids, *far], len(near) * [False] + len(ids) * [True] + len(far) * [False])

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """Tokens at the end of ``ids`` with ``limit`` whole words, or all: a longer run stands there already.

        ``behind``: at their beginning.
        """
        size = 8 * (self.limit + 2)

        def words() -> int:
            return len(split_words(self.tokenizer.decode(ids[:size] if behind else ids[-size:])))

        # One word more than needed, for the outermost may be cut.
        while size < len(ids) and words() < self.limit + 2:
            size *= 2
        return min(size, len(ids))

    def _copied(self, ids: Sequence[int], free: Sequence[bool]) -> tuple[list[int], list[list[int]]]:
        """For each word how many words from it on stand in the source, and the free tokens of each slot.

        Nothing when no run is too long.
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

    lengths: for each word how many words from it on are copied.
    """
    for word, length in enumerate(lengths):
        first, last = 2 * word, 2 * (word + limit)
        if length > limit and any(free[first : last + 1]):
            yield first, last


def breaking_slots(lengths: Sequence[int], limit: int, free: Sequence[bool]) -> list[int]:
    """Free slots, at least one in every offending window, each as far to the right as can be; words if there are any.

    Where each window has a free word they are as few as possible.
    """
    chosen: list[int] = []
    for first, last in offending_windows(lengths, limit, free):
        if not chosen or chosen[-1] < first:
            own = [slot for slot in range(first, last + 1) if free[slot]]
            chosen.append(max([slot for slot in own if slot % 2 == 0] or own))
    return chosen
