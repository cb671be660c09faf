"""What writing gives: finished texts, and how they are taken from a run of states."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import UserError
from ..sampling.denoise import DenoisingState


@dataclass(frozen=True)
class Written:
    """A finished text.

    ids: its tokens. confidence: for each token the probability that it had when it was drawn, 1 where it was given.
    given: which tokens were there before. steps: denoising steps that led to it (all of its block or batch, which may
    have waited for another text), and of mending those that settled something.
    longest_copied_words: words of the longest run that stands in the training text, given words too; None: the text is
    not at hand. sample: its number among the texts that were asked for, from 1. cut: tokens that were written too, but
    cut off behind the last whole sentence.
    """

    text: str
    ids: tuple[int, ...]
    confidence: tuple[float, ...]
    given: tuple[bool, ...]
    steps: int
    longest_copied_words: int | None = None
    sample: int = 1
    cut: int = 0


class Refused(UserError):
    """Some of the texts that were asked for could not be written as the settings want them.

    texts: the others, in their order. reasons: why, by the number of the text, from 1.
    """

    def __init__(self, reasons: Mapping[int, str], texts: list[Written]) -> None:
        self.reasons, self.texts = dict(sorted(reasons.items())), texts
        count = len(reasons) + len(texts)
        first, *others = self.reasons
        more = f" ({len(others)} more were refused: {', '.join(map(str, others))})" if others else ""
        super().__init__(reasons[first] if count == 1 else f"text {first} of {count}: {reasons[first]}{more}")


@dataclass(frozen=True)
class Outcome:
    """What came of each row: its text, or why it is refused."""

    texts: Mapping[int, Written]
    refused: Mapping[int, str]


# Every moment of a run, and its finished texts at the end; raises Refused then where some are not to be had.
Run = Generator[DenoisingState, None, list[Written]]
# The same within this package, before the texts are measured.
Process = Generator[DenoisingState, None, Outcome]


def finish(run: Run) -> list[Written]:
    """The texts of a run, its states not looked at."""
    while True:
        try:
            next(run)
        except StopIteration as done:
            texts: list[Written] = done.value
            return texts


def outcome(
    texts: list[str], ids: Tensor, confidence: Tensor, given: Tensor, steps: int, refused: Mapping[int, str]
) -> Outcome:
    """What came of rows of ids, confidence and what was given, each (B, T), of which some are ``refused``."""
    rows = zip(texts, ids.tolist(), confidence.tolist(), given.tolist(), strict=True)
    kept = {row: columns for row, columns in enumerate(rows) if row not in refused}
    return Outcome(
        {row: Written(text, tuple(i), tuple(c), tuple(g), steps) for row, (text, i, c, g) in kept.items()}, refused
    )
