"""Words of a written text are words of the book or in common use, whatever the sampler, the gap or the rewriting."""

import itertools
from dataclasses import replace

import pytest
import torch

from tiny_diffusion.checkpoint import Checkpoint, new_model
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.language.word_list import common_words, spellings, without_stray_letters
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from tiny_diffusion.writing.known_words import KnownWords, has_usual_capitals, words_of_tokens
from tiny_diffusion.writing.real_words import RealWords
from tiny_diffusion.writing.results import Refused, Written
from tiny_diffusion.writing.rules import Place, token_spans, tokens_of
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
    "eau",
    "ami",
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
        ("of I.I. the... and in 1818.1818, ‘the’ and—the (the, 静かな港。the", []),
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


WORDS = ["ab", "abc", "d", "Éa", "b'c", "x'c", "y'c", "Ad"]  # 'c is elided in three words
LETTERS = BookTokenizer([(97, 98), (32, 256), (0xC3, 0xA9), (0x89, 97)], "bpe")  # ab, " ab", é, and half of É with an a


@pytest.mark.parametrize("open_end", [True, False])
def test_the_tokens_that_are_allowed_are_those_that_can_become_known_words(open_end: bool) -> None:
    """By enumeration of all texts that go on with up to three characters of a small alphabet."""
    known = KnownWords(WORDS, "xx")
    rule = RealWords(known, LETTERS, open_end=open_end)
    endings = ["".join(each) for n in range(3) for each in itertools.product("abcdÉ' ", repeat=n)]

    def possible(text: bytes, behind: bytes | None) -> bool:
        if behind is not None:
            endings_here: list[bytes] = [behind]
        else:
            endings_here = [each.encode() for each in endings] + [b"\xa9" + each.encode() for each in ("", "a", " ")]
            endings_here += [b"\x89a"] if text.endswith(b"\xc3") else [b"\x80\x94 "]  # Éa, and a dash
        for end in endings_here:
            try:
                whole = (text + end).decode()
            except UnicodeDecodeError:
                continue
            if "×" not in whole and not known.unknown(whole):  # no symbol is put together from bytes
                return True
        return False

    befores = ["", "a", "ab ", "ab", "abc", " d", "é", "É", "b'", "ab'", "ab 'd", "d. A", "ab A", "ab—", "x' "]
    for before in [*befores, "ab.", "ab;", "d.", "ab?'", "ab.."]:
        for pending, behind in ((b"", None), (b"\xc3", None), (b"", " d"), (b"", "c")):
            if not possible(before.encode() + pending, None):
                continue
            mask, after = rule.allowed(Place(before, pending, behind, left=1)), behind.encode() if behind else None
            tokens = (0x89, 0xA9, 0x97, 259) if pending else (32, 39, 46, 97, 98, 99, 100, 256, 257, 258, 0xC3, 0xE2)
            spelled = [LETTERS.token_bytes(NUM_RESERVED + token) for token in tokens]
            expected = [possible(before.encode() + pending + each, after) for each in spelled]
            if any(expected):  # otherwise the rule cannot be kept
                assert mask[list(tokens)].tolist() == expected, (before, pending, behind, spelled)


def test_a_given_word_that_cannot_become_known_is_ended() -> None:
    rule = RealWords(KnownWords(WORDS, "xx"), LETTERS)
    found = {chr(i) for i in rule.allowed(Place("the qzx")).nonzero().flatten().tolist() if i < 128}
    assert " " in found and "." in found and not any(map(str.isalpha, found))


