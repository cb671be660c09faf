"""The product of several laws of the next token: p(w) is proportional to first(w)^a * second(w)^b * ...

Log-linear interpolation (Klakow 1998). Its normalisation over the vocabulary needs the probabilities of all tokens.

Shapes: E laws, N tokens, V text vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

Exponents = tuple[float, ...]


@dataclass(frozen=True)
class Laws:
    """Log-probabilities of all tokens under several laws, (E, N, V), and the true tokens (N,)."""

    log_probs: Tensor
    targets: Tensor

    def nats(self, exponents: Tensor) -> Tensor:
        """Nats (N,) of the true tokens under the product with ``exponents`` (E,)."""
        logits = torch.tensordot(exponents.to(self.log_probs.dtype), self.log_probs, dims=1)  # (N, V)
        return logits.logsumexp(1) - logits.gather(1, self.targets[:, None]).squeeze(1)


def fit_exponents(laws: Sequence[Laws]) -> Exponents:
    """The exponents with the highest likelihood of the true tokens; the problem is convex."""

    def nats(exponents: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        point, total = torch.tensor(exponents, requires_grad=True), 0.0
        for each in laws:
            with torch.enable_grad():
                loss = each.nats(point).double().sum()
            loss.backward()
            total += float(loss.detach())
        assert point.grad is not None
        return total, point.grad.numpy()

    start = np.eye(len(laws[0].log_probs))[0]  # the first law alone
    return tuple(minimize(nats, start, jac=True, method="L-BFGS-B").x.tolist())
