"""Breaks the likelihood down by difficulty of the text, by mask rate, and by the formats of the stages."""

import math
from collections import defaultdict
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from ...config import EvaluationConfig
from ...config.curriculum_config import REFINEMENT, Format
from ...data.artefacts import Processed
from ...data.curriculum import build_stage, encode_examples
from ...data.difficulty import Difficulty, score_sentences
from ...data.sentences import Sentence, long_enough, sentences_of
from ...data.splitting import Passage
from ...data.tokenizer import NUM_RESERVED, BookTokenizer
from ...errors import UserError
from ...model.likelihood import hidden_count, uniform_mask_losses
from ...model.transformer import Transformer
from ..subject import Step, Subject
from .bound import THIRDS, HeldOut, IntArray, model_nats

RATES = tuple(i / 10 for i in range(1, 10))
BREAKDOWN = "likelihood by mask rate and by format"  # the step's name
FORMATS = get_args(Format)
# A format takes as long as this many mask rates, because only examples of equal length share a batch: 3 times as
# long with a context of 128 tokens, 8 times with one of 64.
FORMAT_COST = 4


def breakdown_units(causal: bool) -> int:
    """Passes of all windows through the network per draw of the breakdown, weighted by the time they take."""
    return (0 if causal else len(RATES)) + FORMAT_COST * len(FORMATS)


@dataclass(frozen=True)
class MaskRate:
    """Cross-entropy in nats per hidden token if a share ``rate`` of a window's tokens is hidden."""

    rate: float
    nats_per_token: float


@dataclass(frozen=True)
class FormatLikelihood:
    """Bits per byte of the held-out text in the format of a stage; bound or exact, as in the first row of the table."""

    format: str
    examples: int
    tokens: int
    bits_per_byte: float


@dataclass(frozen=True)
class HeldOutSentences:
    """The held-out sentences in book order, with their difficulty as percentiles among the training sentences."""

    sentences: list[Sentence]
    difficulty: Difficulty

    def take(self, kept: list[int]) -> "HeldOutSentences":
        """The sentences at the positions ``kept``."""
        old = self.difficulty
        scores = {name: values[kept] for name, values in old.scores.items()}
        difficulty = Difficulty(scores, old.combined[kept], old.notes, old.language)
        return HeldOutSentences([self.sentences[i] for i in kept], difficulty)


def score_held_out(data: Processed, split: str) -> HeldOutSentences:
    """Score all sentences of ``split``; everything that is fitted comes from the training sentences alone."""
    training = [s.text for s in data.sentences]
    sentences = sentences_of([p for p in data.passages if p.split == split], data.language)
    texts = training + [s.text for s in sentences]
    difficulty = score_sentences(texts, data.language, data.pipeline, fit=len(training))
    everything = HeldOutSentences([*data.sentences, *sentences], difficulty)
    return everything.take(list(range(len(training), len(texts))))


def window_thirds(held: HeldOut, passages: list[Passage], scored: HeldOutSentences) -> IntArray | None:
    """Return each window's third by difficulty, 0 easiest to 2 hardest; None below three windows.

    The difficulty of a window is the mean over its sentences, each weighted by its bytes in the window.
    """
    if len(held.windows) < THIRDS:
        return None
    by_passage: dict[int, list[tuple[str, float]]] = defaultdict(list)
    for sentence, value in zip(scored.sentences, scored.difficulty.combined.tolist(), strict=True):
        by_passage[sentence.passage].append((sentence.text, value))
    of_bytes = [_difficulty_of_bytes(p.text, by_passage[p.index]) for p in passages]
    places = zip(held.passage.tolist(), held.start.tolist(), held.bytes.tolist(), strict=True)
    values = [of_bytes[p][start : start + size].mean() for p, start, size in places]
    third = np.empty(len(values), dtype=np.int64)
    for number, members in enumerate(np.array_split(np.argsort(values, kind="stable"), THIRDS)):
        third[members] = number
    return third


def window_books(held: HeldOut, passages: list[Passage], source: str) -> tuple[IntArray | None, list[str]]:
    """Return the place of each window's book among the books that have windows, and their names; (None, []) for one.

    ``source`` names the books, in order, with " + " between them.
    """
    numbers, place = np.unique([passages[i].book for i in held.passage], return_inverse=True)
    if len(numbers) < 2:
        return None, []
    names = source.split(" + ")
    return place, [names[n] if n < len(names) else f"book {n + 1}" for n in numbers.tolist()]


