"""How what is filled begins and ends, and the window that it is filled in."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.writing.toy_filler import toy_filler
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.writing.filler import Edge, Edges, Opening, window
from tiny_diffusion.writing.infilling.gap_filler import Row, fill


def test_edges_give_the_law_under_their_condition(toy: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's joint law over three tokens, given that the first is 1 or 2 and the last is 0."""
    filler = toy_filler(toy, monkeypatch, steps=3)
    first, last = torch.tensor([False, True, True]), torch.tensor([True, False, False])
    row = Row(torch.full((3,), MASK), (Edge(0, first), Edge(2, last)))
    n = 6000
    *_, final = fill(filler, [row] * n)
    texts = (final.ids - NUM_RESERVED).tolist()
    assert {t[0] for t in texts} == {1, 2} and {t[2] for t in texts} == {0}
    begin = toy(torch.full((1, 3), MASK))[0, 0].softmax(-1).double()
    chance = float(begin[1] / (begin[1] + begin[2]))
    share = sum(t[0] == 1 for t in texts) / n
    assert abs(share - chance) < 4 * (chance * (1 - chance) / n) ** 0.5
    # The state gives the probabilities with which they were drawn.
    assert final.confidence[0, 0] == pytest.approx(chance if texts[0][0] == 1 else 1 - chance, abs=1e-5)
    assert bool((final.confidence[:, 2] == 1).all())


def test_openings_and_closings(data: Processed) -> None:
    edges = Edges([data.tokenizer.token_bytes(NUM_RESERVED + i) for i in range(512)], 600)
    words = lambda mask: {data.tokenizer.decode([NUM_RESERVED + i]) for i in mask.nonzero().squeeze(1).tolist()}  # noqa: E731
    spaced, alone = edges.opening(Opening.SPACE, False), edges.opening(Opening.SPACE, True)
    bare = edges.opening(Opening.WORD, True)
    assert spaced is not None and alone is not None and bare is not None and edges.opening(Opening.FREE, True) is None
    assert " " in words(spaced) and " the" in words(spaced) and words(spaced) - words(alone) == {" "}
    assert not any(word[:1].isspace() for word in words(bare)) and "\n" not in words(bare)
    assert {".", "?", "!"} <= words(edges.closing) and not words(edges.closing) & {",", " ", "a", "\n", '"'}
    with pytest.raises(UserError, match="2 tokens or more"):
        Edges([bytes([byte]) for byte in range(256)], 256).opening(Opening.SPACE, True)


@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 60), st.integers(20, 40))
def test_a_window_holds_its_span_and_as_much_as_it_can(start: int, size: int, behind: int, context: int) -> None:
    length = start + size + behind
    first, last = window(start, start + size, length, context)
    assert 0 <= first <= start and start + size <= last <= length and last - first == min(length, context)
    if first and last < length:
        assert abs((start - first) - (last - start - size)) <= 1
