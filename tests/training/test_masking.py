"""Masks by each strategy: which tokens, how many, and never a reserved one."""

import pytest
import torch
from torch import Tensor

from tiny_diffusion.data.tokenizer import NUM_RESERVED, PAD, SEP
from tiny_diffusion.training.step import draw_rates, rare_first_mask, span_mask, uniform_mask, whole_word_mask

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


def test_rates_stay_in_the_stages_range_but_for_the_full_share() -> None:
    t = draw_rates(1000, (0.75, 0.90), 0.0, seeded())
    assert 0.75 < float(t.min()) < 0.751 and 0.899 < float(t.max()) <= 0.90
    everywhere = draw_rates(1000, (0.75, 0.90), 1.0, seeded())
    assert 0 < float(everywhere.min()) < 0.002 and float(everywhere.max()) <= 1
    assert float(everywhere.mean()) == pytest.approx(0.5, abs=0.002)  # stratified: far below 1/sqrt(12 n)
    mixed = draw_rates(1000, (0.75, 0.90), 0.25, seeded())
    outside = ((mixed < 0.75) | (mixed > 0.90)).sum()
    assert int(outside) == pytest.approx(250 * 0.85, abs=25)


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
