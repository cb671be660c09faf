"""Mask schedules against their formulas, and the likelihood bound that must not depend on them."""

import itertools
import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from tiny_diffusion.config import TrainingConfig
from tiny_diffusion.model.schedule import SCHEDULES, MaskSchedule, draw_times

TIMES = torch.tensor([1e-3, 0.2, 0.5, 0.9, 1.0], dtype=torch.float64)
# For each schedule its mask rate and the bound's weight, as the papers write them.
FORMULAS = {
    "linear": (lambda t: t, lambda t: 1 / t),
    "cosine": (lambda t: math.cos(math.pi / 2 * (1 - t)), lambda t: math.pi / 2 * math.tan(math.pi / 2 * (1 - t))),
}


@pytest.fixture(params=SCHEDULES)
def named(request: pytest.FixtureRequest) -> tuple[str, MaskSchedule]:
    return request.param, SCHEDULES[request.param]()


def test_the_setting_and_the_formulas_know_every_schedule() -> None:
    setting = get_args(TrainingConfig.model_fields["mask_schedule"].annotation)
    assert set(setting) == set(SCHEDULES) == set(FORMULAS)


def test_rate_and_weight_follow_the_formula(named: tuple[str, MaskSchedule]) -> None:
    name, schedule = named
    rate, weight = FORMULAS[name]
    assert schedule.rate(TIMES).tolist() == pytest.approx([rate(t) for t in TIMES.tolist()])
    assert (1 - schedule.alpha(TIMES)).tolist() == pytest.approx(schedule.rate(TIMES).tolist())
    assert schedule.weight(TIMES).tolist() == pytest.approx([weight(t) for t in TIMES.tolist()], rel=1e-9, abs=1e-12)


def test_alpha_falls_from_one_to_zero_with_its_derivative(named: tuple[str, MaskSchedule]) -> None:
    _, schedule = named
    ends = schedule.alpha(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert ends.tolist() == pytest.approx([1, 0], abs=1e-12)
    t, h = TIMES[1:-1], 1e-6
    assert torch.allclose(schedule.derivative(t), (schedule.alpha(t + h) - schedule.alpha(t - h)) / (2 * h))
    assert all(a > b for a, b in itertools.pairwise(schedule.alpha(TIMES).tolist()))


def test_time_is_the_inverse_of_rate(named: tuple[str, MaskSchedule]) -> None:
    _, schedule = named
    rates = [0.001, 0.1, 0.75, 1.0]
    times = torch.tensor([schedule.time(rate) for rate in rates], dtype=torch.float64)
    assert schedule.rate(times).tolist() == pytest.approx(rates)


def test_settling_and_staying_masked_make_up_the_rate(named: tuple[str, MaskSchedule]) -> None:
    _, schedule = named
    t = TIMES[1:]
    s = t / 2
    still_masked = schedule.rate(t) * (1 - schedule.unmask_probability(t, s))
    assert torch.allclose(still_masked, schedule.rate(s))


def test_the_bound_of_k_hidden_tokens_is_the_same_under_every_schedule(named: tuple[str, MaskSchedule]) -> None:
    """The integral of weight(t) times the chance of one mask with k of 5 tokens hidden is B(k, 5 - k + 1)."""
    _, schedule = named
    t = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    rate, weight = schedule.rate(t), schedule.weight(t)
    for k in range(1, 6):
        integral = float((weight * rate**k * (1 - rate) ** (5 - k)).mean())
        exact = math.gamma(k) * math.gamma(6 - k) / math.gamma(6)
        assert integral == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize(("name", "mean"), [("linear", 0.5), ("cosine", 2 / math.pi)])
def test_rates_stay_in_the_stages_range_but_for_the_full_share(name: str, mean: float) -> None:
    schedule = SCHEDULES[name]()

    def rates(full: float) -> Tensor:
        return schedule.rate(draw_times(1000, schedule, (0.75, 0.90), full, torch.Generator().manual_seed(0)))

    inside = rates(0.0)
    assert 0.75 < float(inside.min()) < 0.751 and 0.899 < float(inside.max()) <= 0.9001
    everywhere = rates(1.0)
    assert 0 < float(everywhere.min()) < 0.002 and float(everywhere.max()) <= 1
    assert float(everywhere.mean()) == pytest.approx(mean, abs=0.002)  # stratified: far below 1/sqrt(12 n)
    mixed = rates(0.25)
    outside = ((mixed < 0.75) | (mixed > 0.9001)).float().mean()
    expected = 1 - (schedule.time(0.9) - schedule.time(0.75))
    assert float(outside) == pytest.approx(0.25 * expected, abs=0.025)
