"""The backbone: who sees whom, what is counted, and that its shorter ways give what the plain ones give."""

import copy
import itertools

import pytest
import torch
from torch import Tensor

from tiny_diffusion.config import ModelConfig, ProjectConfig
from tiny_diffusion.config.project import PRESETS
from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.model.layers import (
    KeyValueCache,
    draw_dropped,
)
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.runtime import can_compile

VOCAB = 40
SHAPE = ModelConfig(d_model=16, n_layers=2, n_heads=2, d_ff=32, context=24, dropout=0.0, init_std=0.3)


def build(**changes: object) -> Transformer:
    torch.manual_seed(3)
    return Transformer(SHAPE.model_copy(update=changes), VOCAB, NUM_RESERVED).eval()


def draw_ids(rows: int, length: int) -> Tensor:
    return torch.randint(NUM_RESERVED, VOCAB, (rows, length), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", PRESETS)
def test_the_config_counts_the_models_parameters(name: str) -> None:
    config = ProjectConfig.preset(name)
    with torch.device("meta"):
        model = Transformer(config.model, config.vocab_size, NUM_RESERVED)
    assert sum(p.numel() for p in model.parameters()) == config.model.parameters(config.vocab_size)


@pytest.mark.parametrize("changes", [{"tie_embeddings": False}, {"qk_norm": True}, {"value_residual": True}])
def test_options_count_too(changes: dict[str, bool]) -> None:
    model = build(**changes)
    assert sum(p.numel() for p in model.parameters()) == model.config.parameters(VOCAB) > SHAPE.parameters(VOCAB)


@pytest.mark.parametrize("options", [{}, {"qk_norm": True, "value_residual": True}])
def test_a_causal_model_never_sees_what_comes(options: dict[str, bool]) -> None:
    model = build(causal=True, **options)
    ids = draw_ids(1, 12)
    changed = ids.clone()
    changed[0, 7] = NUM_RESERVED + (changed[0, 7] - NUM_RESERVED + 1) % (VOCAB - NUM_RESERVED)
    before, after = model(ids), model(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert (before[:, 7:] != after[:, 7:]).any(-1).all()


def test_a_bidirectional_model_sees_both_sides() -> None:
    model = build()
    ids = draw_ids(1, 12)
    for place in (0, 11):
        changed = ids.clone()
        changed[0, place] = NUM_RESERVED + (changed[0, place] - NUM_RESERVED + 1) % (VOCAB - NUM_RESERVED)
        assert (model(ids) != model(changed)).any(-1).all()


@pytest.mark.parametrize("causal", [False, True])
def test_packed_documents_give_what_each_gives_alone(causal: bool) -> None:
    model = build(causal=causal, value_residual=True)
    ids = draw_ids(1, 20)
    documents = torch.tensor([[1] * 5 + [2] * 9 + [3] * 6])
    attention = documents[:, None, :, None] == documents[:, None, None, :]
    packed = model(ids, attention)
    for start, end in ((0, 5), (5, 14), (14, 20)):  # rotary positions are relative: the offset does not matter
        torch.testing.assert_close(packed[:, start:end], model(ids[:, start:end]), rtol=1e-4, atol=1e-5)


def test_recomputed_blocks_give_the_same_gradients_under_dropout() -> None:
    gradients = []
    for checkpointing in (False, True):
        model = build(dropout=0.3).train()
        model.gradient_checkpointing = checkpointing
        torch.manual_seed(11)
        model(draw_ids(3, 24)).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(a is not None and torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_no_logit_for_a_reserved_id_and_none_beyond_the_context() -> None:
    model = build()
    assert model(draw_ids(2, 6)).shape == (2, 6, VOCAB - NUM_RESERVED)
    with pytest.raises(ValueError, match="25 tokens"):
        model(draw_ids(1, 25))


def test_logits_of_gathered_positions_are_those_of_all() -> None:
    model = build()
    ids = draw_ids(2, 10)
    where = torch.rand(ids.shape, generator=torch.Generator().manual_seed(0)) < 0.4
    torch.testing.assert_close(model.logits(model.hidden(ids)[where]), model(ids)[where])


@pytest.mark.parametrize("options", [{}, {"qk_norm": True, "value_residual": True}, {"n_layers": 1}])
def test_a_last_block_for_some_positions_gives_what_the_full_one_gives(options: dict[str, object]) -> None:
    model = build(**options)
    ids = draw_ids(3, 20)
    positions = torch.tensor([[0, 7, 19], [3, 3, 4], [19, 1, 0]])
    full = model.hidden(ids)
    found = model.hidden(ids, positions=positions)
    assert torch.allclose(found, full[torch.arange(3)[:, None], positions], atol=1e-5)
    with pytest.raises(ValueError, match="causal"):
        build(causal=True).hidden(ids, positions=positions)


@pytest.mark.parametrize("options", [{}, {"qk_norm": True, "value_residual": True}])
@pytest.mark.parametrize("pieces", [[12, 1, 1, 1], [1, 5, 9], [15]])
def test_a_causal_pass_in_pieces_gives_what_one_pass_gives(options: dict[str, object], pieces: list[int]) -> None:
    model = build(causal=True, **options)
    ids = draw_ids(2, 15)
    cache = KeyValueCache(20)
    found = []
    for piece in ids.split(pieces, dim=1):
        found.append(model.hidden(piece, cache=cache))
        cache.length += piece.shape[1]
    assert torch.allclose(torch.cat(found, dim=1), model.hidden(ids), atol=1e-5)
    with pytest.raises(ValueError, match="context"):
        model.hidden(draw_ids(2, 10), cache=cache)


def test_kept_keys_and_values_are_exact_until_the_text_behind_them_changes() -> None:
    model = build(value_residual=True)
    ids = draw_ids(2, 16)
    cache = KeyValueCache(16)
    full = model.hidden(ids, cache=cache)
    cache.length = 10
    for _ in range(2):  # the second pass writes over the first one's
        assert torch.allclose(model.hidden(ids[:, 10:], cache=cache), full[:, 10:], atol=1e-5)
    changed = ids.clone()
    changed[:, 12] = NUM_RESERVED + (changed[:, 12] - NUM_RESERVED + 1) % (VOCAB - NUM_RESERVED)
    found, exact = model.hidden(changed[:, 10:], cache=cache), model.hidden(changed)[:, 10:]
    assert not torch.allclose(found, exact, atol=1e-3)


def test_dropout_strikes_in_training_only_and_each_layer_for_itself() -> None:
    model = build(dropout=0.3)
    ids = draw_ids(2, 20)
    assert torch.equal(model(ids), build(dropout=0.0)(ids))
    torch.manual_seed(0)
    assert not torch.equal(model.train()(ids), model(ids))
    masks = draw_dropped((5, 4, 16), 0.5, ids.device)
    assert all(not torch.equal(a, b) for a, b in itertools.pairwise(masks))


COMPILED = [({"value_residual": True}, True, False), ({"qk_norm": True}, False, True)]


@pytest.mark.long
@pytest.mark.parametrize(("options", "packed", "half"), COMPILED)
def test_compiled_blocks_give_what_plain_ones_give(options: dict[str, bool], packed: bool, half: bool) -> None:
    if not can_compile(torch.device("cpu")):
        pytest.skip("needs a C++ compiler")
    documents = (torch.arange(24) // 7)[None].expand(3, -1)
    mask = documents[:, None, :, None] == documents[:, None, None, :] if packed else None
    found = []
    for compiled in (False, True):
        model = build(dropout=0.2, **options).train()
        if compiled:
            model.compile_blocks(3, 24)
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            out = model(draw_ids(3, 24), mask)
        out.float().square().mean().backward()
        other = model(draw_ids(2, 9)).detach()  # of another shape: not compiled, and no error
        assert other.shape == (2, 9, VOCAB - NUM_RESERVED)
        found.append([out.detach(), *(p.grad for p in model.parameters())])
    tolerance = {"rtol": 0.1, "atol": 0.02 * float(found[0][0].abs().max())} if half else {"rtol": 1e-4, "atol": 1e-5}
    for plain, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, **tolerance)


def test_the_residual_writers_start_smaller() -> None:
    torch.manual_seed(0)
    model = Transformer(SHAPE.model_copy(update={"d_model": 64, "n_layers": 8, "init_std": 0.02}), VOCAB, NUM_RESERVED)
    block = model.blocks[0]
    assert block.attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert block.attention.out.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)


def test_a_copy_shares_nothing_with_its_model() -> None:
    model = build()
    average = copy.deepcopy(model)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    assert not torch.equal(next(model.parameters()), next(average.parameters()))
