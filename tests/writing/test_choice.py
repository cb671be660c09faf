"""Which filling of a gap is taken: as requested, well joined, and likely by a law that sums to one."""

import dataclasses
import itertools

import pytest
import torch

from tests.conftest import TOY_TOKENS
from tests.writing.toy_filler import toy_filler
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.writing.filler import Opening
from tiny_diffusion.writing.infilling.choice import ends_within, fulfils, joins_well, scores
from tiny_diffusion.writing.infilling.gapped_text import Gap
from tiny_diffusion.writing.infilling.template import GapRequest, parse_gaps


@pytest.mark.parametrize(
    ("gap", "must", "text", "good"),
    [
        ("{sentence}", (), "He left.", True),
        ("{sentence}", (), "“Who left?” asked Mr. Gray.", True),
        ("{sentence}", (), "He left", False),
        ("{sentence}", (), "He left Mr.", False),
        ("{sentence}", (), "He left. She came.", False),
        ("{sentence}", (), "He\nleft.", False),
        ("{paragraph}", (), "He left. She came!”", True),
        ("{paragraph}", (), "He left. She came", False),
        ("{paragraph}", (), "He left.\nShe came.", False),
        ("{2-3 words}", (), "the old", True),
        ("{2-3 words}", (), "the old, — old", False),
        ("{2-3 words}", (), "the", False),
        ("{2-3 words}", (), "the old ", False),
        ("{2-3 words}", (), " the old", False),
        ("___", (), " any\nthing ", True),
        ("___", ("old",), "the old.", True),
        ("___", ("old",), "the older", False),
        ("___", ("old",), "the ‘old’ one", True),
        ("___", ("old",), "the bold old-timer", False),
        ("___", ("old",), "an old's", False),
        ("___", ("old", "old"), "so old", False),
        ("___", ("old", "old"), "so old, old", True),
    ],
)
def test_what_a_filling_must_be_like(gap: str, must: tuple[str, ...], text: str, good: bool) -> None:
    assert fulfils(asked(gap, Opening.SPACE, " ", " ", must), text) is good


@pytest.mark.parametrize(
    ("gap", "ends"),
    [
        ("{2-5 words}", [".", ". The", ". The miller", ". The miller sold", ". The miller sold the"]),
        ("{sentence}", ["."]),
        ("{paragraph}", [". The miller sold the boat."]),
    ],
)
def test_where_a_text_written_onward_may_end(data: Processed, gap: str, ends: list[str]) -> None:
    ids = data.tokenizer.encode("The lantern. The miller sold the boat.\n\nThe")
    places = ends_within(asked(gap, Opening.SPACE, " ", " "), ids, 2, data.tokenizer, "en")
    assert [data.tokenizer.decode(ids[2:end]) for end in places[: len(ends)]] == ends


@pytest.mark.parametrize(
    ("before", "gap", "text", "behind", "good"),
    [
        ("He wept. ", "{sentence}", "She came.", " Then", True),
        ("He wept. ", "{sentence}", "She came, .", " Then", False),
        ("He wept. ", "{sentence}", "“She came.", " Then", False),
        ("He wept. ", "{sentence}", "“She came,” said he, “and went.", " Then", False),
        ("He wept. ", "{sentence}", "“She,” said he, “came.”", " Then", True),
        ("He wept. ", "{sentence}", "“She, said he, “She came.", " Then", False),
        ("He wept. “I. ", "{sentence}", "She came.", " Then,” he said.", True),
        ("He wept. “I. ", "{sentence}", "She came.", " Then", True),  # open without the filling, too
        ("He wept. “I. ", "{sentence}", "She.” “Came.", " Then,” he said.", True),
        ("“I.\n\n", "{paragraph}", "She came.", "\n\nThen", True),
        ("“I.\n\n", "{paragraph}", "“She came.", "\n\nThen”", False),
        ("Er ", "{2 words}", "„sagte“ er", ".", True),
        ("Er ", "{2 words}", "„sagte er", ".", False),
        ("I was ", "___", "glad,", ".", False),
        ("I was ", "___", "glad,", " and", True),
        ("I was ", "___", "glad,,", " and", False),
        ("I was ", "___", "glad...", " and", True),
        ("I was ", "{2-5 words}", "glad. She came", " and", False),
        ("I was ", "{2-5 words}", "glad of it", ".", True),
        ("I was ", "___", 'a "glad', " man", False),
    ],
)
def test_how_a_filling_joins_its_text(before: str, gap: str, text: str, behind: str, good: bool) -> None:
    filled = dataclasses.replace(asked(gap, Opening.SPACE, before[-1:], behind[:2]), text=text)
    assert joins_well(filled, before, behind) is good


def asked(source: str, opening: Opening, before: str, after: str, must: tuple[str, ...] = ()) -> Gap:
    """An open gap with this request, between these characters."""
    [request] = parse_gaps(source)
    assert isinstance(request, GapRequest)
    return Gap("", (), (), request, opening, 0, before, after, must)


def test_sentences_end_by_the_rules_of_the_books_language() -> None:
    gap = asked("{sentence}", Opening.SPACE, " ", " ")
    assert [fulfils(gap, "Das ist z.B.", language) for language in ("en", "de")] == [True, False]


def test_characters_beside_a_gap_count_for_whole_words() -> None:
    for opening, before, after, good in [
        (Opening.SPACE, " ", ".", True),
        (Opening.SPACE, " ", "s", False),
        (Opening.SPACE, " ", "’s", False),
        (Opening.SPACE, " ", "’ ", True),
        (Opening.FREE, "b", " ", False),
        (Opening.FREE, "“", " ", True),
    ]:
        assert fulfils(asked("___", opening, before, after, ("old",)), "old") is good


FILLINGS = [torch.tensor([1, *text, 0]) + NUM_RESERVED for text in itertools.product(range(TOY_TOKENS), repeat=3)]


def test_scores_are_the_chain_over_the_gap_and_sum_to_one(toy: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    filler = toy_filler(toy, monkeypatch, steps=3)
    found = torch.tensor(scores(filler, FILLINGS, [(1, 4)] * len(FILLINGS)), dtype=torch.float64)
    assert float((3 * found).exp().sum()) == pytest.approx(1, abs=1e-5)
    expected = 0.0
    row = FILLINGS[7]
    for place in (1, 2, 3):
        noisy = row.clone()
        noisy[place:4] = MASK
        expected += float(toy(noisy[None])[0, place].log_softmax(-1)[row[place] - NUM_RESERVED])
    assert float(found[7]) == pytest.approx(expected / 3, abs=1e-5)
    # Rows of other lengths in the same call, and other spans, change nothing.
    mixed = scores(filler, [row[:4], row, row[1:]], [(1, 3), (1, 4), (0, 2)])
    assert mixed[1] == pytest.approx(float(found[7]), abs=1e-5)
    assert mixed[0] == pytest.approx(scores(filler, [row[:4]], [(1, 3)])[0], abs=1e-5)


def test_scores_with_fewer_steps_take_neighbours_together(toy: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    filler = toy_filler(toy, monkeypatch, steps=1)
    row = FILLINGS[5]
    noisy = row.clone()
    noisy[1:4] = MASK
    alone = toy(noisy[None])[0, 1:4].log_softmax(-1).gather(1, row[1:4, None] - NUM_RESERVED)
    assert scores(filler, [row], [(1, 4)])[0] == pytest.approx(float(alone.mean()), abs=1e-5)
