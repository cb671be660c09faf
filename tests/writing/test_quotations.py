"""Within a paragraph no quotation mark closes what is not open, and none opens twice."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.checkpoint import new_model
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.ngrams import KneserNey
from tiny_diffusion.data.tokenizer import NUM_RESERVED, BookTokenizer
from tiny_diffusion.sampling.counts import Counts
from tiny_diffusion.writing.endings import last_end
from tiny_diffusion.writing.quotations import Quotations, is_open
from tiny_diffusion.writing.rules import BREAK, Place
from tiny_diffusion.writing.writer import Writer

# “ and ” are tokens of their own, as are " “" and ",”".
DASHES, OPEN, CLOSE = 256, 257, 258
ENGLISH = BookTokenizer([(0xE2, 0x80), (DASHES, 0x9C), (DASHES, 0x9D), (32, OPEN), (44, CLOSE)], "bpe")
GERMAN = BookTokenizer([(0xE2, 0x80), (DASHES, 0x9C), (DASHES, 0x9E)], "bpe")  # „ and “
TEXTS = st.lists(st.sampled_from(["a", "“", "”", " “", ",”", "\n", BREAK, " "]), max_size=20).map("".join)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("“Go,” he said, “now.”", []),
        ("“Go, he said, “now.”", [14]),
        ("Go,” he said.", [3]),
        ("“Go.\n\n“Now.”", []),
        ("“Go.\n\nNow.”", [10]),
        ("“Go,\nnow.”", []),
    ],
)
def test_faults(text: str, faults: list[int]) -> None:
    rule = Quotations(ENGLISH)
    assert rule.faults(text) == faults
    ids = ENGLISH.encode(text)
    spans = rule.places(ids, [True] * len(ids))
    assert [ENGLISH.decode(ids[slice(*span)]).strip(" ,") for span in spans] == [text[at] for at in faults]
    assert not rule.places(ids, [False] * len(ids))


def test_brackets_that_the_book_keeps_in_pairs() -> None:
    text = "One (two) “(a) b) (c (d” e"
    assert Quotations(ENGLISH, ["()"]).faults(text) == [16, 21]
    assert Quotations(ENGLISH).faults(text) == []
    mask = Quotations(ENGLISH, ["()"]).allowed(Place("a (b"))
    assert mask is not None and mask[ord(")")] and not mask[ord("(")]
    assert is_open("He said (so") and not is_open("He said (so).")


def test_german_closes_with_what_opens_in_english() -> None:
    assert Quotations(GERMAN).faults("„Komm“, sagte er. “Nun.") == [18]
    assert Quotations(BookTokenizer([], "bpe")).allowed(Place("“")) is None  # a vocabulary without a whole mark


@given(TEXTS)
def test_a_token_is_allowed_unless_it_makes_a_fault(text: str) -> None:
    """Against a look at the whole text; what the rule reaches back to is enough."""
    rule = Quotations(ENGLISH)
    ids = ENGLISH.encode(text)
    seen = ENGLISH.decode(ids[len(ids) - rule.reach(ids) :])
    mask, before = rule.allowed(Place(seen)), len(rule.faults(text))
    assert mask is not None
    for spelled in ("a", "“", "”", " “", ",”", "\n"):
        [token] = ENGLISH.encode(spelled)
        assert bool(mask[token - NUM_RESERVED]) == (len(rule.faults(text + spelled)) == before), spelled


def test_an_end_that_closes_its_quotation_goes_first() -> None:
    text = "“I go. I went.” He stayed. “So I stay."
    ids = ENGLISH.encode(text)
    assert ENGLISH.decode(ids[: last_end(ids, ENGLISH, "en", 5)]) == "“I go. I went.” He stayed."
    assert last_end(ids, ENGLISH, "en", len(ids)) == len(ids)  # nothing else is late enough


@pytest.mark.parametrize("reading", ["causal", "masked"])
def test_no_text_has_a_fault(data: Processed, config: ProjectConfig, reading: str) -> None:
    """A network that has learnt nothing, beside counts of a text full of marks."""
    torch.manual_seed(0)
    model = new_model(config.override(**{"model.dual": True, "training.objective": "dual"}), ENGLISH).eval()
    writer, rule = Writer(model, ENGLISH, book=data.training_text), Quotations(ENGLISH)
    marks = np.array(ENGLISH.encode("a “a” a ““a,”” " * 20)) - NUM_RESERVED
    counts = Counts([model], KneserNey(2, model.text_vocab_size, [marks]), [])
    counts.past, counts.masked = {"past": (0.0, 1.0)}, dict.fromkeys(("left", "right", "both"), (0.0, 1.0))
    writer._counts = counts
    how = GenerationConfig(length=48, steps=48, num_samples=2, reading=reading, ending="token", expert="ngram")
    assert any(rule.faults(text.text) for text in writer.write("", how.model_copy(update={"layout": "free"})))
    texts = [text.text for text in writer.write("", how)]
    assert not any(map(rule.faults, texts)) and "”" in "".join(texts)


def test_open_paragraphs() -> None:
    assert is_open("“So he said") and not is_open("“So,” he said") and is_open("so”")
