"""Coherence, repetition, names and the frontier: hand-worked cases, a looping text and a shuffled one."""

import json
import math
import random
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tiny_diffusion.checkpoint import new_model
from tiny_diffusion.config import EvaluationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.embedding import embed_tfidf, fit_tfidf
from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.style.names import carry_over, common_words, names_in
from tiny_diffusion.evaluation.style.prose import read_prose
from tiny_diffusion.evaluation.text_quality.coherence import (
    CoherenceReport,
    Loop,
    SentenceLikeness,
    connectives_per_100,
    distinct,
    invented_share,
    longest_loop,
    measure_coherence,
    ngrams,
    self_repeat,
    unseen_share,
)
from tiny_diffusion.evaluation.text_quality.frontier import FreshJudge, Judge, measure_frontier, token_entropy

from ..conftest import make_book

SETTINGS = EvaluationConfig(book_pieces=10, coherence_dim=16)
PASSAGES = [make_book(3000, seed) for seed in (1, 2, 3)]


def measure(generated: list[str], data: Processed, settings: EvaluationConfig = SETTINGS) -> CoherenceReport:
    return measure_coherence(generated, PASSAGES, data.texts("train"), "en", settings)


def figures(report: CoherenceReport) -> dict[str, float | None]:
    return {figure.name: figure.generated for figure in report.figures}


@pytest.fixture(scope="module")
def held() -> list[str]:
    """The held-out text in pieces of about 80 words."""
    return [text[start : start + 500] for text in PASSAGES for start in (0, 1500)]


def test_distinct_and_repeated_by_hand() -> None:
    one, two = "a b a b".split(), "a b c".split()
    assert ngrams(one, 3) == [("a", "b", "a"), ("b", "a", "b")] and ngrams(one, 5) == []
    # Bigrams ab ba ab, ab bc: three of five are distinct; one of the first text's three occurred before.
    assert distinct([one, two], 2) == pytest.approx(3 / 5)
    assert self_repeat([one, two], 2) == pytest.approx(1 / 5)
    assert distinct([["a"]], 2) is None and self_repeat([[]], 1) is None


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("he was in the way in the way in the way he", Loop(9, 3, "in the way")),
        ("very very much", Loop(2, 1, "very")),
        ("a a a a", Loop(4, 1, "a")),
        ("x a b a b a y", Loop(5, 2, "a b")),
        ("a b a c a d", Loop(0, 0, "")),
        ("a", Loop(0, 0, "")),
        ("", Loop(0, 0, "")),
    ],
)
def test_loops_by_hand(text: str, loop: Loop) -> None:
    assert longest_loop(text.split()) == loop


@given(st.lists(st.sampled_from("ab"), max_size=14))
def test_loops_equal_a_naive_search(words: list[str]) -> None:
    best = max(
        (
            end - start
            for start in range(len(words))
            for end in range(start + 2, len(words) + 1)
            for period in range(1, (end - start) // 2 + 1)
            if all(words[i] == words[i + period] for i in range(start, end - period))
        ),
        default=0,
    )
    found = longest_loop(words)
    assert found.words == best and len(found.phrase.split()) == found.period


def test_names_and_whether_they_go_on() -> None:
    training = [
        "The old House fell.",
        "A house is a house.",
        "Then Anna saw Sir Robert.",
        "They said: Come here, Robert.",
    ]
    common = common_words(training)
    # "House" is a common word in capitals here, "Then" and "Come" are at a beginning.
    assert names_in("Then the House of Anna Smith fell. “Come!”", common) == {"anna", "smith"}
    text = "He met Anna there. It rained and Bob slept. Anna left. Nobody saw Robert."
    # Anna is taken up two sentences on, Bob never, Robert has no sentence after.
    prose = read_prose([text], "en")
    assert carry_over(prose, common, 2) == pytest.approx(1 / 2)
    assert carry_over(prose, common, 1) == 0
    assert carry_over(read_prose(["He met Anna.", "Anna left."], "en"), common, 5) is None


def test_likeness_of_sentences() -> None:
    training = read_prose(
        ["The ship sailed the sea. The sea was rough. The cook baked bread. The bread was good."] * 2, "en"
    )
    likeness = SentenceLikeness(training, 3, 0)
    same = read_prose(["The ship sailed the sea. The cook baked bread. The ship sailed the sea."], "en")
    assert likeness.apart(same, 2) == pytest.approx(1)
    assert likeness.apart(same, 1) < 0.5
    assert likeness.apart(same, 3) is None
    vectors = likeness.embed(same)
    pairs = [vectors[i] @ vectors[j] for i in range(3) for j in range(3) if i != j]
    assert likeness.unordered(same) == pytest.approx(np.mean(pairs))
    assert likeness.unordered(read_prose(["One."], "en")) is None
    unknown = read_prose(["Qzx vbn. Wrt plk."], "en")
    assert not likeness.embed(unknown).any() and likeness.apart(unknown, 1) == 0


def test_embedding_of_the_fitted_sentences_is_the_old_one() -> None:
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.integers(0, 3, (12, 9)).astype(float))
    assert np.array_equal(
        fit_tfidf(counts, 4, 0).transform(counts), embed_tfidf(counts, 4, 0, fit=counts.shape[0]).vectors
    )
    # The embedding of a sentence does not depend on its neighbours.
    assert np.allclose(
        fit_tfidf(counts, 4, 0).transform(counts[3:5]), embed_tfidf(counts, 4, 0, fit=counts.shape[0]).vectors[3:5]
    )


