"""Rows: packing keeps every example whole and apart, the stream is cut evenly, windows lose nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.curriculum import encode_examples
from tiny_diffusion.data.tokenizer import NUM_RESERVED, PAD, SEP
from tiny_diffusion.training.format_datasets import Rows, chop, concatenate, pack, windows

CONTEXT = 16
EXAMPLES = st.lists(st.lists(st.integers(NUM_RESERVED, 500), min_size=1, max_size=3 * CONTEXT), min_size=1, max_size=30)


def documents(rows: Rows) -> list[list[int]]:
    """The tokens of each document of each row."""
    found = []
    for ids, owner in zip(rows.ids, rows.documents, strict=True):
        found += [ids[owner == n].tolist() for n in range(1, int(owner.max()) + 1)]
    return found


@given(EXAMPLES, st.integers(0, 100))
def test_packing_keeps_every_token_of_every_example(examples: list[list[int]], seed: int) -> None:
    rows = pack(examples, CONTEXT, torch.Generator().manual_seed(seed))
    pieces = [e[s : s + CONTEXT] for e in examples for s in range(0, len(e), CONTEXT)]
    assert sorted(documents(rows)) == sorted(pieces)
    assert rows.ids.shape[1] == CONTEXT and ((rows.ids == PAD) == (rows.documents == 0)).all()
    assert (rows.scorable == (rows.documents > 0)).all()


def test_attention_stays_within_a_document() -> None:
    rows = pack([[20, 21, 22], [30, 31]], CONTEXT, torch.Generator().manual_seed(0))
    allowed = rows.attention(torch.device("cpu"))
    assert len(rows) == 1 and allowed is not None
    for i in range(5):
        for j in range(CONTEXT):
            assert bool(allowed[0, 0, i, j]) == (int(rows.documents[0, i]) == int(rows.documents[0, j]))
    assert Rows(rows.ids, torch.ones_like(rows.ids)).attention(torch.device("cpu")) is None


def test_segments_are_joined_by_separators_that_are_not_scored(data: Processed) -> None:
    (ids,) = encode_examples([("The old miller", "carried it.")], data.tokenizer, 2)
    assert ids.count(SEP) == 1 and data.tokenizer.decode(ids[: ids.index(SEP)]) == "The old miller"
    rows = pack([ids], 64, torch.Generator().manual_seed(0))
    assert int(rows.scorable.sum()) == len(ids) - 1


@given(st.integers(1, 200), st.integers(0, 50))
def test_the_stream_is_cut_into_consecutive_rows(length: int, seed: int) -> None:
    stream = torch.arange(NUM_RESERVED, NUM_RESERVED + length)
    rows = chop(stream, CONTEXT, torch.Generator().manual_seed(seed))
    if length <= CONTEXT:
        assert rows.ids[0, :length].tolist() == stream.tolist() and (rows.ids[0, length:] == PAD).all()
        return
    starts = sorted(int(row[0]) for row in rows.ids)
    assert len(rows) == max(1, length // CONTEXT - 1)
    assert all((row == torch.arange(int(row[0]), int(row[0]) + CONTEXT)).all() for row in rows.ids)
    assert starts == list(range(starts[0], starts[0] + CONTEXT * len(rows), CONTEXT))


def test_every_offset_of_the_stream_comes_up() -> None:
    stream = torch.arange(NUM_RESERVED, NUM_RESERVED + 4 * CONTEXT)
    firsts = {int(chop(stream, CONTEXT, torch.Generator().manual_seed(s)).ids.min()) for s in range(400)}
    assert len(firsts) == CONTEXT + 1


@pytest.mark.parametrize("context", [8, 33])
def test_windows_lose_nothing_and_stay_within_a_passage(data: Processed, context: int) -> None:
    texts = data.texts("test")
    found = windows(texts, data.tokenizer, 2, context)
    assert "".join(data.tokenizer.decode(w.tolist()) for w in found) == "".join(texts)
    assert all(1 <= len(w) <= context for w in found)
    assert len(found) == sum(-(-len(data.tokenizer.encode(t, 2)) // context) for t in texts)


def test_concatenating_and_taking() -> None:
    a = pack([[20] * 10], CONTEXT, torch.Generator().manual_seed(0))
    b = pack([[30] * 12], CONTEXT, torch.Generator().manual_seed(0))
    both = concatenate([a, b])
    assert len(both) == 2 and torch.equal(both.take(torch.tensor([1])).ids, b.ids)
