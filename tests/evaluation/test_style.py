"""Style: each measure on hand-worked cases, and the score of the book itself, of another book, and of spoilt text."""

import json
import math
import random
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiny_diffusion.config import EvaluationConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.language.dialogue import spoken
from tiny_diffusion.data.language.segmentation import split_sentences
from tiny_diffusion.data.language.words import split_words
from tiny_diffusion.data.reading.example import write_reference_text
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.style.calibration import (
    burrows_delta,
    calibrate,
    commonest,
    fit_features,
    frequencies,
)
from tiny_diffusion.evaluation.style.habits import Habit
from tiny_diffusion.evaluation.style.prose import KINDS, count_marks, draw_pieces, draw_runs, read_prose, trim
from tiny_diffusion.evaluation.style.style import measure_style
from tiny_diffusion.evaluation.style.style_report import DELTA, StyleReport
from tiny_diffusion.evaluation.style.vocabulary import (
    function_word_share,
    hapax_share,
    lix,
    rare_word_share,
    type_token_ratio,
    zipf_slope,
)

SHORT = ["The dog slept. The cat ran away.", "The hen sat down."]
LONG = ["The dog slept by the warm fire all night. The cat ran over the wet roof of the old barn."]
SETTINGS = EvaluationConfig(book_pieces=20)


def cut(text: str, count: int, characters: int) -> list[str]:
    return [text[i * len(text) // count :][:characters] for i in range(count)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = write_reference_text(tmp_path_factory.mktemp("reference") / "reference.txt")
    return path.read_text(encoding="utf-8")


def score(generated: list[str], data: Processed, settings: EvaluationConfig = SETTINGS, **others: str) -> StyleReport:
    return measure_style(generated, data.texts("test"), data.texts("train"), "en", settings, others)


def test_sentence_lengths_over_texts_and_paragraphs() -> None:
    assert read_prose(SHORT, "en").lengths.tolist() == [3, 4, 4]
    prose = read_prose(["The dog slept\nby the fire.\n\n* * *\n\nThe cat ran", "...", "Yes."], "en")
    assert prose.lengths.tolist() == [6, 3, 1]
    assert prose.runs.tolist() == [[0, 2], [2, 3]]
    assert prose.texts[1] == ["yes"]


def test_prose_taken_apart_and_put_together() -> None:
    prose = read_prose([*SHORT, *LONG], "en")
    taken = prose.take(np.array([[3, 5], [1, 2]]))
    assert taken.sentences == [*prose.sentences[3:5], prose.sentences[1]]
    assert taken.texts == [prose.texts[2], prose.words[1]]
    assert taken.marks.tolist() == [prose.marks[i].tolist() for i in (3, 4, 1)]
    assert trim(prose, 7).sentences == prose.sentences[:2] and trim(prose, 1).sentences == prose.sentences[:2]


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=8), min_size=1, max_size=4),
    st.lists(st.integers(1, 20), min_size=1, max_size=5),
    st.integers(0, 99),
)
@example([[1, 1, 9]], [1], 0)
def test_runs_lie_within_texts_and_are_about_as_long(lengths: list[list[int]], sizes: list[int], seed: int) -> None:
    prose = read_prose([" ".join("Word" + " word" * (n - 1) + "." for n in text) for text in lengths], "en")
    ends = [0, *np.cumsum(prose.lengths).tolist()]
    runs = draw_runs(prose, sizes, np.random.default_rng(seed))
    assert len(runs) == len(sizes)
    assert all(any(a <= first < end <= b for a, b in prose.runs.tolist()) for first, end in runs.tolist())
    found = sum(ends[end] - ends[first] for first, end in runs.tolist())
    # A run deviates by at most the longest sentence, or is its whole text.
    assert found <= sum(sizes) + 9 * len(sizes)
    if min(map(sum, lengths)) >= max(sizes):
        assert found >= sum(sizes) - 9 * len(sizes)