def test_connectives_by_hand() -> None:
    assert connectives_per_100(read_prose(["He left because it rained, but she did not stay."], "en"), "en") == 20
    assert connectives_per_100(read_prose(["Han gick."], "sv"), "sv") is None


def test_unseen_and_invented_words_by_hand(data: Processed, held: list[str]) -> None:
    prose, seen = read_prose(["The house of Kalomi wassed. It's the wateres don't."], "en"), {"kalomi", "its", "the"}
    assert unseen_share(prose, seen) == pytest.approx(5 / 9)  # house of wassed wateres dont
    assert invented_share(prose, seen, "en") == pytest.approx(2 / 9)
    assert invented_share(prose, seen, "xx") is None
    found = figures(measure(["The house of garden wassed. The wateres of it. The house is the wateres."], data))
    assert found["words new to the book"] > found["invented words"] == pytest.approx(3 / 14)


def test_the_books_own_text_lies_within_its_spread(data: Processed, held: list[str]) -> None:
    report = measure(held, data)
    for figure in report.figures:
        if figure.generated is not None and figure.name != "longest loop (words)":
            assert abs(figure.generated - figure.held_out) <= 4 * figure.spread + 1e-9, figure.name
    assert json.loads(json.dumps(asdict(report)))["sentence_gap"] == 5


def test_a_model_that_loops_is_caught(data: Processed, held: list[str]) -> None:
    sentence = held[0].split(". ")[1] + ". "
    report = measure([held[0][:100] + ". " + sentence * 6, held[1]], data)
    found = figures(report)
    words = len(sentence.split())
    assert report.loop.period == words and report.loop.words >= 6 * words
    assert report.held_out_loop.words < words
    own = {figure.name: figure for figure in report.figures}
    repeated = own["repeated 4-grams"]
    assert repeated.generated > 0.3 > repeated.held_out + 5 * repeated.spread
    assert found["likeness of neighbours"] > own["likeness of neighbours"].held_out
    assert found["distinct-2"] < own["distinct-2"].held_out - 3 * own["distinct-2"].spread


def test_settings_move_the_figures(data: Processed, held: list[str]) -> None:
    usual = measure(held, data)
    for key, value in {
        "sentence_gap": 2, "coherence_dim": 3, "distinct_orders": (5,), "repeat_order": 1, "book_pieces": 12, "seed": 1,
    }.items():  # fmt: skip
        changed = measure(held, data, SETTINGS.model_copy(update={key: value}))
        assert changed.figures != usual.figures, key
    assert measure(held, data) == usual


@pytest.mark.parametrize("text", ["word", "no sentence ends here", "你好。我很好！"])
def test_small_and_strange_texts(data: Processed, text: str) -> None:
    found = figures(measure([text, ""], data))
    assert found["likeness 5 apart"] is None and found["distinct-1"] is not None
    with pytest.raises(UserError, match="the generated texts hold no word"):
        measure(["", "..."], data)


