"""Stages of the curriculum: which examples they take, in which order and form, and the message of an empty stage."""

from dataclasses import replace

import numpy as np
import pytest

from tiny_diffusion.config.curriculum_config import FOUNDATIONAL, CurriculumConfig, Format, StageConfig
from tiny_diffusion.config.pipeline_config import DifficultyWeights, PipelineConfig
from tiny_diffusion.data.curriculum import build_stage, count_argued_pairs
from tiny_diffusion.data.difficulty import SCORES, Difficulty, percentiles, score_sentences
from tiny_diffusion.data.sentences import Sentence
from tiny_diffusion.errors import UserError


def stage(
    form: Format, complexity: float = 1.0, centrality: float = 0.0, rarity: float = 1.0, difficulty: float = 1.0
) -> StageConfig:
    return StageConfig(
        name="try",
        epochs=1,
        mask_range=(0.1, 0.3),
        format=form,
        max_complexity=complexity,
        min_centrality=centrality,
        max_rarity=rarity,
        max_difficulty=difficulty,
    )


def scored(complexity: list[float], centrality: list[float], rarity: list[float] | None = None) -> Difficulty:
    zeros = np.zeros(len(complexity))
    scores = {
        "lexical_rarity": zeros if rarity is None else np.array(rarity),
        "syntactic_complexity": np.array(complexity),
        "argument_structure": zeros,
        "thematic_centrality": np.array(centrality),
    }
    return Difficulty(scores, zeros, [], "en")


def in_one_paragraph(*texts: str) -> list[Sentence]:
    return [Sentence(text, 0, 0, index) for index, text in enumerate(texts)]


def test_sentences_keep_all_limits_and_book_order() -> None:
    sentences = in_one_paragraph("E.", "D.", "C.", "B.", "A.")
    difficulty = scored([0.9, 0.3, 0.3, 0.3, 0.1], [0.5, 0.5, 0.0, 0.5, 0.5], [0.1, 0.1, 0.1, 0.95, 0.9])
    assert build_stage(stage("sentences", 0.3, 0.1, 0.9), sentences, difficulty, {}) == [("D.",), ("A.",)]


@pytest.mark.parametrize(
    ("texts", "expected", "argued"),
    [
        (("It rained.", "Therefore we stayed."), ("It rained.", "Therefore we stayed."), 1),
        (("Thus we stayed.", "It had rained."), ("It had rained.", "Thus we stayed."), 1),
        (("We stayed.", "Because it rained."), ("Because it rained.", "We stayed."), 1),
        (("Rain is wet.", "It rained."), ("Rain is wet.", "It rained."), 0),
        (("Thus it rained.", "Thus we stayed."), ("Thus it rained.", "Thus we stayed."), 0),
    ],
)
def test_pairs_are_evidence_then_claim_by_connectives_or_in_the_order_of_the_text(
    texts: tuple[str, str], expected: tuple[str, str], argued: int
) -> None:
    for centrality in ([0.9, 0.1], [0.1, 0.9]):  # it says nothing of evidence and claim
        difficulty, sentences = scored([0.5, 0.5], centrality), in_one_paragraph(*texts)
        assert build_stage(stage("pairs"), sentences, difficulty, {}) == [expected]
        assert count_argued_pairs(stage("pairs"), sentences, difficulty) == (argued, 1)


def test_only_pairs_within_the_limits_count() -> None:
    sentences = in_one_paragraph("It rained.", "Thus we stayed.", "We ate.", "We slept.")
    difficulty = scored([0.1, 0.1, 0.9, 0.9], [0.5] * 4)
    assert count_argued_pairs(stage("pairs"), sentences, difficulty) == (2, 3)
    assert count_argued_pairs(stage("pairs", 0.2), sentences, difficulty) == (1, 1)


