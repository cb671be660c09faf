"""The novelty guard: it limits how many words in a row are copied from the training text. Given text is exempt.

Slots: slot 2i of a text is its word i; slot 2i + 1 is what stands between the words i and i + 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..data.copies import CopyIndex
from ..data.language.words import split_words, word_spans
from ..data.tokenizer import BookTokenizer
from .layout import Span, token_spans, tokens_of
from .repair import ROUNDS


@dataclass(frozen=True)
class NoveltyGuard:
    """A rule for ``repair``: no run of more than ``limit`` words that holds a written token occurs in the indexed text.

    Words are compared as ``evaluation.text_quality.novelty`` compares them: without case and punctuation, across line
    breaks. A run of given text alone may have any length.
    """

    index: CopyIndex
    tokenizer: BookTokenizer
    limit: int
    patience: int = 0  # bar the words at once: the model is mostly sure of a copy and would draw it again
    rounds: int = ROUNDS

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Tokens whose change breaks every copied run that is too long; few words in a long run, from its end."""
        lengths, slots = self._copied(ids, free)
        chosen = [slots[slot] for slot in breaking_slots(lengths, self.limit, [bool(own) for own in slots])]
        return [(own[0], own[-1] + 1) for own in chosen]

    def completion(self, ids: Sequence[int], free: Sequence[bool], place: Span) -> None:
        """No list says what breaks a copied run: it is drawn again."""

    def give_up(self, ids: Sequence[int], free: Sequence[bool]) -> str:
        """The error about the first run that could not be broken."""
        words = self.first_run(ids, free)
        return (
            f"generation.max_copied_words={self.limit} cannot be kept: after {ROUNDS} draws the text still holds "
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
