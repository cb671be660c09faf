"""Several networks write with the mean of their laws: the law itself, by both readings, and texts."""

import itertools

import pytest
import torch

from tiny_diffusion.checkpoint import Checkpoint, check_alike, new_model
from tiny_diffusion.config import GenerationConfig, ModelConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.sampling.canvas import Predictor
from tiny_diffusion.sampling.denoise import denoise
from tiny_diffusion.sampling.experts import Experts
from tiny_diffusion.sampling.in_order import left_to_right
from tiny_diffusion.writing.judge import Judge
from tiny_diffusion.writing.writer import Writer

WORDS = 4
PLAIN = GenerationConfig(temperature=1.0, precision="float32")


@pytest.fixture(scope="module")
def networks() -> list[Transformer]:
    shape = ModelConfig(d_model=8, n_layers=2, n_heads=1, d_ff=16, context=8, dropout=0.0, init_std=0.9, dual=True)
    made = []
    for seed in range(3):
        torch.manual_seed(seed)
        made.append(Transformer(shape, NUM_RESERVED + WORDS, NUM_RESERVED).eval().requires_grad_(False))
    return made


def test_the_judges_law_is_the_mean_token_by_token(networks: list[Transformer]) -> None:
    row = torch.tensor([2, 0, 3, 1]) + NUM_RESERVED
    first, *others = networks
    found = Judge(first, PLAIN, WORDS, experts=Experts(tuple(others))).log_probabilities([row], [0])
    each = [
        [Judge(model, PLAIN, WORDS).log_probabilities([row[:n]], [n - 1])[0] for n in range(1, 5)] for model in networks
    ]
    expected = torch.tensor(each, dtype=torch.float64).exp().mean(0).log().sum()
    assert found == pytest.approx([float(expected)], abs=1e-5)
    texts = [torch.tensor(text) + NUM_RESERVED for text in itertools.product(range(WORDS), repeat=3)]
    judge = Judge(first, PLAIN, WORDS, experts=Experts(tuple(others)))
    total = torch.tensor(judge.log_probabilities(texts, [0] * len(texts)), dtype=torch.float64).exp().sum()
    assert total == pytest.approx(1, abs=1e-5)


def test_the_causal_reading_draws_from_the_mean(networks: list[Transformer]) -> None:
    first, *others = networks
    experts, block = Experts(tuple(others)), torch.full((1, 4), MASK)
    *_, last = left_to_right(first, block, 0, PLAIN, torch.Generator().manual_seed(1), WORDS, experts=experts)
    [found] = Judge(first, PLAIN, WORDS, experts=experts).log_probabilities([last.ids[0]], [0])
    assert found == pytest.approx(float(last.confidence[0].double().log().sum()), abs=1e-4)


@pytest.mark.parametrize("how", [{}, {"block": 2, "cache_context": True}])
def test_diffusion_draws_from_the_mean(networks: list[Transformer], how: dict[str, object]) -> None:
    row, draws = torch.tensor([[NUM_RESERVED, MASK, NUM_RESERVED + 1]]), 4000
    laws = [Predictor(model, PLAIN).logits(row, row == MASK)[0].softmax(-1) for model in networks]
    mean, settings = torch.stack(laws).mean(0), PLAIN.model_copy(update=how)
    given = (torch.Generator().manual_seed(0), WORDS, 1)
    *_, last = denoise(networks[0], row.expand(draws, -1), settings, *given, experts=Experts(tuple(networks[1:])))
    found = torch.bincount(last.ids[:, 1] - NUM_RESERVED, minlength=WORDS) / draws
    assert (found - mean).abs().max() < 0.03
    assert (laws[0] - mean).abs().max() > 0.06  # so the first network alone would fail this test


def checkpoint(config: ProjectConfig, data: Processed, seed: int, **changes: object) -> Checkpoint:
    torch.manual_seed(seed)
    config = config.override(**{"model.dual": True, "training.objective": "dual", "model.init_std": 0.3, **changes})
    meta = {"data": data.identity, "book": data.book_identity}
    return Checkpoint(config, data.tokenizer, new_model(config, data.tokenizer).state_dict(), meta)


@pytest.mark.parametrize("reading", ["causal", "masked"])
def test_a_network_and_itself_write_as_it_does_alone(config: ProjectConfig, data: Processed, reading: str) -> None:
    one, other = (checkpoint(config, data, seed) for seed in (0, 1))
    settings, cpu = GenerationConfig(length=16, reading=reading, precision="float32"), torch.device("cpu")
    alone, twice, two = (Writer.of(one, cpu, members=others) for others in ([], [one], [other]))
    written = [writer.write("The old", settings)[0].text for writer in (alone, twice, two)]
    assert written[0] == written[1] != written[2]
    filled = [writer.infill("The ___ {2 words} it.", settings)[0].text for writer in (alone, twice, two)]
    assert filled[0] == filled[1] != filled[2]


def test_networks_of_another_kind_are_refused(config: ProjectConfig, data: Processed) -> None:
    first = checkpoint(config, data, 0)
    with pytest.raises(UserError, match=r"network 2 has model.context=16, the first one 32"):
        check_alike(first, checkpoint(config, data, 1, **{"model.context": 16}), 2)
    foreign = Checkpoint(first.config, first.tokenizer, first.weights, {"book": "another"})
    with pytest.raises(UserError, match="network 3 was trained on other prepared data"):
        Writer.of(first, torch.device("cpu"), members=[first, foreign])
