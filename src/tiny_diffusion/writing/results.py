"""What writing gives: states that say which text they belong to, and finished texts.

Shapes: B rows, T tokens.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from html import escape

from torch import Tensor

from ..data.tokenizer import BookTokenizer
from ..errors import UserError
from ..sampling.denoise import DenoisingState


@dataclass(frozen=True)
class Stretch:
    """The part of a text that one row of a state writes.

    text: number of the text, from 0. start: where the part begins in the finished text, in tokens. first, last: its
    first place in the row and the one after its last. draw: number of the attempt; later states of the same text and
    draw show the same attempt.
    """

    text: int
    start: int
    first: int
    last: int
    draw: int = 0

    @classmethod
    def whole(cls, rows: int, length: int) -> "tuple[Stretch, ...]":
        """For each row: the whole of its own text of ``length`` tokens."""
        return tuple(cls(row, 0, 0, length) for row in range(rows))


@dataclass(frozen=True)
class WritingState(DenoisingState):
    """A moment of writing. Its reader may write into ids and confidence.

    given: bool (B, T), the tokens that were there before. stretches: for each of the B rows, which text it writes.
    """

    given: Tensor
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True)
class Written:
    """A finished text.

    ids: its tokens. confidence: the probability with which each token was drawn, 1 if it was given. given: which
    tokens were there before. steps: denoising steps of its block or batch, plus steps of repair that settled something.
    longest_copied_words: words in the longest run that also occurs in the training text, given words included; None if
    the training text is not at hand. sample: its number among the requested texts, from 1. cut: tokens that were cut
    off after the last whole sentence. stretches: where the states of the run show it.
    """

    text: str
    ids: tuple[int, ...]
    confidence: tuple[float, ...]
    given: tuple[bool, ...]
    steps: int
    longest_copied_words: int | None = None
    sample: int = 1
    cut: int = 0
    stretches: tuple[Stretch, ...] = field(default=(), compare=False, repr=False)

    def cut_after(self, kept: int, tokenizer: BookTokenizer) -> "Written":
        """Its first ``kept`` tokens."""
        ids = self.ids[:kept]
        return replace(
            self,
            text=tokenizer.decode(ids),
            ids=ids,
            confidence=self.confidence[:kept],
            given=self.given[:kept],
            cut=len(self.ids) - kept,
        )

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        longest = self.longest_copied_words
        copied = "" if longest is None else f", longest run of words copied: {longest}"
        text = f'<blockquote style="white-space: pre-wrap">{escape(self.text)}</blockquote>'
        return f"{text}<small>{self.steps} steps{copied}</small>"


class Refused(UserError):
    """Some of the requested texts could not be written as the settings require.

    texts: the others, in order. reasons: why, by the number of the text, from 1.
    """

    def __init__(self, reasons: Mapping[int, str], texts: list[Written]) -> None:
        self.reasons, self.texts = dict(sorted(reasons.items())), texts
        count = len(reasons) + len(texts)
        first, *others = self.reasons
        more = f" ({len(others)} more were refused: {', '.join(map(str, others))})" if others else ""
        super().__init__(reasons[first] if count == 1 else f"text {first} of {count}: {reasons[first]}{more}")


@dataclass(frozen=True)
class Outcome:
    """The texts by number, from 0, and the reasons for those that are refused."""

    texts: Mapping[int, Written]
    refused: Mapping[int, str]

    @classmethod
    def of(cls, texts: list[str], last: WritingState, refused: Mapping[int, str]) -> "Outcome":
        """The outcome of a run whose ``last`` state has one row per text and counts all steps."""
        rows = zip(texts, last.ids.tolist(), last.confidence.tolist(), last.given.tolist(), last.stretches, strict=True)
        return cls(
            {
                stretch.text: Written(text, tuple(ids), tuple(sure), tuple(given), last.steps, stretches=(stretch,))
                for text, ids, sure, given, stretch in rows
                if stretch.text not in refused
            },
            refused,
        )


Run = Generator[WritingState, None, list[Written]]
"""Every moment of a run, then its finished texts; raises ``Refused`` at the end if some texts are missing."""
Process = Generator[WritingState, None, Outcome]
"""The same within this package, before the texts are measured."""
