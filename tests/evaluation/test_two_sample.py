"""The two-sample test: chance for the book itself, certainty for spoilt text, and texts that stay together."""

import random

import numpy as np
import pytest

from tiny_diffusion.config import EvaluationConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.report.verdict import told_apart
from tiny_diffusion.evaluation.text_quality import two_sample
from tiny_diffusion.evaluation.text_quality.two_sample import TwoSample, measure_two_sample

from ..conftest import make_book

SETTINGS = EvaluationConfig(two_sample_words=20, bootstrap=200)
BOOK = [make_book(1500, seed) for seed in range(12)]


def tell(generated: list[str], data: Processed, held: list[str] = BOOK[6:]) -> TwoSample:
    return measure_two_sample(generated, held, data.texts("train"), "en", SETTINGS)


def test_the_book_is_not_told_from_itself_and_spoilt_text_is(data: Processed) -> None:
    rng = random.Random(0)
    own = tell(BOOK[:6], data)
    assert own.low < 0.5 < own.high and abs(own.accuracy - 0.5) < 0.15
    assert own.words == 20 and own.generated >= 60 and own.held_out >= 60
    shuffled = tell([" ".join(rng.sample(text.split(), len(text.split()))) for text in BOOK[:6]], data)
    assert shuffled.accuracy > 0.9 and shuffled.low > own.high
    assert "so it tells them apart" in told_apart(shuffled) and "may be guessing" in told_apart(own)
    assert tell(BOOK[:6], data) == own


def test_a_text_is_never_judged_by_what_has_read_it(data: Processed, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each text repeats a word of its own, which tells its side to whoever has read another part of it.
    odd = [" ".join([f"word{i}"] * 60) for i in range(8)]
    found = tell(odd[:4], data, odd[4:])
    assert found.generated == found.held_out == 12 and found.accuracy < 0.6
    monkeypatch.setattr(two_sample, "_figures", lambda passages, *_: np.zeros((len(passages), 1)))
    assert tell(odd[:4], data, odd[4:]).accuracy < 0.6


def test_refuses_too_few_texts(data: Processed) -> None:
    with pytest.raises(UserError, match="two generated texts of 20 words"):
        tell([BOOK[0], "Too short."], data)
    with pytest.raises(UserError, match="two held-out texts of 20 words"):
        tell(BOOK[:6], data, BOOK[:1])
