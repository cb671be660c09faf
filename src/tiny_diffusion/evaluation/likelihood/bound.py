"""Held-out windows, the nats that a model needs for each, and the figures computed from them (protocol 1)."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...data.ngrams import FloatArray, IntArray, count_tokens
from ...data.tokenizer import BOS, NUM_RESERVED, BookTokenizer
from ...model.autoregressive import autoregressive_nats
from ...model.likelihood import likelihood_bound
from ...model.transformer import Transformer

THIRDS = 3


@dataclass(frozen=True)
class HeldOut:
    """Held-out windows of ids. Arrays have one entry per window.

    passage: number of the text that contains the window. start: the byte of that text at which it begins. bytes: its
    length in UTF-8. third: 0 for the easiest third of the windows, 2 for the hardest; None if unknown. book: place of
    its book among those of the report; None for one book. level_1_bytes: bytes per token at vocabulary level 1, over
    all the texts.
    """

    windows: list[Tensor]
    passage: IntArray
    start: IntArray
    bytes: IntArray
    level_1_bytes: float
    third: IntArray | None = None
    book: IntArray | None = None

    @property
    def tokens(self) -> int:
        """Number of tokens in all windows."""
        return sum(len(w) for w in self.windows)


@dataclass(frozen=True)
class Difference:
    """A row's bits per byte minus the model's on the same windows, with the 95 % interval by paired bootstrap."""

    bits_per_byte: float
    low: float
    high: float


@dataclass(frozen=True)
class Likelihood:
    """A row of the table of likelihoods.

    * bits_per_byte, with its 95 % interval from low to high.
    * perplexity: per token of the evaluated model's vocabulary, whatever the units of the row's own model are.
    * perplexity_level_1: the same bits per byte as perplexity per token of vocabulary level 1.
    * thirds: bits per byte of the easiest, the middle and the hardest third of the windows; empty below three windows.
    * against_model: None for the model's own first row.
    * books: bits per byte of each book, in the order of the report's books; empty for one book.
    """

    name: str
    bits_per_byte: float
    low: float
    high: float
    perplexity: float
    perplexity_level_1: float
    thirds: list[float]
    against_model: Difference | None = None
    books: list[float] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Resampled:
    """Bits per byte of all windows, and of resamples of their passages: [resamples]."""

    bits_per_byte: float
    draws: FloatArray


def held_out(texts: list[str], tokenizer: BookTokenizer, level: int, context: int, most: int) -> HeldOut:
    """Cut ``texts`` into windows of ``context`` tokens (protocol 1), none across two texts; the short last one is kept.

    ``most`` above 0 keeps that many windows, evenly spread. Bytes are counted from the bytes of the tokens.
    """
    found: list[tuple[int, int, int, Tensor]] = []
    for i, text in enumerate(texts):
        start = 0
        for window in torch.tensor(tokenizer.encode(text, level), dtype=torch.long).split(context):
            size = sum(len(tokenizer.token_bytes(t)) for t in window.tolist())
            found.append((i, start, size, window))
            start += size
    if 0 < most < len(found):
        found = [found[i * len(found) // most] for i in range(most)]
    owner, starts, sizes, windows = zip(*found, strict=True)
    level_1 = sum(len(text.encode("utf-8")) for text in texts) / sum(len(tokenizer.encode(t, 1)) for t in texts)
    return HeldOut(list(windows), np.array(owner), np.array(starts), np.array(sizes), level_1)


def model_nats(model: Transformer, windows: list[Tensor], draws: int, batch_size: int, seed: int) -> FloatArray:
    """Nats of each window: the any-order bound, or the exact likelihood of an autoregressive model."""
    if model.config.causal:
        return autoregressive_nats(model, windows, BOS, batch_size).numpy()
    return likelihood_bound(model, windows, draws, batch_size, torch.Generator().manual_seed(seed)).numpy()


def ngram_nats(training: list[str], data: HeldOut, tokenizer: BookTokenizer, level: int, order: int) -> FloatArray:
    """Nats of each window under a Kneser-Ney model of ``order``, fitted on the tokens of the training texts."""
    table = count_tokens(training, tokenizer, level, order)
    return np.array([-table.log_probs(w.numpy() - NUM_RESERVED).sum() for w in data.windows])


def uniform_nats(data: HeldOut, vocabulary: int) -> FloatArray:
    """Nats of each window if every text token is equally likely."""
    return np.array([len(w) * math.log(vocabulary) for w in data.windows])


def resample(nats: FloatArray, data: HeldOut, resamples: int, seed: int) -> Resampled:
    """Bootstrap over passages, or over windows below ten passages; the same windows and seed give the same picks."""
    groups = data.passage if len(np.unique(data.passage)) >= 10 else np.arange(len(nats))
    _, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, weights=nats)
    sizes = np.bincount(index, weights=data.bytes)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(sums), (resamples, len(sums)))
    draws = sums[picks].sum(1) / sizes[picks].sum(1) / math.log(2)
    return Resampled(float(nats.sum() / data.bytes.sum() / math.log(2)), draws)


def summarise(
    name: str, nats: FloatArray, data: HeldOut, resamples: int, seed: int, model: Resampled | None = None
) -> Likelihood:
    """Make a row of the table with bootstrap intervals; ``model``: the model's figures, to compare the row with."""
    found = resample(nats, data, resamples, seed)
    low, high = np.quantile(found.draws, (0.025, 0.975))
    against = None
    if model is not None:
        least, most = np.quantile(found.draws - model.draws, (0.025, 0.975))
        against = Difference(found.bits_per_byte - model.bits_per_byte, float(least), float(most))
    return Likelihood(
        name=name,
        bits_per_byte=found.bits_per_byte,
        low=float(low),
        high=float(high),
        perplexity=math.exp(nats.sum() / data.tokens),
        perplexity_level_1=2 ** (found.bits_per_byte * data.level_1_bytes),
        thirds=_per_group(nats, data, data.third),
        against_model=against,
        books=_per_group(nats, data, data.book),
    )


def _per_group(nats: FloatArray, data: HeldOut, group: IntArray | None) -> list[float]:
    """Bits per byte of the windows of group 0, 1, 2 ...; ``group``: the number of each window's group."""
    if group is None:
        return []
    sums = [np.bincount(group, values) for values in (nats, data.bytes)]
    return [float(n / b / math.log(2)) for n, b in zip(*sums, strict=True)]
