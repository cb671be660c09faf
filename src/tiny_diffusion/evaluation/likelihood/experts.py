"""Laws of the next token mixed exactly: a mean or a product of networks, and counts beside them in a sum or a product.

A mixture of normalised laws is normalised if its weights do not depend on the token that is predicted. So the
probabilities of the true tokens are enough to score a text. The weight of the counts depends on the context.

A product of whole laws is in ``model.product``.

Shapes: E experts, N tokens, C classes of context, V text vocabulary.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import logsumexp
from torch import Tensor

from ...config import GenerationConfig
from ...data.ngrams import FloatArray, IntArray, KneserNey
from ...data.tokenizer import BOS, MASK, NUM_RESERVED
from ...model.autoregressive import next_token_logits
from ...model.likelihood import HiddenNats
from ...model.product import Laws
from ...model.transformer import Transformer
from ...sampling.canvas import Mean, Predictor
from ...sampling.counts import ORDER, Counts
from ...sampling.experts import Counted

CLASSES = ORDER  # of a context: how many tokens of it the counts know
ENOUGH, MOST_ROUNDS = 1e-9, 1000  # EM stops when a round gains less, in nats per token


def read_counts(counts: KneserNey, windows: Sequence[Tensor]) -> tuple[FloatArray, IntArray]:
    """Nats (N,) and class of context (N,) of each token of ``windows`` (1-D ids of text tokens), which start afresh."""
    texts = [window.numpy() - NUM_RESERVED for window in windows]
    nats = [-counts.log_probs(text) for text in texts]
    return np.concatenate(nats), np.concatenate([counts.matched(text) for text in texts])


def mean_law(nats: FloatArray) -> FloatArray:
    """Nats (N,) under the mean of the laws of experts whose nats are (E, N)."""
    return mixed(nats, np.full((1, len(nats)), 1 / len(nats)), np.zeros(nats.shape[1], np.int64))


def mixed(nats: FloatArray, weights: FloatArray, classes: IntArray) -> FloatArray:
    """Nats (N,) under the mixture of experts with nats (E, N); ``weights`` (C, E) sum to one, ``classes`` is (N,)."""
    return -logsumexp(-nats, axis=0, b=weights[classes].T)


def fit_weights(nats: FloatArray, classes: IntArray, count: int) -> FloatArray:
    """The weights (C, E) with the highest likelihood of tokens with nats (E, N) and ``classes`` (N,) below ``count``.

    By expectation maximisation (Dempster, Laird and Rubin 1977), whose rounds never lower the likelihood. It begins
    with the best weights for all classes together, which a class without a token keeps.
    """
    everywhere = np.zeros_like(classes)
    common = _maximise(nats, everywhere, np.full((1, len(nats)), 1 / len(nats)))
    return _maximise(nats, classes, np.repeat(common, count, axis=0))


def _maximise(nats: FloatArray, classes: IntArray, weights: FloatArray) -> FloatArray:
    """Rounds of expectation maximisation from ``weights`` (C, E) on."""
    probability, before = np.exp(nats.min(0) - nats), np.inf  # in units of the best expert's, so that none underflows
    for _ in range(MOST_ROUNDS):
        joint = weights[classes].T * probability
        total = joint.sum(0)
        now = -float(np.log(total).mean())
        if before - now < ENOUGH:
            break
        before = now
        shares = np.stack([np.bincount(classes, share, len(weights)) for share in joint / total], axis=1)  # (C, E)
        tokens = shares.sum(1, keepdims=True)
        weights = np.where(tokens > 0, shares / np.maximum(tokens, 1), weights)
    return weights


@torch.no_grad()
def laws_of(networks: Sequence[Transformer], counts: KneserNey | None, windows: Sequence[Tensor]) -> Iterator[Laws]:
    """Yield the laws of each window: the causal ones of ``networks``, then that of ``counts`` if there are any."""
    for window in windows:
        rows = window[None]
        laws = [next_token_logits(each.eval(), rows.to(each.device), BOS)[0].log_softmax(1).cpu() for each in networks]
        if counts is not None:
            laws.append(torch.from_numpy(np.log(counts.laws(window.numpy() - NUM_RESERVED))).float())
        yield Laws(torch.stack(laws), window - NUM_RESERVED)


def counted(counts: Counts, precision: str) -> HiddenNats:
    """What hidden tokens cost under the product of the mean law of its networks and the counts of both sides."""
    how = GenerationConfig().model_copy(update={"precision": precision})
    readers = [Predictor(network, how) for network in counts.networks]
    reader = Counted(Mean(readers), counts, causal=False)

    def nats(rows: Tensor, masked: Tensor) -> Tensor:
        device = reader.model.device
        logits = reader.logits(rows.masked_fill(masked, MASK).to(device), masked.to(device))
        return F.cross_entropy(logits.cpu().double(), rows[masked] - NUM_RESERVED, reduction="none")

    return nats
