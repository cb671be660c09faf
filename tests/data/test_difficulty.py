"""Difficulty scores: direction, range, ties, determinism, languages, and the dynamic score."""

import json
import sys
import time

import numpy as np
import pytest

from tiny_diffusion.config.pipeline_config import DifficultyWeights, PipelineConfig
from tiny_diffusion.data.curriculum import DynamicScorer, easiest
from tiny_diffusion.data.difficulty import SCORES, _tokens, percentiles, score_sentences
from tiny_diffusion.data.embedding import FIT_SENTENCES, centrality
from tiny_diffusion.data.language.connectives import ROLES, count_roles
from tiny_diffusion.errors import UserError

SMALL = PipelineConfig(embedding_dim=8, clusters=3)
TEXTS = [
    "The cat sat down.",
    "The dog ran home.",
    "The cat saw the dog.",
    "The dog saw the cat and the cat ran.",
    "Although the keeper, who had slept badly, heard the bell, he did not rise, because nobody ever came.",
    "Obfuscatory perspicacity confounds antediluvian taxonomists.",
    "The ship was late; therefore the market stayed shut, but nobody complained, since it rained.",
    "The cat sat down.",
    "A red boat left the harbour.",
]


def test_percentiles_average_ties() -> None:
    assert percentiles(np.array([3.0, 1.0, 3.0, 9.0])).tolist() == [0.5, 0.125, 0.5, 0.875]


def test_scores_have_range_shape_and_direction() -> None:
    result = score_sentences(TEXTS, "en", SMALL)
    assert tuple(result.scores) == SCORES
    for values in [*result.scores.values(), result.combined]:
        assert values.shape == (len(TEXTS),)
        assert ((values >= 0) & (values <= 1)).all()
        assert values[0] == values[7], "equal sentences must tie"
    assert result.scores["lexical_rarity"].argmax() == 5
    assert result.scores["syntactic_complexity"].argmax() == 4
    assert result.scores["argument_structure"].argmax() == 6
    assert result.scores["syntactic_complexity"][0] < 0.4
    assert not [note for note in result.notes if note.startswith(SCORES)]


def test_elided_subordinators_count() -> None:
    result = score_sentences(["Il dit qu'il dort bien.", "Il dit et il dort bien."], "fr", SMALL)
    assert result.scores["syntactic_complexity"].tolist() == [0.75, 0.25]


def test_same_input_gives_same_scores() -> None:
    first, second = (score_sentences(TEXTS, "en", SMALL) for _ in range(2))
    for name in SCORES:
        assert np.array_equal(first.scores[name], second.scores[name])


def test_combined_turns_centrality_round() -> None:
    only = DifficultyWeights(lexical_rarity=0, syntactic_complexity=0, argument_structure=0, thematic_centrality=2)
    result = score_sentences(TEXTS, "en", SMALL.model_copy(update={"difficulty": only}))
    assert np.allclose(result.combined, 1 - result.scores["thematic_centrality"])
    mixed = score_sentences(TEXTS, "en", SMALL)
    weights = {"lexical_rarity": 0.3, "syntactic_complexity": 0.4, "argument_structure": 0.1}
    expected = sum(weight * mixed.scores[name] for name, weight in weights.items())
    assert np.allclose(mixed.combined, expected + 0.2 * (1 - mixed.scores["thematic_centrality"]))


def test_all_weights_zero_is_refused() -> None:
    none = DifficultyWeights(lexical_rarity=0, syntactic_complexity=0, argument_structure=0, thematic_centrality=0)
    with pytest.raises(UserError, match="weights"):
        score_sentences(TEXTS, "en", SMALL.model_copy(update={"difficulty": none}))


@pytest.mark.parametrize("sentences", [[], ["...", "?!"]])
def test_nothing_to_score_is_refused(sentences: list[str]) -> None:
    with pytest.raises(UserError, match="difficulty"):
        score_sentences(sentences, "en", SMALL)


