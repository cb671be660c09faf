"""The frontier of quality and diversity: generative perplexity and entropy, by temperature.

Either alone can be gamed: one word repeated has a low perplexity, and random words have a high entropy. A model is
better if its curve is closer to the held-out text's point.

A judge that has learnt from the training text rewards copying from it. So there is a second one, ``FreshJudge``, that
learns from the held-out passages alone. It needs no other book, and knows this book's words and habits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...data.language.words import split_words
from ...data.ngrams import KneserNey, count_tokens
from ...data.tokenizer import BOS, NUM_RESERVED, BookTokenizer
from ...model.autoregressive import autoregressive_nats
from ...model.transformer import Transformer
from .coherence import distinct


@dataclass(frozen=True)
class FrontierPoint:
    """Texts written at one temperature; the held-out text has None.

    perplexity: per token under the n-gram model. twin_perplexity: under the autoregressive twin, if there is one.
    entropy: of the tokens of a text, in nats, mean over texts. distinct_2: over the words of all texts. None if no text
    contains a token, or two words. fresh_perplexity: under n-grams of the held-out passages; None with one passage.
    """

    temperature: float | None
    perplexity: float | None
    twin_perplexity: float | None
    entropy: float | None
    distinct_2: float | None
    fresh_perplexity: float | None = None


@dataclass(frozen=True)
class Frontier:
    """Points by rising temperature, and the held-out text's own point, measured on texts of the same length."""

    points: list[FrontierPoint]
    held_out: FrontierPoint


class FreshJudge:
    """Kneser-Ney models of held-out passages, each without one of them.

    A text costs the mean of what it costs them all. A piece of a held-out passage is scored by the model that lacks the
    passage: all that is scored is new to the judges, and text copied from the training text is no likelier for it.
    """

    def __init__(self, passages: Sequence[str], encode: Callable[[str], list[int]], order: int, size: int) -> None:
        """``encode`` gives the ids of a text, of which there are ``size``."""
        self._encode = encode
        rows = [np.array(encode(passage)) - NUM_RESERVED for passage in passages]
        self._models = [
            (passage, KneserNey(order, size, rows[:i] + rows[i + 1 :]))
            for i, passage in enumerate(passages if len(passages) > 1 else ())
        ]

    def perplexity(self, texts: Sequence[str]) -> float | None:
        """Perplexity per token of all texts together; None without a token, or with fewer than two passages."""
        nats, tokens = 0.0, 0
        for text in texts:
            ids = np.array(self._encode(text)) - NUM_RESERVED
            lacking = [model for passage, model in self._models if text in passage]
            judges = lacking or [model for _, model in self._models]
            if judges and len(ids):
                nats -= float(np.mean([model.log_probs(ids).sum() for model in judges]))
                tokens += len(ids)
        return float(np.exp(nats / tokens)) if tokens else None


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
        held: Sequence[str] = (),
    ) -> None:
        """Fit the n-gram model of ``order`` on the training texts; ``twin`` takes ``batch_size`` windows at once.

        ``held``: all held-out passages, for the judge that has not learnt from the training texts.
        """
        self.tokenizer, self.level, self.twin, self.batch_size = tokenizer, level, twin, batch_size
        self._fresh = FreshJudge(held, self.encode, order, tokenizer.level_size(level))
        self._counts = count_tokens(training, tokenizer, level, order)

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
            fresh_perplexity=self._fresh.perplexity(texts),
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
