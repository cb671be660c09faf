"""Passages for the blind test: of equal length, disjoint, cleaned alike, and the book's from the test split."""

import pytest
import torch

from tiny_diffusion.checkpoint import new_model
from tiny_diffusion.config import EvaluationConfig, GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.language.words import PRINTED_WORD
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.blind_test.beginning import (
    clean,
    clean_text,
    generated_passage,
    mix,
    real_passages,
    write_passages,
)
from tiny_diffusion.writing.results import Written
from tiny_diffusion.writing.writer import Writer

SETTINGS = EvaluationConfig(blind_passages=4, blind_words=8)
GENERATION = GenerationConfig(steps=2, temperature=1.0, top_p=1.0)


@pytest.fixture(scope="module")
def writer(config: ProjectConfig, data: Processed) -> Writer:
    torch.manual_seed(0)
    return Writer(new_model(config, data.tokenizer).eval(), data.tokenizer)


def test_both_kinds_get_one_spelling() -> None:
    assert (
        clean("“It’s\u00a0\t‘so’,”\n she--said… «non»\u00ad\x1b[31m e\u0301")
        == '"It\'s \'so\'," she—said... "non" [31m é'
    )


def test_words_and_sentence_starts() -> None:
    text = clean_text("The dog\nslept. It  ran!\n\nWho knew?\n\n \n\n", "en")
    assert text.text == "The dog slept. It ran! Who knew?"
    assert text.sentence_starts == [0, 3, 5] and text.longest_sentence == 3
    assert text.span(3, 3) == "It ran! Who"
    assert clean_text("我們走。他不來。", "zh").span(1, 4) == "們走。 他"


def test_real_passages_are_equal_disjoint_and_held_out(data: Processed) -> None:
    test = [clean_text(t, data.language).text for t in data.texts("test")]
    training = " ".join(clean_text(t, data.language).text for t in data.texts("train"))
    most = real_passages(data.texts("test"), data.language, 20, 10, 0)
    assert {len(p.split()) for p in most} == {20}
    for passage in most:
        assert sum(passage in text for text in test) == 1 and passage not in training
        assert passage[0].isupper()
    spans = sorted((i, t.index(p)) for p in most for i, t in enumerate(test) if p in t)
    ends = [(i, start + max(len(p) for p in most if test[i].startswith(p, start))) for i, start in spans]
    assert all(a[0] < b[0] or a[1] <= b[1] for a, b in zip(ends, spans[1:], strict=False))
    assert real_passages(data.texts("test"), data.language, 20, 5, 0) != real_passages(
        data.texts("test"), data.language, 20, 5, 1
    )


def test_a_split_too_small_is_refused_with_the_number_that_it_holds() -> None:
    text = "One two three four. Five six. Seven eight nine ten eleven."
    assert len(real_passages([text], "en", 5, 2, 0)) == 2
    with pytest.raises(UserError, match="holds 2 passages of 5 words and the blind test needs 3"):
        real_passages([text, text], "en", 5, 3, 0)


def test_a_generated_passage_begins_with_the_second_sentence() -> None:
    text = "of the house. The old dog ran “far”.\n\nIt slept."
    assert generated_passage(text, "en", 5) == 'The old dog ran "far".'
    assert generated_passage(text, "en", 7) == 'The old dog ran "far". It slept.'
    assert generated_passage(text, "en", 8) == 'of the house. The old dog ran "far".'
    assert generated_passage("on and on and on", "en", 5) == "on and on and on"
    assert generated_passage(text, "en", 11) is None


@pytest.mark.parametrize(("passages", "words"), [(4, 8), (2, 8), (4, 6)])
def test_the_model_writes_as_many_of_the_same_length(
    writer: Writer, data: Processed, passages: int, words: int
) -> None:
    settings = EvaluationConfig(blind_passages=passages, blind_words=words)
    written = list(write_passages(writer, data, settings, GENERATION))
    assert written == list(write_passages(writer, data, settings, GENERATION))
    assert len(written) == len(set(written)) == passages // 2
    assert {len(PRINTED_WORD.findall(p)) for p in written} == {words}
    other = settings.model_copy(update={"seed": 1})
    assert written != list(write_passages(writer, data, other, GENERATION))


def says(text: str) -> list[Written]:
    return [Written(text, (), (), (), 1)]


def test_a_text_too_short_is_written_again_longer(
    writer: Writer, data: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []

    def write(prompt: str, settings: GenerationConfig) -> list[Written]:
        lengths.append(settings.length)
        return says("word " * (2 * len(lengths)) + str(settings.seed))

    monkeypatch.setattr(writer, "write", write)
    first = next(write_passages(writer, data, SETTINGS, GENERATION))
    assert len(first.split()) == 8
    assert [length // lengths[0] for length in lengths] == [1, 2, 4, 8]
    monkeypatch.setattr(writer, "write", lambda *_: says("word"))
    with pytest.raises(UserError, match="hardly any words"):
        next(write_passages(writer, data, SETTINGS, GENERATION))
    monkeypatch.setattr(writer, "write", lambda *_: says("word " * 9))
    with pytest.raises(UserError, match="same passage twice"):
        list(write_passages(writer, data, SETTINGS, GENERATION))


def test_mix_keeps_the_truth_and_tells_nothing_by_order() -> None:
    mixed = mix(list("abcde"), list("vwxyz"), 0)
    assert {p.text for p in mixed if p.real} == set("abcde") and len(mixed) == 10
    kinds = [p.real for p in mixed]
    assert kinds != sorted(kinds) and kinds != sorted(kinds, reverse=True)
    with pytest.raises(UserError, match="word for word"):
        mix(["a"], ["a"], 0)