def test_one_sentence_is_scored() -> None:
    result = score_sentences(["Snow."], "en", SMALL)
    assert [result.scores[name].tolist() for name in SCORES] == [[0.5]] * 4


def test_language_without_tables_is_noted_and_uses_the_book() -> None:
    texts = ["ba ba ba ba", "ba ba zu", "ba ki; lo?", "mo: (ne) fi?"]
    result = score_sentences(texts, "und", SMALL)
    assert any("--pipeline.language" in note for note in result.notes)
    assert any(note.startswith("argument_structure:") for note in result.notes)
    assert result.scores["lexical_rarity"].argsort().tolist() == [0, 1, 2, 3]
    assert result.scores["argument_structure"].argmax() == 3


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("zh", ["猫在家。", "狗跑了，猫也跑了，因为下雨。", "船来了。"]),
        ("ja", ["猫がいる。", "犬が走り、猫も走った、雨が降ったから。", "船。"]),
        ("hi", ["बिल्ली घर में है।", "कुत्ता भागा, बिल्ली भी भागी, क्योंकि बारिश हुई।", "नाव आई।"]),
        ("ru", ["Кот спит.", "Пёс бежал, кот тоже бежал, потому что шёл дождь.", "Снег."]),
        ("ar", ["القط نائم.", "ركض الكلب، وركض القط أيضا، لأن المطر نزل.", "ثلج."]),
    ],
)
def test_longer_sentences_are_more_complex_in_every_script(language: str, texts: list[str]) -> None:
    result = score_sentences(texts, language, SMALL)
    assert result.scores["syntactic_complexity"].argmax() == 1


def test_marks_belong_to_their_word() -> None:
    assert _tokens("बिल्ली घर", None) == ["बिल्ली", "घर"]
    assert _tokens("It’s _late_, 'tis 1818.", None) == ["it's", "late", "tis", "1818"]
    assert _tokens("猫在home", None) == ["猫", "在", "home"]


@pytest.mark.parametrize(
    ("language", "text", "role"),
    [
        ("en", "As a result, it sank.", "claim"),
        ("fr", "C’est pourquoi il partit.", "claim"),
        ("fr", "Parce qu’il dormait.", "evidence"),
        ("de", "Er schläft, weil es regnet.", "evidence"),
        ("de", "Außerdem regnet es.", "contrast"),
        ("es", "Sin embargo, llueve.", "contrast"),
        ("it", "Quindi piove.", "claim"),
        ("ru", "Потому что шёл дождь.", "evidence"),
    ],
)
def test_connectives(language: str, text: str, role: str) -> None:
    assert count_roles([text], language)[0].tolist() == [int(name == role) for name in ROLES]


def test_connectives_are_whole_words() -> None:
    assert count_roles(["The butler yelled, enthusiastic."], "en").sum() == 0


def test_central_rows_are_near_the_large_cluster() -> None:
    angles = np.array([0.0, 0.05, -0.05, 0.1, -0.1, 0.4, 2.0])
    values, notes = centrality(np.stack([np.cos(angles), np.sin(angles)], axis=1), clusters=2, seed=0, fit=7)
    assert values.argmin() == 6 and values[:5].min() > values[5] and not notes


def test_missing_embedding_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UserError, match=r"pip install 'tiny-diffusion\[embeddings\]'"):
        score_sentences(TEXTS, "en", SMALL.model_copy(update={"embedding": "sentence-transformers"}))


def test_more_sentences_than_the_fit_takes() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(400)]
    texts = [" ".join(rng.choice(words, 8)) + "." for _ in range(FIT_SENTENCES + 500)]
    began = time.perf_counter()
    result = score_sentences(texts, "en", SMALL)
    assert time.perf_counter() - began < 60
    assert np.isfinite(result.combined).all() and len(result.combined) == len(texts)