def test_runs_do_not_overlap_where_there_is_room() -> None:
    prose = read_prose([make_words(1000)], "en")
    for seed in range(20):
        runs = draw_runs(prose, [100] * 5, np.random.default_rng(seed))
        used = np.concatenate([np.arange(a, b) for a, b in runs.tolist()])
        # Only a run at the very end, moved forward to fit, may overlap another.
        assert len(np.unique(used)) >= 400 / 5
    one, two = (draw_pieces(prose, read_prose(SHORT, "en"), 3, seed) for seed in (1, 1))
    assert [p.sentences for p in one] == [p.sentences for p in two]


def make_words(count: int) -> str:
    return " ".join(f"Word word word word w{i}." for i in range(count // 5))


def test_lengths_by_hand() -> None:
    result = measure_style(SHORT, LONG, LONG, "en", SETTINGS).lengths
    # Lengths 3, 4, 4 against 9, 11: means 11/3 and 10, and every short one below every long one.
    assert result.wasserstein == pytest.approx(10 - 11 / 3)
    assert result.ks == 1
    assert result.halves_wasserstein is None
    halves = measure_style(SHORT, LONG, [*SHORT, *LONG], "en", SETTINGS).lengths
    # Odd and even passages: 3, 4, 9, 11 against 4.
    assert halves.halves_wasserstein == pytest.approx((1 + 0 + 5 + 7) / 4)
    assert halves.halves_ks == pytest.approx(0.5)


def test_burrows_delta_by_hand() -> None:
    # z-scores differ by (6 - 4)/2, (3 - 6)/1 and 0.
    first, second, scale = np.array([6.0, 3.0, 1.0]), np.array([4.0, 6.0, 1.0]), np.array([2.0, 1.0, 0.5])
    assert burrows_delta(first, second, scale) == pytest.approx((1 + 3 + 0) / 3)
    assert commonest("the a the b a the".split(), 2) == ["the", "a"]
    assert frequencies("the a the b".split(), ["the", "z"]).tolist() == [0.5, 0]


def test_features_and_score_by_hand() -> None:
    pieces = read_prose(["One.", "One two three.", "One two."], "en")
    parts = [pieces.take(pieces.runs[i : i + 1]) for i in range(3)]
    features = fit_features(lambda p: np.array([len(p.all_words), float("nan")]), parts[:2], parts[2])
    assert features is not None and features.kept.tolist() == [0]
    assert (features.centre.tolist(), features.scale.tolist()) == ([2], [1])  # of 1 and 3 words
    assert [features.distance(p) for p in parts] == [1, 1, 0]
    assert fit_features(lambda p: np.array([float("nan")]), parts, parts[0]) is None
    some = fit_features(lambda p: np.array([np.nan if p is parts[0] else len(p.all_words)]), parts[1:], parts[1])
    assert some is not None and some.distance(parts[0]) == 1
    measure = calibrate("x", lambda p: float(len(p.all_words)), parts[:1])
    assert [round(measure.score(p).score, 3) for p in parts] == [100, 33.333, 50]
    assert calibrate("x", lambda p: 0.0, parts).own == 1


def test_vocabulary_by_hand() -> None:
    assert type_token_ratio(["a", "b", "a", "a", "c"], 2) == pytest.approx(0.75)
    repeated = ["a", "b", "c", "d"] * 50
    assert type_token_ratio(repeated, 4) == type_token_ratio(repeated[:4], 4) == 1
    assert math.isnan(type_token_ratio(["a", "b"], 3))
    assert hapax_share(["a", "a", "b", "c"]) == pytest.approx(2 / 3)
    # Counts 8, 4, 2 at ranks 1, 2, 4 would be slope -1; here 4 at rank 1 and 2 at rank 2.
    assert zipf_slope(["a"] * 4 + ["b"] * 2) == pytest.approx(-1)
    assert math.isnan(zipf_slope(["a"]))
    assert rare_word_share(["The antediluvian qzxv."], "en", 3.0) == pytest.approx(2 / 3)
    assert rare_word_share(["L'homme qu'il a vu."], "fr", 3.0) == 0
    assert math.isnan(rare_word_share(["word"], "und", 3.0))


def test_function_word_share() -> None:
    assert function_word_share(["the", "of", "castle", "and"], "en") == pytest.approx(0.75)
    assert function_word_share(["der", "und", "haus", "schloss"], "de") == pytest.approx(0.5)
    assert function_word_share(["the"], "und") is None


def test_marks_by_kind() -> None:
    found = dict(zip(KINDS, count_marks("“Well--so . . . it’s (no) 3; 山。” He… said..."), strict=True))
    assert {kind: n for kind, n in found.items() if n} == {
        "full stop": 1, "semicolon": 1, "dash": 1, "ellipsis": 3, "quotation": 2, "bracket": 2, "apostrophe": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "speech"),
    [
        ('He said "yes" and "no".', '"yes""no"'),
        ("“I can’t ‘go’,” she said.", "“I can’t ‘go’,”"),
        ("‘It’s late,’ said Tom’s aunt.", "‘It’s late,’"),
        ("'It's late,' said Tom's aunt. 'Isn't it?'", "'It's late,''Isn't it?'"),
        ("'No, \"never\" is the boys' word,' he said--'so there!'", "'No, \"never\" is the boys' word,''so there!'"),
        ("'Tis the boys' own, the sailors' too; rock 'n' roll.", ""),
        ("Put the word 'lamp' there, in '98 or so.", ""),
        ('"\'Tis late," he said, "and \'twas long."', '"\'Tis late,""and \'twas long."'),
        ("Er sagte: „Komm!“ Und sie: »Nein.«", "„Komm!“»Nein.«"),
        ("Il dit : « Venez, “vite” ! » puis rien.", "« Venez, “vite” ! »"),
        ("— Viens, dit-il.", "— Viens, dit-il."),
        ("彼は「行く」と言った。", "「行く」"),
        ("“To be continued in the next", "“To be continued in the next"),
        ("left over.” He went.", ""),
        ("Nothing is said.", ""),
    ],
)
def test_dialogue_in_several_languages(text: str, speech: str) -> None:
    assert "".join(c for c, inside in zip(text, spoken(text), strict=True) if inside) == speech


def test_readability_by_hand() -> None:
    words = "the antediluvian miller believed everything".split()
    # Five words in two sentences, three of them of more than six letters.
    assert lix(words, 2) == pytest.approx(2.5 + 60)


def test_held_out_text_scores_about_100(data: Processed, reference: str) -> None:
    held = data.texts("test")
    own = score(held, data, reference=reference)
    assert own.score > 95 and own.held_out_score > 90
    assert {part.name for part in own.parts} >= {
        "sentence length",
        "function words",
        "punctuation",
        "word order",
        "letters",
    }
    assert own.score == min(part.score for part in own.parts)
    (other,) = own.other_books
    assert other.score < 40
    assert other.delta_to_held_out > 2 * own.held_out_delta and other.delta_to_generated > 2 * own.delta
    # Its parts are those of the score, and the part by Delta is far below the book's own.
    assert list(other.parts) == [part.name for part in own.parts]
    assert other.parts[DELTA] < 60 < own.held_out_parts[DELTA]


def test_another_book_scores_lower_both_ways(data: Processed, reference: str) -> None:
    assert score(cut(reference, 5, 600), data).score < 40
    # The other way round: the reference is the book, and the made-up book the stranger.
    passages = cut(reference, 60, 4000)
    held, training = passages[5::10], [p for i, p in enumerate(passages) if i % 10 != 5]
    own = measure_style(held, held, training, "en", SETTINGS, {"made up": "\n\n".join(data.texts("train"))})
    # A manual's sections differ: its own held-out ones do not reach 100 here.
    assert own.score > 60 and own.held_out_score > 60 and own.other_books[0].score < 20


def test_shuffled_words_are_seen_by_the_parts_meant_for_it(data: Processed) -> None:
    held, rng = data.texts("test"), random.Random(0)
    shuffled = [shuffle_sentences(text, "en", rng) for text in held]
    own, spoilt = score(held, data), score(shuffled, data)
    parts = {part.name: part.score for part in spoilt.parts}
    assert own.score > 80 and spoilt.score < 40 and parts["word order"] < 40
    assert spoilt.delta == pytest.approx(own.delta, rel=0.05) and parts[DELTA] > 80


def shuffle_sentences(text: str, language: str, rng: random.Random) -> str:
    sentences = [sentence.split() for sentence in split_sentences(" ".join(text.split()), language)]
    return " ".join(" ".join(rng.sample(words, len(words))) for words in sentences)


def test_cost_of_a_habit_by_hand() -> None:
    # Passages are learnt in turns: the first model has read the second passage, and the other way round.
    book = read_prose(["A a a b.", "B b b b."], "en")
    habit = Habit(book, split_words, 1, relative=False)
    # Counts plus one half, over the two words and an unknown one: 4 b of 4, or 3 a and 1 b of 4.
    first = -(3 * math.log(0.5 / 5.5) + math.log(4.5 / 5.5)) / 4
    assert habit.cost(book.take(book.runs[:1])) == pytest.approx(first)
    new = read_prose(["B."], "en")
    assert habit.cost(new) == pytest.approx(-(math.log(4.5 / 5.5) + math.log(1.5 / 5.5)) / 2)
    # What mere frequency costs is not counted.
    assert Habit(book, split_words, 1, relative=True).cost(new) == pytest.approx(0)


def test_easier_text_is_not_off(data: Processed) -> None:
    copied = {part.name: part for part in score(data.texts("train")[:4], data).parts}
    assert copied["letters"].score == copied["word order"].score == 100


def test_settings_move_the_score(data: Processed) -> None:
    text = cut("\n\n".join(data.texts("test")), 4, 500)
    usual = score(text, data)
    for key, value in {"delta_words": 5, "type_token_window": 20, "rare_zipf": 6.0, "book_pieces": 11}.items():
        assert score(text, data, SETTINGS.model_copy(update={key: value})) != usual, key
    assert score(text, data) == usual


def test_texts_beyond_the_held_out_size_are_left_out(data: Processed) -> None:
    held = data.texts("test")
    assert score([*held, *held], data) == score(held, data)


def test_report_is_json(data: Processed) -> None:
    report = score(SHORT, data, other=LONG[0] * 30)
    assert json.loads(json.dumps(asdict(report)))["generated"]["sentences"] == 3
    assert report.type_token_window <= 11


@pytest.mark.parametrize("side", ["generated", "held-out", "training"])
def test_refuses_a_side_without_words(side: str) -> None:
    texts = {name: LONG for name in ("generated", "held-out", "training")} | {side: ["", "* *"]}
    with pytest.raises(UserError, match=f"the {side} texts hold no word"):
        measure_style(*texts.values(), "en", SETTINGS)
    with pytest.raises(UserError, match="'empty'"):
        measure_style(LONG, LONG, LONG, "en", SETTINGS, {"empty": "..."})


@pytest.mark.parametrize("text", ["word", "no sentence ends here", "a a a a a a a a", "你好。我很好！", "?! word"])
def test_small_and_strange_texts_have_a_score(data: Processed, text: str) -> None:
    report = score([text, ""], data)
    assert 0 < report.score <= 100 and all(math.isfinite(part.distance) for part in report.parts)


def test_a_language_without_lists(data: Processed) -> None:
    chinese = ["山很高。水很深。" * 20, "他说：「我不知道。」她走了。" * 10]
    report = measure_style(chinese, chinese, chinese * 3, "zh", SETTINGS)
    assert report.score > 80 and report.generated.dialogue_share > 0
    # Another book too short for the window of words.
    short = measure_style(chinese, chinese, chinese * 3, "zh", SETTINGS, {"short": "山。"}).other_books[0]
    assert 0 < short.score < 60
    unknown = measure_style(SHORT, LONG, LONG, "und", SETTINGS)
    assert unknown.generated.rare_word_share is None and unknown.generated.function_word_share is None
