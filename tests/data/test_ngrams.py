"""Kneser-Ney: exact numbers by hand, a naive recursion, normalisation, speed."""

import math
import time
from collections import defaultdict

import numpy as np
import pytest

from tiny_diffusion.data.ngrams import KneserNey, estimate_discounts
from tiny_diffusion.errors import UserError


def _random_sequences(vocab: int, lengths: list[int], seed: int) -> list[np.ndarray]:
    """Zipf-like ids with some repetition, so that counts of 1, 2, 3 and 4 all occur."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, vocab + 1)
    return [rng.choice(vocab, size=n, p=weights / weights.sum()) for n in lengths]


def _discounts(counts: list[int]) -> list[float]:
    """Chen and Goodman's D1, D2, D3+ from the counts of counts; one discount for all if these are undefined."""
    n = [0, *(counts.count(c) for c in (1, 2, 3, 4))]
    if not n[1] or not n[2]:
        return [0.75] * 3
    y = n[1] / (n[1] + 2 * n[2])
    if not n[3] or not n[4]:
        return [y] * 3
    found = [k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)]
    return found if min(found) > 0 else [y] * 3


class _Naive:
    """Kneser-Ney by plain recursion over dictionaries of tuples, written from the definition."""

    def __init__(self, order: int, vocab: int, sequences: list[np.ndarray]) -> None:
        self.order, self.vocab = order, vocab
        self.raw: dict[tuple[int, ...], int] = defaultdict(int)
        neighbours: dict[tuple[int, ...], set[object]] = defaultdict(set)
        for sequence in sequences:
            ids = [int(i) for i in sequence]
            for end in range(1, len(ids) + 1):
                for length in range(1, min(order, end) + 1):
                    gram = tuple(ids[end - length : end])
                    self.raw[gram] += 1
                    neighbours[gram].add(ids[end - length - 1] if end > length else "start")
        self.continuation = {gram: len(found) for gram, found in neighbours.items()}

    def probability(self, word: int, history: tuple[int, ...], top: bool = True) -> float:
        counts = self.raw if top else self.continuation
        if not history and top:
            total = sum(c for gram, c in counts.items() if len(gram) == 1)
            return (counts.get((word,), 0) + 0.5) / (total + 0.5 * self.vocab)
        lower = self.probability(word, history[1:], False) if history else 1 / self.vocab
        level = {gram: c for gram, c in counts.items() if len(gram) == len(history) + 1}
        followers = {gram[-1]: c for gram, c in level.items() if gram[:-1] == history}
        if not followers:
            return lower
        discounts = _discounts(list(level.values()))
        total = sum(followers.values())
        freed = sum(discounts[min(c, 3) - 1] for c in followers.values())
        count = followers.get(word, 0)
        kept = count - discounts[min(count, 3) - 1] if count else 0.0
        return kept / total + freed / total * lower


def distribution(model: KneserNey, context: np.ndarray) -> np.ndarray:
    """p(next id | context) of every id."""
    windows = [np.append(context, word).astype(int) for word in range(model.vocab_size)]
    return np.exp([model.log_probs(window)[-1] for window in windows])


def test_the_longest_context_that_something_followed_is_found() -> None:
    model = KneserNey(3, 5, [np.array([0, 1, 2]), np.array([1, 3])])
    # 2 ends its only sequence, so nothing followed it, nor (1, 2); (0, 1) and 1 were followed; 4 never occurred.
    assert model.matched(np.array([0, 1, 0, 4, 1, 2, 3, 0])).tolist() == [0, 1, 2, 1, 0, 1, 0, 0]


def test_laws_hold_the_probability_of_every_token() -> None:
    sequences = _random_sequences(5, [60, 40], 1)
    model = KneserNey(4, 5, sequences)
    window = np.array([0, 1, 0, 4, 0, 1, 2])
    laws = model.laws(window)
    assert laws.shape == (7, 5)
    for at in range(len(window)):
        np.testing.assert_allclose(laws[at], distribution(model, window[:at]), rtol=1e-12)


def test_hand_worked_bigram() -> None:
    model = KneserNey(2, 3, [np.array([0, 1, 0, 1, 0, 2])])
    # Bigrams 01:2, 10:2, 02:1, so n1=1, n2=2, n3=0 and the one discount is 1/(1+4) = 0.2. Left neighbours:
    # 0 has {start, 1}, 1 has {0}, 2 has {0}; discount 2/(2+2) = 0.5; continuation unigram (0.5, 0.25, 0.25).
    np.testing.assert_allclose(distribution(model, np.array([0])), [0.2 / 3, 1.9 / 3, 0.3], atol=1e-15)
    np.testing.assert_allclose(distribution(model, np.array([1])), [0.95, 0.025, 0.025], atol=1e-15)
    np.testing.assert_allclose(distribution(model, np.array([2])), [0.5, 0.25, 0.25], atol=1e-15)
    np.testing.assert_allclose(distribution(model, np.array([], int)), [3.5 / 7.5, 2.5 / 7.5, 1.5 / 7.5])
    expected = np.log([3.5 / 7.5, 1.9 / 3, 0.95, 0.3, 0.25])
    np.testing.assert_allclose(model.log_probs(np.array([0, 1, 0, 2, 2])), expected, atol=1e-14)


