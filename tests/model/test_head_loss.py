"""The head's loss in pieces against torch's own cross-entropy, with its gradients."""

import pytest
import torch
import torch.nn.functional as F

from tiny_diffusion.model.layers import HEAD_ROWS, head_loss


@pytest.mark.parametrize("count", [0, 1, 7, 2 * HEAD_ROWS["cpu"] + 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reserved", [0, 2])
def test_it_is_cross_entropy(count: int, smoothing: float, weighted: bool, reserved: int) -> None:
    generator = torch.Generator().manual_seed(count)
    hidden = torch.randn(count, 5, generator=generator, dtype=torch.double, requires_grad=True)
    table = torch.randn(reserved + 11, 5, generator=generator, dtype=torch.double, requires_grad=True)
    targets = torch.randint(0, 11, (count,), generator=generator)
    weights = torch.rand(count, generator=generator) if weighted else None
    plain = F.cross_entropy(hidden @ table[reserved:].T, targets, reduction="none", label_smoothing=smoothing)
    plain = (plain if weights is None else plain * weights).sum()
    expected = torch.autograd.grad(3 * plain, (hidden, table))
    loss = head_loss(hidden, table, targets, weights=weights, smoothing=smoothing, reserved=reserved)
    torch.testing.assert_close(loss, plain)
    for ours, theirs in zip(torch.autograd.grad(3 * loss, (hidden, table)), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_under_autocast_it_is_near_and_keeps_the_types_of_its_inputs() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(40, 16, generator=generator, requires_grad=True)
    table = (torch.randn(30, 16, generator=generator) / 4).requires_grad_()
    targets = torch.randint(0, 30, (40,), generator=generator)
    plain = F.cross_entropy(hidden @ table.T, targets, reduction="sum")
    expected = torch.autograd.grad(plain, (hidden, table))
    with torch.autocast("cpu", torch.bfloat16):
        loss = head_loss(hidden, table, targets)
    assert loss.dtype == torch.float32 and float(loss) == pytest.approx(float(plain), rel=0.01)
    for ours, theirs in zip(torch.autograd.grad(loss, (hidden, table)), expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.02 * float(theirs.abs().max()))
