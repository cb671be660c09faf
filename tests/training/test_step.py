"""Masks by each strategy: which tokens, how many, and never a reserved one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.difficulty import percentiles
from tiny_diffusion.data.tokenizer import NUM_RESERVED, PAD, SEP
from tiny_diffusion.model.schedule import SCHEDULES
from tiny_diffusion.training.rows import Examples, Rows, pack
from tiny_diffusion.training.step import (
    rare_first_mask,
    span_mask,
    token_rarity,
    uniform_mask,
    whole_word_mask,
)
from tiny_diffusion.training.trainer import Trainer

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
    batch = Rows(ids, (ids != PAD).long())
    masked = whole_word_mask(torch.full((ROWS,), 0.4), batch, starts, seeded())
    begins, free = starts[ids], scorable(ids)
    inside = ~begins[:, 1:] & free[:, 1:] & free[:, :-1]
    assert inside.any() and (masked[:, 1:] == masked[:, :-1])[inside].all()
    assert float(masked[free].float().mean()) == pytest.approx(0.4, abs=0.02)
    assert not masked[~free].any()


@pytest.mark.parametrize("lead", [False, True])
def test_words_of_different_documents_are_hidden_apart(lead: bool) -> None:
    """No token but the first of the second word begins with a space, as where sentences are packed side by side."""
    starts = torch.zeros(60, dtype=torch.bool)
    starts[[*range(NUM_RESERVED), 30]] = True
    examples = Examples.of([[20, 21, 30, 22], [23, 24, 25]])
    rows = pack(examples, 12, seeded(), lead=lead).take(torch.zeros(ROWS, dtype=torch.long))
    masked = whole_word_mask(torch.full((ROWS,), 0.5), rows, starts, seeded(1))
    assert not masked[~rows.scorable].any()
    hidden = {number: masked[:, int((rows.ids[0] == number).nonzero())] for number in (20, 21, 30, 22, 23, 24, 25)}
    for word in ((20, 21), (30, 22), (23, 24, 25)):
        assert all(torch.equal(hidden[word[0]], hidden[number]) for number in word)
    for one, other in ((20, 30), (30, 23), (20, 23)):
        together = float((hidden[one] & hidden[other]).float().mean())
        assert together == pytest.approx(0.25, abs=5 * (0.19 / ROWS) ** 0.5)


@pytest.mark.parametrize("length", [1, 3, 6])
def test_spans_reach_the_rate(ids: Tensor, length: int) -> None:
    free = scorable(ids)
    masked = span_mask(torch.full((ROWS,), 0.5), free, length, seeded())
    assert not masked[~free].any()
    settled = masked[:, length - 1 : 10]  # from where a whole span may reach
    assert float(settled.float().mean()) == pytest.approx(0.5, abs=0.02)
    runs = (masked[:, 1:10] & masked[:, :9]).float().mean() / masked[:, :9].float().mean()
    assert float(runs) == pytest.approx(0.5, abs=0.03) if length == 1 else float(runs) > 0.6


def test_the_rarity_of_a_token_is_the_share_of_the_text_that_is_commoner() -> None:
    rarity = token_rarity(torch.tensor([4, 1, 1, 4, 4, 3], dtype=torch.int32), 5)
    assert rarity.tolist() == pytest.approx([1, 4 / 6, 1, 5.5 / 6, 1.5 / 6])


def test_rare_first_follows_counts_and_not_the_numbers_of_tokens(
    config: ProjectConfig, data: Processed, tmp_path: Path
) -> None:
    trainer = Trainer(config.override(**{"training.masking_strategy": "rare_first"}), data, tmp_path)
    level = config.model.vocab_level
    text = torch.cat([torch.tensor(data.tokenizer.encode(text, level)) for text in data.texts("train")])
    counts = torch.bincount(text, minlength=trainer.model.vocab_size)
    rarity, common = trainer.stepper.masker.rarity, counts > 20
    ranks = np.corrcoef(percentiles(rarity[common].numpy()), percentiles(-counts[common].numpy()))[0, 1]
    assert ranks > 0.9
    assert (rarity[counts == 0][NUM_RESERVED:] == 1).all()


def test_rare_tokens_go_first(ids: Tensor) -> None:
    rarity = torch.arange(60) / 60
    free = scorable(ids)
    masked = rare_first_mask(torch.full((ROWS,), 0.5), ids, free, rarity, seeded())
    assert masked.sum(1).eq((free.sum(1) * 0.5).ceil()).all() and not masked[~free].any()
    rare, common = masked[free & (ids >= 50)].float().mean(), masked[free & (ids < 26)].float().mean()
    assert float(rare) > 0.8 and float(common) < 0.3
