"""The bound and the chain rule of a real Transformer over three tokens and three places: all can be enumerated."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tiny_diffusion.config import ModelConfig
from tiny_diffusion.model.lengths import equal_lengths
from tiny_diffusion.model.likelihood import chain_rule, likelihood_bound, uniform_mask_losses
from tiny_diffusion.model.transformer import MASK_ID, Transformer

LENGTH, TOKENS, RESERVED = 3, 3, 2
SEP = 1
WINDOWS = [torch.tensor(w) + RESERVED for w in itertools.product(range(TOKENS), repeat=LENGTH)]


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(1)
    config = ModelConfig.smoke().model_copy(update={"context": 8, "init_std": 0.5, "dropout": 0.0})
    return Transformer(config, RESERVED + TOKENS, RESERVED)


def nats(model: Transformer, windows: list[Tensor], batch_size: int = 7) -> list[float]:
    found = torch.zeros(len(windows), dtype=torch.float64)
    for owner, _, losses in chain_rule(model, windows, batch_size):
        found.index_add_(0, owner, losses)
    return found.tolist()


@torch.no_grad()
def nats_in_order(model: Transformer, window: Tensor, order: tuple[int, ...]) -> float:
    """-log p of ``window`` when its tokens are settled one by one in ``order``, a forward pass for each."""
    state, total = torch.full_like(window, MASK_ID), 0.0
    for place in order:
        row = model(state[None])[0, place].log_softmax(0)
        total -= float(row[window[place] - RESERVED])
        state[place] = window[place]
    return total


def test_chain_rule_sums_to_one_over_all_windows(model: Transformer) -> None:
    assert sum(math.exp(-n) for n in nats(model, WINDOWS)) == pytest.approx(1, abs=1e-6)


def test_chain_rule_equals_one_pass_a_token(model: Transformer) -> None:
    windows = [*WINDOWS, torch.tensor([4, 2]), torch.tensor([3]), torch.tensor([2, 3, 4, 4, 3, 2, 2, 3])]
    expected = [nats_in_order(model, w, tuple(range(len(w)))) for w in windows]
    for batch_size in (1, 5, 1000):
        assert nats(model, windows, batch_size) == pytest.approx(expected, abs=1e-5)


def test_every_text_token_comes_once_and_what_is_reserved_never(model: Transformer) -> None:
    windows = [torch.tensor([2, SEP, 3, 4]), torch.tensor([3, 3, SEP, 2]), torch.tensor([SEP, SEP])]
    seen = [
        (o, p)
        for owner, at, _ in chain_rule(model, windows, 3)
        for o, p in zip(owner.tolist(), at.tolist(), strict=True)
    ]
    assert sorted(seen) == [(0, 0), (0, 2), (0, 3), (1, 0), (1, 1), (1, 3)]
    # The separator stays visible: over all texts around it the chain rule still sums to one.
    around = [torch.tensor([a + RESERVED, SEP, b + RESERVED]) for a in range(TOKENS) for b in range(TOKENS)]
    assert sum(math.exp(-n) for n in nats(model, around)) == pytest.approx(1, abs=1e-6)


def exact_bound(model: Transformer, window: Tensor) -> float:
    """The any-order bound by enumerating every mask: the mean over k and over the sets of k, weighted by L/k."""
    total = 0.0
    for k in range(1, LENGTH + 1):
        for hidden in (sets := list(itertools.combinations(range(LENGTH), k))):
            state = window.clone()
            state[list(hidden)] = MASK_ID
            with torch.no_grad():
                rows = model(state[None])[0].log_softmax(1)
            total -= sum(float(rows[i, window[i] - RESERVED]) for i in hidden) / k / len(sets)
    return total


def test_bound_is_the_mean_over_orders_of_the_chain_rule(model: Transformer) -> None:
    for window in WINDOWS[::5]:
        orders = [nats_in_order(model, window, order) for order in itertools.permutations(range(LENGTH))]
        bound = exact_bound(model, window)
        assert bound == pytest.approx(sum(orders) / len(orders), abs=1e-5)
        # The model is a mixture over orders; its likelihood is at most what the bound says (Jensen).
        assert bound > -math.log(sum(math.exp(-n) for n in orders) / len(orders))


def test_estimated_bound_has_the_enumerated_one_as_its_mean(model: Transformer) -> None:
    window = WINDOWS[11]
    estimates = torch.stack(
        [likelihood_bound(model, [window], 30, 64, torch.Generator().manual_seed(seed))[0] for seed in range(40)]
    )
    assert abs(float(estimates.mean()) - exact_bound(model, window)) < 3 * float(estimates.std()) / 40**0.5


def test_bound_is_bits_of_text_tokens_alone(model: Transformer) -> None:
    # With one text token beside separators every mask hides it: the bound is exact, and so is the chain rule.
    window = torch.tensor([SEP, 3, SEP])
    bound = likelihood_bound(model, [window], 5, 2, torch.Generator().manual_seed(0))
    assert float(bound[0]) == pytest.approx(nats(model, [window])[0], abs=1e-4)


def test_losses_at_a_rate_hide_so_many_tokens(model: Transformer) -> None:
    window = WINDOWS[5]
    full = uniform_mask_losses(model, [window], 1.0, 4, torch.Generator().manual_seed(0))
    with torch.no_grad():
        rows = model(torch.full((1, LENGTH), MASK_ID))[0].log_softmax(1)
    expected = -sum(float(rows[i, window[i] - RESERVED]) for i in range(LENGTH)) / LENGTH
    assert float(full[0]) == pytest.approx(expected, abs=1e-5)


@given(st.lists(st.integers(1, 4), max_size=12), st.integers(1, 7), st.integers(1, 3))
def test_batches_hold_every_copy_once(lengths: list[int], batch_size: int, copies: int) -> None:
    sequences = [torch.full((n,), i) for i, n in enumerate(lengths)]
    seen = []
    for batch in equal_lengths(sequences, batch_size, lambda _: copies):
        assert 0 < len(batch.rows) <= batch_size
        assert all(set(row) == {o} for row, o in zip(batch.rows.tolist(), batch.owner.tolist(), strict=True))
        seen += list(zip(batch.owner.tolist(), batch.copy.tolist(), strict=True))
    assert sorted(seen) == [(i, c) for i in range(len(lengths)) for c in range(copies)]
