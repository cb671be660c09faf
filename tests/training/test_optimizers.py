"""Muon beside torch's own, and what its orthogonalisation does."""

import pytest
import torch
from torch import nn

from tiny_diffusion.training.optimizers import Muon, orthogonalise

SHAPES = [(24, 8), (8, 24), (12, 12), (24, 8)]


def weights(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def train(parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 1e-6), (torch.float32, 0.02)])
def test_it_is_torchs_rule(dtype: torch.dtype, tolerance: float) -> None:
    # torch's runs in bfloat16: the same products, one matrix at a time. In float32 only its rounding differs.
    ours, theirs = weights(0), weights(0)
    train(ours, Muon(ours, lr=0.02, momentum=0.9, weight_decay=0.1, dtype=dtype), 3)
    train(theirs, torch.optim.Muon(theirs, lr=0.02, momentum=0.9, weight_decay=0.1), 3)
    moved = [(b - a).norm() for a, b in zip(weights(0), theirs, strict=True)]
    for a, b, distance in zip(ours, theirs, moved, strict=True):
        assert float((a - b).norm()) <= tolerance * float(distance)


@pytest.mark.parametrize("shape", [(3, 6, 4), (3, 4, 6), (2, 5, 5)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    found = orthogonalise(matrices, torch.float32)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    new = torch.linalg.svdvals(found)
    assert found.shape == matrices.shape and bool((new > 0.5).all() and (new < 1.3).all())
    # The same singular vectors: in their basis the result is diagonal.
    basis = left.transpose(1, 2) @ found @ right.transpose(1, 2)
    assert torch.allclose(basis, torch.diag_embed(basis.diagonal(dim1=1, dim2=2)), atol=1e-4)


def test_a_zero_gradient_moves_nothing_and_no_gradient_is_left_out() -> None:
    parameters = weights(3)
    before = [p.detach().clone() for p in parameters]
    parameters[0].grad = torch.zeros_like(parameters[0])
    Muon(parameters, lr=0.1, momentum=0.9, weight_decay=0.0, dtype=torch.float32).step()
    assert all(torch.equal(a, b) for a, b in zip(before, parameters, strict=True))
