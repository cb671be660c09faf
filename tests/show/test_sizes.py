"""Animations of long texts stay small: frames, bytes, and pictures held in memory at a time."""

import weakref
from pathlib import Path

import pytest
import torch
from PIL import Image

from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import MASK, BookTokenizer
from tiny_diffusion.show.frames import MOST_FRAMES, Frame, film
from tiny_diffusion.show.gif import write_gif
from tiny_diffusion.show.page import render
from tiny_diffusion.writing.results import Stretch, WritingState, Written

CONTEXT = 128


def long_film(data: Processed, tokens: int) -> list[Frame]:
    """The film of ``tokens`` tokens of the book, written in blocks, one random token per step."""
    tokenizer: BookTokenizer = data.tokenizer
    ids = torch.tensor((tokenizer.encode("\n\n".join(data.texts("train")), 1) * 9)[:tokens])
    generator = torch.Generator().manual_seed(0)
    states, stretches = [], []
    for start in range(0, tokens, CONTEXT):
        part = ids[start : start + CONTEXT]
        stretches.append(Stretch(0, start, 0, len(part)))
        now, sure = torch.full_like(part, MASK), torch.zeros(len(part))
        for step, place in enumerate(torch.randperm(len(part), generator=generator).tolist(), start=1):
            now[place], sure[place] = part[place], 0.1 + 0.8 * place / CONTEXT
            given = torch.zeros(1, len(part), dtype=torch.bool)
            row = now[None].clone(), sure[None].clone()
            states.append(WritingState(*row, step, len(part), given, (stretches[-1],)))
    confidence = torch.cat(
        [state.confidence[0] for state in states[CONTEXT - 1 :: CONTEXT]] + [states[-1].confidence[0]]
    )
    sure = tuple(confidence[:tokens].tolist())
    text = tokenizer.decode(ids.tolist())
    return film(
        states,
        Written(text, tuple(ids.tolist()), sure, (False,) * tokens, tokens, stretches=tuple(stretches)),
        tokenizer,
    )


@pytest.fixture(scope="module")
def film_of_5000(data: Processed) -> list[Frame]:
    return long_film(data, 5000)


def test_a_long_film_is_thinned_evenly(data: Processed, film_of_5000: list[Frame]) -> None:
    assert len(long_film(data, MOST_FRAMES - 2)) == MOST_FRAMES - 1  # all steps, and the start
    assert MOST_FRAMES - 1 <= len(film_of_5000) <= MOST_FRAMES
    steps = [frame.step for frame in film_of_5000]
    gaps = {after - before for before, after in zip(steps, steps[1:], strict=False)} - {0}
    assert steps[0] == 0 and steps[-1] == 5000 and max(gaps) - min(gaps) <= 1
    assert film_of_5000[-1].pieces and all(piece.state == "settled" for piece in film_of_5000[-1].pieces)
    # What stays the same from frame to frame is in memory once.
    pieces = [piece for frame in film_of_5000 for piece in frame.pieces]
    assert len({id(piece) for piece in pieces}) < len(pieces) / 20


def test_the_page_of_5000_tokens_is_under_3_megabytes(film_of_5000: list[Frame]) -> None:
    assert len(render([film_of_5000], 0.1).encode()) < 3_000_000


def test_a_gif_is_written_picture_by_picture(data: Processed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = long_film(data, 40)
    most = 0
    held: list[weakref.ref[Image.Image]] = []
    quantize = Image.Image.quantize

    def counted(*args: object, **more: object) -> Image.Image:
        nonlocal most
        found = quantize(*args, **more)  # type: ignore[arg-type]
        held.append(weakref.ref(found))
        most = max(most, sum(each() is not None for each in held))
        return found

    monkeypatch.setattr(Image.Image, "quantize", counted)
    write_gif(tmp_path / "out.gif", [frames], 0.1)
    assert len(frames) == 41 and most == 2
    with Image.open(tmp_path / "out.gif") as image:
        assert image.n_frames == 41  # type: ignore[attr-defined]
        seen = set()
        for number in range(41):
            image.seek(number)
            seen.add(image.convert("RGB").tobytes())
    assert len(seen) == 41
    assert (tmp_path / "out.gif").stat().st_size < 41 * 3000
