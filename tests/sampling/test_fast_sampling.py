"""The samplers' distributions against enumeration, and each faster computation against the plain one."""

import itertools
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tests.conftest import TOY_TOKENS
from tests.copyist import Copyist
from tiny_diffusion.config import GenerationConfig, ModelConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.copies import CopyIndex
from tiny_diffusion.data.tokenizer import BOS, NUM_RESERVED
from tiny_diffusion.model.transformer import MASK_ID, Transformer
from tiny_diffusion.sampling.canvas import Predictor, cast_once
from tiny_diffusion.sampling.denoise import SAMPLERS as ALL
from tiny_diffusion.sampling.denoise import denoise, settled_prefix
from tiny_diffusion.sampling.draw import draw, forbid, nucleus, restrict
from tiny_diffusion.sampling.in_order import left_to_right
from tiny_diffusion.writing.writer import Writer

PLAIN = GenerationConfig(temperature=1.0, top_p=1.0, precision="float32")
SAMPLERS = ["ancestral", "first_hitting", "confidence"]
ALL_SAMPLERS = sorted(ALL)


def build(**changes: object) -> Transformer:
    torch.manual_seed(2)
    shape = ModelConfig(d_model=16, n_layers=2, n_heads=2, d_ff=32, context=24, dropout=0.0, init_std=0.8)
    return Transformer(shape.model_copy(update=changes), NUM_RESERVED + 40, NUM_RESERVED).eval()


@pytest.fixture(scope="module")
def model() -> Transformer:
    return build()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def run(model: Transformer, rows: Tensor, kept: int = 0, **changes: object) -> Tensor:
    *_, last = denoise(model, rows, PLAIN.model_copy(update=changes), generator(7), 40, kept)
    return last.ids


class Passes:
    """Records the sizes (rows, tokens) of a model's forward passes."""

    def __init__(self, model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[tuple[int, int]] = []
        plain = model.hidden

        def hidden(ids: Tensor, **how: object) -> Tensor:
            self.sizes.append((ids.shape[0], ids.shape[1]))
            return plain(ids, **how)  # type: ignore[arg-type]

        monkeypatch.setattr(model, "hidden", hidden)


Conditionals = dict[tuple[int, ...], list[list[float]]]


@pytest.fixture(scope="module")
def conditionals(toy: Transformer) -> Conditionals:
    """The model's probability of each token at each of three positions, by the row."""
    contexts = list(itertools.product([MASK_ID, *range(NUM_RESERVED, NUM_RESERVED + TOY_TOKENS)], repeat=3))
    return dict(zip(contexts, toy(torch.tensor(contexts)).double().softmax(-1).tolist(), strict=True))


def law(conditionals: Conditionals, plans: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], float]:
    """Probability of each text if position i settles in step plan[i] and all plans are equally likely."""
    chances = {}
    for text in itertools.product(range(TOY_TOKENS), repeat=3):
        total = 0.0
        for plan in plans:
            chance = 1.0
            for i, step in enumerate(plan):
                seen = tuple(NUM_RESERVED + text[j] if plan[j] < step else MASK_ID for j in range(3))
                chance *= conditionals[seen][i][text[i]]
            total += chance
        chances[text] = total / len(plans)
    return chances


PLANS = {
    ("first_hitting", 3): list(itertools.permutations(range(3))),  # any order, one at a time: the model's joint law
    ("first_hitting", 5): list(itertools.permutations(range(3))),  # two of the steps are idle
    ("first_hitting", 2): [(0, 1, 1), (1, 0, 1), (1, 1, 0)],
    ("ancestral", 2): list(itertools.product(range(2), repeat=3)),
    ("ancestral", 4): list(itertools.product(range(4), repeat=3)),
}
AT_ONCE = [(0, 0, 0)]


