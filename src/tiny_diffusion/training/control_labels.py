"""What training rows are like: the levels of the learnt controls, measured on the book's own text.

Shapes: N tokens of all stages, P pieces, R rows, M measures of a token, K controls.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from ..config.generation_config import CONTROLS
from ..data.artefacts import Processed
from ..data.language.dialogue import spoken
from ..data.language.segmentation import split_sentences
from ..data.language.words import split_words
from .rows import Examples, Layout

MEASURES = ("sentence_length", "dialogue", "difficulty")  # the fourth control, the stage, is known for each row
UNKNOWN, SILENT = -1, -2  # no measure at all; outside any quotation
SCALE = 1000  # shares are kept as whole thousandths
# Dialogue has fixed bounds rather than thirds: next to none of the text, some of it, and most of it.
DIALOGUE_BOUNDS = (0.05, 0.5)
PARAGRAPH_BREAK = "\n\n"
UNLABELLED = ""  # the format of a stage whose rows get no level of any control

Measures = npt.NDArray[np.int32]


def measure_bytes(text: str, language: str, difficulty: Mapping[str, float]) -> Measures:
    """For each UTF-8 byte of ``text``: words of its sentence, place in a quotation, difficulty of its sentence.

    The result is int32 (bytes, M), UNKNOWN where there is no sentence with a word, or no score of it. The place in a
    quotation counts bytes from its opening mark and is SILENT outside; difficulties are multiplied by SCALE.
    """
    parts: list[Measures] = []
    for i, paragraph in enumerate(text.split(PARAGRAPH_BREAK)):
        if i:
            parts.append(np.full((len(PARAGRAPH_BREAK), len(MEASURES)), UNKNOWN, dtype=np.int32))
        characters = np.full((len(paragraph), len(MEASURES)), UNKNOWN, dtype=np.int32)
        sizes = np.array([len(character.encode("utf-8")) for character in paragraph], dtype=np.int64)
        characters[:, 1] = _since_opening(spoken(paragraph), sizes.cumsum() - sizes)
        end = 0
        for sentence in split_sentences(paragraph, language):
            start = paragraph.index(sentence, end)
            end = start + len(sentence)
            words = len(split_words(sentence))
            if words:
                characters[start:end, 0] = words
            if sentence in difficulty:
                characters[start:end, 2] = round(SCALE * difficulty[sentence])
        parts.append(characters.repeat(sizes, axis=0))
    return np.concatenate(parts)


def _since_opening(inside: npt.NDArray[np.bool_], places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Distance of each character, at ``places``, from the first of its run of ``inside``; SILENT outside."""
    opens = inside & ~np.concatenate(([False], inside[:-1]))
    opening = np.maximum.accumulate(np.where(opens, np.arange(len(inside)), 0))
    return np.where(inside, places - places[opening], SILENT)


def measure_tokens(
    segments: Sequence[str], sizes: npt.NDArray[np.int64], language: str, difficulty: Mapping[str, float]
) -> Measures:
    """Measures (N, M) of the first byte of each token of an example that consists of ``segments``.

    ``sizes`` (N,): bytes of each token, 0 for the tokens between segments, which are UNKNOWN. The place in a quotation
    counts tokens here.
    """
    found = np.full((len(sizes), len(MEASURES)), UNKNOWN, dtype=np.int32)
    of_text = np.concatenate([measure_bytes(text, language, difficulty) for text in segments])
    own, starts = np.flatnonzero(sizes > 0), (sizes.cumsum() - sizes)[sizes > 0]
    found[own] = of_text[starts]
    quoted = found[own, 1] >= 0
    opening = np.searchsorted(starts, starts[quoted] - found[own[quoted], 1], side="right") - 1
    found[own[quoted], 1] = own[quoted] - own[opening]
    return found