def test_a_rule_finds_the_free_tokens_of_wrong_words(data: Processed) -> None:
    encode = data.tokenizer.encode
    rule = RealWords(KnownWords(BOOK, "en"), data.tokenizer, open_end=True)
    ids = encode("the zzqx house Kalom")
    [(start, end)] = rule.places(ids, [True] * len(ids))
    assert data.tokenizer.decode(ids[start:end]).strip() == "zzqx"  # the last word may become one
    assert len(rule.places(encode("the house zzqx"), [True] * 40)) == 1
    shut = RealWords(KnownWords(BOOK, "en"), data.tokenizer)
    assert [data.tokenizer.decode(ids[a:b]) for a, b in shut.places(ids, [True] * len(ids))][1].strip() == "Kalom"
    assert rule.places(ids, [False] * len(ids)) == []


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
    assert writer.words is not None
    known = KnownWords(writer.words, "en", only_book=words == "book")
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
    for text in several:
        assert wrong_words(writer, text, words) == [] and text.text.startswith("The old")


def test_the_causal_reading_draws_each_token_once_and_drafts_are_repaired(writer: Writer) -> None:
    if not writer.model.config.dual:
        return
    how = FAST.model_copy(update={"drafts": 2, "length": 30})
    assert len(list(writer.writing("", how.model_copy(update={"reading": "causal"})))) == 30
    how = how.model_copy(update={"reading": "drafts"})
    states = list(writer.writing("", how))
    written = len(list(writer.writing("", how.model_copy(update={"words": "free"}))))
    before, after = (states[i].ids[0].tolist() for i in (written - 1, written))
    unknown = KnownWords(writer.words or (), "en").unknown(writer.tokenizer.decode(before))
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
    assert Writer.of(new, torch.device("cpu")).words == ["the", "Kalomi"]
    old = replace(new, meta={})
    words = Writer.of(old, torch.device("cpu")).words
    assert words == words_of_tokens(data.tokenizer, "en") and {"the", "garden"} <= set(words)
    assert all(f" {word}".encode() in map(data.tokenizer.token_bytes, range(NUM_RESERVED, 600)) for word in words[:9])
    bare = Writer(new.build(torch.device("cpu")), data.tokenizer)
    assert bare.real_words(FAST) == []


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("miller", True),
        ("Miller", True),
        ("MILLER", True),
        ("milleR", False),
        ("miLLer", False),
        ("McTavish", True),  # as the book spells it
        ("Mctavish", True),
        ("mcTavish", False),
        ("O'Hara", True),
    ],
)
def test_capitals_stand_where_the_book_or_grammar_puts_them(word: str, known: bool) -> None:
    words = KnownWords(["miller", "McTavish", "O'Hara"], "xx")
    assert words.knows(word, within=False) is known
    assert not known or all(words.begins(word[:n], within=False) for n in range(1, len(word)))
    assert known or not words.begins(word, within=False)


def test_capitals_after_an_apostrophe() -> None:
    usual = ["Miller's", "l'Homme", "O'Brien", "MAN'S", "don't", "’Tis"]
    assert all(map(has_usual_capitals, usual))
    assert not any(map(has_usual_capitals, ["miller'S", "don'T", "l'HommE", "itA"]))


def test_a_capital_within_a_sentence_is_a_name_of_the_book() -> None:
    words = KnownWords(["detonation", "Paris"], "en")
    assert words.knows("Paris", within=True) and not words.knows("Detonation", within=True)
    assert words.knows("Detonation", within=False) and not words.knows("Lopez", within=False)


def test_a_part_before_an_apostrophe_goes_with_other_words_only_where_elision_does() -> None:
    english = KnownWords(
        [f"{head}'{tail}" for head in ("he", "she", "man") for tail in ("s", "d", "ll")]
        + ["Switzerland", "he", "she", "isn't", "don't", "won't", "ton"],
        "xx",
    )
    assert english.knows("He’d", within=False) and not english.knows("o'd", within=False)
    assert not english.knows("He’switzerland", within=False) and not english.begins("he'sw", within=False)
    assert english.knows("isn’t", within=False) and english.knows("ton's", within=False)
    assert not english.knows("ton't", within=False) and not english.begins("ton't", within=False)
    french = KnownWords(["l'homme", "l'amour", "l'histoire", "éléphant", "Il", "homme", "amour"], "xx")
    assert french.knows("l’éléphant", within=False) and french.begins("l'éléph", within=False)
    assert not french.knows("il'éléphant", within=False)