def test_unigram_adds_one_half() -> None:
    model = KneserNey(1, 4, [np.array([0, 0, 1]), np.array([0])])
    expected = np.log(np.array([3.5, 1.5, 0.5, 0.5]) / 6)
    np.testing.assert_allclose(model.log_probs(np.array([0, 1, 2, 3])), expected, atol=1e-14)


def test_discounts_modified_and_fallbacks() -> None:
    counts = np.array([1] * 4 + [2] * 2 + [3, 4, 9])
    assert estimate_discounts(counts) == pytest.approx((0.5, 1.25, 1.0))
    assert estimate_discounts(np.array([1, 1, 2])) == pytest.approx((0.5,) * 3)
    assert estimate_discounts(np.array([1, 1, 2, 3])) == pytest.approx((0.5,) * 3)
    assert estimate_discounts(np.array([1, 1, 1])) == (0.75,) * 3
    assert estimate_discounts(np.array([5, 6])) == (0.75,) * 3
    # n3 so large that D2 = 2 - 3 Y n3/n2 is negative.
    assert estimate_discounts(np.array([1, 1, 2, *[3] * 9, 4])) == pytest.approx((0.5,) * 3)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 6])
def test_equals_naive_recursion(order: int) -> None:
    sequences = _random_sequences(12, [90, 3, 60, 1], seed=order)
    model = KneserNey(order, 14, sequences)
    naive = _Naive(order, 14, sequences)
    windows = [sequences[0][20:32], *_random_sequences(14, [25], seed=99)]
    for window in windows:
        ids = [int(i) for i in window]
        expected = [
            math.log(naive.probability(word, tuple(ids[max(0, i - order + 1) : i]))) for i, word in enumerate(ids)
        ]
        np.testing.assert_allclose(model.log_probs(window), expected, rtol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_distributions_sum_to_one(order: int) -> None:
    vocab = 300
    sequences = _random_sequences(vocab, [4000, 2500], seed=7)
    model = KneserNey(order, vocab + 5, sequences)
    seen = sequences[1]
    contexts = [seen[:length] for length in range(7)] + [seen[100:108], seen[-6:]]
    contexts += [np.array([304, 304, 304, 304]), np.array([3, 304, 1, 0]), np.array([0, 0, 0, 0, 0, 0])]
    for context in contexts:
        found = distribution(model, context)
        assert abs(found.sum() - 1) < 1e-9
        assert found.min() > 0


def test_ngrams_do_not_cross_sequences() -> None:
    apart = KneserNey(2, 4, [np.array([0, 1, 0, 1]), np.array([2, 3])])
    joined = KneserNey(2, 4, [np.array([0, 1, 0, 1, 2, 3])])
    context = np.array([1])
    assert distribution(apart, context)[2] < distribution(joined, context)[2]


def test_higher_order_learns_a_pattern() -> None:
    pattern = np.tile([0, 1, 0, 2], 50)
    losses = []
    for order in (1, 2, 3):
        model = KneserNey(order, 3, [pattern])
        losses.append(-model.log_probs(pattern).mean())
    assert losses[0] > losses[1] > losses[2]


def test_order_longer_than_all_sequences() -> None:
    model = KneserNey(5, 4, [np.array([0, 1]), np.array([2])])
    window = np.array([0, 1, 2, 3, 0, 1, 1])
    assert np.isfinite(model.log_probs(window)).all()
    assert distribution(model, window[:5]).sum() == pytest.approx(1, abs=1e-9)


def test_without_a_token_nothing_is_counted() -> None:
    with pytest.raises(UserError, match="no token"):
        KneserNey(2, 5, [])


def test_order_five_is_fast_on_a_book() -> None:
    train, test = _random_sequences(2048, [160_000, 20_480], seed=3)
    start = time.perf_counter()
    model = KneserNey(5, 2048, np.split(train, 40))
    scores = [model.log_probs(window) for window in np.split(test, 160)]
    assert time.perf_counter() - start < 10
    assert np.isfinite(np.concatenate(scores)).all()


def test_rows_of_one_length_are_scored_as_one_by_one() -> None:
    rows = _random_sequences(6, [9, 9, 9], seed=4)
    model = KneserNey(4, 6, _random_sequences(6, [80, 50], seed=5))
    together = model.log_probs(np.stack(rows))
    assert together.tolist() == [model.log_probs(row).tolist() for row in rows]


def test_the_next_law_is_that_of_a_place_in_a_window() -> None:
    [text] = _random_sequences(6, [12], seed=6)
    model = KneserNey(4, 6, _random_sequences(6, [80, 50], seed=7))
    laws = model.laws(text)
    for place in range(len(text)):
        assert model.next_law(text[:place].tolist()).tolist() == laws[place].tolist()
    assert model.laws(text, 5).tolist() == laws[5:].tolist()


@pytest.mark.parametrize(("before", "behind"), [([], []), ([1, 0], []), ([], [2, 3]), ([4, 0, 1, 2, 5], [0, 1, 2, 3])])
def test_the_law_between_two_sides_is_that_of_all_texts_with_them(before: list[int], behind: list[int]) -> None:
    """Brute force: p(before, id, behind) for every id, without what is out of reach."""
    model = KneserNey(4, 6, _random_sequences(6, [80, 50], seed=8))
    seen, after = before[-3:], behind[:3]
    joint = np.exp([model.log_probs(np.array([*seen, i, *after])).sum() for i in range(6)])
    assert model.law_between(before, behind).tolist() == pytest.approx((joint / joint.sum()).tolist(), rel=1e-9)