def test_entropy_by_hand() -> None:
    assert token_entropy(np.array([3, 3, 3])) == 0
    assert token_entropy(np.array([1, 2, 3, 4])) == pytest.approx(math.log(4))
    assert token_entropy(np.array([1, 1, 2, 3])) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(4))


def test_frontier_sees_noise_and_loops(data: Processed, held: list[str]) -> None:
    rng = random.Random(0)
    judge = Judge(data.texts("train"), data.tokenizer, 2, 3)
    shuffled = [" ".join(rng.sample(text.split(), len(text.split()))) for text in held]
    looped = [" ".join(text.split()[:8]) * 10 for text in held]
    frontier = measure_frontier({1.5: shuffled, 0.5: looped}, held, judge)
    cold, hot = frontier.points
    own = frontier.held_out
    assert (cold.temperature, hot.temperature, own.temperature) == (0.5, 1.5, None)
    # Shuffled words keep their entropy but are unlikely; a loop is likelier, but its entropy is low.
    assert hot.perplexity > 3 * own.perplexity and hot.entropy == pytest.approx(own.entropy, rel=0.1)
    assert cold.entropy < 0.7 * own.entropy and cold.distinct_2 < 0.3 * own.distinct_2
    assert own.twin_perplexity is None
    empty = judge.point(1.0, ["", ""])
    assert (empty.perplexity, empty.entropy, empty.distinct_2) == (None, None, None)


def test_perplexity_is_that_of_the_ngram_model(data: Processed) -> None:
    judge = Judge(data.texts("train"), data.tokenizer, 2, 1)
    text = "The old miller"
    ids = data.tokenizer.encode(text, 2)
    counts = np.bincount([i for t in data.texts("train") for i in data.tokenizer.encode(t, 2)], minlength=5000)
    # A unigram model: counts plus one half.
    size = data.tokenizer.level_size(2)
    nats = [-math.log((counts[i] + 0.5) / (counts.sum() + 0.5 * size)) for i in ids]
    assert judge.point(1.0, [text, text, ""]).perplexity == pytest.approx(math.exp(np.mean(nats)))


def test_the_fresh_judge_has_not_read_what_it_judges(data: Processed) -> None:
    zero, one = NUM_RESERVED, NUM_RESERVED + 1
    ids = {"x": [zero, zero, zero, one], "y": [one, one], "z": [zero]}
    judge = FreshJudge(["x", "y"], lambda text: ids[text], 1, 4)
    # Without "x" two of id 1, without "y" three of id 0 and one of id 1; counts plus one half.
    left, right = {0: 0.5 / 4, 1: 2.5 / 4}, {0: 3.5 / 6, 1: 1.5 / 6}
    assert judge.perplexity(["x"]) == pytest.approx((left[0] ** 3 * left[1]) ** (-1 / 4))
    assert judge.perplexity(["z"]) == pytest.approx((left[0] * right[0]) ** (-1 / 2))
    assert FreshJudge(["x"], lambda text: ids[text], 1, 4).perplexity(["z"]) is None


def test_copying_pays_with_the_judge_of_the_training_text_alone(data: Processed) -> None:
    training, held = data.texts("train"), data.texts("test")
    judge = Judge(training, data.tokenizer, 2, 3, held=held)
    copied, own = judge.point(1.0, [text[:400] for text in training[:8]]), judge.point(None, [t[:400] for t in held])
    assert copied.perplexity < 0.5 * own.perplexity and copied.fresh_perplexity > 0.75 * own.fresh_perplexity


def test_the_twin_judges_too(config: ProjectConfig, data: Processed, held: list[str]) -> None:
    torch.manual_seed(0)
    twin = new_model(config.override(**{"training.objective": "autoregressive", "model.causal": True}), data.tokenizer)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    level = twin.config.vocab_level
    judge = Judge(data.texts("train"), data.tokenizer, level, 2, twin, batch_size=3)
    # A model of zeros gives each token the same probability, whatever the length of the text.
    assert judge.point(1.0, held).twin_perplexity == pytest.approx(twin.text_vocab_size, rel=1e-4)
