"""The figures of the blind test, compared with published and hand-worked numbers."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_diffusion.evaluation.blind_test.records import Answer
from tiny_diffusion.evaluation.blind_test.statistics import (
    bootstrap_mean,
    krippendorff_alpha,
    rating_difference,
    score,
    wilson_interval,
)

# Krippendorff (2011), section C: four observers, twelve units, "." where one did not judge.
OBSERVERS = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."]


def units_of(observers: list[str]) -> list[list[float]]:
    return [[float(v) for v in unit if v != "."] for unit in zip(*(o.split() for o in observers), strict=True)]


def answer(rater: str, passage: int, real: bool, said_real: bool, rating: int = 3) -> Answer:
    return Answer(rater, passage, passage, "text", real, said_real, {"style": rating, "fluency": 3, "sense": 3})


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (8, 10, 0.490, 0.943),
        (0, 10, 0.0, 0.278),
        (10, 10, 0.722, 1.0),
        (81, 263, 0.255, 0.366),
        (15, 148, 0.062, 0.160),
    ],
)  # the last two: Newcombe (1998), table I
def test_wilson_is_the_published_interval(right: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=6e-4)


def test_score_counts_both_ways_of_being_wrong() -> None:
    said = [(True, True), (True, False), (False, True), (False, True), (False, False), (True, True)]
    own = score("anna", [answer("anna", i, real, told) for i, (real, told) in enumerate(said)])
    assert (own.answers, own.right, own.accuracy) == (6, 3, 0.5)
    assert own.fooled == pytest.approx(2 / 3) and own.doubted == pytest.approx(1 / 3)


def test_alpha_is_the_published_figure() -> None:
    units = units_of(OBSERVERS)
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(units, ordinal=True) == pytest.approx(0.815, abs=5e-4)


def test_alpha_of_two_observers_and_two_values() -> None:
    # Krippendorff (2011), section A: ten units, alpha = 0.095.
    units = units_of(["0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"])
    assert krippendorff_alpha(units) == pytest.approx(0.095, abs=5e-4)


def test_alpha_at_its_ends() -> None:
    assert krippendorff_alpha([[1, 1], [2, 2], [5, 5]], ordinal=True) == 1
    assert krippendorff_alpha([[0, 1], [1, 0]]) == pytest.approx(-0.5)
    assert krippendorff_alpha([[3, 3], [3, 3]]) is None
    assert krippendorff_alpha([[1], [2], []]) is None


@given(st.lists(st.lists(st.integers(1, 5), min_size=0, max_size=4), min_size=1, max_size=6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_alpha_by_its_definition(units: list[list[float]], ordinal: bool) -> None:
    pooled = sorted(v for unit in units if len(unit) > 1 for v in unit)

    def distance(a: float, b: float) -> float:
        low, high = min(a, b), max(a, b)
        between = sum(low <= v <= high for v in pooled) - (pooled.count(low) + pooled.count(high)) / 2
        return between**2 if ordinal else float(a != b)

    if len(set(pooled)) < 2:
        assert krippendorff_alpha(units, ordinal=ordinal) is None
        return
    within = [distance(a, b) / (len(unit) - 1) for unit in units if len(unit) > 1 for a, b in permutations(unit, 2)]
    across = [distance(a, b) for a, b in permutations(pooled, 2)]
    expected = 1 - (sum(within) / len(pooled)) / (sum(across) / len(across))
    assert krippendorff_alpha(units, ordinal=ordinal) == pytest.approx(expected, abs=1e-9)


def test_rating_difference_by_hand() -> None:
    # One rater: the mean of {1, 3} drawn with replacement is 1, 2 or 3; the model's mean stays 2.
    answers = [answer("a", 1, True, True, 1), answer("a", 2, True, True, 3), answer("a", 3, False, True, 2)]
    found = rating_difference(answers, "style", 400, 0)
    assert (found.real, found.generated, found.difference) == (2.0, 2.0, 0.0)
    assert found.interval == (-1.0, 1.0) and found.raters == 1
    same = rating_difference(answers, "sense", 400, 0)
    assert same.difference == 0 and same.interval == (0.0, 0.0)


def test_raters_are_resampled_too() -> None:
    # Drawing passages cannot change the mean; drawing raters changes it to 1, 3 or 5.
    real = np.array([True, False])
    assert bootstrap_mean(real, np.array([[1.0, 1.0], [5.0, 5.0]]), 400, 0) == (1.0, 5.0)


def test_bootstrap_repeats_and_follows_seed_and_number() -> None:
    rng = np.random.default_rng(0)
    real, table = np.arange(20) < 10, rng.random((3, 20))
    first = bootstrap_mean(real, table, 200, 0)
    assert first == bootstrap_mean(real, table, 200, 0)
    assert first != bootstrap_mean(real, table, 200, 1) and first != bootstrap_mean(real, table, 201, 0)
    assert first[0] < table.mean() < first[1]
