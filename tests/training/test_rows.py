"""Rows: packing keeps every example whole and apart, the stream is cut evenly, windows lose nothing."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.curriculum import encode_examples
from tiny_diffusion.data.tokenizer import BOS, CHAPTER, END, NUM_RESERVED, PAD, PARAGRAPH, SEP
from tiny_diffusion.training.rows import BEGINNINGS, TOLD, Examples, Layout, Rows, chop, pack, windows

CONTEXT = 16
EXAMPLES = st.lists(st.lists(st.integers(NUM_RESERVED, 500), min_size=1, max_size=3 * CONTEXT), min_size=1, max_size=30)


def built(layout: Layout) -> Rows:
    return layout.take(torch.arange(len(layout)))


def documents(rows: Rows) -> list[list[int]]:
    """The tokens of each document of each row."""
    found = []
    for ids, owner in zip(rows.ids, rows.documents, strict=True):
        found += [ids[owner == n].tolist() for n in range(1, int(owner.max()) + 1)]
    return found


@given(EXAMPLES, st.integers(0, 100))
def test_packing_keeps_every_token_of_every_example(examples: list[list[int]], seed: int) -> None:
    rows = built(pack(Examples.of(examples), CONTEXT, torch.Generator().manual_seed(seed)))
    pieces = [e[s : s + CONTEXT] for e in examples for s in range(0, len(e), CONTEXT)]
    assert sorted(documents(rows)) == sorted(pieces)
    assert rows.ids.shape[1] == CONTEXT and ((rows.ids == PAD) == (rows.documents == 0)).all()
    assert (rows.scorable == (rows.documents > 0)).all()


def test_segments_are_joined_by_separators_that_are_not_scored(data: Processed) -> None:
    (ids,) = encode_examples([("The old miller", "carried it.")], data.tokenizer, 2)
    assert ids.count(SEP) == 1 and data.tokenizer.decode(ids[: ids.index(SEP)]) == "The old miller"
    rows = built(pack(Examples.of([ids]), 64, torch.Generator().manual_seed(0)))
    assert int(rows.scorable.sum()) == len(ids) - 1


@given(st.integers(1, 200), st.integers(0, 50))
def test_the_stream_is_cut_into_consecutive_rows(length: int, seed: int) -> None:
    stream = torch.arange(NUM_RESERVED, NUM_RESERVED + length)
    rows = built(chop(stream, CONTEXT, torch.Generator().manual_seed(seed), torch.full_like(stream, PAD)))
    if length <= CONTEXT:
        assert rows.ids[0, :length].tolist() == stream.tolist() and (rows.ids[0, length:] == PAD).all()
        return
    starts = sorted(int(row[0]) for row in rows.ids)
    assert len(rows) == max(1, length // CONTEXT - 1)
    assert all((row == torch.arange(int(row[0]), int(row[0]) + CONTEXT)).all() for row in rows.ids)
    assert starts == list(range(starts[0], starts[0] + CONTEXT * len(rows), CONTEXT))


@given(st.integers(1, 200), st.sets(st.integers(0, 199)), st.booleans(), st.integers(0, 50))
def test_rows_start_evenly_or_at_a_beginning_in_their_text(
    length: int, places: set[int], lead: bool, seed: int
) -> None:
    stream, openings = torch.arange(100, 100 + length), torch.full((length,), PAD)
    openings[[place for place in places if place < length]] = CHAPTER
    size = min(length, CONTEXT - lead)
    even = chop(stream, CONTEXT, torch.Generator().manual_seed(seed), torch.full_like(stream, PAD), lead)
    rows = built(chop(stream, CONTEXT, torch.Generator().manual_seed(seed), openings, lead))
    assert len(rows) == len(even)
    for plain, row in zip(even.starts.tolist(), rows.ids.tolist(), strict=True):
        assert row[:lead] == [BOS] * lead
        text = row[lead : lead + size]
        if text[0] == CHAPTER:
            begin = text[1] - 100
            assert begin in places and plain <= begin < plain + size
            assert text[1:] == list(range(100 + begin, 100 + begin + size - 1))
        else:
            begin = text[0] - 100
            assert begin == plain or (begin in places and plain < begin < plain + size)
            assert text == list(range(100 + begin, 100 + begin + size))


def test_a_quarter_of_the_rows_starts_at_beginnings_that_come_up_equally_often_and_most_say_so() -> None:
    stream, openings = torch.arange(100, 100 + 4000), torch.full((4000,), PAD)
    openings[10::7] = PARAGRAPH
    openings[10::70] = CHAPTER
    ids = torch.cat([built(chop(stream, 17, torch.Generator().manual_seed(s), openings, True)).ids for s in range(40)])
    marked, plain = ids[ids[:, 1] < 100], ids[ids[:, 1] >= 100]
    assert len(marked) / len(ids) == pytest.approx(BEGINNINGS * TOLD, abs=0.01)
    assert (marked[:, 1] == openings[marked[:, 2] - 100]).all()
    assert float((marked[:, 1] == CHAPTER).float().mean()) == pytest.approx(0.1, abs=0.03)
    assert float((marked[:, 2] < 2100).float().mean()) == pytest.approx(0.5, abs=0.03)
    moved = BEGINNINGS * (1 - TOLD) + (1 - BEGINNINGS) / 7
    assert float((openings[plain[:, 1] - 100] != PAD).float().sum()) / len(ids) == pytest.approx(moved, abs=0.03)


def test_every_offset_of_the_stream_comes_up() -> None:
    stream = torch.arange(NUM_RESERVED, NUM_RESERVED + 4 * CONTEXT)
    firsts = {
        int(built(chop(stream, CONTEXT, torch.Generator().manual_seed(s), torch.full_like(stream, PAD))).ids.min())
        for s in range(400)
    }
    assert len(firsts) == CONTEXT + 1


@pytest.mark.parametrize("context", [8, 33])
def test_windows_lose_nothing_and_stay_within_a_passage(data: Processed, context: int) -> None:
    texts = data.texts("test")
    found = windows(texts, data.tokenizer, 2, context)
    assert "".join(data.tokenizer.decode(w.tolist()) for w in found) == "".join(texts)
    assert all(1 <= len(w) <= context for w in found)
    assert len(found) == sum(-(-len(data.tokenizer.encode(t, 2)) // context) for t in texts)


def plain_pack(examples: list[list[int]], order: list[int]) -> list[list[list[int]]]:
    """Rows as lists of documents, by the words of ``pack``."""
    rows: list[list[list[int]]] = []
    for example in (examples[i] for i in order):
        for start in range(0, len(example), CONTEXT):
            piece = example[start : start + CONTEXT]
            if not rows or sum(map(len, rows[-1])) + len(piece) > CONTEXT:
                rows.append([])
            rows[-1].append(piece)
    return rows


@given(EXAMPLES, st.integers(0, 100), st.data())
def test_a_layout_builds_the_rows_that_were_packed(examples: list[list[int]], seed: int, draw: st.DataObject) -> None:
    chosen = draw.draw(st.lists(st.integers(0, len(examples) - 1), min_size=1, max_size=9))
    generator = torch.Generator().manual_seed(seed)
    layout = pack(Examples.of(examples), CONTEXT, generator, torch.tensor(chosen))
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(seed)).tolist()
    expected = plain_pack(examples, [chosen[i] for i in order])
    index = draw.draw(st.lists(st.integers(0, len(expected) - 1), min_size=1, max_size=9))
    for rows in (layout.take(torch.tensor(index)), built(layout.select(torch.tensor(index)))):
        for row, r in enumerate(index):
            ids = [i for document in expected[r] for i in document]
            owner = [n for n, document in enumerate(expected[r], 1) for _ in document]
            assert rows.ids[row].tolist() == ids + [PAD] * (CONTEXT - len(ids))
            assert rows.documents[row].tolist() == owner + [0] * (CONTEXT - len(ids))


def test_layouts_stand_side_by_side_only_in_one_stream() -> None:
    examples = Examples.of([[20] * 10, [30] * 12])
    a, b = (pack(examples, CONTEXT, torch.Generator().manual_seed(0), torch.tensor([i])) for i in (0, 1))
    both = a.beside(b)
    assert len(both) == 2 and torch.equal(both.take(torch.tensor([1])).ids, built(b).ids)
    moved = b.shifted(torch.cat([torch.full((3,), 99, dtype=torch.int32), b.stream]), 3)
    assert torch.equal(built(moved).ids, built(b).ids)
    with pytest.raises(ValueError, match="different streams"):
        a.beside(moved)
    marked = replace(a, marks=torch.tensor([CHAPTER]))
    assert (
        built(marked.beside(b)).ids[:, 0].tolist() == built(b.beside(marked)).ids[:, 0].tolist()[::-1] == [CHAPTER, 30]
    )


def test_end_is_scored_and_marks_are_not() -> None:
    ids = torch.tensor([[CHAPTER, 20, END, PARAGRAPH, 21, SEP, PAD]])
    assert Rows(ids, torch.ones_like(ids)).scorable.tolist() == [[False, True, True, False, True, False, False]]


def test_examples_keep_their_ids() -> None:
    given = [[20, 21], [], [22]]
    examples = Examples.of(given)
    assert list(examples) == given and examples.lengths.tolist() == [2, 0, 1]
    assert examples.ids.dtype == torch.int32
    with pytest.raises(IndexError):
        examples[3]
