"""No word follows itself that never does in the book, whatever the reading, the gap or the rewriting."""

import itertools

import pytest

from tiny_diffusion.checkpoint import Checkpoint, new_model
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.language.word_list import doubled_words, doubles
from tiny_diffusion.data.tokenizer import NUM_RESERVED, BookTokenizer
from tiny_diffusion.writing.doubled_words import DoubledWords
from tiny_diffusion.writing.rules import Place
from tiny_diffusion.writing.writer import Writer

from .parrot import parrot

# a, b and the space are bytes; "ab", " a" and " ab" are tokens of their own.
LETTERS = BookTokenizer([(97, 98), (32, 97), (32, 256)], "bpe")


def test_the_doubles_of_a_book() -> None:
    texts = ["He had had it; that, that was all. Alas! alas", "THE the 7 7 of Nous nous don’t don't", "静静"]
    assert doubled_words(texts) == ["don't", "had", "nous", "the"]


@pytest.mark.parametrize("book", [[], ["a"]])
@pytest.mark.parametrize("behind", [None, " a", " ab b", "b", ", a"])
def test_a_token_is_allowed_unless_it_ends_a_doubled_word(book: list[str], behind: str | None) -> None:
    """By enumeration: what is barred is what a look at the whole text finds, and nothing else."""
    rule, barred = DoubledWords(book, LETTERS), 0
    for before in map("".join, itertools.product(("", "a", "ab", "A"), (" ", "", ", "), ("", "a", "b"))):
        mask = rule.allowed(Place(before, behind=behind))
        for token in range(LETTERS.text_vocab_size):
            spelled = LETTERS.token_bytes(NUM_RESERVED + token)
            if not spelled.isascii() or spelled.decode() not in ("a", "b", " ", "ab", " a", " ab"):
                continue
            text = before + spelled.decode()
            found = doubles(text + (behind or ""))
            wrong = {(text + (behind or ""))[slice(*s)].lower() for f, s in found if len(text) in (f[1], s[1])}
            assert (mask is None or bool(mask[token])) == (not wrong - set(book)), (before, spelled, behind)
            barred += bool(wrong - set(book))
    assert barred or (behind or "")[:1] == "b"


def test_what_diffusion_doubled_is_drawn_again() -> None:
    ids = LETTERS.encode("ab ab, a a")
    words = [LETTERS.decode([i]) for i in ids]
    assert words == ["ab", " ab", ",", " a", " a"]
    rule = DoubledWords([], LETTERS)
    assert rule.places(ids, [True] * 5) == [(1, 2), (4, 5)]
    assert rule.places(ids, [True, False, True, True, False]) == [(0, 1), (3, 4)]  # the second word was given
    assert rule.places(ids, [False] * 5) == []
    assert DoubledWords(["ab"], LETTERS).places(ids, [True] * 5) == [(4, 5)]


@pytest.fixture(scope="module")
def writer(data: Processed, config: ProjectConfig) -> Writer:
    return parrot(data, config, " the the old old of of", doubled=data.doubled)


@pytest.mark.parametrize("reading", ["causal", "masked"])
def test_no_text_has_a_doubled_word(writer: Writer, data: Processed, reading: str) -> None:
    settings = GenerationConfig(length=24, steps=24, reading=reading, ending="token", expert="ngram")
    assert not data.doubled
    texts = [writer.write("The old", settings), writer.infill("The ___ the {4 words} of it.", settings)]
    free = settings.model_copy(update={"words": "free"})
    assert all(not doubles(text.text) for found in texts for text in found)
    assert doubles(writer.write("The old", free)[0].text)


def test_a_checkpoint_keeps_the_doubles_of_its_book(data: Processed, config: ProjectConfig) -> None:
    weights = new_model(config, data.tokenizer).state_dict()
    old = Checkpoint(config, data.tokenizer, weights, {})
    new = Checkpoint(config, data.tokenizer, weights, {"doubled": ["had"]})
    assert (old.doubled, new.doubled) == (None, ["had"])
