"""Words are joined only as they are in the book, whatever the reading, the gap or the rewriting."""

import itertools
import re

import pytest

from tiny_diffusion.checkpoint import Checkpoint, new_model
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.language.punctuation import Punctuation
from tiny_diffusion.data.tokenizer import NUM_RESERVED, BookTokenizer
from tiny_diffusion.writing.joints import Joints
from tiny_diffusion.writing.rules import Place
from tiny_diffusion.writing.writer import Writer

from .parrot import parrot

# Bytes, and ".." as a token of its own.
BYTES = BookTokenizer([(46, 46)], "bpe")
GOOD = [" a", " A", ", a", ", A", ". A", "... a", "... A", ".” A", "--a", "--A", "! A"]
BOOK = Punctuation(tuple(GOOD), (), "éÆ")


def test_the_joints_of_a_book() -> None:
    texts = ["“Well, well...” he said. It’s so--", "静かに。」と言った。", "नमस्ते। क", "(a) well-known"]
    both = [" ", ", ", "-", "...” ", "’", ") "]
    other = [". ", "。」", "। "]
    found = [*(joint + letter for joint in both for letter in "aA"), *(joint + "A" for joint in other)]
    letters = "".join(sorted(set("静かにと言った" + "नमस्ते" + "क")))
    assert Punctuation.of(texts) == Punctuation(tuple(sorted(found)), ("()",), letters)


def test_a_small_letter_that_hardly_ever_stands_behind_a_joint_is_a_slip() -> None:
    assert ". a" not in Punctuation.of(["One. Two"] * 99 + ["one. two"]).joints
    assert ". a" in Punctuation.of(["One. Two"] * 98 + ["one. two"]).joints


def test_brackets_of_lists_are_no_pairs() -> None:
    listed = ["1) salt (or sand)\n\n2) eels", "One [sic] of (two"]
    assert Punctuation.of(listed).brackets == ("[]",)
    assert Punctuation.of(["(a)"] * 19 + ["b)"]).brackets == ("()",)
    assert Punctuation.of(["None."]).brackets == ()


def is_right(joint: str, *, open_end: bool) -> bool:
    """By the definition: ``joint`` is of the book, or may become so."""
    shape = re.sub(r"\w", lambda match: "a" if match[0].islower() else "A", joint)
    return shape in GOOD or (open_end and any(good.startswith(shape) for good in GOOD))


@pytest.mark.parametrize("behind", [None, "b", "B", " b", ".", "..", ".” B", "?"])
def test_a_token_is_allowed_if_the_joints_about_it_can_be_those_of_the_book(behind: str | None) -> None:
    """By enumeration: what follows an open joint may complete it."""
    rule, barred, allowed = Joints.of_book(BYTES, BOOK), 0, 0
    for before in map("".join, itertools.product(("b", "b,"), ("", " ", ",", ".", ". ", "..", "-", "--"))):
        mask = rule.allowed(Place(before, behind=behind))
        for token in range(BYTES.text_vocab_size):
            spelled = BYTES.token_bytes(NUM_RESERVED + token).decode("utf-8", "replace")
            if spelled not in ("c", "C", ",", ".", "..", "-", " ", "?"):
                continue
            text, end = before + spelled + (behind or ""), len(before + spelled)
            found = [m for m in re.finditer(r"\W+\w?", text) if m.start() < end]
            right = all(is_right(m.group(), open_end=not m.group()[-1].isalpha()) for m in found)
            assert bool(mask[token]) == right, (before, spelled, behind)
            barred, allowed = barred + (not right), allowed + right
    assert barred and (allowed or behind == "?")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Yes,, no... --a;b", [",, ", "... --", ";"]),
        ("Yes. no. No", [". n"]),
        ("” And--", []),  # the text may begin or end within a joint
        ("” And -", [" -"]),
        ("....... a", ["....... "]),
        (" and.  So", [".  "]),
        (". so", []),
        ("? so", ["? "]),
        ("a,” b", [",” "]),
    ],
)
def test_what_diffusion_wrote_amiss_is_drawn_again(text: str, wrong: list[str]) -> None:
    rule, ids = Joints.of_book(BYTES, BOOK), BYTES.encode(text)
    spans = rule.places(ids, [True] * len(ids))
    assert [BYTES.decode(ids[a:b]) for a, b in spans] == wrong
    assert rule.places(ids, [False] * len(ids)) == []


def test_a_character_begins_like_one_of_the_book() -> None:
    rule = Joints.of_book(BYTES, BOOK)
    for before, wide in (("a", "é"), ("a.", "”")):
        mask = rule.allowed(Place(before))
        assert [byte for byte in range(0xC2, 0xF5) if mask[byte]] == [wide.encode()[0]]
    assert Joints.white_space(BYTES, lines=False).allowed(Place("a"))[0xC2:0xF5].all()


def test_only_free_tokens_of_a_wrong_joint_are_drawn_again() -> None:
    rule, ids = Joints.of_book(BYTES, BOOK), BYTES.encode("Yes,, no")
    given = [BYTES.decode([i]) != "," for i in ids]
    assert [BYTES.decode(ids[a:b]) for a, b in rule.places(ids, given)] == [" "]


def test_a_mark_of_several_tokens_is_seen_when_it_is_complete() -> None:
    rule = Joints.of_book(BYTES, BOOK)
    known, unknown, letter = "”".encode(), "“".encode(), "é".encode()
    assert rule.allowed(Place("a."))[known[0]]
    assert not rule.allowed(Place("a-"))[known[0]]  # only "--" is right: neither a letter nor a wide mark may follow
    for before, spelled, right in (
        ("a.", known, True),
        ("a.", unknown, False),
        ("a,", known, False),
        ("a, ", letter, True),
        ("a,", letter, False),
        ("a", letter, True),
        ("a", "ï".encode(), False),  # no letter of the book
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


def joints(text: str) -> set[str]:
    """What stands between two words of a text, with the kind of the letter behind it."""
    found = re.findall(r"(?<=[^\W_])([\W_]+)([^\W_])", text)
    return {marks + ("a" if letter.islower() else "A") for marks, letter in found}


@pytest.mark.parametrize("reading", ["causal", "masked"])
def test_no_text_has_marks_that_the_book_has_not(writer: Writer, data: Processed, reading: str) -> None:
    settings = GenerationConfig(length=24, steps=24, reading=reading, ending="token", expert="ngram")
    texts = [writer.write("The old", settings), writer.infill("The ___, the {4 words}. It", settings)]
    for text in itertools.chain(*texts):
        assert joints(text.text) <= set(data.punctuation.joints), text.text
    free = writer.write("The old", settings.model_copy(update={"layout": "free"}))[0]
    assert not joints(free.text) <= set(data.punctuation.joints)


def test_a_checkpoint_keeps_the_marks_of_its_book(data: Processed, config: ProjectConfig) -> None:
    weights = new_model(config, data.tokenizer).state_dict()
    old = Checkpoint(config, data.tokenizer, weights, {})
    new = Checkpoint(
        config, data.tokenizer, weights, {"punctuation": {"joints": [".” A"], "brackets": ["()"], "letters": "é"}}
    )
    assert (old.punctuation, new.punctuation) == (None, Punctuation((".” A",), ("()",), "é"))
