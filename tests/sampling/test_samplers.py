"""The order of each sampler under hand-made distributions, blocks and penalties, and what holds for all samplers."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tiny_diffusion.config import GenerationConfig, ModelConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.schedule import LinearSchedule
from tiny_diffusion.model.transformer import MASK_ID, Transformer
from tiny_diffusion.sampling.denoise import EQUAL_SHARES, SAMPLERS, DenoisingState, denoise, share_steps, split_blocks
from tiny_diffusion.sampling.draw import choose, draw, neighbours, penalise, restrict
from tiny_diffusion.sampling.in_order import left_to_right
from tiny_diffusion.writing.continuing import most_passes
from tiny_diffusion.writing.writer import Writer

PLAIN = GenerationConfig(temperature=1.0, top_p=1.0, precision="float32")
Law = Callable[[list[int]], Sequence[Sequence[float]]]


@dataclass
class Shape:
    context: int = 64
    dual: bool = False
    causal: bool = True


class Toy(torch.nn.Module):
    """A network whose probabilities (T, V) at each position are a function of the row; it counts its passes."""

    reserved = NUM_RESERVED
    device = torch.device("cpu")
    config = Shape()
    schedule = LinearSchedule()

    def __init__(self, law: Law) -> None:
        super().__init__()
        self.law = law
        self.passes = 0

    shift = 0

    def input_of(self, ids: Tensor) -> Tensor:
        return ids

    def hidden(
        self, ids: Tensor, positions: Tensor | None = None, cache: object = None, controls: object = None
    ) -> Tensor:
        self.passes += 1
        found = torch.tensor([self.law(row) for row in ids.tolist()]).log()
        return found if positions is None else found.gather(1, positions[..., None].expand(-1, -1, found.shape[2]))

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden


def fixed(*rows: Sequence[float]) -> Toy:
    return Toy(lambda ids: rows)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def changed(**changes: object) -> GenerationConfig:
    return GenerationConfig(**{**PLAIN.model_dump(), **changes})


def run(
    model: torch.nn.Module, rows: Tensor, seed: int = 0, vocab: int = 40, **changes: object
) -> list[DenoisingState]:
    kept = int(changes.pop("kept", 0))  # type: ignore[call-overload]
    return list(denoise(model, rows, changed(**changes), generator(seed), vocab, kept))  # type: ignore[arg-type]


def order(model: Toy, tokens: int, **changes: object) -> list[list[int]]:
    """The positions of one empty row that each step settles."""
    states = run(model, torch.full((1, tokens), MASK_ID), vocab=len(model.law([0])[0]), **changes)
    return settled_by_step(states, tokens)


def settled_by_step(states: Sequence[DenoisingState], tokens: int) -> list[list[int]]:
    """The positions of the only row, empty before, that each step settles."""
    masked = [set(range(tokens)), *(set((s.ids[0] == MASK_ID).nonzero().flatten().tolist()) for s in states)]
    return [sorted(a - b) for a, b in itertools.pairwise(masked)]


def text(state: DenoisingState) -> list[int]:
    return state.ids[0].tolist()


# Positions that margin and entropy order differently.
CLOSE, FLAT, CLEAR = (0.5, 0.49, 0.01), (0.4, 0.3, 0.3), (0.6, 0.2, 0.2)


def test_the_config_names_the_samplers() -> None:
    assert get_args(GenerationConfig.model_fields["sampler"].annotation) == tuple(SAMPLERS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("choice_noise", -0.1),
        ("block", -1),
        ("min_p", 1.1),
        ("repetition_penalty", 0.9),
        ("repetition_window", 0),
    ],
)
def test_impossible_values_are_refused(key: str, value: float) -> None:
    with pytest.raises(UserError, match=key):
        changed(**{key: value})


def test_margin_and_entropy_settle_the_surest_first() -> None:
    model = fixed(CLOSE, FLAT, CLEAR)
    assert order(model, 3, sampler="margin", steps=3) == [[2], [1], [0]]
    assert order(model, 3, sampler="entropy", steps=3) == [[0], [2], [1]]
    assert order(model, 3, sampler="margin", steps=2) == [[2], [0, 1]]  # equal shares: what is left is rounded up
    assert order(model, 3, sampler="entropy", steps=2) == [[0], [1, 2]]
    # The order is measured before temperature and restrictions, which would make all positions equal.
    assert order(model, 3, sampler="margin", steps=3, top_k=1) == [[2], [1], [0]]
    assert order(model, 3, sampler="entropy", steps=3, temperature=0.01) == [[0], [2], [1]]


def test_tokens_that_may_not_be_written_count_in_no_measure() -> None:
    rows = torch.full((1, 3), MASK_ID)
    model = fixed((0.1, 0.1, 0.8), (0.25, 0.24, 0.51), (0.5, 0.4, 0.1))  # of the first two: 1:1, 25:24, 5:4
    for sampler in ("margin", "entropy"):
        states = run(model, rows, vocab=2, sampler=sampler, steps=3)
        assert [(s.ids[0] != MASK_ID).tolist() for s in states[:2]] == [[False, False, True], [False, True, True]]


def test_confidence_settles_the_likeliest_of_the_drawn_tokens_first() -> None:
    law = torch.rand(5, 7, generator=generator(9)).softmax(-1)
    numbers, left, expected = generator(), list(range(5)), []
    while left:
        _, chances = draw(law[left].log(), numbers)
        expected.append([left.pop(int(chances.argmax()))])
    assert order(fixed(*law.tolist()), 5, sampler="confidence", steps=5) == expected
    assert expected != sorted(expected)


def test_confidence_ranks_by_the_law_of_the_model_whatever_it_draws_with() -> None:
    model = fixed((0.6, 0.4), (0.45, 0.55), (0.1, 0.9), (0.3, 0.7))
    for restriction in ({"top_k": 1}, {"temperature": 1e-6}, {"top_p": 0.01}, {"min_p": 1.0}):
        # Whatever can be drawn is drawn with probability 1: ranked by that, the order would be 0, 1, 2, 3.
        assert order(model, 4, sampler="confidence", steps=4, **restriction) == [[2], [3], [0], [1]]


def test_confidence_adds_noise_to_the_choice_that_ends_with_the_last_step() -> None:
    law, steps, scale = (0.9, 0.6, 0.7, 0.8), 4, 3.0
    numbers, left, expected = generator(), [0, 1, 2, 3], []
    for step in range(steps):
        torch.rand(len(left), generator=numbers, dtype=torch.float64)  # the tokens, of which only one can be drawn
        rest = scale * (steps - step - 1) / steps
        noise = [0.0] * 4
        if rest:
            noise = [
                -math.log(-math.log(1 - u)) for u in torch.rand(4, generator=numbers, dtype=torch.float64).tolist()
            ]
        expected.append([max(left, key=lambda i: math.log(law[i]) + rest * noise[i])])
        left.remove(expected[-1][0])
    model = fixed(*[(p, 1 - p) for p in law])
    assert order(model, 4, sampler="confidence", steps=steps, top_k=1, choice_noise=scale) == expected
    assert expected != [[0], [3], [2], [1]]


def test_first_hitting_settles_in_the_order_of_its_times() -> None:
    model = fixed(*[FLAT] * 6)
    times = torch.rand(1, 6, generator=generator(), dtype=torch.float64)[0].argsort().tolist()
    assert order(model, 6, sampler="first_hitting", steps=6) == [[i] for i in times]
    assert order(model, 6, sampler="first_hitting", steps=3) == [sorted(times[i : i + 2]) for i in (0, 2, 4)]


def test_ancestral_settles_with_the_schedules_chance() -> None:
    model, numbers, left = fixed(*[FLAT] * 40), generator(), set(range(40))
    for step, settled in enumerate(order(model, 40, sampler="ancestral", steps=4)):
        hits = set((torch.rand(1, 40, generator=numbers)[0] < 1 / (4 - step)).nonzero().flatten().tolist()) & left
        assert settled == sorted(hits) and 0 < len(hits) < 40
        torch.rand(len(hits), 1, generator=numbers, dtype=torch.float64)  # the draw of the tokens
        left -= hits


@pytest.mark.parametrize(
    ("steps", "lengths", "expected"),
    [
        (64, [32, 32, 32, 4], [21, 20, 20, 3]),
        (100, [32, 32, 32, 4], [32, 32, 32, 4]),
        (5, [8, 8, 8, 1], [2, 1, 1, 1]),
        (2, [8, 8, 8], [1, 1, 1]),
        (7, [0], [7]),
    ],
)
def test_steps_are_shared_by_length(steps: int, lengths: list[int], expected: list[int]) -> None:
    assert share_steps(steps, lengths) == expected


@given(st.integers(1, 60), st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_shares_add_up_and_the_least_served_block_could_not_be_served_better(steps: int, lengths: list[int]) -> None:
    shares = share_steps(steps, lengths)
    assert sum(shares) == max(steps, len(lengths)) and min(shares) >= 1
    assert steps != sum(lengths) or shares == lengths
    worst = max(n / k for n, k in zip(lengths, shares, strict=True))
    others = (n / (k - 1) for n, k in zip(lengths, shares, strict=True) if k > 1)
    assert all(worst <= other for other in others)


def test_blocks_are_of_masked_positions() -> None:
    masked = torch.tensor([[1, 0, 1, 1, 0, 1, 1], [0, 0, 0, 0, 1, 0, 0]]).bool()
    parts = split_blocks(masked, 2)
    assert [p.nonzero().tolist() for p in parts] == [[[0, 0], [0, 2], [1, 4]], [[0, 3], [0, 5]], [[0, 6]]]
    assert [int(part.sum(1).max()) for part in parts] == [2, 2, 1]
    assert len(split_blocks(masked, 0)) == 1 and torch.equal(split_blocks(masked, 0)[0], masked)
    assert [p.tolist() for p in split_blocks(torch.zeros(1, 2, dtype=torch.bool), 3)] == [[[False, False]]]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_blocks_and_one_block_are_the_same(sampler: str) -> None:
    model, rows = build(2), torch.full((2, 10), MASK_ID)
    one, other = (run(model, rows, sampler=sampler, steps=4, block=block) for block in (0, 10))
    assert all(torch.equal(a.ids, b.ids) and a.steps == b.steps for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[-1].ids, run(model, rows, sampler=sampler, steps=4, block=3)[-1].ids)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_blocks_read_the_kept_context_from_the_cache(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(3)
    rows = torch.full((2, 16), MASK_ID)
    rows[:, :8] = torch.arange(8) + NUM_RESERVED
    sizes: list[tuple[int, ...]] = []
    plain = model.hidden
    monkeypatch.setattr(model, "hidden", lambda ids, **how: (sizes.append(tuple(ids.shape)), plain(ids, **how))[1])
    how = {"sampler": sampler, "steps": 8, "block": 3, "kept": 8}
    states = run(model, rows, cache_context=True, **how)  # type: ignore[arg-type]
    assert sizes[0] == (2, 16) and {(2, 8), (2, 5)} <= set(sizes[1:]) <= {(2, 8), (2, 5), (2, 2)}
    assert len(sizes) <= len(states)
    assert sizes == sorted(sizes, reverse=True)
    # The first pass is exact, and so is what it settles.
    whole = run(model, rows, **how)  # type: ignore[arg-type]
    first = next(i for i, s in enumerate(whole) if not torch.equal(s.ids, rows))
    assert torch.equal(states[first].ids, whole[first].ids)
    assert torch.equal(states[-1].ids[:, :8], rows[:, :8]) and (states[-1].ids >= NUM_RESERVED).all()


def test_min_p_keeps_what_is_near_the_likeliest() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.97, 0.01, 0.01, 0.01]]).log()
    kept = lambda **how: restrict(logits, **{"top_k": 0, "top_p": 1.0, **how}).isfinite().tolist()  # noqa: E731
    assert kept(min_p=0.2) == [[True, True, True, False], [True, False, False, False]]
    assert kept(min_p=0.0) == kept(min_p=0.001) == [[True] * 4] * 2
    assert kept(min_p=1.0) == [[True, False, False, False]] * 2
    assert kept(min_p=0.2, top_p=0.75)[0] == [True, True, False, False]  # both at once
    assert kept(min_p=0.5, top_p=0.99)[0] == [True, True, False, False]


def test_the_probability_of_a_token_is_that_of_the_tempered_restricted_law() -> None:
    law = torch.tensor([0.5, 0.3, 0.15, 0.05])
    logits = law.log().expand(500, -1)
    for how, kept in (({"temperature": 2.0}, 4), ({"min_p": 0.25}, 3), ({"top_k": 2, "temperature": 0.5}, 2)):
        chosen = changed(**how)
        tokens, chances = choose(logits, chosen, generator())
        expected = law[:kept] ** (1 / chosen.temperature)
        assert set(tokens.tolist()) == set(range(kept))
        assert torch.allclose(chances, (expected / expected.sum())[tokens])


def test_a_penalty_lowers_what_stands_nearby() -> None:
    logits = torch.tensor([[2.0, -1.0, 4.0, 0.5], [2.0, -1.0, 4.0, 0.5]])
    tokens = torch.tensor([[0, 1, 0], [2, -5, -1]])
    assert penalise(logits, tokens, 2.0).tolist() == [[1.0, -2.0, 4.0, 0.5], [2.0, -1.0, 2.0, 0.5]]
    ids = torch.tensor([[11, 12, 13, 14]])
    assert neighbours(ids, torch.tensor([[True, False, True, False]]), 1).tolist() == [[0, 0, 12], [12, 0, 14]]
    assert neighbours(ids, ids > 13, 99).tolist() == [[11, 12, 13, 0, 0, 0, 0]]
    assert neighbours(ids[:, :1], ids[:, :1] > 0, 3).tolist() == [[0]]


class Loud(Toy):
    """Five words, equally likely, with large logits: a penalised word is never drawn."""

    def __init__(self) -> None:
        super().__init__(lambda ids: [(0.2,) * 5] * len(ids))

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden + 100


@pytest.mark.parametrize("seed", range(3))
def test_no_repetition_within_the_window_on_either_side(seed: int) -> None:
    rows = torch.full((4, 14), MASK_ID)
    rows[:, 6] = NUM_RESERVED + 2  # given words count too
    how = {"repetition_penalty": 1e6, "repetition_window": 2}

    def repeats(ids: Tensor, distance: int) -> bool:
        return bool((ids[:, distance:] == ids[:, :-distance]).any())

    for sampler in ("first_hitting", "entropy", "confidence"):
        last = run(Loud(), rows, seed, 5, sampler=sampler, steps=13, **how)[-1].ids
        assert not repeats(last, 1) and not repeats(last, 2) and repeats(last, 3)
    assert repeats(run(Loud(), rows, seed, 5, sampler="first_hitting", steps=13)[-1].ids, 1)
    block = torch.full((4, 14), MASK_ID)
    block[:, :2] = torch.tensor([3, 4]) + NUM_RESERVED
    states = left_to_right(Loud(), block, 2, changed(**how), generator(seed), 5)  # type: ignore[arg-type]
    *_, end = states
    assert not repeats(end.ids, 1) and not repeats(end.ids, 2) and repeats(end.ids, 3)


MODELS: dict[int, Transformer] = {}


def build(seed: int) -> Transformer:
    """A small random network that is sure of some positions and unsure of others."""
    if seed not in MODELS:
        torch.manual_seed(seed)
        shape = ModelConfig(d_model=16, n_layers=2, n_heads=2, d_ff=32, context=24, dropout=0.0, init_std=0.8)
        MODELS[seed] = Transformer(shape, NUM_RESERVED + 40, NUM_RESERVED).eval().requires_grad_(False)
    return MODELS[seed]


@settings(max_examples=100)
@given(
    st.sampled_from(sorted(SAMPLERS)),
    st.integers(0, 3),
    st.integers(0, 2**32),
    st.integers(1, 16),
    st.fixed_dictionaries(
        {
            "steps": st.integers(1, 20),
            "block": st.integers(0, 9),
            "temperature": st.sampled_from([0.3, 1.0, 3.0]),
            "top_k": st.sampled_from([0, 1, 5]),
            "min_p": st.sampled_from([0.0, 0.3]),
            "choice_noise": st.sampled_from([0.0, 4.5]),
            "repetition_penalty": st.sampled_from([1.0, 1.5]),
            "repetition_window": st.sampled_from([1, 30]),
            "cache_context": st.booleans(),
            "kept": st.integers(0, 5),
        }
    ),
)
def test_what_holds_for_every_sampler(sampler: str, model: int, seed: int, length: int, how: dict[str, object]) -> None:
    kept = min(int(how["kept"]), length - 1)  # type: ignore[call-overload]
    numbers = generator(seed)
    ids = torch.randint(1, NUM_RESERVED + 40, (3, length), generator=numbers)  # given ids may be reserved ones
    masked = torch.rand(3, length, generator=numbers) < torch.rand(3, 1, generator=numbers)
    masked[:, :kept] = False
    masked[0, -1] = True
    rows = ids.masked_fill(masked, MASK_ID)
    how = {**how, "sampler": sampler, "kept": kept}
    states = run(build(model), rows, seed, 30, **how)  # type: ignore[arg-type]
    again = run(build(model), rows, seed, 30, **how)[-1]  # type: ignore[arg-type]
    final = states[-1]
    assert torch.equal(final.ids, again.ids) and torch.equal(final.confidence, again.confidence)
    assert all(torch.equal(state.ids[~masked], rows[~masked]) for state in states)
    assert final.ids.shape == rows.shape
    drawn = final.ids[masked]
    assert (drawn >= NUM_RESERVED).all() and (drawn < NUM_RESERVED + 30).all()
    assert (final.confidence[~masked] == 1).all() and (final.confidence > 0).all() and (final.confidence <= 1).all()
    for state in states:
        assert ((state.confidence == 0) == (state.ids == MASK_ID)).all()
    most = int(masked.sum(1).max())
    size = int(how["block"]) or most  # type: ignore[call-overload]
    assert [s.step for s in states] == list(range(1, len(states) + 1)) and final.steps == final.step
    steps = max(int(how["steps"]), -(-most // size))  # type: ignore[call-overload]
    assert {s.steps for s in states} == {min(steps, most) if sampler in EQUAL_SHARES else steps}
    index = (masked.cumsum(1) - 1) // size
    for state in states:  # in a row, no block begins before all earlier ones are settled
        open_, begun = masked & (state.ids == MASK_ID), masked & (state.ids != MASK_ID)
        assert (index.masked_fill(~begun, -1).amax(1) <= index.masked_fill(~open_, 99).amin(1)).all()


@pytest.fixture(scope="module")
def writer(config: ProjectConfig, data: Processed) -> Writer:
    torch.manual_seed(0)
    vocab = NUM_RESERVED + data.tokenizer.level_size(config.model.vocab_level)
    return Writer(Transformer(config.model, vocab, NUM_RESERVED), data.tokenizer)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_writer_counts_the_steps_really_taken(writer: Writer, sampler: str) -> None:
    how = changed(sampler=sampler, steps=3, length=50, block=9, num_samples=2).as_drawn()
    states, writing = 0, writer.writing("", how)
    while True:
        try:
            state = next(writing)
        except StopIteration as done:
            texts = done.value
            break
        states += 1
        assert state.step <= state.steps
    assert {t.steps for t in texts} == {states} and states > 3
    assert states == most_passes(how, writer.model.config)
    assert all(len(t.ids) == t.given.count(True) + 50 and min(t.ids) >= NUM_RESERVED for t in texts)