@pytest.mark.parametrize(("sampler", "steps"), PLANS, ids=lambda value: str(value))
def test_texts_come_with_the_chances_of_the_enumerated_law(
    toy: Transformer, conditionals: Conditionals, sampler: str, steps: int
) -> None:
    expected = law(conditionals, PLANS[sampler, steps])
    assert sum(expected.values()) == pytest.approx(1)
    n = 20_000
    settings = PLAIN.model_copy(update={"sampler": sampler, "steps": steps})
    *_, last = denoise(toy, torch.full((n, 3), MASK_ID), settings, generator(11), TOY_TOKENS)
    counts = Counter(map(tuple, (last.ids - NUM_RESERVED).tolist()))

    def distance(of: dict[tuple[int, ...], float]) -> float:
        return sum((counts[text] - n * p) ** 2 / (n * p) for text, p in of.items())

    assert distance(expected) < 26 + 4 * 52**0.5  # 26 degrees of freedom: mean, and four standard deviations
    for other in [AT_ONCE, *PLANS.values()]:
        assert other == PLANS[sampler, steps] or distance(law(conditionals, other)) > 500


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 5, 30])
def test_short_passes_write_what_full_ones_write(
    model: Transformer, monkeypatch: pytest.MonkeyPatch, sampler: str, steps: int
) -> None:
    ids = torch.randint(NUM_RESERVED, NUM_RESERVED + 40, (5, 24), generator=generator())
    rows = ids.masked_fill(torch.rand(5, 24, generator=generator(1)) < torch.linspace(0.1, 1, 5)[:, None], MASK_ID)
    short = run(model, rows, sampler=sampler, steps=steps)
    monkeypatch.setattr(Predictor, "logits", lambda self, ids, where: self.model(ids)[where])
    assert torch.equal(short, run(model, rows, sampler=sampler, steps=steps))


def test_logits_asked_for_are_those_of_a_full_pass(model: Transformer) -> None:
    ids = torch.randint(0, NUM_RESERVED + 40, (4, 24), generator=generator())
    where = torch.rand(4, 24, generator=generator(1)) < torch.tensor([[0.0], [0.1], [0.5], [1.0]])
    found = Predictor(model, PLAIN, 0).logits(ids, where)
    assert torch.allclose(found, model(ids)[where], atol=1e-4)


