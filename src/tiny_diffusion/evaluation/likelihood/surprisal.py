"""How surprising each word of any text is to a model, and the bits per byte of the whole text."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...config import EvaluationConfig
from ...data.ngrams import FloatArray
from ...data.tokenizer import BookTokenizer
from ...errors import UserError
from ...model.likelihood import likelihood_bound
from ...model.transformer import Transformer
from .readings import causal_nats, chain_rule_nats

_WORD_AND_DASH = re.compile(r"\w.*(?:—|–|--)$", re.DOTALL)


@dataclass(frozen=True)
class Word:
    """A word with the punctuation after it, its surprisal in bits, and whether it is marked as surprising."""

    text: str
    bits: float
    surprising: bool


@dataclass(frozen=True)
class Surprisal:
    """A scored text.

    bits_per_byte: exact, by the causal reading of the model if it has one, else by the chain rule.
    bound_bits_per_byte: the any-order bound of a diffusion model, None for a causal one. Each window of at most
    ``window_tokens`` tokens starts afresh, so its first words are surprising because they lack context.
    """

    bytes: int
    tokens: int
    windows: int
    window_tokens: int
    bits_per_byte: float
    bound_bits_per_byte: float | None
    words: list[Word]


@dataclass(frozen=True)
class Scored:
    """``done`` of ``total`` tokens are finished; the passes of the bound over the text count too."""

    done: int
    total: int


def score_text(
    model: Transformer, tokenizer: BookTokenizer, text: str, level: int, settings: EvaluationConfig
) -> Iterator[Scored | Surprisal]:
    """Score ``text``; yields progress after each window and the result at the end. Raises UserError for empty text."""
    ids = torch.tensor(tokenizer.encode(text, level), dtype=torch.long)
    if not len(ids):
        raise UserError("there is no text to score")
    windows = list(ids.split(model.config.context))
    read = causal_nats if model.config.causal or model.config.dual else chain_rule_nats
    nats: list[FloatArray] = []
    bounds: list[float] = []
    generator = torch.Generator().manual_seed(settings.seed)
    total, done = _passes(model, windows, settings.draws), 0
    for window in windows:
        *_, found = read(model, [window], settings.batch_size)
        nats.append(np.asarray(found))
        if not model.config.causal:
            bound = likelihood_bound(model, [window], settings.draws, settings.batch_size, generator)
            bounds.append(float(bound[0]))
        done += _passes(model, [window], settings.draws)
        yield Scored(done, total)
    size = len(text.encode("utf-8"))
    yield Surprisal(
        bytes=size,
        tokens=len(ids),
        windows=len(windows),
        window_tokens=model.config.context,
        bits_per_byte=float(sum(n.sum() for n in nats)) / math.log(2) / size,
        bound_bits_per_byte=sum(bounds) / math.log(2) / size if bounds else None,
        words=_words(ids.tolist(), np.concatenate(nats) / math.log(2), tokenizer, settings.surprising_share),
    )


def _passes(model: Transformer, windows: Sequence[Tensor], draws: int) -> int:
    """Number of tokens that pass through the model: in the causal reading once, else per token, and per draw."""
    exact = model.config.causal or model.config.dual
    return sum(len(w) * ((1 if exact else len(w)) + (0 if model.config.causal else draws)) for w in windows)


def _words(ids: list[int], bits: FloatArray, tokenizer: BookTokenizer, share: float) -> list[Word]:
    """The words of the text, the most surprising ``share`` of them marked; white space belongs to the word after it.

    A word begins where the tokenizer says so, but never inside a run of white space, and behind a dash between words.
    """
    starts = tokenizer.word_starts
    groups: list[tuple[bytes, float]] = []
    for token, cost in zip(ids, bits.tolist(), strict=True):
        spelled = tokenizer.token_bytes(token)
        before = groups[-1][0] if groups else b""
        if not groups or (starts[token] and before.strip()) or _begins_after_dash(spelled, before):
            groups.append((spelled, cost))
        else:
            groups[-1] = (groups[-1][0] + spelled, groups[-1][1] + cost)
    costs = np.array([cost for _, cost in groups])
    marked = set(np.argsort(-costs, kind="stable")[: math.ceil(share * len(costs))].tolist())
    return [Word(spelled.decode("utf-8"), cost, i in marked) for i, (spelled, cost) in enumerate(groups)]


def _begins_after_dash(token: bytes, before: bytes) -> bool:
    """Whether ``token`` begins the second of two words that only a dash parts, as in "night--and"."""
    first = token.decode("utf-8", errors="ignore")[:1]
    return first.isalnum() and _WORD_AND_DASH.search(before.decode("utf-8", errors="ignore")) is not None
