"""A dual network: what each reading sees, the loss against its rows taken alone, and rows with BOS before each text."""

import copy
import itertools

import pytest
import torch

from tiny_diffusion.config import ModelConfig, ProjectConfig
from tiny_diffusion.data.tokenizer import BOS, END, MASK, NUM_RESERVED, PAD
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.autoregressive import autoregressive_nats, next_token_losses
from tiny_diffusion.model.likelihood import chain_rule, masked_cross_entropy
from tiny_diffusion.model.loss import diffusion_loss
from tiny_diffusion.model.transformer import BOS_ID, MASK_ID, Transformer
from tiny_diffusion.training.rows import Examples, chop, pack

WORDS = 5
CONTEXT = 8


@pytest.fixture(scope="module")
def dual() -> Transformer:
    torch.manual_seed(0)
    shape = ModelConfig(
        d_model=16, n_layers=2, n_heads=2, d_ff=32, context=CONTEXT, dropout=0.0, init_std=0.5, dual=True
    )
    return Transformer(shape, NUM_RESERVED + WORDS, NUM_RESERVED).double().eval()


@pytest.fixture(scope="module")
def learner(dual: Transformer) -> Transformer:
    """The same network, whose law has END beside the text tokens, as in training."""
    same = copy.copy(dual)
    same.reserved = dual.lowest
    return same


def text(*tokens: int) -> torch.Tensor:
    return torch.tensor([tokens]) + NUM_RESERVED


def test_the_model_knows_the_tokenizers_ids(dual: Transformer) -> None:
    assert (MASK_ID, BOS_ID, dual.lowest) == (MASK, BOS, END)


def test_the_causal_reading_sees_only_what_stands_before(dual: Transformer) -> None:
    one, other = text(0, 1, 2, 3, 4, 0), text(0, 1, 2, 1, 0, 3)
    losses, changed = next_token_losses(dual, one, BOS), next_token_losses(dual, other, BOS)
    assert losses[0, :3].equal(changed[0, :3])
    assert (losses[0, 3:] != changed[0, 3:]).all()


def test_the_masked_reading_sees_both_sides_and_never_the_token_itself(dual: Transformer) -> None:
    masked = torch.tensor([[False, False, True, False, False, False]])
    states = dual.hidden(dual.input_of(text(0, 1, 2, 3, 4, 0).masked_fill(masked, MASK)))[:, 2]
    for place in (0, 5):  # the last token too, which a plain shift would hide
        other = text(0, 1, 2, 3, 4, 0)
        other[0, place] = NUM_RESERVED + 3
        assert not dual.hidden(dual.input_of(other.masked_fill(masked, MASK)))[:, 2].allclose(states)
    logits = dual.logits(states).log_softmax(-1)
    losses = [masked_cross_entropy(dual, text(0, 1, word, 3, 4, 0), masked).item() for word in range(WORDS)]
    torch.testing.assert_close(torch.tensor(losses, dtype=torch.float64), -logits[0])


def test_both_readings_are_laws_of_three_tokens(dual: Transformer) -> None:
    texts = [text(*words)[0] for words in itertools.product(range(WORDS), repeat=3)]
    causal = autoregressive_nats(dual, texts, BOS, 25)
    chain = torch.zeros(len(texts), dtype=torch.float64)
    for owner, _, losses in chain_rule(dual, texts, 75):
        chain.index_add_(0, owner, losses)
    ones = torch.ones((), dtype=torch.float64)
    torch.testing.assert_close((-causal).exp().sum(), ones)
    torch.testing.assert_close((-chain).exp().sum(), ones)
    assert not causal.allclose(chain)  # they are two readings


