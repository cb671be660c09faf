"""The animation in a terminal, as a GIF and as a page."""

import io
import json
import random
import re
import sys
from itertools import pairwise
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape
from matplotlib import get_data_path
from PIL import Image, ImageChops, ImageColor, ImageFont
from rich.cells import cell_len
from rich.console import Console

from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import NUM_RESERVED, BookTokenizer
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.show import gif
from tiny_diffusion.show.bands import BANDS, band_of
from tiny_diffusion.show.frames import Frame, Piece, Recording, film
from tiny_diffusion.show.gif import LEADING, check_gif, find_font, write_gif
from tiny_diffusion.show.lines import SHADE, Lines, printable, unsettled_width
from tiny_diffusion.show.page import encode, render, write_page
from tiny_diffusion.show.terminal import Stage, can_animate, coloured, play
from tiny_diffusion.writing.writer import Writer

WORDS = ["the", " old", " miller", " so", "ld", " it", ".", " A", "水", "車", " garden", "er", "\n\n", " of"]


def piece(text: str, state: str = "settled", confidence: float = 0.5, new: bool = False) -> Piece:
    return Piece(text, state, confidence, new, (NUM_RESERVED,))  # type: ignore[arg-type]


MASKED = piece("", "masked", 0.0)


def frame(*pieces: Piece, step: int = 1, steps: int = 9) -> Frame:
    return Frame(pieces, step, steps)


@st.composite
def runs(draw: st.DrawFn) -> list[Frame]:
    """Tokens that settle one by one in a given order."""
    texts = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=40))
    order = draw(st.permutations(range(len(texts))))
    shown = [MASKED] * len(texts)
    found = [frame(*shown)]
    for place in order:
        shown[place] = piece(texts[place])
        found.append(frame(*shown))
    return found


@pytest.fixture(scope="module")
def films(config: ProjectConfig, data: Processed) -> list[list[Frame]]:
    torch.manual_seed(0)
    vocab = NUM_RESERVED + data.tokenizer.level_size(config.model.vocab_level)
    writer = Writer(Transformer(config.model, vocab, NUM_RESERVED), data.tokenizer)
    how = GenerationConfig(length=20, steps=6, num_samples=2, seed=1, layout="free")
    recording = Recording(writer.writing("The old", how))
    for _ in recording:
        pass
    return [film(recording.states, text, writer.tokenizer) for text in recording.texts]


@pytest.mark.parametrize(("confidence", "band"), [(0, 0), (0.249, 0), (0.25, 1), (0.5, 2), (0.75, 3), (1, 3)])
def test_bands(confidence: float, band: int) -> None:
    assert band_of(confidence) == band and len(BANDS) == 4


def test_nothing_that_moves_a_cursor_is_printable() -> None:
    assert printable("a\tb\x1b[2Jc\rd\x9be\u2028f\n水") == "a b\ufffd[2Jc\ufffdd\ufffde\ufffdf\n水"


@given(runs(), st.integers(12, 40))
def test_lines_hold_each_piece_once_and_within_the_width(run: list[Frame], width: int) -> None:
    lines = Lines(width, 3)
    for shown in run:
        wrapped = lines.wrap(shown)
        assert [cell.piece for line in wrapped for cell in line] == list(shown.pieces)
        assert all(cell_len("".join(cell.text for cell in line)) <= width for line in wrapped)
        assert all(wrapped)


def test_lines_do_not_move_while_tokens_fit() -> None:
    # Each token begins a word and becomes narrower as it settles, so every line keeps its tokens.
    lines, settled = Lines(20, 4), [piece(" of"), *[MASKED] * 11]
    first = [len(line) for line in lines.wrap(frame(*[MASKED] * 12))]
    assert first == [5, 5, 2]
    for place in (7, 3, 11, 4, 5, 0):
        settled[place] = piece(" it")
        assert [len(line) for line in lines.wrap(frame(*settled))] == first


