"""Gaps filled by Kneser-Ney: each distribution and likeliest filling, compared with an enumeration of all fillings."""

import itertools

import numpy as np
import pytest
from two_sided import TwoSided

from tiny_diffusion.data.ngrams import KneserNey
from tiny_diffusion.errors import UserError

VOCAB = 4  # the last one never occurs in training
LEFT = [[0, 1, 2], [2, 2, 0], [3, 1, 3], [0, 0, 1, 0, 1]]


@pytest.fixture(scope="module", params=[1, 2, 3, 4])
def model(request: pytest.FixtureRequest) -> KneserNey:
    rng = np.random.default_rng(1)
    found = KneserNey(request.param, VOCAB, [rng.choice(VOCAB - 1, size=n, p=[0.6, 0.3, 0.1]) for n in (40, 25, 3, 1)])
    return found


def joint(model: KneserNey, left: list[int], filling: tuple[int, ...], right: list[int]) -> float:
    """The model's own probability of filling and right side, after the left side."""
    return float(np.exp(model.log_probs(np.array([*left, *filling, *right]))[len(left) :].sum()))


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("right", [[], [1], [3, 3], [0, 2, 1, 1, 0]])
def test_the_law_is_bayes_rule_over_all_fillings(model: KneserNey, left: list[int], right: list[int]) -> None:
    two_sided = TwoSided(model)
    for size in (1, 2, 3):
        fillings = list(itertools.product(range(VOCAB), repeat=size))
        joints = np.array([joint(model, left, f, right) for f in fillings])
        law = np.exp([two_sided.log_prob(left, f, right) for f in fillings])
        np.testing.assert_allclose(law, joints / joints.sum(), rtol=1e-9)
        assert law.sum() == pytest.approx(1, abs=1e-9)
        wide = two_sided.likeliest(left, size, right, beam=VOCAB**size)
        assert joint(model, left, tuple(wide), right) == pytest.approx(joints.max(), rel=1e-9)


def test_a_bigram_by_hand() -> None:
    model = KneserNey(2, 3, [np.array([0, 1, 0, 1, 0, 2])])
    # After 0: 0.2/3, 1.9/3, 0.3; after 1: 0.95, 0.025, 0.025; after 2: 0.5, 0.25, 0.25 (see test_ngrams.py).
    ways = np.array([0.2 / 3 * 0.3, 1.9 / 3 * 0.025, 0.3 * 0.25])  # 0 x 2, for x = 0, 1, 2
    found = [TwoSided(model).log_prob([0], [x], [2]) for x in range(3)]
    np.testing.assert_allclose(np.exp(found), ways / ways.sum(), rtol=1e-12)
    # The left side alone favours 1, both sides favour 2, so the right side counts.
    assert TwoSided(model).likeliest([0], 1, [], 1) == [1]
    assert TwoSided(model).likeliest([0], 1, [2], 1) == [2]


def test_without_a_right_side_it_is_the_model(model: KneserNey) -> None:
    left, filling = [0, 1, 0], [1, 0, 2, 2, 0]
    own = model.log_probs(np.array([*left, *filling]))[len(left) :].sum()
    assert TwoSided(model).log_prob(left, filling, []) == pytest.approx(own, rel=1e-12)
    assert TwoSided(model).log_prob(left, [], [1]) == 0


def test_a_beam_keeps_what_the_right_side_asks_for(model: KneserNey) -> None:
    left, right, size = [0, 1, 0], [1, 2], 5
    two_sided = TwoSided(model)
    narrow, wide = (joint(model, left, tuple(two_sided.likeliest(left, size, right, beam)), right) for beam in (1, 64))
    assert narrow <= wide * (1 + 1e-12)
    assert wide >= max(joint(model, left, f, right) for f in itertools.product(range(VOCAB), repeat=size)) * 0.999


def test_what_cannot_be_scored() -> None:
    model = KneserNey(3, 3, [np.array([0, 1, 2, 0, 1])])
    with pytest.raises(UserError, match="1 tokens on the left"):
        TwoSided(model).log_prob([0], [1], [2])


def test_an_order_beyond_the_text() -> None:
    model = KneserNey(4, 3, [np.array([0, 1])])
    law = [TwoSided(model).log_prob([0, 1, 0], [x], [1, 0]) for x in range(3)]
    joints = np.array([joint(model, [0, 1, 0], (x,), [1, 0]) for x in range(3)])
    np.testing.assert_allclose(np.exp(law), joints / joints.sum(), rtol=1e-9)
