"""A product of laws: p(w) is proportional to network(w)^a * counts(w)^b, normalised over the vocabulary.

Log-linear interpolation (Klakow 1998). The normalisation needs the probabilities of all tokens, not only of the true
ones. Shapes: N places, V text vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from ...data.tokenizer import BOS, NUM_RESERVED
from ...model.autoregressive import next_token_logits
from ...model.transformer import Transformer
from .baselines import FloatArray, KneserNey


@dataclass(frozen=True)
class Laws:
    """Log-probabilities of all tokens under the network and the counts, (2, N, V), and the true tokens (N,)."""

    log_probs: Tensor
    targets: Tensor

    def nats(self, exponents: Tensor) -> Tensor:
        """Nats (N,) of the true tokens under the product with ``exponents`` (2,) of network and counts."""
        logits = torch.tensordot(exponents.to(self.log_probs.dtype), self.log_probs, dims=1)  # (N, V)
        return logits.logsumexp(1) - logits.gather(1, self.targets[:, None]).squeeze(1)


@torch.no_grad()
def laws_of(networks: Sequence[Transformer], counts: KneserNey, windows: Sequence[Tensor]) -> Iterator[Laws]:
    """Yield the laws of each window: the mean of the causal laws of ``networks``, and those of ``counts``."""
    for window in windows:
        rows = window[None]
        each = [next_token_logits(model.eval(), rows.to(model.device), BOS)[0].log_softmax(1) for model in networks]
        mean = torch.stack(each).logsumexp(0).cpu() - np.log(len(each))
        known = torch.from_numpy(np.log(counts.laws(window.numpy() - NUM_RESERVED))).float()
        yield Laws(torch.stack((mean, known)), window - NUM_RESERVED)


def fit_exponents(laws: Sequence[Laws]) -> FloatArray:
    """The exponents (2,) with the highest likelihood of the true tokens; the problem is convex."""

    def nats(exponents: FloatArray) -> tuple[float, FloatArray]:
        point, total = torch.tensor(exponents, requires_grad=True), 0.0
        for each in laws:
            loss = each.nats(point).double().sum()
            loss.backward()
            total += float(loss.detach())
        assert point.grad is not None
        return total, point.grad.numpy()

    found: FloatArray = minimize(nats, np.array((1.0, 0.0)), jac=True, method="L-BFGS-B").x
    return found