def test_a_line_that_overflows_hands_on_its_end_only() -> None:
    lines, row = Lines(20, 4), [MASKED] * 15
    assert [len(line) for line in lines.wrap(frame(*row))] == [5, 5, 5]
    row[1] = piece(" gardeners")
    assert [len(line) for line in lines.wrap(frame(*row))] == [3, 5, 5, 2]
    row[1] = piece(" a")
    assert [len(line) for line in lines.wrap(frame(*row))] == [3, 5, 5, 2]  # nothing moves up


def test_a_word_that_crosses_a_line_end_goes_down_whole() -> None:
    lines, row = Lines(20, 4), [MASKED] * 8
    lines.wrap(frame(*row))
    row[4], row[5] = piece(" mil"), piece("ler")
    text = ["".join(cell.text for cell in line) for line in lines.wrap(frame(*row))]
    assert text[1].startswith("miller ") and text[0].count(SHADE) == 12


def terminal(**how: object) -> Console:
    values = {"force_terminal": True, "color_system": "truecolor", "width": 80, "height": 24, "file": io.StringIO()}
    return Console(**{**values, "_environ": {}, **how})  # type: ignore[arg-type]


def drawn(stage: Stage, shown: Frame) -> list[str]:
    console = Console(width=80, height=24, file=io.StringIO(), _environ={})
    console.print(stage.draw(shown))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@settings(max_examples=25)
@given(runs())
def test_the_height_never_shrinks_and_no_line_is_too_long(run: list[Frame]) -> None:
    stage = Stage(terminal(), 5, "text 1 of 2")
    found = [drawn(stage, shown) for shown in run]
    heights = list(map(len, found))
    assert heights == sorted(heights)
    assert all(cell_len(line) <= 80 for lines in found for line in lines)
    assert "confidence" in found[0][0] and found[-1][-1].startswith("text 1 of 2   step 1 of 9   ")


@pytest.fixture(scope="module")
def prose() -> tuple[BookTokenizer, str]:
    """A text by real authors that every Python contains, and a tokenizer trained on it."""
    text = "\n".join(topics.values())[:80_000]
    return BookTokenizer.train([text], 2048), text[40_000:]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_prose_keeps_the_height_and_moves_few_lines(prose: tuple[BookTokenizer, str], level: int) -> None:
    tokenizer, text = prose
    ids = tokenizer.encode(text, level)[:200]
    unsettled = unsettled_width(tokenizer, tokenizer.level_size(level))
    stage, lines, shown = Stage(terminal(), unsettled), Lines(80, unsettled), [MASKED] * len(ids)
    heights, lengths, forgetful = set(), [], []
    order = random.Random(level).sample(range(len(ids)), len(ids))
    for step in range(51):  # each settles four tokens
        heights.add(len(stage.draw(frame(*shown)).renderables))
        lengths.append(list(map(len, lines.wrap(frame(*shown)))))
        forgetful.append(list(map(len, Lines(80, unsettled).wrap(frame(*shown)))))
        for place in order[4 * step : 4 * step + 4]:
            shown[place] = piece(tokenizer.decode([ids[place]]))
    assert len(heights) == 1 and MASKED not in shown
    assert changes(lengths) < changes(forgetful) / 2


def changes(lengths: list[list[int]]) -> int:
    """How often a line gained or lost a token."""
    return sum(a != b for before, after in pairwise(lengths) for a, b in zip(before, after, strict=False))


def test_a_gap_is_somewhat_wider_than_a_typical_token(prose: tuple[BookTokenizer, str]) -> None:
    tokenizer, text = prose
    for level in (1, 2, 3):
        mean = len(text) / len(tokenizer.encode(text, level))
        assert mean < unsettled_width(tokenizer, tokenizer.level_size(level)) < mean + 2
    assert unsettled_width(BookTokenizer([], "bpe"), 256) == 2


