import logging

import pytest
import torch
from torch import Tensor

from tiny_diffusion.config import ModelConfig
from tiny_diffusion.model.compiled import prove_compiled
from tiny_diffusion.model.transformer import Block, Transformer

SHAPE = (2, 8)


def network(factor: float) -> Transformer:
    """A network whose "compiled" blocks give their output times ``factor``."""
    torch.manual_seed(0)
    model = Transformer(ModelConfig(d_model=16, n_layers=2, n_heads=2, d_ff=16, context=8, dropout=0.2), 20, 4)
    model.train()
    model.compiled_shape, model.unproven_rows = SHAPE, SHAPE[0]

    def compiled(block: Block):  # type: ignore[no-untyped-def]
        def call(*inputs: object) -> tuple[Tensor, Tensor]:
            output, value = block.forward(*inputs)  # type: ignore[arg-type]
            return output * factor, value

        return call

    for block in model.blocks:
        block._compiled_call_impl = compiled(block)
    return model


def loss_of(model: Transformer) -> Tensor:
    ids = torch.arange(16).reshape(SHAPE) + 4
    return model(ids).logsumexp(-1).square().sum()


@pytest.mark.parametrize("factor", [1.0, 1.001])
def test_blocks_that_differ_by_rounding_stay_compiled(factor: float, caplog: pytest.LogCaptureFixture) -> None:
    model = network(factor)
    prove_compiled(model, lambda: loss_of(model))
    assert model.compiled_shape == SHAPE and model.unproven_rows == 0 and not caplog.records


@pytest.mark.parametrize("factor", [float("nan"), 0.5, -1.0])
def test_blocks_that_compute_something_else_are_not_used(factor: float, caplog: pytest.LogCaptureFixture) -> None:
    model = network(factor)
    with caplog.at_level(logging.WARNING):
        prove_compiled(model, lambda: loss_of(model))
    assert model.compiled_shape is None and model.unproven_rows == 0
    assert "without it" in caplog.text


def test_the_proof_leaves_gradients_and_random_numbers_alone() -> None:
    model = network(1.0)
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    prove_compiled(model, lambda: loss_of(model))
    assert torch.equal(torch.rand(2), wanted)
    assert all(parameter.grad is None for parameter in model.parameters())
