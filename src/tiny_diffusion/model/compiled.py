"""Whether the compiled blocks of a model compute what the plain ones do: a compiler may be wrong on some machine."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from .transformer import Transformer

log = logging.getLogger(__name__)

OWN, COMMON = 0.3, 0.01
"""Largest difference between two gradients of a parameter, as shares of its own and of the whole gradient's norm:
rounding in bfloat16 stays below a tenth of that."""


def prove_compiled(model: Transformer, loss: Callable[[], Tensor]) -> None:
    """Compare the gradient of ``loss`` by compiled and plain blocks; if they differ, use the plain ones from now on.

    ``loss`` computes a scalar by a training pass of the compiled shape. Gradients of the parameters and the state of
    random numbers stay as they are. A difference is logged as a warning.
    """
    names, shape = [name for name, _ in model.named_parameters()], model.compiled_shape
    compiled = _gradients(model, loss)
    model.compiled_shape = None
    plain = _gradients(model, loss)
    model.unproven_rows = 0
    whole = torch.stack([gradient.norm() for gradient in plain]).norm()
    for name, one, other in zip(names, compiled, plain, strict=True):
        difference, most = (one - other).norm(), OWN * other.norm() + COMMON * whole
        if not difference <= most:  # also of what is no number
            log.warning(
                f"torch.compile gives a wrong gradient of {name} on this machine, so training goes on without it, more "
                "slowly (training.compile=off leaves it out from the start)"
            )
            return
    model.compiled_shape = shape


def _gradients(model: Transformer, loss: Callable[[], Tensor]) -> list[Tensor]:
    """Of all parameters, on the CPU, so that a GPU needs no more memory than a step does."""
    parameters, device = list(model.parameters()), model.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)  # of dropout
        found = torch.autograd.grad(loss(), parameters, allow_unused=True, materialize_grads=True)
    return [gradient.float().cpu() for gradient in found]