def test_the_last_lines_of_a_text_higher_than_the_terminal_are_shown() -> None:
    stage = Stage(terminal(height=9), 5)
    lines = drawn(stage, frame(*[MASKED] * 200, piece(" end")))
    assert len(lines) == 8 and "lines above" in lines[-1] and lines[5].endswith("end")


def test_new_words_are_bold_and_confidence_has_a_colour() -> None:
    console = terminal()
    console.print(Stage(console, 4).draw(frame(piece("sure", confidence=0.9, new=True), piece(" not", confidence=0.1))))
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"\x1b\[1;38;2;79;143;224msure", out) and re.search(r"\x1b\[38;2;217;83;79m not", out)


def test_play_draws_all_frames_and_leaves_nothing(films: list[list[Frame]]) -> None:
    console = terminal()
    play(Stage(console, 4), films[0], pace=0)
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(f"step {n} of 6" in out for n in range(7))
    assert out.endswith("\x1b[2K") or out.rstrip("\r").endswith("\x1b[2K")  # the last line drawn is erased


def test_only_a_terminal_with_colours_is_animated() -> None:
    assert can_animate(terminal())
    assert not can_animate(terminal(force_terminal=False))
    assert not can_animate(terminal(no_color=True)) and not can_animate(terminal(_environ={"NO_COLOR": "1"}))
    assert not can_animate(terminal(_environ={"TERM": "dumb"}))


def test_a_coloured_text_is_the_text(films: list[list[Frame]]) -> None:
    shown = frame(piece("a\n", "given"), piece(" b\x1b"))
    assert coloured(shown).plain == "a\n b\ufffd"
    assert coloured(films[0][-1]).plain == printable(films[0][-1].text)


def test_a_gif_has_all_frames_and_holds_the_last(films: list[list[Frame]], tmp_path: Path) -> None:
    write_gif(tmp_path / "out.gif", films, 0.08)
    with Image.open(tmp_path / "out.gif") as image:
        assert image.format == "GIF" and image.n_frames == sum(map(len, films)) == 14  # type: ignore[attr-defined]
        durations = []
        for number in range(14):
            image.seek(number)
            durations.append(image.info["duration"])
    assert durations == [*[80] * 6, 3000] * 2


def test_a_gif_has_the_colours_of_all_bands(tmp_path: Path) -> None:
    shown = [piece("Given", "given"), *(piece(" word", confidence=sure) for sure in (0.1, 0.3, 0.6, 0.9))]
    write_gif(tmp_path / "out.gif", [[frame(*shown)]], 0.1)
    with Image.open(tmp_path / "out.gif") as image:
        found = {colour for _, colour in image.convert("RGB").getcolors(1000) or []}
    assert {ImageColor.getrgb(band.on_light) for band in BANDS} <= found
    assert ImageColor.getrgb("#ffffff") in found


def test_pieces_of_a_gif_stay_where_they_are(tmp_path: Path) -> None:
    texts = ["Given", " one", " two", "!\n\n", "End"]
    shown = [piece(texts[0], "given"), *map(piece, texts[1:])]
    for number, hidden in enumerate(([1, 2, 3, 4], [1], [])):
        row = [MASKED if place in hidden else each for place, each in enumerate(shown)]
        write_gif(tmp_path / f"{number}.gif", [[frame(*row), frame(*shown)]], 0.1)
    pictures = []
    for number in range(3):
        with Image.open(tmp_path / f"{number}.gif") as image:
            pictures.append(image.convert("L"))
    changed = [
        ImageChops.difference(picture, pictures[2]).point(lambda v: 255 * (v > 60)).getbbox() for picture in pictures
    ]
    assert changed[0] is not None and changed[1] is not None and changed[2] is None
    left, top, right, bottom = changed[1]  # with " one" hidden everything else is drawn as in the final frame
    assert 60 < left < right < 130 and bottom - top < LEADING
    assert changed[0][3] - changed[0][1] > 2 * LEADING  # "End" follows an empty line


