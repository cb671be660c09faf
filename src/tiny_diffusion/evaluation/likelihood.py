"""Held-out likelihood by protocol 1, with the n-gram models on the same windows."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.tokenizer import BOS, NUM_RESERVED, BookTokenizer
from ..model.autoregressive import autoregressive_nats
from ..model.likelihood import likelihood_bound
from ..model.transformer import Transformer
from .baselines import KneserNey

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """Held-out windows of ids and, for each, the passage it lies in and its UTF-8 bytes."""

    windows: list[Tensor]
    passage: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Likelihood:
    """Bits per byte with a 95 % interval, and the perplexity of a token."""

    name: str
    bits_per_byte: float
    low: float
    high: float
    perplexity: float


def held_out(texts: list[str], tokenizer: BookTokenizer, level: int, context: int, most: int) -> HeldOut:
    """Windows of ``texts`` (protocol 1): of ``context`` tokens, none across two texts, the short last one kept.

    ``most`` above 0 keeps that many, evenly spread. Bytes are counted from the tokens' own bytes.
    """
    found: list[Tensor] = []
    owner: list[int] = []
    for i, text in enumerate(texts):
        parts = torch.tensor(tokenizer.encode(text, level), dtype=torch.long).split(context)
        found.extend(parts)
        owner.extend([i] * len(parts))
    keep = range(len(found))
    if 0 < most < len(found):
        keep = [i * len(found) // most for i in range(most)]  # type: ignore[assignment]
    windows = [found[i] for i in keep]
    sizes = [sum(len(tokenizer.token_bytes(t)) for t in window.tolist()) for window in windows]
    return HeldOut(windows, np.array([owner[i] for i in keep]), np.array(sizes))


def model_nats(model: Transformer, data: HeldOut, draws: int, batch_size: int, seed: int) -> FloatArray:
    """Nats of each window: the any-order bound, or the exact likelihood of an autoregressive model."""
    if model.config.causal:
        return autoregressive_nats(model, data.windows, BOS, batch_size).numpy()
    generator = torch.Generator().manual_seed(seed)
    return likelihood_bound(model, data.windows, draws, batch_size, generator).numpy()


def ngram_nats(training: list[str], data: HeldOut, tokenizer: BookTokenizer, level: int, order: int) -> FloatArray:
    """Nats of each window under Kneser-Ney of ``order`` fitted on the training texts' tokens."""
    sequences = [np.array(tokenizer.encode(text, level)) - NUM_RESERVED for text in training]
    table = KneserNey(order, tokenizer.level_size(level))
    table.fit(sequences)
    return np.array([-table.log_probs(w.numpy() - NUM_RESERVED).sum() for w in data.windows])


def uniform_nats(data: HeldOut, vocabulary: int) -> FloatArray:
    """Nats of each window when every text token is equally likely."""
    return np.array([len(w) * math.log(vocabulary) for w in data.windows])


def summarise(name: str, nats: FloatArray, data: HeldOut, resamples: int, seed: int) -> Likelihood:
    """Bits per byte over all windows; the interval by bootstrap over passages, over windows below ten passages."""
    groups = data.passage if len(np.unique(data.passage)) >= 10 else np.arange(len(nats))
    _, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, weights=nats)
    sizes = np.bincount(index, weights=data.bytes)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(sums), (resamples, len(sums)))
    draws = sums[picks].sum(1) / sizes[picks].sum(1) / math.log(2)
    low, high = np.quantile(draws, (0.025, 0.975))
    tokens = sum(len(w) for w in data.windows)
    bits = float(nats.sum() / data.bytes.sum() / math.log(2))
    return Likelihood(name, bits, float(low), float(high), float(np.exp(nats.sum() / tokens)))
