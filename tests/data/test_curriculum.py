"""Stages of the curriculum: which examples they take, in which order and form, and the message of an empty stage."""

import numpy as np
import pytest

from tiny_diffusion.config.curriculum_config import CurriculumConfig, Format, StageConfig
from tiny_diffusion.config.pipeline_config import PipelineConfig
from tiny_diffusion.data.curriculum import build_stage
from tiny_diffusion.data.difficulty import Difficulty, score_sentences
from tiny_diffusion.data.sentences import Sentence
from tiny_diffusion.errors import UserError


def stage(form: Format, complexity: float = 1.0, centrality: float = 0.0, rarity: float = 1.0) -> StageConfig:
    return StageConfig(
        name="try",
        epochs=1,
        mask_range=(0.1, 0.3),
        format=form,
        max_complexity=complexity,
        min_centrality=centrality,
        max_rarity=rarity,
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
    ("texts", "centrality", "expected"),
    [
        (("It rained.", "Therefore we stayed."), [0.9, 0.1], ("It rained.", "Therefore we stayed.")),
        (("Thus we stayed.", "It had rained."), [0.1, 0.9], ("It had rained.", "Thus we stayed.")),
        (("We stayed.", "Because it rained."), [0.1, 0.9], ("Because it rained.", "We stayed.")),
        (("Rain is wet.", "It rained."), [0.9, 0.1], ("It rained.", "Rain is wet.")),
        (("It rained.", "Rain is wet."), [0.1, 0.9], ("It rained.", "Rain is wet.")),
        (("It rained.", "It poured."), [0.5, 0.5], ("It rained.", "It poured.")),
    ],
)
def test_pairs_are_evidence_then_claim(
    texts: tuple[str, str], centrality: list[float], expected: tuple[str, str]
) -> None:
    difficulty = scored([0.5, 0.5], centrality)
    assert build_stage(stage("pairs"), in_one_paragraph(*texts), difficulty, {}) == [expected]


def test_pairs_take_the_mean_complexity() -> None:
    sentences = in_one_paragraph("A.", "B.", "C.")
    difficulty = scored([0.2, 0.6, 0.8], [0.1, 0.2, 0.3])
    assert build_stage(stage("pairs", 0.4), sentences, difficulty, {}) == [("A.", "B.")]
    assert build_stage(stage("pairs", 0.7), sentences, difficulty, {}) == [("A.", "B."), ("B.", "C.")]


def test_pairs_cross_paragraphs_only_in_dialogue_of_one_passage() -> None:
    sentences = [
        Sentence("It was dark.", 0, 0, 0),
        Sentence("“Who is there?”", 0, 1, 0),
        Sentence("“A friend.”", 0, 2, 0),
        Sentence("“Come in.”", 1, 3, 0),
        Sentence("Some sentence after a left-out one.", 1, 3, 2),
    ]
    difficulty = scored([0.5] * 5, [0.5] * 5)
    assert build_stage(stage("pairs"), sentences, difficulty, {}) == [("“Who is there?”", "“A friend.”")]


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
    ],
)
@pytest.mark.parametrize("form", ["sentences", "pairs", "paragraphs"])
def test_empty_stage_names_itself_and_the_setting(
    form: Format, limits: tuple[float, float, float], setting: str
) -> None:
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