def test_the_loss_is_that_of_its_rows_and_documents_alone(dual: Transformer, learner: Transformer) -> None:
    first, second, third = text(0, 1, 2), text(3, 4), text(4, 2, 0, 1, 3, -1)
    begin = torch.tensor([[BOS]])
    rows = torch.cat([torch.cat([begin, first, begin, second], 1), torch.cat([begin, third], 1)])
    assert rows[1, -1] == END
    documents = torch.tensor([[1, 1, 1, 1, 2, 2, 2], [1] * 7])
    for causal in itertools.product((False, True), repeat=2):
        masked = torch.tensor([[0, 1, 0, 1, 0, 0, 1], [0, 0, 1, 1, 0, 1, 0]]).bool()
        masked = torch.where(torch.tensor(causal)[:, None], rows != BOS, masked)
        parts = [
            (first, masked[0, 1:4], causal[0]),
            (second, masked[0, 5:], causal[0]),
            (third, masked[1, 1:], causal[1]),
        ]
        expected = sum(
            next_token_losses(learner, ids, BOS).sum()
            if left
            else masked_cross_entropy(learner, ids, hidden[None]).sum()
            for ids, hidden, left in parts
        )
        times = torch.full((2,), 0.5)
        found = diffusion_loss(
            dual, rows, masked, times, causal=torch.tensor(causal), weighting="mean", documents=documents
        )
        torch.testing.assert_close(found.float(), expected)  # the losses of windows are rounded to float32


def test_the_weights_of_the_bound_go_to_masked_rows_only(dual: Transformer) -> None:
    rows = torch.tensor([[BOS, 17, 18, 19], [BOS, 20, 18, 17]])
    masked, times = torch.tensor([[0, 1, 0, 0], [0, 1, 1, 1]]).bool(), torch.tensor([0.25, 0.125])

    def loss(causal: tuple[bool, bool], weighting: str, chosen: list[int]) -> float:
        reading = torch.tensor(causal)[chosen]
        return diffusion_loss(
            dual, rows[chosen], masked[chosen], times[chosen], causal=reading, weighting=weighting
        ).item()

    parts = 4 * loss((False, True), "mean", [0]) + loss((False, True), "mean", [1])
    assert loss((False, True), "bound", [0, 1]) == pytest.approx(parts, rel=1e-6)
    with pytest.raises(ValueError, match="neither"):
        loss((False, True), "both", [0])


def test_rows_begin_every_document_with_bos() -> None:
    examples = Examples.of([[20, 21, 22], [30, 31], [40, 41, 42, 43, 44, 45, 46, 47, 48]])
    layout = pack(examples, 7, torch.Generator().manual_seed(0), lead=True)
    rows = layout.take(torch.arange(len(layout)))
    begins = rows.documents.diff(dim=1, prepend=torch.zeros(len(layout), 1, dtype=torch.long)) > 0
    assert (rows.ids[begins] == BOS).all() and (rows.ids == BOS).sum() == begins.sum() == 4
    assert sorted(rows.ids[rows.ids > BOS].tolist()) == sorted(examples.ids.tolist())
    assert rows.scorable.equal((rows.ids != BOS) & (rows.ids != PAD))


@pytest.mark.parametrize("length", [5, 40])
def test_rows_of_a_stream_hold_a_context_of_text_behind_bos(length: int) -> None:
    stream = torch.arange(100, 100 + length)
    layout = chop(stream, 7, torch.Generator().manual_seed(0), torch.full_like(stream, PAD), lead=True)
    rows = layout.take(torch.arange(len(layout)))
    assert (rows.ids[:, 0] == BOS).all() and (rows.ids == BOS).sum() == len(layout)
    found = sorted(rows.ids[rows.ids >= 100].tolist())
    assert found == list(range(found[0], found[0] + min(length, 6 * len(layout))))


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"objective=dual needs model\.dual=true"):
        ProjectConfig.smoke().override(**{"training.objective": "dual", "model.dual": False})
    with pytest.raises(ValueError, match=r"objective=diffusion needs model\.dual=false"):
        ProjectConfig.smoke().override(**{"model.dual": True})
    with pytest.raises(ValueError, match="causal=false"):
        ModelConfig(causal=True, dual=True)
    with pytest.raises(UserError, match=r"causal_share\[1\]=1\.5"):
        ProjectConfig.smoke().override(**{"training.causal_share": [0.5, 1.5]})
    with pytest.raises(ValueError, match="causal=True"):
        Transformer(ModelConfig.smoke(), 528, 16).hidden(torch.full((1, 4), 20), causal=True)
