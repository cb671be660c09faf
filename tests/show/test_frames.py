"""Frames: a run as a reader sees it, piece by piece."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.show.frames import Recording, film, final_frame, frames, spans
from tiny_diffusion.writing.results import Stretch, WritingState, Written
from tiny_diffusion.writing.writer import Writer

BYTES = BookTokenizer([], "bpe")  # the 256 bytes and no merge


def ids_of(raw: bytes) -> list[int]:
    return [NUM_RESERVED + byte for byte in raw]


WHOLE = Stretch(0, 0, 0, 9)


def state(ids: list[int], step: int = 1, confidence: list[float] | None = None, draw: int = 0) -> WritingState:
    """A state of one row, which is a text from its beginning; what has confidence 1 was given."""
    sure = torch.tensor([[float(i != MASK) for i in ids] if confidence is None else confidence])
    return WritingState(torch.tensor([ids]), sure, step, 4, sure == 1, (Stretch(0, 0, 0, 9, draw),))


@pytest.fixture(scope="module")
def writer(config: ProjectConfig, data: Processed) -> Writer:
    torch.manual_seed(0)
    vocab = NUM_RESERVED + data.tokenizer.level_size(config.model.vocab_level)
    return Writer(Transformer(config.model, vocab, NUM_RESERVED), data.tokenizer)


@given(st.binary(max_size=12))
def test_spans_decode_one_by_one_to_the_whole(raw: bytes) -> None:
    ids = ids_of(raw)
    cut = spans(ids, BYTES)
    assert [place for start, end in cut for place in range(start, end)] == list(range(len(ids)))
    assert "".join(BYTES.decode(ids[start:end]) for start, end in cut) == BYTES.decode(ids)


@given(st.text(max_size=8))
def test_a_span_is_a_character_where_bytes_are_tokens(text: str) -> None:
    raw = text.encode("utf-8", errors="ignore")
    cut = spans(ids_of(raw), BYTES)
    assert [BYTES.decode(ids_of(raw)[start:end]) for start, end in cut] == list(raw.decode())


def test_a_mask_parts_the_halves_of_a_character() -> None:
    e, acute = ids_of("é".encode())
    assert spans([e, acute, MASK, e, MASK, acute], BYTES) == [(0, 2), (2, 3), (3, 4), (4, 5), (5, 6)]
    shown = next(iter(frames([state([e, MASK, acute])], BYTES)))
    assert [piece.text for piece in shown.pieces] == ["\ufffd", "", "\ufffd"]


def test_states_of_a_run_become_frames() -> None:
    a, b, c = ids_of(b"abc")
    run = [state([a, MASK, MASK], 1), state([a, b, MASK], 2, [1, 0.4, 0]), state([a, b, c], 3, [1, 0.4, 0.9])]
    start, first, second, third = frames(run, BYTES)
    assert (start.step, start.steps, start.text) == (0, 4, "a")
    assert [p.state for p in first.pieces] == ["given", "masked", "masked"]
    assert [p.new for p in second.pieces] == [False, True, False] and second.pieces[1].confidence == pytest.approx(0.4)
    assert [p.state for p in third.pieces] == ["given", "settled", "settled"]
    assert [p.new for p in third.pieces] == [False, False, True] and third.text == "abc"


def test_a_new_block_goes_on_and_another_row_begins_anew() -> None:
    a, b, c = ids_of(b"abc")
    blocks = [state([a, b], 2, [1, 0.5]), state([a, b, c], 1, [1, 0.5, 0.5])]
    assert [frame.text for frame in frames(blocks, BYTES)] == ["a", "ab", "abc"]
    mended = [state([a, b], 2, [1, 0.5]), state([a, c], 1, [1, 0.5])]
    assert [(frame.step, frame.text) for frame in frames(mended, BYTES)] == [(0, "a"), (2, "ab"), (3, "ac")]
    others = [state([a, b], 2, [1, 0.5]), state([b, b], 1, [1, 0.5], draw=1), state([b], 1, draw=2)]
    assert [(f.step, f.text) for f in frames(others, BYTES)] == [
        (0, "a"), (2, "ab"), (2, "b"), (3, "bb"), (3, "b"), (4, "b"),
    ]  # fmt: skip


def test_a_token_masked_again_is_masked_and_then_new() -> None:
    a, b, c = ids_of(b"abc")
    run = [state([a, b], 1, [1, 0.5]), state([a, MASK], 2, [1, 0]), state([a, c], 3, [1, 0.2])]
    text = Written("ac", (a, c), (1.0, 0.2), (True, False), 3, stretches=(WHOLE,))
    for seen in (list(frames(run, BYTES)), film(run, text, BYTES)):
        assert [f.pieces[1].state for f in seen] == ["masked", "settled", "masked", "settled"]
        assert [f.pieces[1].new for f in seen] == [False, True, False, True]


def test_a_film_has_the_final_pieces_in_all_frames() -> None:
    e, acute = ids_of("é".encode())
    run = [state([MASK, acute, MASK], 1), state([e, acute, MASK], 2), state([e, acute, e], 3)]
    text = Written("é\ufffd", (e, acute, e), (0.3, 0.5, 0.7), (False,) * 3, 3, stretches=(WHOLE,))
    seen = film(run, text, BYTES)
    assert [[p.text for p in frame.pieces] for frame in seen] == [["", ""], ["", ""], ["é", ""], ["é", "\ufffd"]]
    assert [p.confidence for p in final_frame(text, BYTES).pieces] == [0.3, 0.7]  # the lowest of a piece's tokens'


def test_a_film_ends_where_the_text_was_cut() -> None:
    a, b, c = ids_of(b"abc")
    run = [state([a, MASK, c], 1, [1, 0, 0.5]), state([a, b, c], 2, [1, 0.6, 0.5])]
    text = Written("ab", (a, b), (1.0, 0.6), (True, False), 2, stretches=(WHOLE,))
    assert [frame.text for frame in film(run, text, BYTES)] == ["a", "a", "ab"]


def test_a_film_shows_what_is_in_no_state_at_its_end_only() -> None:
    a, b, c = ids_of(b"abc")
    part = Stretch(0, 1, 1, 2)
    run = [replace(state([a, MASK, a, b], 1), stretches=(part,)), replace(state([a, b, a, b], 2), stretches=(part,))]
    text = Written("abac", (a, b, a, c), (1.0, 1.0, 1.0, 0.2), (True, False, True, False), 2, stretches=(part,))
    assert [frame.text for frame in film(run, text, BYTES)] == ["aa", "aa", "aba", "abac"]
    unknown = Written("ac", (a, c), (1.0, 0.2), (True, False), 2)
    assert [frame.text for frame in film(run, unknown, BYTES)] == ["ac"]


def test_a_film_puts_gaps_together_that_were_filled_by_search() -> None:
    # "x_y__z": the first gap is tried in two sizes, the second one is masked in one token until its turn.
    x, y, z, a, b = ids_of(b"xyzab")
    m = MASK
    two = [
        torch.tensor([[x, m, m, y, m, z], [x, b, m, y, m, z]]),
        torch.tensor([[x, a, a, y, m, z], [x, b, b, y, m, z]]),
    ]
    one = [torch.tensor([[x, m, y, m, z]]), torch.tensor([[x, a, y, m, z]])]
    last = [torch.tensor([[a, y, m, b, z]]), torch.tensor([[a, y, a, b, z]])]  # a window
    tries = [(Stretch(0, 1, 1, 3, 0), Stretch(0, 1, 1, 3, 1)), (Stretch(0, 1, 1, 2, 2),), (Stretch(0, 3, 2, 4, 3),)]
    run = [
        WritingState(ids, (ids != m).float() * 0.5, 1 + number % 2, 2, ids == x, tries[number // 2])
        for number, ids in enumerate([*two, *one, *last])
    ]
    given = (True, False, True, False, False, True)
    text = Written("xayabz", (x, a, y, a, b, z), (1, 0.5, 1, 0.5, 0.5, 1), given, 4, stretches=(*tries[1], *tries[2]))
    seen = film(run, text, BYTES)
    assert [(f.step, f.text) for f in seen] == [
        (0, "xyz"), (1, "xyz"), (2, "xayz"), (3, "xaybz"), (4, "xayabz"),
    ]  # fmt: skip
    assert [p.confidence for p in seen[-1].pieces] == [1, 0.5, 1, 0.5, 0.5, 1]


@pytest.mark.parametrize("sampler", ["ancestral", "confidence"])
@pytest.mark.parametrize("length", [20, 70])
def test_a_real_run_as_a_film(writer: Writer, sampler: str, length: int) -> None:
    # 70 tokens take several blocks with a context of 32.
    settings = GenerationConfig(length=length, steps=5, num_samples=2, sampler=sampler)  # type: ignore[arg-type]
    recording = Recording(writer.writing("The old", settings))
    live = list(frames(recording, writer.tokenizer))
    assert recording.texts == writer.write("The old", settings)
    shown = [state for state in recording.states if any(part.text == 0 for part in state.stretches)]
    assert len(live) >= len(shown) + 1 and live[-1].text == recording.texts[0].text
    for text in recording.texts:
        seen = film(recording.states, text, writer.tokenizer)
        assert 1 < len(seen) <= len(recording.states) + 2
        assert seen[0].text == "The old" and seen[-1].text == text.text
        assert seen[-1].pieces[-1].state == "settled" and not any(p.new for p in seen[0].pieces)
        assert {tuple(len(p.ids) for p in frame.pieces) for frame in seen} == {
            tuple(end - start for start, end in spans(text.ids, writer.tokenizer))
        }
        settled = [p.confidence for p in seen[-1].pieces if p.state == "settled"]
        assert all(0 < sure <= 1 for sure in settled)


def test_an_autoregressive_run_grows_from_its_prompt(config: ProjectConfig, data: Processed) -> None:
    model = config.model.model_copy(update={"causal": True})
    torch.manual_seed(0)
    vocab = NUM_RESERVED + data.tokenizer.level_size(model.vocab_level)
    writer = Writer(Transformer(model, vocab, NUM_RESERVED), data.tokenizer)
    recording = Recording(writer.writing("The old", GenerationConfig(length=9, seed=3, ending="token")))
    live = list(frames(recording, writer.tokenizer))
    seen = film(recording.states, recording.texts[0], writer.tokenizer)
    for shown in (live, seen):
        assert len(shown) == 10 and shown[0].text == "The old" and shown[-1].text == recording.texts[0].text
    left = [sum(len(piece.ids) for piece in frame.pieces if piece.state == "masked") for frame in live]
    assert left == list(range(9, -1, -1))
