"""What the sheet can mark in any text: words that surprise the model, and runs copied from its book."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import EvaluationConfig
from ..data.copies import CopyIndex
from ..data.folder import read_passages
from ..data.language.words import word_spans
from ..errors import UserError
from ..evaluation.likelihood.surprisal import Surprisal, score_text
from ..evaluation.text_quality.novelty import MARKED
from ..runtime import autocast
from .line import Event
from .shelf import Volume

LONGEST_STRETCH = 4_000  # characters without a space: the time of ``word_spans`` grows with their square
MARGIN = 12
"""Words of the book that are shown before and after a copied run."""


def surprise_events(volume: Volume, text: str) -> Generator[Event, None, None]:
    """``progress`` for each window of the text, then ``words``: each with its surprisal in bits, and bits per byte."""
    settings = EvaluationConfig(draws=1)  # the bound over random masks is not shown
    model, writer = volume.writer.model, volume.writer
    with autocast(writer.device, volume.settings.precision):
        for event in score_text(model, writer.tokenizer, text, model.config.vocab_level, settings):
            if isinstance(event, Surprisal):
                words = [[word.text, round(word.bits, 1)] for word in event.words]
                yield "words", {"words": words, "bits_per_byte": round(event.bits_per_byte, 3)}
            else:
                yield "progress", {"done": event.done, "total": event.total}
    yield "done", {}


@dataclass(frozen=True)
class Book:
    """The training passages of a prepared book: an index of them, and where each stands in the whole book."""

    index: CopyIndex
    places: list[float]

    @classmethod
    def read(cls, folder: Path) -> "Book":
        """Read a prepared book. A place is the share of the book's characters before a passage."""
        places, before, texts = [], 0, []
        for passage in read_passages(folder):
            if passage.split == "train":
                places.append(float(before))
                texts.append(passage.text)
            before += len(passage.text)
        return cls(CopyIndex(texts), [place / max(1, before) for place in places])

    def copied(self, text: str) -> list[dict[str, Any]]:
        """The runs of MARKED words or more that stand in the book, in order, each with its place in the book.

        A run that lies within the one before it is left out. Raises UserError for a very long stretch without a space.
        """
        if any(len(stretch) > LONGEST_STRETCH for stretch in text.split()):
            raise UserError(
                f"the text has over {LONGEST_STRETCH:,} characters without a space; copies are not looked up"
            )
        [match] = self.index.match([text])
        spans, found, end = word_spans(text), [], 0
        for start in (match.length >= MARKED).nonzero()[0].tolist():
            words = int(match.length[start])
            if start + words <= end:
                continue
            end = start + words
            owner, excerpt = self.index.passage(int(match.place[start]), words, MARGIN)
            place, run = round(self.places[owner], 4), {"start": spans[start][0], "end": spans[end - 1][1]}
            found.append({**run, "words": words, "place": place, "excerpt": excerpt})
        return found
