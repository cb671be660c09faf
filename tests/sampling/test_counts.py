"""Counts beside the network: their laws by hand, the product by brute force, exponents, and texts by both readings."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tiny_diffusion.checkpoint import new_model
from tiny_diffusion.config import GenerationConfig, ModelConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.folder import read_training_text
from tiny_diffusion.data.ngrams import KneserNey
from tiny_diffusion.data.tokenizer import BOS, MASK, NUM_RESERVED, PARAGRAPH, BookTokenizer
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.autoregressive import next_token_losses
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.sampling.canvas import Predictor
from tiny_diffusion.sampling.counts import Counts, spread
from tiny_diffusion.sampling.denoise import denoise
from tiny_diffusion.sampling.experts import Experts
from tiny_diffusion.sampling.in_order import left_to_right
from tiny_diffusion.writing.judge import Judge
from tiny_diffusion.writing.writer import Writer

WORDS = 4
EXPONENTS = {"past": (0.5, 0.8), "left": (0.7, 0.4), "right": (0.9, 0.2), "both": (0.3, 1.1)}
PLAIN = GenerationConfig(temperature=1.0, precision="float32")


@pytest.fixture(scope="module")
def dual() -> Transformer:
    torch.manual_seed(0)
    shape = ModelConfig(d_model=8, n_layers=2, n_heads=1, d_ff=16, context=8, dropout=0.0, init_std=0.7, dual=True)
    return Transformer(shape, NUM_RESERVED + WORDS, NUM_RESERVED).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def ngrams() -> KneserNey:
    rng = np.random.default_rng(0)
    return KneserNey(3, WORDS, [rng.choice(WORDS, 60, p=[0.4, 0.3, 0.2, 0.1]) for _ in range(3)])


@pytest.fixture
def counts(dual: Transformer, ngrams: KneserNey) -> Counts:
    """With exponents that are set, not fitted."""
    made = Counts([dual], ngrams, [])
    made.past, made.masked = ({s: EXPONENTS[s] for s in sights} for sights in (("past",), ("left", "right", "both")))
    return made


def ids(*words: int) -> list[int]:
    return [NUM_RESERVED + word for word in words]


def product(own: Tensor, counted: np.ndarray, exponents: tuple[float, float]) -> Tensor:
    """The normalised product of two laws (V,)."""
    both = own.double() ** exponents[0] * torch.from_numpy(counted) ** exponents[1]
    return both / both.sum()


@pytest.mark.parametrize(
    ("row", "place", "sight", "seen"),
    [
        ([*ids(0, 1), MASK, MASK], 2, "left", (0, 1)),
        ([MASK, MASK, *ids(2, 1, 3)], 1, "right", (2, 1)),
        ([*ids(3, 0, 1), MASK, *ids(2), MASK], 3, "both", (0, 1, 2)),
        ([MASK, *ids(1), MASK, *ids(2)], 2, "both", (1, 2)),
        ([PARAGRAPH, MASK, *ids(2)], 1, "right", (2,)),
    ],
)
def test_the_masked_reading_is_multiplied_by_what_stands_beside_the_place(
    counts: Counts, row: list[int], place: int, sight: str, seen: tuple[int, ...]
) -> None:
    where = torch.zeros(1, len(row), dtype=torch.bool)
    where[0, place] = True
    own = Predictor(counts.networks[0], PLAIN).logits(torch.tensor([row]), where)
    left = len(seen) if sight == "left" else 0 if sight == "right" else len(seen) - 1
    naive = [counts.ngrams.log_probs(np.array([*seen[:left], w, *seen[left:]])).sum() for w in range(WORDS)]
    expected = product(own[0].softmax(0), np.exp(naive) / np.exp(naive).sum(), EXPONENTS[sight])
    found = counts.times(own, torch.tensor([row]), where, causal=False).softmax(-1)[0]
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_place_between_hidden_ones_keeps_the_networks_law(counts: Counts) -> None:
    row = torch.tensor([[*ids(1), MASK, MASK, MASK, *ids(2)]])
    where = row == MASK
    own = Predictor(counts.networks[0], PLAIN).logits(row, where).softmax(-1)
    found = counts.times(own.log(), row, where, causal=False).softmax(-1)
    assert found[1].tolist() == pytest.approx(own[1].tolist(), abs=1e-6)
    assert all(abs(found[i] - own[i]).max() > 0.01 for i in (0, 2))


def test_the_causal_reading_is_multiplied_by_what_is_before_the_place(counts: Counts) -> None:
    row = torch.tensor([[PARAGRAPH, *ids(3, 0, 2), MASK, *ids(1)]])
    for place, before in ((2, [3]), (4, [3, 0, 2])):
        where = torch.arange(row.shape[1])[None] == place
        own = torch.linspace(-1, 1, WORDS)[None]
        expected = product(own[0].softmax(0), counts.ngrams.next_law(before), EXPONENTS["past"])
        found = counts.times(own, row, where, causal=True).softmax(-1)[0]
        assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    first = torch.arange(row.shape[1])[None] == 1
    assert counts.times(own, row, first, causal=True).tolist() == own.log_softmax(-1).tolist()


def test_what_is_drawn_in_order_has_the_probability_that_the_judge_gives_it(dual: Transformer, counts: Counts) -> None:
    """The law of drawing, the judge's law, and their sum over all texts agree."""
    block = torch.tensor([[*ids(1), MASK, MASK, MASK]])
    *_, last = left_to_right(
        dual, block, 1, PLAIN, torch.Generator().manual_seed(3), WORDS, experts=Experts(counts=counts)
    )
    judge = Judge(dual, PLAIN, WORDS, experts=Experts(counts=counts))
    [found] = judge.log_probabilities([last.ids[0]], [1])
    assert found == pytest.approx(float(last.confidence[0, 1:].double().log().sum()), abs=1e-4)
    texts = [torch.tensor(ids(1, *text)) for text in itertools.product(range(WORDS), repeat=3)]
    total = torch.tensor(judge.log_probabilities(texts, [1] * len(texts)), dtype=torch.float64).exp().sum()
    assert total == pytest.approx(1, abs=1e-4)
    alone = Judge(dual, PLAIN, WORDS).log_probabilities([last.ids[0]], [1])
    assert abs(alone[0] - found) > 0.01


