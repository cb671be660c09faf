"""Masks by each strategy: which tokens, how many, and never a reserved one."""

import math

import pytest
import torch
from torch import Tensor

from tiny_diffusion.data.tokenizer import NUM_RESERVED, PAD, SEP
from tiny_diffusion.model.schedule import SCHEDULES
from tiny_diffusion.training.step import draw_times, rare_first_mask, span_mask, uniform_mask, whole_word_mask

ROWS, LENGTH = 4000, 24


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def ids() -> Tensor:
    """Rows of text with a separator in the middle and padding at the end."""
    ids = torch.randint(NUM_RESERVED, 60, (ROWS, LENGTH), generator=seeded())
    ids[:, 10], ids[:, 20:] = SEP, PAD
    return ids


def scorable(ids: Tensor) -> Tensor:
    return (ids != SEP) & (ids != PAD)


@pytest.mark.parametrize(("name", "mean"), [("linear", 0.5), ("cosine", 2 / math.pi)])
def test_rates_stay_in_the_stages_range_but_for_the_full_share(name: str, mean: float) -> None:
    schedule = SCHEDULES[name]()

    def rates(full: float) -> Tensor:
        return schedule.rate(draw_times(1000, schedule, (0.75, 0.90), full, seeded()))

    inside = rates(0.0)
    assert 0.75 < float(inside.min()) < 0.751 and 0.899 < float(inside.max()) <= 0.9001
    everywhere = rates(1.0)
    assert 0 < float(everywhere.min()) < 0.002 and float(everywhere.max()) <= 1
    assert float(everywhere.mean()) == pytest.approx(mean, abs=0.002)  # stratified: far below 1/sqrt(12 n)
    mixed = rates(0.25)
    outside = ((mixed < 0.75) | (mixed > 0.9001)).float().mean()
    expected = 1 - (schedule.time(0.9) - schedule.time(0.75))
    assert float(outside) == pytest.approx(0.25 * expected, abs=0.025)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_frequency_of_masks_is_one_minus_alpha(ids: Tensor, name: str) -> None:
    schedule, free = SCHEDULES[name](), scorable(ids)
    for time in (0.2, 0.5, 0.8):
        t = torch.full((ROWS,), time)
        masked = uniform_mask(schedule.rate(t), free, seeded())
        rate = float(1 - schedule.alpha(torch.tensor(time, dtype=torch.float64)))
        bare = (1 - rate) ** int(free[0].sum())  # such rows hide one token all the same
        frequency = float(masked.float().mean(0)[free[0]].mean())
        tolerance = 5 * (rate * (1 - rate) / ROWS / int(free[0].sum())) ** 0.5
        assert frequency == pytest.approx(rate + bare / int(free[0].sum()), abs=tolerance)


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9, 1.0])
def test_uniform_hides_each_token_at_its_rate_and_at_least_one_a_row(ids: Tensor, rate: float) -> None:
    free = scorable(ids)
    masked = uniform_mask(torch.full((ROWS,), rate), free, seeded())
    assert masked.any(1).all() and not masked[~free].any()
    count = int(free[0].sum())
    expected = rate + (1 - rate) ** count / count  # rows that came out bare hide one token
    shares = masked.float().mean(0)[free[0]]
    assert torch.allclose(shares, torch.tensor(expected), atol=5 * (0.25 / ROWS) ** 0.5)


def test_uniform_hides_tokens_independently(ids: Tensor) -> None:
    masked = uniform_mask(torch.full((ROWS,), 0.5), scorable(ids), seeded())
    both = (masked[:, 0] & masked[:, 1]).float().mean()
    assert float(both) == pytest.approx(0.25, abs=5 * (0.19 / ROWS) ** 0.5)


def test_words_are_hidden_whole(ids: Tensor) -> None:
    starts = torch.arange(60) % 3 == 0
    masked = whole_word_mask(torch.full((ROWS,), 0.4), ids, scorable(ids), starts, seeded())
    begins, free = starts[ids], scorable(ids)
    inside = ~begins[:, 1:] & free[:, 1:] & free[:, :-1]
    assert inside.any() and (masked[:, 1:] == masked[:, :-1])[inside].all()
    assert float(masked[free].float().mean()) == pytest.approx(0.4, abs=0.02)
    assert not masked[~free].any()


@pytest.mark.parametrize("length", [1, 3, 6])
def test_spans_reach_the_rate(ids: Tensor, length: int) -> None:
    free = scorable(ids)
    masked = span_mask(torch.full((ROWS,), 0.5), free, length, seeded())
    assert not masked[~free].any()
    settled = masked[:, length - 1 : 10]  # from where a whole span may reach
    assert float(settled.float().mean()) == pytest.approx(0.5, abs=0.02)
    runs = (masked[:, 1:10] & masked[:, :9]).float().mean() / masked[:, :9].float().mean()
    assert float(runs) == pytest.approx(0.5, abs=0.03) if length == 1 else float(runs) > 0.6


def test_rare_tokens_go_first(ids: Tensor) -> None:
    rarity = torch.arange(60) / 60
    free = scorable(ids)
    masked = rare_first_mask(torch.full((ROWS,), 0.5), ids, free, rarity, seeded())
    assert masked.sum(1).eq((free.sum(1) * 0.5).ceil()).all() and not masked[~free].any()
    rare, common = masked[free & (ids >= 50)].float().mean(), masked[free & (ids < 26)].float().mean()
    assert float(rare) > 0.8 and float(common) < 0.3
