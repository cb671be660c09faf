"""The frontier of quality and diversity: generative perplexity and entropy, by temperature.

Either alone can be gamed: one word repeated has a low perplexity, and random words have a high entropy. A model is
better if its curve is closer to the held-out text's point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...data.language.words import split_words
from ...data.tokenizer import BOS, NUM_RESERVED, BookTokenizer
from ...model.autoregressive import autoregressive_nats
from ...model.transformer import Transformer
from ..likelihood.baselines import KneserNey
from .repetition import distinct


@dataclass(frozen=True)
class FrontierPoint:
    """Texts written at one temperature; the held-out text has None.

    perplexity: per token under the n-gram model. twin_perplexity: under the autoregressive twin, if there is one.
    entropy: of the tokens of a text, in nats, mean over texts. distinct_2: over the words of all texts. None if no text
    contains a token, or two words.
    """

    temperature: float | None
    perplexity: float | None
    twin_perplexity: float | None
    entropy: float | None
    distinct_2: float | None


@dataclass(frozen=True)
class Frontier:
    """Points by rising temperature, and the held-out text's own point, measured on texts of the same length."""

    points: list[FrontierPoint]
    held_out: FrontierPoint


class Judge:
    """Scores texts by models of the training text: Kneser-Ney, and an autoregressive twin if given.

    Texts are encoded again, so that the texts of all models are split into tokens alike.
    """

    def __init__(
        self,
        training: Sequence[str],
        tokenizer: BookTokenizer,
        level: int,
        order: int,
        twin: Transformer | None = None,
        batch_size: int = 1,
    ) -> None:
        """Fit the n-gram model of ``order`` on the training texts; ``twin`` takes ``batch_size`` windows at once."""
        self.tokenizer, self.level, self.twin, self.batch_size = tokenizer, level, twin, batch_size
        self._counts = KneserNey(order, tokenizer.level_size(level))
        self._counts.fit([np.array(ids) - NUM_RESERVED for ids in map(self.encode, training)])

    def encode(self, text: str) -> list[int]:
        """The ids of ``text`` at the models' vocabulary level."""
        return self.tokenizer.encode(text, self.level)

    def point(self, temperature: float | None, texts: Sequence[str]) -> FrontierPoint:
        """Measure texts; empty ones do not count."""
        ids = [np.array(found) for found in map(self.encode, texts) if found]
        nats = [-self._counts.log_probs(row - NUM_RESERVED).sum() for row in ids]
        tokens = sum(map(len, ids))
        return FrontierPoint(
            temperature=temperature,
            perplexity=float(np.exp(sum(nats) / tokens)) if ids else None,
            twin_perplexity=self._twin_perplexity(ids),
            entropy=float(np.mean([token_entropy(row) for row in ids])) if ids else None,
            distinct_2=distinct([split_words(text) for text in texts], 2),
        )

    def _twin_perplexity(self, ids: list[np.ndarray]) -> float | None:
        if self.twin is None or not ids:
            return None
        windows = [part for row in ids for part in torch.from_numpy(row).split(self.twin.config.context)]
        nats = autoregressive_nats(self.twin, windows, BOS, self.batch_size)
        return float(torch.exp(nats.sum() / sum(map(len, windows))))


def token_entropy(ids: np.ndarray) -> float:
    """Entropy, in nats, of the frequencies of ``ids`` among themselves: at most the log of their number."""
    share = np.unique(ids, return_counts=True)[1] / len(ids)
    return float(-(share * np.log(share)).sum())


def measure_frontier(texts: dict[float, list[str]], held: list[str], judge: Judge) -> Frontier:
    """Measure the points of ``texts`` by temperature, and that of ``held``, pieces of the same length."""
    points = [judge.point(temperature, found) for temperature, found in sorted(texts.items())]
    return Frontier(points, judge.point(None, held))
