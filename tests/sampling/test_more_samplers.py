"""The samplers of ``examples/more_samplers.py`` under hand-made distributions."""

import itertools
import math
import runpy
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.model.transformer import MASK_ID
from tiny_diffusion.sampling.denoise import SAMPLERS, DenoisingState, denoise
from tiny_diffusion.sampling.draw import draw

from .test_samplers import Toy, build, changed, fixed, generator, settled_by_step, text
from .test_samplers import run as run_known

MORE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "more_samplers.py"))


def run(
    model: torch.nn.Module, rows: Tensor, sampler: str, seed: int = 0, vocab: int = 40, steps: int = 0, **how: object
) -> list[DenoisingState]:
    """All states; ``how``: the sampler's own settings, and ``top_k`` and ``block``."""
    settings = changed(steps=steps or rows.shape[1], top_k=how.pop("top_k", 0), block=how.pop("block", 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SAMPLERS, sampler, partial(MORE[sampler], **how))
        settings = settings.model_copy(update={"sampler": sampler})
        return list(denoise(model, rows, settings, generator(seed), vocab))  # type: ignore[arg-type]


def order(model: Toy, tokens: int, sampler: str, **how: object) -> list[list[int]]:
    """The positions of one empty row that each step settles."""
    rows = torch.full((1, tokens), MASK_ID)
    return settled_by_step(run(model, rows, sampler, vocab=len(model.law([0])[0]), **how), tokens)  # type: ignore[arg-type]


def uniform_over(count: int, vocab: int = 6) -> tuple[float, ...]:
    return (1 / count,) * count + (0.0,) * (vocab - count)


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (0.0, [[0, 2], [1], [3]]),  # certain tokens cost nothing, and the largest entropy of a step is free
        (0.6, [[0, 2], [1], [3]]),
        (0.7, [[0, 1, 2], [3]]),  # log 2 beside the largest
        (1.7, [[0, 1, 2], [3]]),
        (1.8, [[0, 1, 2, 3]]),  # log 2 + log 3
    ],
)
def test_entropy_bounded_takes_the_longest_prefix_within_the_bound(bound: float, expected: list[list[int]]) -> None:
    model = fixed(*map(uniform_over, (2, 3, 1, 4)))
    assert order(model, 4, sampler="entropy_bounded", bound=bound, top_k=1) == expected


@pytest.mark.parametrize("seed", range(3))
def test_entropy_bounded_by_nothing_is_first_by_entropy(seed: int) -> None:
    model = build(seed)
    rows = torch.full((3, 10), MASK_ID)
    rows[1, 3:7] = NUM_RESERVED
    one = run(model, rows[:1], sampler="entropy_bounded", bound=0.0)
    other = run_known(model, rows[:1], sampler="entropy", steps=10)
    assert [text(s) for s in one] == [text(s) for s in other]
    several = run(model, rows, sampler="entropy_bounded", bound=0.0)
    assert [(s.ids == MASK_ID).sum(1).tolist() for s in several] == [[i, max(0, i - 4), i] for i in range(9, -1, -1)]


def test_threshold_settles_all_who_reach_it_and_the_likeliest() -> None:
    model = fixed((0.95, 0.05), (0.6, 0.4), (0.3, 0.7), (0.08, 0.92))
    # Only the likeliest token can be drawn: the threshold applies to its probability before that restriction.
    assert order(model, 4, sampler="threshold", least=0.9, top_k=1) == [[0, 3], [2], [1]]
    assert order(model, 4, sampler="threshold", least=0.6, top_k=1) == [[0, 1, 2, 3]]
    assert order(model, 4, sampler="threshold", least=1.5, top_k=1) == [[0], [3], [2], [1]]


def test_threshold_asks_for_the_token_that_was_drawn() -> None:
    model = fixed((0.5, 0.5), (0.7, 0.3), (0.2, 0.8))
    numbers = generator()
    tokens, _ = draw(torch.tensor(model.law([])).log(), numbers)
    chances = torch.tensor(model.law([])).gather(1, tokens[:, None])[:, 0]
    expected = (chances >= 0.6).nonzero().flatten().tolist() or [int(chances.argmax())]
    assert order(model, 3, sampler="threshold", least=0.6)[0] == expected


def test_adaptive_samplers_say_the_most_that_is_left_and_the_truth_at_the_end() -> None:
    model = fixed((0.95, 0.05), (0.6, 0.4), (0.3, 0.7), (0.08, 0.92))
    states = run(model, torch.full((1, 4), MASK_ID), vocab=2, sampler="threshold", top_k=1)
    assert [(s.step, s.steps) for s in states] == [(1, 3), (2, 3), (3, 3)]
    model = fixed(*[(0.99, 0.01)] * 4)
    states = run(model, torch.full((1, 4), MASK_ID), vocab=2, sampler="threshold", top_k=1, block=2)
    assert [(s.step, s.steps) for s in states] == [(1, 3), (2, 2)]
    assert [(s.step, s.steps) for s in run(model, states[-1].ids, vocab=2, sampler="threshold")] == [(0, 0)]


def doubtful(ids: list[int]) -> Sequence[Sequence[float]]:
    """The token at the first position becomes unlikely as soon as the second settles."""
    return ((0.9, 0.1) if ids[1] == MASK_ID else (0.1, 0.9)), (0.7, 0.3), (0.4, 0.6)