def _difficulty_of_bytes(text: str, sentences: list[tuple[str, float]]) -> np.ndarray:
    """For each UTF-8 byte of ``text`` the difficulty of its sentence; white space belongs to the sentence before it."""
    values, begun, end, last = [], 0, 0, 0.0
    for sentence, value in sentences:
        start = text.index(sentence, end)
        values.append(np.full(len(text[begun:start].encode("utf-8")), last))
        begun, end, last = start, start + len(sentence), value
    values.append(np.full(len(text[begun:].encode("utf-8")), last))
    return np.concatenate(values)


def mask_rate_curve(model: Transformer, windows: list[Tensor], settings: EvaluationConfig) -> Iterator[MaskRate]:
    """Nats per hidden token at each rate 0.1 ... 0.9.

    Exactly that share of a window is hidden (rounded up), in ``settings.breakdown_draws`` masks per window.
    """
    lengths = torch.tensor([len(w) for w in windows])
    generator, draws = torch.Generator().manual_seed(settings.seed), range(settings.breakdown_draws)
    for rate in RATES:
        found = [uniform_mask_losses(model, windows, rate, settings.batch_size, generator) for _ in draws]
        hidden = hidden_count(lengths, rate).double()
        yield MaskRate(rate, float((torch.stack(found).mean(0) * hidden).sum() / hidden.sum()))


def format_examples(data: Processed, split: str, scored: HeldOutSentences) -> dict[str, list[tuple[str, ...]]]:
    """Sentences, pairs and paragraphs of ``split``, made by the stages' own code without the stages' limits.

    Short sentences are left out, as in training. A format of which the text has no example is left out.
    """
    kept = [i for i, s in enumerate(scored.sentences) if long_enough(s.text, data.pipeline.min_sentence_words)]
    part = scored.take(kept)
    paragraphs = {p.index: p.paragraphs for p in data.passages if p.split == split}
    found = {}
    for name in FORMATS:
        stage = REFINEMENT.model_copy(update={"name": f"held-out {name}", "format": name})
        try:
            found[name] = build_stage(stage, part.sentences, part.difficulty, paragraphs)
        except UserError:  # an empty stage is an error, but a short held-out text may lack a format
            continue
    return found


def break_down(
    subject: Subject, windows: list[Tensor], scored: HeldOutSentences
) -> Generator[Step, None, tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Yield steps; return the curve over mask rates (empty if autoregressive) and a row per format, as plain data."""
    model, settings = subject.model, subject.settings
    total = breakdown_units(model.config.causal)
    yield Step(BREAKDOWN, 0, total)
    rates: list[MaskRate] = []
    for rate in () if model.config.causal else mask_rate_curve(model, windows, settings):
        rates.append(rate)
        yield Step(BREAKDOWN, len(rates), total)
    formats: list[FormatLikelihood] = []
    for name, examples in format_examples(subject.data, settings.split, scored).items():
        if settings.windows:
            examples = examples[:: -(-len(examples) // settings.windows)]
        formats.append(format_likelihood(model, subject.tokenizer, name, examples, settings))
        yield Step(BREAKDOWN, len(rates) + FORMAT_COST * len(formats), total)
    return [asdict(rate) for rate in rates], [asdict(row) for row in formats]


def format_likelihood(
    model: Transformer, tokenizer: BookTokenizer, name: str, examples: list[tuple[str, ...]], settings: EvaluationConfig
) -> FormatLikelihood:
    """Bits per byte of ``examples``, each scored by itself; one that exceeds the context is cut into several pieces."""
    encoded = [torch.tensor(ids) for ids in encode_examples(examples, tokenizer, model.config.vocab_level)]
    pieces = [piece for ids in encoded for piece in ids.split(model.config.context)]
    pieces = [piece for piece in pieces if bool((piece >= NUM_RESERVED).any())]
    nats = model_nats(model, pieces, settings.breakdown_draws, settings.batch_size, settings.seed).sum()
    size = sum(len(tokenizer.token_bytes(i)) for piece in pieces for i in piece.tolist())
    tokens = sum(int((piece >= NUM_RESERVED).sum()) for piece in pieces)
    return FormatLikelihood(name, len(examples), tokens, float(nats / size / math.log(2)))
