"""The causal twin's likelihood against the chain rule written out."""

import itertools
import math

import pytest
import torch

from tiny_diffusion.config import ModelConfig
from tiny_diffusion.data.tokenizer import BOS, NUM_RESERVED, SEP
from tiny_diffusion.model.autoregressive import autoregressive_nats, next_token_loss, next_token_losses
from tiny_diffusion.model.transformer import Transformer

TEXT = 4
VOCAB = NUM_RESERVED + TEXT


@pytest.fixture(scope="module")
def twin() -> Transformer:
    torch.manual_seed(0)
    shape = ModelConfig(d_model=16, n_layers=2, n_heads=2, d_ff=32, context=12, causal=True, dropout=0.0, init_std=0.5)
    return Transformer(shape, VOCAB, NUM_RESERVED).eval()


def chain(twin: Transformer, ids: list[int]) -> list[float]:
    """Nats of each token, one forward pass a token."""
    found = []
    for i, token in enumerate(ids):
        logits = twin(torch.tensor([[BOS, *ids[:i]]]))[0, -1].double()
        found.append(-logits.log_softmax(-1)[token - NUM_RESERVED].item())
    return found


def test_losses_are_the_chain_rule(twin: Transformer) -> None:
    ids = [NUM_RESERVED + i for i in (3, 1, 0, 2, 2)]
    assert next_token_losses(twin, torch.tensor([ids]), BOS)[0].tolist() == pytest.approx(chain(twin, ids), abs=1e-5)


def test_all_sequences_together_have_probability_one(twin: Transformer) -> None:
    every = [torch.tensor(s) + NUM_RESERVED for s in itertools.product(range(TEXT), repeat=4)]
    nats = autoregressive_nats(twin, every, BOS, 64)
    assert float((-nats).exp().sum()) == pytest.approx(1, abs=1e-5)


def test_windows_of_all_lengths_keep_their_order(twin: Transformer) -> None:
    rows = [[NUM_RESERVED + i for i in row] for row in ((0, 1, 2), (3,), (2, 2, 1), (1, 0))]
    nats = autoregressive_nats(twin, [torch.tensor(r) for r in rows], BOS, 2)
    assert nats.tolist() == pytest.approx([math.fsum(chain(twin, r)) for r in rows], abs=1e-5)


def test_packed_documents_score_as_alone_and_separators_score_nothing(twin: Transformer) -> None:
    first, second = [NUM_RESERVED + 1, SEP, NUM_RESERVED + 3], [NUM_RESERVED + 2, NUM_RESERVED]
    ids = torch.tensor([first + second])
    documents = torch.tensor([[1, 1, 1, 2, 2]])
    packed = next_token_loss(twin, ids, BOS, documents)
    expected = [nats for part in (first, second) for nats in chain_of_text(twin, part)]
    assert float(packed) == pytest.approx(math.fsum(expected), abs=1e-5) and len(expected) == 4


def chain_of_text(twin: Transformer, ids: list[int]) -> list[float]:
    """As ``chain``, but SEP is only seen, never predicted."""
    scored = [i for i, token in enumerate(ids) if token != SEP]
    logits = [twin(torch.tensor([[BOS, *ids[:i]]]))[0, -1].double() for i in scored]
    return [-row.log_softmax(-1)[ids[i] - NUM_RESERVED].item() for i, row in zip(scored, logits, strict=True)]