def test_dynamic_scorer_follows_the_loss() -> None:
    scorer = DynamicScorer(np.array([0.1, 0.2, 0.3, 0.4]), weight=1.0)
    static = scorer.scores()
    assert static.tolist() == [0.125, 0.375, 0.625, 0.875]
    scorer.update(np.array([4.0, 3.0, 2.0, 1.0]))
    assert scorer.scores().tolist() == static[::-1].tolist()
    scorer.weight = 0.25
    assert scorer.scores().tolist() == (0.75 * static + 0.25 * static[::-1]).tolist()


def test_dynamic_scorer_running_mean_and_state() -> None:
    scorer = DynamicScorer(np.array([0.1, 0.2, 0.3]), weight=0.5)
    for losses, mean in (([2.0, 4.0, 3.0], [2.0, 4.0, 3.0]), ([1.0, 4.0, 10.0], [1.9, 4.0, 3.7])):
        scorer.update(np.array(losses))
        assert scorer.loss is not None and scorer.loss.tolist() == pytest.approx(mean)
    again = DynamicScorer.from_dict(json.loads(json.dumps(scorer.to_dict(), allow_nan=False)))
    assert again.scores().tolist() == scorer.scores().tolist()
    assert again.to_dict() == scorer.to_dict()


def test_dynamic_scorer_reads_a_state_without_losses() -> None:
    fresh = DynamicScorer(np.array([0.2, 0.1]), weight=0.5)
    for state in (fresh.to_dict(), {**fresh.to_dict(), "decay": 0.9, "loss": [None, None]}):
        assert DynamicScorer.from_dict(state).scores().tolist() == [0.75, 0.25]


def test_the_easiest_are_as_long_as_all() -> None:
    """Longer examples are harder: the easiest of all would be the shortest ones."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 60, 500)
    difficulty = lengths + rng.normal(size=500)
    for share in (0.5, 0.75):
        chosen = easiest(difficulty, lengths, share)
        assert sorted({*chosen.tolist()}) == chosen.tolist()
        assert len(chosen) == pytest.approx(500 * share, rel=0.02)
        assert lengths[chosen].mean() == pytest.approx(lengths.mean(), rel=0.02)
        assert (difficulty - lengths)[chosen].mean() < -0.2
    assert easiest(difficulty, lengths, 1.0).tolist() == list(range(500))


def test_the_easiest_of_each_length_by_hand() -> None:
    lengths = np.array([3] * 20 + [9] * 20)
    difficulty = np.arange(40)[::-1]
    assert easiest(difficulty, lengths, 0.1).tolist() == [18, 19, 38, 39]
    assert easiest(difficulty, lengths, 0.01).tolist() == [19, 39]
    assert easiest(np.array([0.5, 0.1, 0.9]), np.array([1, 2, 3]), 0.5).tolist() == [0, 1]


def test_dynamic_scorer_refuses_losses_that_are_not_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        DynamicScorer(np.array([0.1, 0.2]), weight=0.5).update(np.array([1.0, np.nan]))


@pytest.mark.parametrize("language", ["en", "und"])
def test_fitted_on_the_first_sentences_alone(language: str) -> None:
    alone = score_sentences(TEXTS, language, SMALL)
    others = ["Zebras quietly deny everything, because they can; therefore nobody asked.", "The cat sat down."]
    for tail in (others, others[:1], [*others, *others]):
        both = score_sentences(TEXTS + tail, language, SMALL, fit=len(TEXTS))
        for name in SCORES:
            # Other sentences scored in the same call change no score, and an equal sentence gets an equal score.
            assert both.scores[name][: len(TEXTS)].tolist() == alone.scores[name].tolist()
            assert ((both.scores[name] >= 0) & (both.scores[name] <= 1)).all()
    assert both.scores["lexical_rarity"][len(TEXTS) + 1] == alone.scores["lexical_rarity"][0]
    hardest = score_sentences([*TEXTS, others[0]], language, SMALL, fit=len(TEXTS))
    assert hardest.scores["argument_structure"][-1] > 0.8


def test_percentiles_among_others() -> None:
    assert percentiles(np.array([0.0, 2.0, 2.5, 9.0]), np.array([1.0, 2.0, 2.0, 3.0])).tolist() == [0, 0.5, 0.75, 1]