def test_the_foundational_stage_is_more_central_and_common_than_a_book_whose_simple_sentences_are_neither() -> None:
    """The scores are related as in a novel: simple sentences are less central, and their words a little rarer."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(3, 3000))
    complexity, centrality, rarity = hidden[0], hidden[1] + 0.5 * hidden[0], hidden[2] - 0.2 * hidden[0]
    ranked = [percentiles(values) for values in (complexity, centrality, rarity)]
    difficulty = scored(*(values.tolist() for values in ranked))
    combined = 0.3 * ranked[2] + 0.4 * ranked[0] + 0.2 * (1 - ranked[1])
    sentences = in_one_paragraph(*map(str, range(3000)))
    chosen = build_stage(FOUNDATIONAL, sentences, replace(difficulty, combined=combined), {})
    kept = np.array([int(text) for (text,) in chosen])
    simple = ranked[0] <= 0.34
    assert ranked[1][simple].mean() < 0.45 and ranked[2][simple].mean() > 0.5
    assert len(kept) > 150 and simple[kept].all()
    assert ranked[1][kept].mean() > 0.55 and ranked[2][kept].mean() < 0.45


def test_the_weights_of_the_difficulty_choose_the_sentences() -> None:
    chosen = []
    for weights in ({"lexical_rarity": 1.0}, {"syntactic_complexity": 1.0}):
        settings = PipelineConfig(
            embedding_dim=4, clusters=2, difficulty=DifficultyWeights(**{**dict.fromkeys(SCORES, 0.0), **weights})
        )
        texts = ["It is here.", "Obfuscatory taxonomists.", "He saw that it is so, and that she is here too.", "We go."]
        difficulty = score_sentences(texts, "en", settings)
        easy = stage("sentences", difficulty=0.7)
        chosen.append([texts.index(text) for (text,) in build_stage(easy, in_one_paragraph(*texts), difficulty, {})])
    assert 1 not in chosen[0] and 2 in chosen[0]
    assert 1 in chosen[1] and 2 not in chosen[1]


def test_pairs_take_the_mean_complexity() -> None:
    sentences = in_one_paragraph("A.", "B.", "C.")
    difficulty = scored([0.2, 0.6, 0.8], [0.1, 0.2, 0.3])
    assert build_stage(stage("pairs", 0.4), sentences, difficulty, {}) == [("A.", "B.")]
    assert build_stage(stage("pairs", 0.7), sentences, difficulty, {}) == [("A.", "B."), ("B.", "C.")]


def test_pairs_cross_paragraphs_only_in_dialogue_of_one_chapter() -> None:
    sentences = [
        Sentence("It was dark.", 0, 0, 0),
        Sentence("“Who is there?”", 0, 1, 0),
        Sentence("“A friend.”", 0, 2, 0),
        Sentence("“Come in.”", 1, 3, 0),
        Sentence("Some sentence after a left-out one.", 1, 3, 2),
    ]
    difficulty = scored([0.5] * 5, [0.5] * 5)
    assert build_stage(stage("pairs"), sentences, difficulty, {}) == [("“Who is there?”", "“A friend.”")]
    sentences[2] = replace(sentences[2], chapter=True)
    with pytest.raises(UserError, match="no paragraph has two sentences in a row"):
        build_stage(stage("pairs"), sentences, difficulty, {})


def test_paragraphs_make_one_example_per_passage_in_order() -> None:
    sentences = [Sentence("A.", 2, 0, 0), Sentence("C.", 5, 2, 0)]
    passages = {5: ["C."], 2: ["A.", "B."], 7: ["* * *"]}
    difficulty = scored([0.2, 0.8], [0.5, 0.5])
    everything = [("A.\n\nB.",), ("C.",), ("* * *",)]
    assert build_stage(stage("paragraphs"), sentences, difficulty, passages) == everything
    assert build_stage(stage("paragraphs", 0.5), sentences, difficulty, passages) == [("A.\n\nB.",)]


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        ((0.1, 0.0, 1.0), "raise max_complexity"),
        ((1.0, 0.8, 1.0), "lower min_centrality"),
        ((1.0, 0.0, 0.1), "raise max_rarity"),
        ((1.0, 0.0, 1.0, 0.1), "raise max_difficulty"),
    ],
)
@pytest.mark.parametrize("form", ["sentences", "pairs", "paragraphs"])
def test_empty_stage_names_itself_and_the_setting(form: Format, limits: tuple[float, ...], setting: str) -> None:
    difficulty = scored([0.5, 0.5], [0.5, 0.5], [0.5, 0.5])
    with pytest.raises(UserError, match=f"'try'.*{setting}"):
        build_stage(stage(form, *limits), in_one_paragraph("A.", "B."), difficulty, {0: ["A. B."]})


def test_no_pairs_at_all_and_no_passages() -> None:
    with pytest.raises(UserError, match="'try'.*format"):
        build_stage(stage("pairs"), in_one_paragraph("A."), scored([0.5], [0.5]), {})
    with pytest.raises(UserError, match="'try'.*passage"):
        build_stage(stage("paragraphs"), [], scored([], []), {})


def test_scores_must_fit_the_sentences() -> None:
    with pytest.raises(ValueError, match="2 sentences"):
        build_stage(stage("sentences"), in_one_paragraph("A.", "B."), scored([0.5], [0.5]), {})


def test_default_stages_work_on_scored_text() -> None:
    animals = ("cat", "dog", "owl", "fox", "hen")
    ends = ("it ran home", "so it hid, since it feared the rain")
    texts = [f"The {a} saw the {b}, and {ends[a < b]}." for a in animals for b in animals if a != b]
    sentences = in_one_paragraph(*texts)
    difficulty = score_sentences(texts, "en", PipelineConfig(embedding_dim=4, clusters=2))
    built = [build_stage(s, sentences, difficulty, {0: [" ".join(texts)]}) for s in CurriculumConfig().stages]
    assert 0 < len(built[0]) < len(texts) and all(len(example) == 1 for example in built[0])
    assert 0 < len(built[1]) < len(texts) and all(len(example) == 2 for example in built[1])
    assert built[2] == [(" ".join(texts),)]
