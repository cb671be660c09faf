"""Layers against plain forms of torch, with their gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tiny_diffusion.model.layers import (
    EXPLICIT_TOKENS,
    RMSNorm,
    add_with_dropout,
    attend,
    draw_dropped,
    dropout,
    rotary_tables,
    rotate,
    swiglu,
)


def test_rotation_depends_on_distance_alone() -> None:
    cos, sin = rotary_tables(32, 8, 100.0)
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(1, 1, 1, 8, generator=generator), torch.randn(1, 1, 1, 8, generator=generator)
    products = [
        (rotate(q, cos[[i]], sin[[i]]) * rotate(k, cos[[i + 3]], sin[[i + 3]])).sum().item() for i in (0, 7, 28)
    ]
    assert products == pytest.approx([products[0]] * 3, rel=1e-5)


def test_rotation_is_complex_multiplication_with_its_gradients() -> None:
    cos, sin = (table.double() for table in rotary_tables(5, 8, 100.0))
    x = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.double, requires_grad=True)
    turned = torch.complex(x[..., :4], x[..., 4:]) * torch.complex(cos, sin)
    torch.testing.assert_close(rotate(x, cos, sin), torch.cat((turned.real, turned.imag), -1))
    assert torch.autograd.gradcheck(lambda z: rotate(z, cos, sin), (x,))


def masks(length: int) -> dict[str, Tensor | None]:
    documents = torch.arange(length) // 5
    return {"none": None, "documents": (documents[:, None] == documents[None, :])[None, None]}


@pytest.mark.parametrize("length", [16, EXPLICIT_TOKENS + 1])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["none", "documents"])
def test_bfloat16_attention_equals_the_fused_kernels_in_float32(length: int, causal: bool, kind: str) -> None:
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(2, 2, length, 8, generator=generator) for _ in range(3))
    mask = masks(length)[kind]
    if mask is not None and causal:
        mask = mask & torch.ones(length, length, dtype=torch.bool).tril()
    plain = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal and mask is None)
    torch.testing.assert_close(attend(q, k, v, mask, causal), plain)
    half = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), mask, causal).float()
    torch.testing.assert_close(half, plain, rtol=0.05, atol=0.05)


def test_the_norm_equals_torchs_own_with_its_gradients() -> None:
    generator = torch.Generator().manual_seed(2)
    norm = RMSNorm(8).double()
    x = torch.randn(2, 5, 8, generator=generator, dtype=torch.double, requires_grad=True)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(8, generator=generator) + 0.5)
    eps = torch.finfo(torch.float32).eps
    torch.testing.assert_close(norm(x), F.rms_norm(x, (8,), norm.weight, eps))
    assert torch.autograd.gradcheck(norm, (x,))
    assert torch.autograd.gradcheck(lambda w: torch.func.functional_call(norm, {"weight": w}, (x,)), (norm.weight,))
    flat = x.detach().float().transpose(0, 1)  # rows that do not lie one after another
    torch.testing.assert_close(norm.float()(flat), F.rms_norm(flat, (8,), norm.weight, eps))
    with torch.autocast("cpu", torch.bfloat16):
        assert norm(flat).dtype == torch.bfloat16
        torch.testing.assert_close(norm(flat), F.rms_norm(flat, (8,), norm.weight, eps).bfloat16())


def test_the_gated_unit_equals_its_formula_with_its_gradients() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 3, 12, generator=generator, dtype=torch.double, requires_grad=True)
    torch.testing.assert_close(swiglu(x), F.silu(x[..., :6]) * x[..., 6:])
    assert torch.autograd.gradcheck(swiglu, (x,))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.001])
def test_dropout_keeps_the_expectation(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(400_001)
    dropped = draw_dropped((400_001,), rate, x.device)
    y = dropout(x, dropped, rate)
    rounded = max(1, round(rate * 256)) / 256
    assert y[y > 0].unique().tolist() == pytest.approx([1 / (1 - rounded)])
    assert float((y == 0).float().mean()) == pytest.approx(rounded, abs=5 * (rounded / len(x)) ** 0.5)
    torch.testing.assert_close(add_with_dropout(x, x, dropped, rate), x + y)
    assert torch.equal(add_with_dropout(x, x, None, rate), x + x)