def test_steps_in_which_nothing_settles_take_no_pass(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = Passes(model, monkeypatch)
    rows = torch.full((2, 20), MASK_ID)
    rows[1, 5:] = NUM_RESERVED
    for sampler in ("first_hitting", "confidence"):
        passes.sizes.clear()
        run(model, rows, sampler=sampler, steps=40)
        assert sum(count for count, _ in passes.sizes) == 25  # one for each masked token
    passes.sizes.clear()
    run(model, rows, sampler="ancestral", steps=400)
    assert len(passes.sizes) <= 25


def test_kept_context_costs_only_the_block(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.full((2, 24), MASK_ID)
    rows[:, :16] = torch.arange(16) + NUM_RESERVED
    rows[1, 16:20] = NUM_RESERVED
    how = {"sampler": "first_hitting", "steps": 4, "kept": 16}
    exact = run(model, rows, **how)  # type: ignore[arg-type]
    passes = Passes(model, monkeypatch)
    once = run(model, rows, cache_context=True, **{**how, "steps": 1})  # type: ignore[arg-type]
    assert torch.equal(once, run(model, rows, **{**how, "steps": 1}))  # type: ignore[arg-type]
    passes.sizes.clear()
    kept = run(model, rows, cache_context=True, **how)  # type: ignore[arg-type]
    assert passes.sizes == [(2, 24)] + 3 * [(2, 8)]
    assert torch.equal(kept[rows != MASK_ID], rows[rows != MASK_ID]) and (kept >= NUM_RESERVED).all()
    assert not torch.equal(kept, exact)


def test_the_kept_context_of_a_dual_model_has_room_for_its_whole_context() -> None:
    rows = torch.full((2, 24), MASK_ID)
    rows[:, :16] = torch.arange(16) + NUM_RESERVED  # behind BOS, 25 tokens are read
    cached = run(build(dual=True), rows, cache_context=True, kept=16)
    assert torch.equal(cached[:, :16], rows[:, :16]) and (cached >= NUM_RESERVED).all()


BLOCKED = {"sampler": "first_hitting", "steps": 12, "block": 8}


def test_finished_blocks_cost_no_more(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = Passes(model, monkeypatch)
    rows = torch.full((2, 24), MASK_ID)
    cached = run(model, rows, cache_context=True, **BLOCKED)  # type: ignore[arg-type]
    # The first pass over the next block includes the finished one, for the last time.
    assert passes.sizes == 5 * [(2, 24)] + 4 * [(2, 16)] + 3 * [(2, 8)]
    passes.sizes.clear()
    plain = run(model, rows, **BLOCKED)  # type: ignore[arg-type]
    assert passes.sizes == 12 * [(2, 24)]
    assert torch.equal(cached[:, :8], plain[:, :8]) and not torch.equal(cached, plain)
    assert torch.equal(cached, run(model, rows, cache_context=True, **BLOCKED))  # type: ignore[arg-type]


@pytest.mark.parametrize("sampler", ALL_SAMPLERS)
def test_cached_blocks_are_exact_where_keys_do_not_depend_on_what_follows(sampler: str) -> None:
    # In a network of one layer, a token's keys and values depend on that token alone.
    shallow = build(n_layers=1)
    rows = torch.full((3, 24), MASK_ID)
    rows[0, 3:9], rows[1, :5], rows[2, 20:] = (
        17,
        18,
        19,
    )  # given tokens differ by row: the blocks end in different places
    how = {"sampler": sampler, "steps": 12, "block": 4}
    cached = run(shallow, rows, cache_context=True, **how)  # type: ignore[arg-type]
    assert torch.equal(cached, run(shallow, rows, **how))  # type: ignore[arg-type]
    # In any network, if there are two blocks and none takes a second pass.
    deep, how = build(), {"sampler": sampler, "steps": 2, "block": 12}
    rows = torch.full((3, 24), MASK_ID)
    cached = run(deep, rows, cache_context=True, **how)  # type: ignore[arg-type]
    assert torch.equal(cached, run(deep, rows, **how))  # type: ignore[arg-type]


def test_what_is_cached_is_finished_in_every_row(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.full((2, 24), MASK_ID)
    rows[1, 2:16] = NUM_RESERVED  # its first block is masked in places 0, 1, 16 and 17
    passes = Passes(model, monkeypatch)
    run(model, rows, cache_context=True, sampler="first_hitting", steps=24, block=4)
    widths = [width for _, width in passes.sizes]
    # Row 0 ends its blocks at 4, 8 ... 24; row 1 at 18, 22, 24: the first row tells how far all are settled.
    assert widths == 5 * [24] + 4 * [20] + 4 * [16] + 4 * [12] + 4 * [8] + 3 * [4]
    assert settled_prefix(rows == MASK_ID) == 0 and settled_prefix(rows[1:, 2:] == MASK_ID) == 14
    assert settled_prefix(rows[1:, 2:9] == MASK_ID) == 7


def test_gaps_read_the_text_before_them_from_the_cache(data: Processed, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = build().config
    torch.manual_seed(0)
    writer = Writer(Transformer(shape, data.tokenizer.vocab_size, NUM_RESERVED), data.tokenizer)
    how = PLAIN.model_copy(update={"sampler": "first_hitting", "steps": 4, "num_samples": 2})
    passes = Passes(writer.model, monkeypatch)
    widths = {}
    for cached in (False, True):
        passes.sizes.clear()
        [text, _] = writer.infill("The old miller{4 tokens} it.", how.model_copy(update={"cache_context": cached}))
        widths[cached] = [width for _, width in passes.sizes]
    whole, before = len(text.ids), text.given.index(False)
    assert widths == {False: 4 * [whole], True: [whole] + 3 * [whole - before]}


def test_long_texts_with_cached_blocks(data: Processed) -> None:
    ids = data.tokenizer.encode(data.texts("train")[0])
    read = {}
    for cached in (False, True):
        model = Copyist(ids, data.tokenizer, 0.7)
        how = PLAIN.model_copy(update={"cache_context": cached, "block": 8, "length": 150, "steps": 32}).as_drawn()
        writer = Writer(model, data.tokenizer, CopyIndex(data.texts("train")))
        texts = writer.write("", how)
        read[cached] = sum(ids.numel() for ids in model.read)
        guarded = writer.write("", how.model_copy(update={"max_copied_words": 3}))
        assert len(texts[0].ids) == 150 == len(guarded[0].ids)
        assert (texts[0].longest_copied_words or 0) > 3 >= (guarded[0].longest_copied_words or 0)
        assert guarded == writer.write("", how.model_copy(update={"max_copied_words": 3}))
        # Its probabilities depend on the place alone: a wrong place would give another text.
        assert texts == Writer(Copyist(ids, data.tokenizer, 0.7), data.tokenizer, writer.index).write(
            "", how.model_copy(update={"cache_context": False})
        )
    assert read[True] < 0.75 * read[False]


@pytest.mark.parametrize("options", [{}, {"qk_norm": True, "value_residual": True}])
@pytest.mark.parametrize("kept", [0, 9])
def test_the_twin_writes_with_kept_keys_what_it_writes_without(
    options: dict[str, bool], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = build(causal=True, **options)
    block = torch.full((3, 24), MASK_ID)
    block[:, :kept] = torch.randint(NUM_RESERVED, NUM_RESERVED + 40, (3, kept), generator=generator(2))
    settings = PLAIN.model_copy(update={"temperature": 0.7, "top_k": 12})
    expected, numbers = block.clone(), generator(3)
    for place in range(kept, 24):
        seen = torch.cat((torch.full((3, 1), BOS), expected[:, :place]), dim=1)
        logits = twin(seen)[:, -1] / settings.temperature
        expected[:, place] = draw(restrict(forbid(logits, 30), top_k=12, top_p=1.0), numbers)[0] + NUM_RESERVED
    passes = Passes(twin, monkeypatch)
    states = list(left_to_right(twin, block, kept, settings, generator(3), 30))
    assert torch.equal(states[-1].ids, expected)
    assert passes.sizes == [(3, kept + 1)] + (23 - kept) * [(3, 1)]
    assert [int((s.ids[0] == MASK_ID).sum()) for s in states] == list(range(23 - kept, -1, -1))


def test_a_nucleus_beyond_the_head_is_found_all_the_same() -> None:
    p = (torch.randn(60, 300, generator=generator()) * torch.linspace(0.01, 4, 60)[:, None]).softmax(-1)
    for top_p in (0.1, 0.5, 0.95, 0.999):
        found = nucleus(p, top_p, 16)
        assert torch.equal(found, nucleus(p, top_p, 300))
        for row, kept in zip(p.double(), found, strict=True):
            mass, least = row[kept].sum(), row[kept].min()
            assert top_p - 1e-5 < mass < top_p + least + 1e-5  # holds top_p, but not without its least likely token
            assert (row[~kept] <= least).all()


def test_bfloat16_matrices_are_cast_once_and_logits_stay_float32(model: Transformer) -> None:
    assert cast_once(model, "float32") is model
    fast = cast_once(model, "bfloat16")
    assert {m.weight.dtype for m in fast.blocks.modules() if isinstance(m, torch.nn.Linear)} == {torch.bfloat16}
    assert all(p.dtype == torch.float32 for p in model.parameters())
    ids = torch.full((1, 24), MASK_ID)
    where = ids == MASK_ID
    half = PLAIN.model_copy(update={"precision": "bfloat16"})
    found = Predictor(fast, half, 0).logits(ids, where)
    assert found.dtype == torch.float32
    assert torch.equal(found, Predictor(model, half, 0).logits(ids, where))  # autocast alone gives the same
    exact = Predictor(model, PLAIN, 0).logits(ids, where).detach()
    assert 0 < float((found.detach() - exact).abs().max()) < 0.05 * float(exact.abs().max())


def test_a_reader_may_write_into_a_state(model: Transformer) -> None:
    rows = torch.full((1, 12), MASK_ID)
    settings = PLAIN.model_copy(update={"steps": 12})
    for state in denoise(model, rows, settings, generator(7), 40):
        final = state.ids.clone()
        state.ids.zero_()
        state.confidence.zero_()
    assert torch.equal(final, run(model, rows, steps=12))
