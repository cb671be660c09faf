"""Words of a written text are words of the book or in common use, whatever the sampler, the gap or the rewriting."""

from dataclasses import replace

import pytest
import torch

from tiny_diffusion.checkpoint import Checkpoint, new_model
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.language.word_list import common_words, spellings, without_stray_letters
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from tiny_diffusion.writing.completion import Completion, Completions
from tiny_diffusion.writing.finishing import words_of_tokens
from tiny_diffusion.writing.layout import token_spans, tokens_of
from tiny_diffusion.writing.real_words import KnownWords, RealWords
from tiny_diffusion.writing.results import Refused, Written
from tiny_diffusion.writing.writer import Writer

BOOK = [
    "the",
    "of",
    "in",
    "or",
    "is",
    "and",
    "Kalomi",
    "don’t",
    "man's",
    "boy's",
    "dog's",
    "1818",
    "I",
    "qzx",
    "l'eau",
    "l'ami",
    "l'or",
]
FAST = GenerationConfig(steps=4, precision="float32", num_samples=2, ending="token", layout="free", length=40)


def unknown(text: str, language: str = "en", only_book: bool = False) -> list[str]:
    return [text[slice(*span)] for span in KnownWords(BOOK, language, only_book=only_book).unknown(text)]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("The qzx saw THE house.", []),
        ("The literatory wateres of Kalomi", ["literatory", "wateres"]),
        ("the mother's, the don't, the thesafie's", ["thesafie's"]),  # book's parts: 's
        ("the l'house, l'wateres", ["l'wateres"]),
        ("in 1818 or 1819, the 13th", ["1819", "13th"]),  # numbers are those of the book
        ("the London of Kalomi. London is", ["London"]),  # in the middle of a sentence it is a name
        ("well-known, well-knowm", ["knowm"]),
        ("静かな港 ทะเล", []),
        ("io", ["io"]),  # short words are those of the book
    ],
)
def test_what_is_known(text: str, wrong: list[str]) -> None:
    assert unknown(text) == wrong


def test_only_the_book_and_other_languages() -> None:
    assert unknown("the house of Kalomi", only_book=True) == ["house"]
    assert unknown("das Wasser und Gartem", "de") == ["Gartem"]  # any noun has a capital
    assert unknown("the house", "xx") == ["house"]  # no list for the language
    assert "house" in common_words("en") and not common_words("xx")


def test_spellings_are_the_commonest() -> None:
    assert without_stray_letters(["a", "d", "I", "of", "ß"], "en") == ["a", "I", "of"]
    assert spellings(["The man, the boy. The Kalomi", "the man’s"]) == ["Kalomi", "boy", "man", "man’s", "the"]


def test_which_tokens_complete_words() -> None:
    """Words spelled letter by letter: ab, abc and d, with the space as 32."""
    letters = BookTokenizer([], "bpe")
    completions = Completions(["ab", "abc", "d"], letters.encode)

    def after(drawn: str, left: int, spaced: bool = True, capital: bool = False) -> set[str]:
        words = Completion(completions, spaced=spaced, capital=capital)
        for token in letters.encode(drawn):
            words.take(token)
        return {letters.decode([token]) for token in words.tokens(left)}

    assert after("", 4) == {" "} and after(" ", 3) == {"a"} and after(" ", 2) == {"a"} and after(" ", 1) == {"d"}
    assert after(" ab", 1) == {"c"} and after(" a", 1) == {"b"}
    assert after("", 1) == set()
    # No word has five letters: " d abc" is not of five tokens either, " ab d" is.
    assert after("", 5) == {" "} and after(" ", 4) == {"a", "d"} and after(" ab", 2) == {" ", "c"}
    assert after("", 3, spaced=False) == {"a"} and after("", 3, spaced=False, capital=True) == {"A"}
    assert after("ab", 2, spaced=False) == {" ", "c"} and after("ab ", 1, spaced=False) == {"d"}


def test_a_rule_finds_the_free_tokens_of_finished_words(data: Processed) -> None:
    encode = data.tokenizer.encode
    rule = RealWords(KnownWords(BOOK, "en"), data.tokenizer, Completions(BOOK, encode), open_end=True)
    ids = encode("the zzqx house zzqx")
    [(start, end)] = rule.places(ids, [True] * len(ids))
    assert data.tokenizer.decode(ids[start:end]).strip() == "zzqx"  # the last word may go on
    assert replace(rule, open_end=False).places(ids, [True] * len(ids))[1][1] == len(ids)
    assert rule.places(ids, [False] * len(ids)) == []
    assert rule.completion(ids, [True] * len(ids), (start, end)) is not None
    assert rule.completion(ids, [i != start for i in range(len(ids))], (start, end)) is None  # given letters
    assert rule.completion(ids, [True] * len(ids), (start, end - 1)) is None  # and letters behind it


