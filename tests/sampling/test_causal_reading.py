"""A dual model writes from left to right: its law against enumeration, the cache, controls and guidance."""

import itertools
from collections import Counter

import pytest
import torch
from torch import Tensor

from tiny_diffusion.config import GenerationConfig, ModelConfig
from tiny_diffusion.data.tokenizer import BOS, MASK, NUM_RESERVED
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.sampling.draw import choose, forbid, penalise
from tiny_diffusion.sampling.in_order import left_to_right

PLAIN = GenerationConfig(temperature=1.0, precision="float32")


def build(words: int, *, controls: bool = False) -> Transformer:
    torch.manual_seed(3)
    shape = ModelConfig(
        d_model=16,
        n_layers=2,
        n_heads=2,
        d_ff=32,
        context=12,
        dropout=0.0,
        init_std=0.8,
        qk_norm=True,
        dual=True,
        controls=controls,
    )
    model = Transformer(shape, NUM_RESERVED + words, NUM_RESERVED).eval().requires_grad_(False)
    if model.controls is not None:
        torch.nn.init.normal_(model.controls.table.weight)
    return model


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def law(model: Transformer, seen: list[int]) -> Tensor:
    """The causal reading's probability of each next token, in one pass over BOS and ``seen``."""
    return model.logits(model.hidden(torch.tensor([[BOS, *seen]]), causal=True))[0, -1].double().softmax(-1)


def test_texts_come_with_the_chances_of_the_chain_rule() -> None:
    model, n = build(3), 20_000
    *_, last = left_to_right(model, torch.full((n, 3), MASK), 0, PLAIN, generator(1), 3)
    counts = Counter(map(tuple, (last.ids - NUM_RESERVED).tolist()))
    expected = {}
    for text in itertools.product(range(3), repeat=3):
        seen = [NUM_RESERVED + word for word in text]
        chances = [float(law(model, seen[:place])[word]) for place, word in enumerate(text)]
        expected[text] = chances[0] * chances[1] * chances[2]
        drawn = (last.ids - NUM_RESERVED == torch.tensor(text)).all(1)
        if drawn.any():
            torch.testing.assert_close(
                last.confidence[drawn][0].double(), torch.tensor(chances).double(), rtol=1e-4, atol=1e-5
            )
    assert sum(expected.values()) == pytest.approx(1)
    assert max(expected.values()) > 5 * min(expected.values())
    assert sum((counts[text] - n * p) ** 2 / (n * p) for text, p in expected.items()) < 26 + 4 * 52**0.5


@pytest.mark.parametrize("kept", [0, 5])
def test_the_cache_gives_what_whole_passes_give(kept: int) -> None:
    model = build(40)
    block = torch.full((3, 12), MASK)
    block[:, :kept] = torch.randint(NUM_RESERVED, NUM_RESERVED + 40, (3, kept), generator=generator(2))
    settings = PLAIN.model_copy(
        update={"temperature": 0.7, "top_k": 12, "repetition_penalty": 1.3, "repetition_window": 3}
    )
    expected, numbers = block.clone(), generator(3)
    for place in range(kept, 12):
        seen = torch.cat((torch.full((3, 1), BOS), expected[:, :place]), dim=1)
        logits = model.logits(model.hidden(seen, causal=True))[:, -1]
        logits = penalise(logits, expected[:, max(0, place - 3) : place] - NUM_RESERVED, 1.3)
        expected[:, place] = choose(forbid(logits, 30), settings, numbers)[0] + NUM_RESERVED
    states = list(left_to_right(model, block, kept, settings, generator(3), 30))
    assert torch.equal(states[-1].ids, expected)
    assert [int((state.ids[0] == MASK).sum()) for state in states] == list(range(11 - kept, -1, -1))
    assert [state.step for state in states] == list(range(1, 13 - kept))


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_controls_and_guidance_reach_the_causal_reading(guidance: float) -> None:
    model = build(20, controls=True)
    settings = PLAIN.model_copy(update={"dialogue": "much", "guidance": guidance})
    levels = torch.tensor([[[0, 3, 0, 0]]])
    *_, last = left_to_right(model, torch.full((2, 6), MASK), 0, settings, generator(4), 20)
    row = last.ids[:1]
    given = torch.cat((torch.full((1, 1), BOS), row[:, :-1]), dim=1)
    wanted = model.logits(model.hidden(given, controls=levels, causal=True))
    plain = model.logits(model.hidden(given, causal=True))
    chances = (plain + guidance * (wanted - plain)).softmax(-1).gather(2, (row - NUM_RESERVED)[..., None])[..., 0]
    torch.testing.assert_close(last.confidence[:1], chances, rtol=1e-3, atol=1e-5)
    free = plain.softmax(-1).gather(2, (row - NUM_RESERVED)[..., None])[..., 0]
    assert not torch.allclose(free, chances, rtol=1e-2)


def test_controls_that_were_not_learnt_are_refused() -> None:
    with pytest.raises(UserError, match="trained without controls"):
        next(left_to_right(build(5), torch.full((1, 4), MASK), 0, PLAIN.model_copy(update={"stage": "pairs"}), [], 5))