def test_diffusion_draws_from_the_product(dual: Transformer, counts: Counts) -> None:
    """One hidden token between two others, drawn often: its frequencies are those of the product."""
    row, draws = torch.tensor([[*ids(0), MASK, *ids(1)]]), 4000
    own = Predictor(dual, PLAIN).logits(row, row == MASK)
    law = counts.times(own, row, row == MASK, causal=False).softmax(-1)[0]
    rows = row.expand(draws, -1)
    *_, last = denoise(dual, rows, PLAIN, torch.Generator().manual_seed(0), WORDS, experts=Experts(counts=counts))
    found = torch.bincount(last.ids[:, 1] - NUM_RESERVED, minlength=WORDS) / draws
    assert (found - law).abs().max() < 0.03
    assert (own.softmax(-1)[0] - law).abs().max() > 0.06  # so the network alone would fail this test


def test_exponents_are_those_that_find_the_true_tokens_likeliest(dual: Transformer, ngrams: KneserNey) -> None:
    rng = np.random.default_rng(5)
    windows = [torch.tensor(rng.choice(WORDS, 8, p=[0.4, 0.3, 0.2, 0.1])) + NUM_RESERVED for _ in range(20)]
    counts = Counts([dual], ngrams, windows)
    rows, where = torch.stack(windows), torch.ones(20, 8, dtype=torch.bool)
    given = torch.cat((torch.full_like(rows[:, :1], BOS), rows[:, :-1]), 1)
    own = dual.logits(dual.hidden(given, causal=True)).flatten(0, 1)

    def nats(exponents: tuple[float, float]) -> float:
        counts.past = {"past": exponents}
        laws = counts.times(own.clone(), rows, where, causal=True).log_softmax(-1).view(20, 8, WORDS)
        return -float(laws[:, 1:].gather(2, rows[:, 1:, None] - NUM_RESERVED).sum())

    with torch.inference_mode():  # as where texts are drawn
        best = counts.past["past"]
    least = nats(best)
    assert least < min(nats((1.0, 0.0)), nats((0.0, 1.0)))
    assert all(least <= nats((best[0] + x, best[1] + y)) + 1e-4 for x in (-0.1, 0, 0.1) for y in (-0.1, 0, 0.1))
    assert set(counts.masked) == {"left", "right", "both"}