@pytest.fixture(scope="module", params=["diffusion", "autoregressive", "dual"])
def writer(request: pytest.FixtureRequest, config: ProjectConfig, data: Processed) -> Writer:
    torch.manual_seed(0)
    config = config.override(**{"model.init_std": 0.3, "model.vocab_level": 2})
    if request.param == "autoregressive":
        config = config.override(**{"training.objective": "autoregressive", "model.causal": True})
    if request.param == "dual":
        config = config.override(**{"training.objective": "dual", "model.dual": True})
    words = spellings(data.texts("train"))
    return Writer(new_model(config, data.tokenizer).eval(), data.tokenizer, words=words)


def wrong_words(writer: Writer, text: Written, words: str) -> list[str]:
    assert writer.finishing.words is not None
    known = KnownWords(writer.finishing.words, "en", only_book=words == "book")
    return [text.text[slice(*span)] for span in known.unknown(text.text) if span[1] < len(text.text)]


@pytest.mark.parametrize("words", ["known", "book"])
def test_written_words_are_known(writer: Writer, words: str) -> None:
    how = FAST.model_copy(update={"words": words})
    free = writer.write("", how.model_copy(update={"words": "free"}))
    assert all(len(wrong_words(writer, text, words)) > 3 for text in free)  # an untrained model invents most
    for text in writer.write("", how):
        assert wrong_words(writer, text, words) == [] and len(text.ids) == 40
        assert all(0 < sure <= 1 for sure in text.confidence)
    several = writer.write("The old", how)
    [first] = writer.write("The old", how.model_copy(update={"num_samples": 1}))
    assert first.ids == several[0].ids
    for text in several:  # a word that begins with given letters may be left
        left = [word for word in wrong_words(writer, text, words) if not word.startswith("old")]
        assert len(left) <= 3  # this model invents nearly every word, and a few outlast the rounds of repair
        assert text.text.startswith("The old")


@pytest.mark.parametrize("reading", ["causal", "drafts"])
def test_a_dual_model_draws_unknown_words_anew_and_keeps_the_rest(writer: Writer, reading: str) -> None:
    if not writer.model.config.dual:
        return
    how = FAST.model_copy(update={"reading": reading, "drafts": 2, "length": 30})
    states = list(writer.writing("", how))
    written = len(list(writer.writing("", how.model_copy(update={"words": "free"}))))
    before, after = (states[i].ids[0].tolist() for i in (written - 1, written))
    unknown = KnownWords(writer.finishing.words or (), "en").unknown(writer.tokenizer.decode(before))
    wrong = {i for tokens in tokens_of(token_spans(writer.tokenizer, before), unknown) for i in tokens}
    open_places = {i for i in range(30) if after[i] == MASK}
    assert min(open_places) < 10 and max(open_places) > 20  # all words at once
    assert {i for i in range(30) if after[i] != before[i]} <= wrong


def test_gaps_and_rewritten_texts_hold_known_words(writer: Writer) -> None:
    if writer.model.config.causal:
        return
    found = writer.infill("The old {6 tokens} of the garden.", FAST)
    try:
        found += writer.infill("The old {3 words} of the garden.", FAST.model_copy(update={"gap_rounds": 20}))
    except Refused as refused:
        found += refused.texts
    for text in found:
        assert wrong_words(writer, text, "known") == []
        assert text.text.startswith("The old ") and text.text.endswith(" of the garden.")
    whole = "The old miller sold the quiet garden because [[the zzqx winter]] was long."
    for text in writer.rewrite(whole, FAST.model_copy(update={"rewrite_strength": 1.0})):
        assert set(wrong_words(writer, text, "known")) <= {"zzqx"} and "the zzqx winter" in text.text


def test_a_writer_learns_the_words_from_its_checkpoint(config: ProjectConfig, data: Processed) -> None:
    torch.manual_seed(0)
    new = Checkpoint(config, data.tokenizer, new_model(config, data.tokenizer).state_dict(), {"words": "the Kalomi"})
    assert Writer.of(new, torch.device("cpu")).finishing.words == ["the", "Kalomi"]
    old = replace(new, meta={})
    words = Writer.of(old, torch.device("cpu")).finishing.words
    assert words == words_of_tokens(data.tokenizer, "en") and {"the", "garden"} <= set(words)
    assert all(f" {word}".encode() in map(data.tokenizer.token_bytes, range(NUM_RESERVED, 600)) for word in words[:9])
    bare = Writer(new.build(torch.device("cpu")), data.tokenizer)
    assert bare.finishing.real_words(FAST) == []
