"""The maths of diffusion against brute force on a joint distribution small enough to enumerate."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from tiny_diffusion.config import GenerationConfig, ModelConfig
from tiny_diffusion.model.likelihood import exact_masks, likelihood_bound, masked_cross_entropy
from tiny_diffusion.model.loss import diffusion_loss
from tiny_diffusion.model.schedule import SCHEDULES, LinearSchedule, MaskSchedule, stratified, uniform_time_masks
from tiny_diffusion.model.transformer import MASK_ID, Transformer
from tiny_diffusion.sampling.denoise import denoise

LENGTH, TOKENS, RESERVED = 3, 3, 1


class ToyModel(torch.nn.Module):
    """Gives the exact conditionals of a joint over LENGTH positions, whatever is masked; ids are 1..TOKENS."""

    reserved = lowest = RESERVED
    shift = 0
    device = torch.device("cpu")
    schedule: MaskSchedule = LinearSchedule()
    output = torch.eye(RESERVED + TOKENS, dtype=torch.float64)[:, RESERVED:]  # reserved rows of zeros, then one a token

    def __init__(self, joint: Tensor) -> None:
        super().__init__()
        self.joint = torch.nn.Parameter(joint, requires_grad=False)

    def hidden(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        cache: None = None,
        controls: None = None,
    ) -> Tensor:
        found = torch.stack([self._row(row.tolist()) for row in ids])
        return found if positions is None else found.gather(1, positions[..., None].expand(-1, -1, TOKENS))

    def input_of(self, ids: Tensor) -> Tensor:
        return ids

    def _row(self, row: list[int]) -> Tensor:
        table = self.joint
        for axis, token in enumerate(row):
            if token != MASK_ID:
                table = table.index_select(axis, torch.tensor([token - RESERVED]))
        found = []
        for axis, token in enumerate(row):
            others = [a for a in range(LENGTH) if a != axis]
            marginal = table.sum(others)
            found.append((marginal / marginal.sum()).log() if token == MASK_ID else torch.zeros(TOKENS))
        return torch.stack(found)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden


@pytest.fixture
def toy() -> ToyModel:
    joint = torch.rand((TOKENS,) * LENGTH, generator=torch.Generator().manual_seed(3), dtype=torch.float64) ** 3
    return ToyModel(joint / joint.sum())


def test_stratified_puts_one_number_in_each_stratum() -> None:
    values = stratified(10, torch.Generator().manual_seed(0)).sort().values
    assert (values * 10).floor().tolist() == list(range(10))


def test_exact_masks_hide_each_count_equally_often() -> None:
    masks = exact_masks(7, 70, torch.Generator().manual_seed(0))
    assert torch.bincount(masks.sum(1), minlength=8).tolist() == [0] + [10] * 7


def exact_bound(toy: ToyModel, window: Tensor) -> float:
    """The any-order bound by enumerating every mask."""
    total = 0.0
    for k in range(1, LENGTH + 1):
        subsets = list(itertools.combinations(range(LENGTH), k))
        for subset in subsets:
            masked = torch.zeros(1, LENGTH, dtype=torch.bool)
            masked[0, list(subset)] = True
            losses = masked_cross_entropy(toy, window[None], masked)  # type: ignore[arg-type]
            total += LENGTH / k * float(losses.sum()) / len(subsets) / LENGTH
    return total


def test_bound_equals_its_enumeration_and_is_exact_for_exact_conditionals(toy: ToyModel) -> None:
    window = torch.tensor([1, 3, 2])
    truth = -math.log(float(toy.joint[0, 2, 1]))
    # With the true conditionals every order's chain rule gives the true likelihood: the bound is tight.
    assert exact_bound(toy, window) == pytest.approx(truth, abs=1e-5)
    estimates = [
        float(likelihood_bound(toy, [window], 60, 32, torch.Generator().manual_seed(seed))[0])  # type: ignore[arg-type]
        for seed in range(20)
    ]
    mean = sum(estimates) / 20
    spread = (sum((e - mean) ** 2 for e in estimates) / 19) ** 0.5
    assert abs(mean - truth) < 3 * spread / 20**0.5


@pytest.mark.parametrize("name", SCHEDULES)
def test_bound_weighting_has_the_bound_as_its_expectation_under_every_schedule(toy: ToyModel, name: str) -> None:
    toy.schedule = SCHEDULES[name]()
    ids = torch.tensor([[2, 1, 3]]).expand(6000, -1)
    masked, t = uniform_time_masks(ids, toy.schedule, torch.Generator().manual_seed(1))
    loss = diffusion_loss(toy, ids, masked, t, weighting="bound") / len(ids)  # type: ignore[arg-type]
    truth = -math.log(float(toy.joint[1, 0, 2]))
    assert float(loss) == pytest.approx(truth, rel=0.05)


def test_unknown_weighting_is_refused(toy: ToyModel) -> None:
    ids, masked = torch.tensor([[1, 2, 3]]), torch.ones(1, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="neither"):
        diffusion_loss(toy, ids, masked, torch.ones(1), weighting="other")  # type: ignore[arg-type]


def test_a_uniform_model_scores_log_v() -> None:
    model = Transformer(ModelConfig.smoke(), 528, 16)
    torch.nn.init.zeros_(model.embedding.weight)
    windows = [torch.randint(16, 528, (n,), generator=torch.Generator().manual_seed(n)) for n in (64, 64, 5, 1)]
    nats = likelihood_bound(model, windows, 8, 4, torch.Generator().manual_seed(0))
    assert nats.tolist() == pytest.approx([n * math.log(512) for n in (64, 64, 5, 1)], rel=1e-5)


def law_of_ancestral(toy: ToyModel, steps: int) -> dict[tuple[int, ...], float]:
    """The law of ``steps``-step ancestral sampling, by enumerating every settling and every draw."""
    rates = toy.schedule.rate(torch.linspace(1, 0, steps + 1, dtype=torch.float64)).tolist()
    states: dict[tuple[int, ...], float] = {(MASK_ID,) * LENGTH: 1.0}
    for before, after in itertools.pairwise(rates):
        chance = (before - after) / before
        following: dict[tuple[int, ...], float] = {}
        for state, weight in states.items():
            conditionals = toy._row(list(state)).exp().tolist()
            options = [
                [(state[i], 1.0)]
                if state[i] != MASK_ID
                else [(MASK_ID, 1 - chance)] + [(v + RESERVED, chance * conditionals[i][v]) for v in range(TOKENS)]
                for i in range(LENGTH)
            ]
            for choice in itertools.product(*options):
                p = weight * math.prod(c for _, c in choice)
                if p > 0:
                    key = tuple(token for token, _ in choice)
                    following[key] = following.get(key, 0.0) + p
        states = following
    return states


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_ancestral_sampling_follows_its_enumerated_law(toy: ToyModel, steps: int, name: str) -> None:
    toy.schedule = SCHEDULES[name]()
    law = law_of_ancestral(toy, steps)
    assert sum(law.values()) == pytest.approx(1)
    rows = torch.full((4000, LENGTH), MASK_ID)
    settings = GenerationConfig(sampler="ancestral", steps=steps, temperature=1.0, top_p=1.0)
    *_, last = denoise(toy, rows, settings, torch.Generator().manual_seed(steps), TOKENS)  # type: ignore[arg-type]
    counts: dict[tuple[int, ...], int] = {}
    for row in last.ids.tolist():
        counts[tuple(row)] = counts.get(tuple(row), 0) + 1
    assert set(counts) <= set(law)
    expected = {k: 4000 * v for k, v in law.items() if 4000 * v >= 5}
    chi2 = sum((counts.get(k, 0) - e) ** 2 / e for k, e in expected.items())
    # Mean n and variance 2n: five standard deviations above would be one chance in a million.
    assert chi2 < len(expected) + 5 * (2 * len(expected)) ** 0.5


def test_more_steps_come_nearer_to_the_joint(toy: ToyModel) -> None:
    def distance(steps: int) -> float:
        law = law_of_ancestral(toy, steps)
        cells = itertools.product(range(TOKENS), repeat=LENGTH)
        return sum(abs(law.get(tuple(c + RESERVED for c in cell), 0.0) - float(toy.joint[cell])) for cell in cells)

    assert distance(8) < distance(2) < distance(1)
