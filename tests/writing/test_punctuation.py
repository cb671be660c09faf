"""Marks stand side by side only as they do in the book, whatever the reading, the gap or the rewriting."""

import itertools
import re

import pytest

from tiny_diffusion.checkpoint import Checkpoint, new_model
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.language.punctuation import Punctuation
from tiny_diffusion.data.tokenizer import NUM_RESERVED, BookTokenizer
from tiny_diffusion.writing.rules import Place
from tiny_diffusion.writing.runs import BookRuns
from tiny_diffusion.writing.writer import Writer

from .parrot import parrot

# Bytes, and ".." as a token of its own.
BYTES = BookTokenizer([(46, 46)], "bpe")
GOOD = [",", ".", "...", ".”", "--", "!"]


def test_the_marks_of_a_book() -> None:
    texts = ["“Well, well...” he said. It’s_so--", "静かに。」と言った。", "नमस्ते।", "(a) well-known"]
    found = ["(", ")", ",", "-", "--", ".", "...”", "।", "’", "“", "。", "。」"]
    assert Punctuation.of(texts) == Punctuation(tuple(sorted(found)), ("()",))


def test_brackets_of_lists_are_no_pairs() -> None:
    listed = ["1) salt (or sand)\n\n2) eels", "One [sic] of (two"]
    assert Punctuation.of(listed).brackets == ("[]",)
    assert Punctuation.of(["(a)"] * 19 + ["b)"]).brackets == ("()",)
    assert Punctuation.of(["None."]).brackets == ()


@pytest.mark.parametrize("behind", [None, "a", " a", ".", "..", ".” a", "?"])
def test_a_token_is_allowed_if_the_runs_about_it_can_be_those_of_the_book(behind: str | None) -> None:
    """By enumeration: what follows an open run may complete it."""
    rule, barred, allowed = BookRuns.punctuation(BYTES, GOOD), 0, 0
    for before in map("".join, itertools.product(("b", "b "), ("", ",", ".", "..", "-", "--"))):
        mask = rule.allowed(Place(before, behind=behind))
        for token in range(BYTES.text_vocab_size):
            spelled = BYTES.token_bytes(NUM_RESERVED + token).decode("utf-8", "replace")
            if spelled not in ("a", ",", ".", "..", "-", " ", "?"):
                continue
            text, end = before + spelled + (behind or ""), len(before + spelled)
            found = [m for m in re.finditer(r"[^\w\s]+", text) if m.start() < end]
            right = all(
                any(good.startswith(m.group()) for good in GOOD)
                if behind is None and m.end() == len(text)
                else m.group() in GOOD
                for m in found
            )
            assert bool(mask[token]) == right, (before, spelled, behind)
            barred, allowed = barred + (not right), allowed + right
    assert barred and (allowed or behind == "?")


def test_what_diffusion_wrote_amiss_is_drawn_again() -> None:
    rule = BookRuns.punctuation(BYTES, GOOD)
    ids = BYTES.encode("Yes,, no... --a;b")
    spans = rule.places(ids, [True] * len(ids))
    assert [BYTES.decode(ids[a:b]) for a, b in spans] == [",,", ";"]
    given = [BYTES.decode([i]) != "," for i in ids]
    assert [BYTES.decode(ids[a:b]) for a, b in rule.places(ids, given)] == [";"]
    assert rule.places(BYTES.encode("” And -"), [True] * 9) == []  # the text may begin or end within a run
    assert rule.places(BYTES.encode("....... a"), [True] * 9) == [(0, 4)]


def test_a_mark_of_several_tokens_is_seen_when_it_is_complete() -> None:
    rule = BookRuns.punctuation(BYTES, GOOD)
    known, unknown, letter = "”".encode(), "“".encode(), "é".encode()
    assert rule.allowed(Place("a."))[known[0]]
    assert not rule.allowed(Place("a-"))[known[0]]  # only "--" is right: neither a letter nor a wide mark may follow
    for before, spelled, right in (
        ("a.", known, True),
        ("a.", unknown, False),
        ("a,", known, False),
        ("a,", letter, True),
    ):
        assert bool(rule.allowed(Place(before, pending=spelled[:-1]))[spelled[-1]]) == right, (before, spelled)


@pytest.fixture(scope="module")
def writer(data: Processed, config: ProjectConfig) -> Writer:
    return parrot(
        data,
        config,
        " the old,, of it the old of,. it the old; of it",
        doubled=data.doubled,
        punctuation=data.punctuation,
    )


@pytest.mark.parametrize("reading", ["causal", "masked"])
def test_no_text_has_marks_that_the_book_has_not(writer: Writer, data: Processed, reading: str) -> None:
    settings = GenerationConfig(length=24, steps=24, reading=reading, ending="token", expert="ngram")
    texts = [writer.write("The old", settings), writer.infill("The ___, the {4 words}. It", settings)]
    for text in itertools.chain(*texts):
        inner = Punctuation.of([re.sub(r"[^\w\s]+\Z", "", text.text)]).runs  # the text may end within a run
        assert set(inner) <= set(data.punctuation.runs), text.text
    free = writer.write("The old", settings.model_copy(update={"words": "free"}))[0]
    assert not set(Punctuation.of([free.text]).runs) <= set(data.punctuation.runs)


def test_a_checkpoint_keeps_the_marks_of_its_book(data: Processed, config: ProjectConfig) -> None:
    weights = new_model(config, data.tokenizer).state_dict()
    old = Checkpoint(config, data.tokenizer, weights, {})
    new = Checkpoint(config, data.tokenizer, weights, {"punctuation": {"runs": [".”"], "brackets": ["()"]}})
    assert (old.punctuation, new.punctuation) == (None, Punctuation((".”",), ("()",)))
