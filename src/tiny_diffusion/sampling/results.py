"""What writing gives: finished texts, and how they are taken from a run of states."""

from collections.abc import Generator
from dataclasses import dataclass

from torch import Tensor

from .denoise import DenoisingState


@dataclass(frozen=True)
class Written:
    """A finished text.

    ids: its tokens. confidence: for each token the probability that it had when it was drawn, 1 where it was given.
    given: which tokens were there before. steps: denoising steps, those of each block, and of mending
    those that settled something.
    longest_copied_words: words of the longest run that stands in the training text, given words too; None: the text is
    not at hand.
    """

    text: str
    ids: tuple[int, ...]
    confidence: tuple[float, ...]
    given: tuple[bool, ...]
    steps: int
    longest_copied_words: int | None = None


# Every moment of a run, and its finished texts at the end.
Run = Generator[DenoisingState, None, list[Written]]


def finish(run: Run) -> list[Written]:
    """The texts of a run, its states not looked at."""
    while True:
        try:
            next(run)
        except StopIteration as done:
            texts: list[Written] = done.value
            return texts


def written(texts: list[str], ids: Tensor, confidence: Tensor, given: Tensor, steps: int) -> list[Written]:
    """The results of rows of ids, confidence and what was given, each (B, T)."""
    rows = zip(texts, ids.tolist(), confidence.tolist(), given.tolist(), strict=True)
    return [Written(text, tuple(i), tuple(c), tuple(g), steps) for text, i, c, g in rows]