@pytest.fixture(scope="module")
def writer(data: Processed, prepared: Path, config: ProjectConfig) -> Writer:
    """A network that has learnt nothing, so that all sense in its texts is that of the counts."""
    torch.manual_seed(0)
    model = new_model(config.override(**{"model.dual": True, "training.objective": "dual"}), data.tokenizer).eval()
    return Writer(model, data.tokenizer, words=None, book=read_training_text(prepared))


ASKED = GenerationConfig(length=24, words="free", expert="ngram", ending="token", num_samples=2)


@pytest.mark.parametrize(
    "write",
    [
        lambda writer, settings: writer.write("The old miller", settings),
        lambda writer, settings: writer.write("The old", settings.model_copy(update={"reading": "masked"})),
        lambda writer, settings: writer.write("The", settings.model_copy(update={"reading": "drafts", "drafts": 2})),
        lambda writer, settings: writer.infill("The ___ miller {2 words} the garden.", settings),
        lambda writer, settings: writer.rewrite("The quiet sailor watched the river.", settings),
    ],
)
def test_every_way_to_write_takes_the_counts(
    writer: Writer, write: Callable[[Writer, GenerationConfig], list], data: Processed
) -> None:
    with_counts, alone = (write(writer, ASKED.model_copy(update={"expert": e})) for e in ("ngram", "none"))
    judge = KneserNey(3, data.tokenizer.text_vocab_size, [encoded(data.tokenizer, t) for t in data.texts("train")])

    def nats(texts: list) -> float:
        return -float(np.mean([judge.log_probs(encoded(data.tokenizer, text.text)).mean() for text in texts]))

    assert nats(with_counts) < nats(alone) - 0.3
    assert [text.text for text in write(writer, ASKED)] == [text.text for text in with_counts]


def encoded(tokenizer: BookTokenizer, text: str) -> np.ndarray:
    return np.array(tokenizer.encode(text)) - NUM_RESERVED


def test_a_text_does_not_depend_on_how_many_are_written(writer: Writer) -> None:
    one, [first, _] = writer.write("", ASKED.model_copy(update={"num_samples": 1})), writer.write("", ASKED)
    assert one[0].text == first.text


def test_counts_need_the_text(writer: Writer) -> None:
    bare = Writer(writer.model, writer.tokenizer)
    with pytest.raises(UserError, match=r"expert=ngram needs the training text: give --data-dir"):
        bare.write("", ASKED)
    with pytest.raises(UserError, match="needs validation text"):
        Counts.of([writer.model], writer.tokenizer, ["some text"], [])


def test_the_twin_takes_counts_from_the_left_alone(data: Processed, prepared: Path, config: ProjectConfig) -> None:
    changes = {"model.causal": True, "training.objective": "autoregressive"}
    model = new_model(config.override(**changes), data.tokenizer).eval()
    writer = Writer(model, data.tokenizer, book=read_training_text(prepared))
    assert writer.write("", ASKED)[0].text
    made = writer.counts(ASKED)
    assert made is not None
    assert set(made.past) == {"past"}
    window = torch.tensor([data.tokenizer.encode(data.texts("validation")[0], model.config.vocab_level)[:32]])
    own = next_token_losses(model, window, BOS).mean()
    assert own > made.past["past"][0]  # an untaught network: its law is nearly flat


def test_spread() -> None:
    assert spread(3, 5) == [0, 1, 2]
    assert spread(10, 5) == [0, 2, 4, 6, 8]
    assert spread(0, 5) == []