class ControlLabels:
    """Levels of the controls for pieces of the stream that holds all stages.

    Sentence length and difficulty have three levels, which divide the last stage's pieces of ``context`` tokens into
    thirds; dialogue has the fixed DIALOGUE_BOUNDS. Lengths and difficulties are means over tokens. A token counts as
    spoken only if its quotation opens within the piece: a reader of the piece alone could not see it otherwise.
    """

    def __init__(self, measures: Tensor, ends: Sequence[int], formats: Sequence[str], last: Layout) -> None:
        """``measures`` (N, M) of the stream's tokens; ``ends`` and ``formats`` of the stages in it.

        ``last``: pieces of the last stage, whose thirds bound the levels of lengths and difficulties. A format that is
        no level of ``generation.stage`` has level 0: the model learns no control of it.
        """
        self.measures = measures
        self.ends = torch.tensor(ends)
        known = {name: level for level, name in enumerate(CONTROLS["stage"], 1)}
        self.stages = torch.tensor([known.get(name, 0) for name in formats])
        means = self._means(last)
        thirds = torch.tensor([1 / 3, 2 / 3], dtype=means.dtype)
        # The bounds of a measure that no piece has are NaN, and divide nothing.
        bounds = [means[:, m].nanquantile(thirds) for m in range(len(MEASURES))]
        bounds[MEASURES.index("dialogue")] = SCALE * torch.tensor(DIALOGUE_BOUNDS, dtype=means.dtype)
        self.bounds = bounds

    def _means(self, layout: Layout) -> Tensor:
        """Mean (P, M) of each measure over the tokens of each piece where it is known; NaN where it never is."""
        tokens = layout.tokens()
        owner = torch.arange(len(layout.lengths)).repeat_interleave(layout.lengths)
        inside = tokens < len(self.measures)  # the model itself wrote the tokens behind them
        values = self.measures[tokens[inside]]
        known = values != UNKNOWN
        opened = values[:, 1] <= (tokens - layout.starts[owner])[inside]
        values = values.double()
        values[:, 1] = SCALE * ((values[:, 1] >= 0) & opened)
        sums = torch.zeros(2, len(layout.lengths), len(MEASURES), dtype=torch.float64)
        sums[0].index_add_(0, owner[inside], values * known)
        sums[1].index_add_(0, owner[inside], known.double())
        return sums[0] / sums[1]

    def levels(self, layout: Layout) -> Tensor:
        """Levels (P, K) of the pieces of ``layout``, from 1; 0 where nothing is known."""
        means = self._means(layout)
        found = [torch.bucketize(means[:, m].contiguous(), bounds) + 1 for m, bounds in enumerate(self.bounds)]
        stage = torch.bucketize(layout.starts, self.ends, right=True)
        inside = stage < len(self.stages)
        found.append(torch.where(inside, self.stages[stage.where(inside, 0)], 0))
        unknown = torch.cat([means.isnan(), torch.zeros(len(means), 1, dtype=torch.bool)], dim=1)
        return torch.stack(found, dim=1).masked_fill(unknown, 0)


def drop_controls(levels: Tensor, dropout: float, generator: Generator) -> Tensor:
    """Set ``levels`` (R, P, K) to 0, unknown: all in a share ``dropout`` of the rows, half of the controls in others.

    So the model also learns the text without any control, which guidance (Ho & Salimans 2022) and the likelihood need,
    and each control without the others.
    """
    rows, _, controls = levels.shape
    kept = torch.rand(rows, 1, 1, generator=generator) >= dropout
    return levels * (kept & (torch.rand(rows, 1, controls, generator=generator) < 0.5))


def nothing_known(encoded: Examples) -> Tensor:
    """Measures (N, M) of text that teaches no control: all UNKNOWN."""
    return torch.full((len(encoded.ids), len(MEASURES)), UNKNOWN, dtype=torch.int32)


def measure_examples(examples: Sequence[Sequence[str]], encoded: Examples, data: Processed) -> Tensor:
    """Measures (N, M) of a stage's tokens; ``examples`` are the texts of ``encoded``, segment by segment."""
    scored = zip(data.sentences, data.difficulty.combined, strict=True)
    difficulty = {sentence.text: float(score) for sentence, score in scored}
    sizes = np.array([len(data.tokenizer.token_bytes(i)) for i in range(data.tokenizer.vocab_size)])
    found = [
        measure_tokens(segments, sizes[encoded[i]], data.language, difficulty) for i, segments in enumerate(examples)
    ]
    return torch.from_numpy(np.concatenate(found))