def test_a_font_is_found_for_the_letters_of_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ImageFont.load_default(20).getname()
    font, lacking = find_font(ImageFont, "A plain text.", 20)
    assert font.getname() == own and lacking == ""
    _, lacking = find_font(ImageFont, "A\ufdd0 text", 20)  # no character, and in no font
    assert lacking == "\ufdd0"
    monkeypatch.setattr(gif, "SYSTEM_FONTS", ("no such font.ttf",))
    font, lacking = find_font(ImageFont, "né\n—", 20)
    assert font.getname() == own and lacking == "é—"
    assert write_gif(tmp_path / "out.gif", [[frame(piece("né\n"), piece("—"))]], 0.1) == "é—"
    better = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    monkeypatch.setattr(gif, "SYSTEM_FONTS", ("no such font.ttf", str(better)))
    font, lacking = find_font(ImageFont, "né\n—", 20)
    assert font.getname()[0] == "DejaVu Sans" and lacking == ""


def test_a_gif_that_cannot_be_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_gif(tmp_path / "x.gif", 0.02)
    with pytest.raises(UserError, match="raise --pace"):
        check_gif(tmp_path / "x.gif", 0.0)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UserError, match=r"pip install 'tiny-diffusion\[gif\]'"):
        check_gif(tmp_path / "x.gif", 0.1)


def test_a_page_holds_the_text_escaped_and_needs_nothing_else(films: list[list[Frame]], tmp_path: Path) -> None:
    odd = "</script><b>&\u2028"
    end = frame(piece("5 < 6", "given"), piece(odd, confidence=0.426), step=9)
    start = frame(end.pieces[0], MASKED, step=0)
    write_page(tmp_path / "out.html", [[start, end], *films], 0.1)
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "5 &lt; 6&lt;/script&gt;&lt;b&gt;&amp;\u2028</p>" in page
    assert page.count("</script>") == 2 and "<b>" not in page
    assert 'title="confidence 43 %"' in page and 'class="c1"' in page and 'class="given"' in page
    assert not re.search(r"https?:|//[a-z]|\bsrc=|@import|url\(|<link", page)
    for wanted in ("prefers-color-scheme", "prefers-reduced-motion", 'name="viewport"', "default-src 'none'"):
        assert wanted in page
    assert all(f"{escape(shown[-1].text)}</p>" in page for shown in films)


def replay(encoded: list[dict], final: tuple[Piece, ...]) -> list[list[tuple[str, float] | None]]:
    """The texts that the page's script makes from the changes, frame by frame."""
    now: list[tuple[str, float] | None] = [None] * len(final)
    found = []
    for each in encoded:
        for place, *values in each["changes"]:
            now[place] = (values[1] if len(values) > 1 else final[place].text, values[0]) if values else None
        found.append(list(now))
    return found


@given(runs(), st.data())
def test_a_page_tells_each_frame(run: list[Frame], data: st.DataObject) -> None:
    # Some tokens are masked again, or had another text for a while.
    row = list(run[-1].pieces)
    for place in data.draw(st.lists(st.integers(0, len(row) - 1), max_size=3)):
        row[place] = data.draw(st.sampled_from([MASKED, piece(" other", confidence=0.1)]))
    shown = [*run, frame(*row), run[-1]]
    told = replay(json.loads(json.dumps(encode(shown))), run[-1].pieces)
    assert told == [[None if p.state == "masked" else (p.text, p.confidence) for p in f.pieces] for f in shown]


def test_the_data_of_a_page_can_be_read(films: list[list[Frame]]) -> None:
    page = render(films, 0.1)
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    data = json.loads(found[1])
    assert [len(each) for each in data["films"]] == [7, 7] and data["pace"] == 0.1
    assert [each["step"] for each in data["films"][0]] == list(range(7))