def test_planner_takes_back_what_the_model_has_come_to_doubt() -> None:
    m, a, b = MASK_ID, NUM_RESERVED, NUM_RESERVED + 1
    how = {"vocab": 2, "sampler": "planner", "steps": 6, "top_k": 1}
    states = run(Toy(doubtful), torch.full((1, 3), m), **how)
    assert [text(s) for s in states] == [[m, m, m], [a, m, m], [a, m, m], [a, a, m], [m, a, b], [b, a, b]]
    assert states[4].confidence.tolist() == [[0, 1, 1]]
    states = run(Toy(doubtful), torch.full((1, 3), m), doubt=0.0, **how)
    assert [text(s) for s in states[4:]] == [[a, a, m], [a, a, b]]
    # 0.1 ** 0.2 is 0.63: more than the 0.6 of the token that would replace it.
    states = run(Toy(doubtful), torch.full((1, 3), m), doubt=0.2, **how)
    assert text(states[5]) == [a, a, b]
    given_row = torch.tensor([[a, m, m]])
    assert all(text(s)[0] == a for s in run(Toy(doubtful), given_row, doubt=9.0, **how))


def test_planner_that_never_doubts_goes_by_confidence() -> None:
    model, rows = build(1), torch.full((1, 12), MASK_ID)
    one = run(model, rows, sampler="planner", doubt=0.0, steps=6)
    assert [text(s) for s in one] == [text(s) for s in run_known(model, rows, sampler="confidence", steps=6)]


def shifting(ids: list[int]) -> list[tuple[float, float]]:
    """Two words at three positions: the more are settled, the likelier the second word, so drawing again matters."""
    chance = (0.1, 0.5, 0.9, 0.9)[3 - ids.count(MASK_ID)]
    return [(1 - chance, chance)] * 3


def law_of_remasking(steps: int, cap: float) -> dict[tuple[int, ...], float]:
    """Probability of each text: sums over all ways to settle, draw and mask again (Wang et al. 2025, eq. 5)."""
    states: dict[tuple[int, ...], float] = {(MASK_ID,) * 3: 1.0}
    for step in range(steps):
        t, s = 1 - step / steps, 1 - (step + 1) / steps
        sigma = min(cap, s / (1 - t)) if step else 0.0
        chance = (1 - s - (1 - sigma) * (1 - t)) / t
        following: dict[tuple[int, ...], float] = {}
        for state, weight in states.items():
            laws = shifting(list(state))
            options = [
                [(MASK_ID, sigma), (token, 1 - sigma)]
                if token != MASK_ID
                else [(MASK_ID, 1 - chance), *((v + NUM_RESERVED, chance * p) for v, p in enumerate(laws[i]))]
                for i, token in enumerate(state)
            ]
            for choice in itertools.product(*options):
                key = tuple(token for token, _ in choice)
                following[key] = following.get(key, 0.0) + weight * math.prod(p for _, p in choice)
        states = following
    return {key: p for key, p in states.items() if p > 0}


@pytest.mark.parametrize(("steps", "cap"), [(4, 0.0), (4, 0.3), (4, 1.0)])
def test_remasking_follows_its_enumerated_law(steps: int, cap: float) -> None:
    expected, n = law_of_remasking(steps, cap), 6000
    assert sum(expected.values()) == pytest.approx(1) and len(expected) == 8
    states = run(Toy(shifting), torch.full((n, 3), MASK_ID), vocab=2, sampler="remasking", cap=cap, steps=steps)
    rows, counts = states[-1].ids.unique(dim=0, return_counts=True)
    found = dict(zip(map(tuple, rows.tolist()), counts.tolist(), strict=True))

    def distance(law: dict[tuple[int, ...], float]) -> float:
        return sum((found.get(key, 0) - n * p) ** 2 / (n * p) for key, p in law.items())

    assert distance(expected) < 7 + 4 * 14**0.5  # 7 degrees of freedom: mean, and four standard deviations
    assert all(c == cap or distance(law_of_remasking(steps, c)) > 60 for c in (0.0, 0.3, 1.0))
    for state in states:  # at each time as many tokens are masked as without remasking
        share, s = float((state.ids == MASK_ID).float().mean()), 1 - state.step / steps
        assert abs(share - s) <= 4 * (s * (1 - s) / (3 * n)) ** 0.5


@pytest.mark.parametrize("block", [0, 5])
def test_remasking_nothing_is_ancestral_draw_by_draw(block: int) -> None:
    model, rows = build(0), torch.full((3, 12), MASK_ID)
    rows[1, 3:7] = NUM_RESERVED
    one = run(model, rows, sampler="remasking", cap=0.0, steps=9, block=block)
    other = run_known(model, rows, sampler="ancestral", steps=9, block=block)
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("sampler", MORE["MORE"])
@pytest.mark.parametrize("block", [0, 3])
def test_given_tokens_stay_and_all_others_are_filled(sampler: str, block: int) -> None:
    rows = torch.full((3, 12), MASK_ID)
    rows[1, 3:7] = NUM_RESERVED
    states = run(build(2), rows, sampler, vocab=30, steps=12, block=block)
    last = states[-1]
    assert ((last.ids >= NUM_RESERVED) & (last.ids < NUM_RESERVED + 30)).all() and last.step == last.steps
    for state in states:
        assert (state.ids[1, 3:7] == NUM_RESERVED).all()
        assert ((state.confidence == 0) == (state.ids == MASK_ID)).all()
