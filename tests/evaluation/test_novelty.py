"""Novelty: copied runs, n-grams and sentences, compared with small cases and a naive search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.config import EvaluationConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.copies import CopyIndex, excerpt
from tiny_diffusion.data.language.words import split_words
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.text_quality.novelty import cut, cut_like, measure_copying, measure_novelty, ngram_share

from ..conftest import make_book

SOURCE = "The old miller slept by the river.\n\nHis dog, a grey one, didn’t sleep; it watched the boats."
INDEX = CopyIndex([SOURCE])
SETTINGS = EvaluationConfig()
LETTERS = st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join)


def longest(text: str, source: str) -> int:
    return CopyIndex([source]).match([text])[0].longest


def share(text: str, index: CopyIndex, n: int) -> float | None:
    return ngram_share(index.match([text]), n)


def test_words_are_folded() -> None:
    assert split_words("Don't -- STOP, “_now_”! It’s 3rd\u00adly") == ["dont", "stop", "now", "its", "3rdly"]
    assert split_words("cafe\u0301 CAFÉ") == ["café", "café"]
    assert split_words("山は高い。") == ["山", "は", "高", "い"]


def test_run_ignores_case_punctuation_and_line_breaks() -> None:
    found = measure_copying(["Then she saw: THE RIVER\nhis dog a grey one didn't run."], INDEX, "en", SETTINGS)
    assert (found.longest_words, found.longest_text) == (8, "the river his dog a grey one didnt")


def test_only_whole_words_count() -> None:
    assert longest("old mill", SOURCE) == 1
    assert longest("mill slep boat", SOURCE) == 0


def test_no_run_crosses_two_texts() -> None:
    index = CopyIndex(["the old boats", "sailed on", ""])
    one, two = index.match(["boats sailed on", "the old boats sailed"])
    assert one.length.tolist() == [1, 2, 1] and two.length.tolist() == [3, 2, 1, 1]
    assert index.match(["sailed on", "the old"])[1].length.tolist() == [2, 1]
    assert longest(SOURCE, SOURCE) == len(split_words(SOURCE))


@pytest.mark.parametrize(("text", "source"), [("", SOURCE), ("***", SOURCE), ("old", ""), ("", "")])
def test_texts_without_words(text: str, source: str) -> None:
    assert longest(text, source) == 0
    found = measure_copying([text], CopyIndex([source]), "en", SETTINGS)
    assert found.longest_text == "" and found.copied_sentence_share is None
    assert CopyIndex([]).match(["old"])[0].longest == 0


def naive_length(words: list[str], start: int, source: list[list[str]]) -> int:
    best = 0
    for text in source:
        for j in range(len(text)):
            length = 0
            while start + length < len(words) and text[j + length : j + length + 1] == [words[start + length]]:
                length += 1
            best = max(best, length)
    return best


@given(st.lists(LETTERS, max_size=4), st.lists(LETTERS, min_size=1, max_size=3))
def test_equals_a_naive_search(source: list[str], texts: list[str]) -> None:
    index, split = CopyIndex(source), [text.split() for text in source]
    matches = index.match(texts)
    for text, match in zip(texts, matches, strict=True):
        words = text.split()
        assert match.words == words
        assert match.length.tolist() == [naive_length(words, i, split) for i in range(len(words))]
        for start, (length, place) in enumerate(zip(match.length.tolist(), match.place.tolist(), strict=True)):
            if length:
                owner, found = index.passage(place, length, 0)
                assert found.split() == words[start : start + length] and found in source[owner]
    for n in (1, 2, 3):
        grams = [g for t in texts for g in zip(*(t.split()[k:] for k in range(n)), strict=False)]
        known = {g for t in split for g in zip(*(t[k:] for k in range(n)), strict=False)}
        expected = sum(g in known for g in grams) / len(grams) if grams else None
        assert ngram_share(matches, n) == expected


def test_more_distinct_words_than_sixteen_bits() -> None:
    copied = " ".join(f"w{i}" for i in range(69_000, 69_030))
    assert longest(f"x {copied} y", " ".join(f"w{i}" for i in range(70_000))) == 30


def test_ngram_share() -> None:
    text = "the old miller slept by a river"
    assert share(text, INDEX, 1) == 1.0
    assert share(text, INDEX, 2) == pytest.approx(4 / 6)
    assert share(text, INDEX, 5) == pytest.approx(1 / 3)
    assert share("by by by cat", INDEX, 1) == pytest.approx(3 / 4)
    assert share("the old", INDEX, 3) is None


def test_excerpts_and_pieces() -> None:
    assert excerpt(SOURCE, 5, 8) == "the river.\n\nHis"
    assert excerpt(SOURCE, -3, 2) == "The old" and excerpt(SOURCE, 17, 99) == "boats." and excerpt("a", 5, 9) == ""
    assert cut(["a b c d e", "f", "* *"], 2, 9) == ["a b", "c d", "f"]
    assert cut(["a b c d e f g h"], 2, 2) == ["a b", "e f"]
    assert [len(p.split()) for p in cut_like(["x y z", "x"], ["a b c d e f g"])] == [2, 2]


def test_whole_sentences_are_looked_up_from_eight_words_on() -> None:
    index = CopyIndex(["She went down to the old river at dawn. The boats lay still."])
    text = "She went down to the old river at dawn. The boats lay still. He went up to the old river at dawn."
    found = measure_copying([text], index, "en", SETTINGS)
    assert (found.sentences, found.copied_sentence_share) == (2, 0.5)
    short = measure_copying([text], index, "en", SETTINGS.model_copy(update={"copied_sentence_words": 3}))
    assert (short.sentences, short.copied_sentence_share) == (3, pytest.approx(2 / 3))


def test_a_model_that_copies_is_caught(data: Processed) -> None:
    training, held = data.texts("train"), data.texts("test")
    index = CopyIndex(training)
    samples = ["Zwei Kinder spielten lange im Hof und sangen.", training[1][100:600]]
    fresh = [make_book(400, seed=n) for n in (1, 2)]
    report = measure_novelty(samples, held, index, "en", SETTINGS, {8: fresh, 2: samples})
    assert report.generated.longest_words > 50 > report.held_out.longest_words
    by_n = {gram.n: gram.share for gram in report.generated.ngrams}
    floor = {gram.n: gram.share for gram in report.held_out.ngrams}
    assert list(by_n) == list(range(2, 13))
    assert by_n[12] > 0.8 and floor[12] == 0 and report.generated.copied_sentence_share > 0.4
    assert report.held_out.texts == 2 and report.held_out.copied_sentence_share == 0
    assert [row.steps for row in report.by_steps] == [2, 8]
    assert report.by_steps[0].copying == report.generated
    assert report.by_steps[1].copying.longest_words < 15
    nearest = report.nearest
    assert nearest is not None and (nearest.sample, nearest.passage) == (1, 1)
    assert nearest.words == report.generated.longest_words and nearest.training_text in training[1]
    assert " ".join(split_words(samples[1])[:20]) in " ".join(split_words(nearest.training_text))


def test_nothing_copied_and_nothing_written(data: Processed) -> None:
    index = CopyIndex(data.texts("train"))
    assert measure_novelty(["xqz vbn", ""], data.texts("test"), index, "en", SETTINGS).nearest is None
    with pytest.raises(UserError, match="at least one"):
        measure_novelty([], data.texts("test"), index, "en", SETTINGS)
