"""Teachers in each loss: they read the student's rows, without gradients, and a model is its own perfect teacher."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from tiny_diffusion.config import ModelConfig
from tiny_diffusion.data.tokenizer import BOS, MASK, NUM_RESERVED
from tiny_diffusion.model.autoregressive import next_token_loss
from tiny_diffusion.model.loss import Teachers, diffusion_loss
from tiny_diffusion.model.transformer import Transformer

WORDS = 5
ROWS = torch.tensor([[BOS, 17, 18, 19, 16], [BOS, 20, 18, 17, 16]])
MASKED = torch.tensor([[0, 1, 0, 0, 1], [0, 1, 1, 1, 1]]).bool()
TIMES, CAUSAL = torch.tensor([0.25, 0.5]), torch.tensor([False, True])


def model(seed: int, width: int = 16, **changes: bool) -> Transformer:
    torch.manual_seed(seed)
    shape = ModelConfig(d_model=width, n_layers=2, n_heads=2, d_ff=32, context=8, dropout=0.0, init_std=0.5, **changes)
    return Transformer(shape, NUM_RESERVED + WORDS, NUM_RESERVED).double().eval()


LOSSES: dict[str, Callable[..., Tensor]] = {
    "masked": lambda net, **more: diffusion_loss(net, ROWS, MASKED, TIMES, weighting="mean", **more),
    "dual": lambda net, **more: diffusion_loss(net, ROWS, MASKED, TIMES, causal=CAUSAL, weighting="mean", **more),
    "next token": lambda net, **more: next_token_loss(net, ROWS[:, 1:], BOS, **more),
}
SHAPES = {"masked": {}, "dual": {"dual": True}, "next token": {"causal": True}}


def plain_laws(net: Transformer, reading: str) -> list[Tensor]:
    """The law at each scored place, from a pass over each row alone."""
    laws = []
    for row, masked, causal in zip(ROWS, MASKED, CAUSAL, strict=True):
        left = reading == "next token" or (reading == "dual" and bool(causal))
        ids = row if left else row.masked_fill(masked, MASK)
        states = net.hidden(ids[None], causal=left)[0]
        places = (torch.ones(5) if reading == "next token" else masked).nonzero().squeeze(1)
        if reading == "next token":
            places = torch.arange(1, 5)
        shift = 0 if reading == "masked" else 1
        laws += [(net.output[net.lowest :] @ states[place - shift]).softmax(0) for place in places.tolist()]
    return laws


@pytest.mark.parametrize("reading", LOSSES)
def test_the_loss_is_the_sum_over_places_and_words(reading: str) -> None:
    student, first, second = (model(seed, width, **SHAPES[reading]) for seed, width in ((0, 16), (1, 16), (2, 24)))
    share = 0.4
    found = LOSSES[reading](student, teachers=Teachers((first, second), share))
    taught = sum(
        -((a + b) / 2 * own.log()).sum()
        for a, b, own in zip(*(plain_laws(net, reading) for net in (first, second, student)), strict=True)
    )
    torch.testing.assert_close(found, (1 - share) * LOSSES[reading](student) + share * taught)
    found.backward()
    assert all(parameter.grad is None for net in (first, second) for parameter in net.parameters())


@pytest.mark.parametrize("reading", LOSSES)
def test_a_model_that_teaches_itself_has_nothing_to_learn(reading: str) -> None:
    student = model(0, **SHAPES[reading])

    def gradients(share: float) -> list[Tensor]:
        loss = LOSSES[reading](student, teachers=Teachers((student,), share))
        return list(torch.autograd.grad(loss, list(student.parameters())))

    for all_own, half, none in zip(gradients(0.0), gradients(0.5), gradients(1.0), strict=True):
        torch.testing.assert_close(none, torch.zeros_like(none), atol=1e-12, rtol=0)
        torch.testing.assert_close(half, all_own / 2)


@pytest.mark.parametrize("loss", [diffusion_loss, partial(diffusion_loss, causal=CAUSAL)])
def test_the_weights_of_the_bound_hold_for_the_lesson_too(loss: Callable[..., Tensor]) -> None:
    shape = {"dual": isinstance(loss, partial)}
    student, teachers = model(0, **shape), Teachers((model(1, **shape),), 0.4)

    def one(row: int, weighting: str) -> Tensor:
        chosen = slice(row, row + 1)
        more = {"causal": CAUSAL[chosen]} if isinstance(loss, partial) else {}
        return loss(
            student, ROWS[chosen], MASKED[chosen], TIMES[chosen], weighting=weighting, teachers=teachers, **more
        )

    second = 1 if isinstance(loss, partial) else 2  # a causal row has no weight of time
    torch.testing.assert_close(one(0, "bound"), 4 * one(0, "mean"), rtol=1e-6, atol=0)
    torch.testing.assert_close(one(1, "bound"), second * one(1, "mean"), rtol=1e-6, atol=0)
