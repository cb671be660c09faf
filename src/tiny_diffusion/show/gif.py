"""The animation as a GIF, with a font that has the text's letters; needs the extra ``gif``."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import atomic_write
from .bands import BANDS, band_of
from .frames import Frame, Piece
from .lines import may_part, printable

WIDTH, MARGIN = 720, 24  # pixels
SIZE, LEADING = 20, 30
PAPER, INK, SOFT, SHADE, NEW = "#ffffff", "#1d1f21", "#5c6166", "#d9dbd7", "#fff1c2"
SHADES = 8  # between the colour of a letter and its background, for smooth edges
TRANSPARENT = 127  # no colour of the palette has this number
SHORTEST = 0.02  # seconds: viewers show shorter frames for a tenth of a second
HOLD = 3.0  # seconds for the last frame
# Tried by name if Pillow's own font, which has English letters only, is not enough: free fonts, then those of macOS
# and Windows. The last three contain Chinese, Japanese and Korean.
SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "segoeui.ttf",
    "NotoSansCJK-Regular.ttc",
    "PingFang.ttc",
    "msyh.ttc",
)
NO_CHARACTER = "\U0010ffff"


@dataclass(frozen=True)
class _Box:
    """Where a piece is drawn, in pixels, and how much of its width is the space before a word in the final text.

    first: whether it begins a line, where no space is drawn.
    """

    left: float
    top: int
    width: float
    space: float
    first: bool


def check_gif(path: Path, pace: float) -> None:
    """Raise UserError if a GIF cannot be written, before the text is written rather than after."""
    _pillow()
    if pace < SHORTEST:
        raise UserError(f"--gif {path}: a GIF shows a state for {SHORTEST:g} seconds at least; raise --pace to that")


def write_gif(path: Path, films: Sequence[Sequence[Frame]], pace: float) -> str:
    """Draw films (frames of the same pieces) one after another, ``pace`` seconds per frame and longer for the last.

    Returns the characters that no font here has; they are drawn as boxes. Raises UserError if Pillow is missing.
    """
    image, draw, fonts, colours = _pillow()
    letters = {c for film in films for frame in film for piece in frame.pieces for c in _shown(piece)}
    kind, lacking = find_font(fonts, "".join(letters), SIZE)
    laid = [_lay_out(film, kind.getlength) for film in films]
    height = max(box.top for boxes in laid for box in boxes) + 2 * LEADING + LEADING // 2 + MARGIN
    palette = image.new("P", (1, 1))
    palette.putpalette(_palette(colours))

    def pictures() -> Iterator[tuple[Any, int]]:
        for number, (film, boxes) in enumerate(zip(films, laid, strict=True)):
            title = f"text {number + 1} of {len(films)}   " if len(films) > 1 else ""
            for frame in film:
                picture = image.new("RGB", (WIDTH, height), PAPER)
                _draw_frame(draw.Draw(picture), frame, boxes, kind, title)
                milliseconds = round(1000 * (HOLD if frame is film[-1] else pace))
                yield picture.quantize(palette=palette, dither=image.Dither.NONE), milliseconds

    with atomic_write(path) as file:
        for block in _blocks(pictures()):
            file.write(block)
    return lacking


def _blocks(pictures: Iterable[tuple[Any, int]]) -> Iterator[bytes]:
    """A GIF of pictures with one palette, each with its milliseconds, as its bytes; holds two pictures at a time.

    Pillow's own ``save`` keeps all of them. From the second on, only the rectangle that changed is written, and in it
    the points that did not are left transparent.
    """
    from PIL import GifImagePlugin, Image, ImageChops

    before = None
    for picture, milliseconds in pictures:
        if before is None:
            yield from GifImagePlugin.getheader(picture, info={"loop": 0})[0]
            yield from GifImagePlugin.getdata(picture, duration=milliseconds)
        else:
            changes = ImageChops.subtract_modulo(picture, before)
            box = changes.getbbox() or (0, 0, 1, 1)
            part, changes = picture.crop(box), changes.crop(box)
            same = Image.frombytes("L", part.size, changes.tobytes()).point(lambda value: 0 if value else 255)
            part.paste(TRANSPARENT, mask=same)
            clear = {"transparency": TRANSPARENT, "disposal": 1}  # what is there stays
            yield from GifImagePlugin.getdata(part, box[:2], duration=milliseconds, **clear)
        before = picture
    yield b";"


def _pillow() -> tuple[Any, Any, Any, Any]:
    try:
        from PIL import Image, ImageColor, ImageDraw, ImageFont
    except ModuleNotFoundError as error:
        raise UserError("--gif needs an extra: pip install 'tiny-diffusion[gif]'") from error
    return Image, ImageDraw, ImageFont, ImageColor


def _palette(colours: Any) -> list[int]:
    """Red, green and blue of all colours that are drawn, and of the shades between letters and their background."""
    inks = [colours.getrgb(name) for name in (INK, SOFT, *(band.on_light for band in BANDS))]
    values = list(colours.getrgb(SHADE))
    for ink in inks:
        for under in (colours.getrgb(PAPER), colours.getrgb(NEW)):
            for n in range(SHADES + 1):
                values += [round(a + (b - a) * n / SHADES) for a, b in zip(ink, under, strict=True)]
    return values


def _shown(piece: Piece) -> str:
    return printable(piece.text).replace("\n", "")


def _lay_out(film: Sequence[Frame], measure: Callable[[str], float]) -> list[_Box]:
    """A box for each piece, as wide as its widest text in the film, so that nothing moves."""
    ever = zip(*(frame.pieces for frame in film), strict=True)
    widths = [max(map(measure, {_shown(piece) for piece in pieces})) for pieces in ever]
    boxes: list[_Box] = []
    left, top = float(MARGIN), MARGIN + LEADING + LEADING // 2
    for start, end in _words(film[-1].pieces):
        if left > MARGIN and left + sum(widths[start:end]) > WIDTH - MARGIN:
            left, top = float(MARGIN), top + LEADING
        for piece, width in zip(film[-1].pieces[start:end], widths[start:end], strict=True):
            if left > MARGIN and left + width > WIDTH - MARGIN:  # inside a word wider than a line
                left, top = float(MARGIN), top + LEADING
            first = left == MARGIN
            space = measure(" ") if _shown(piece).startswith(" ") else 0.0
            if first:
                width, space = width - space, 0.0
            boxes.append(_Box(left, top, width, space, first))
            left += width
            feeds = piece.text.count("\n")
            if feeds:
                left, top = float(MARGIN), top + feeds * LEADING
    return boxes


def _words(pieces: Sequence[Piece]) -> Iterator[tuple[int, int]]:
    """Ranges of pieces that should stay on one line."""
    start = 0
    for place in range(1, len(pieces)):
        if may_part(pieces[place - 1].text, pieces[place].text):
            yield start, place
            start = place
    if pieces:
        yield start, len(pieces)


def _draw_frame(canvas: Any, frame: Frame, boxes: Sequence[_Box], kind: Any, title: str) -> None:
    canvas.text((MARGIN, MARGIN - LEADING // 4), f"{title}step {frame.step} of {frame.steps}", fill=SOFT, font=kind)
    for piece, box in zip(frame.pieces, boxes, strict=True):
        text = _shown(piece).lstrip(" ") if box.first else _shown(piece)
        left, right = box.left + box.space, box.left + box.width
        if piece.state == "masked":
            if right > left + 2:  # not a line break
                canvas.rounded_rectangle((left + 1, box.top + 4, right - 1, box.top + LEADING - 6), 3, fill=SHADE)
            continue
        if piece.new and text.strip():
            canvas.rectangle((left, box.top, right, box.top + LEADING - 4), fill=NEW)
        colour = INK if piece.state == "given" else BANDS[band_of(piece.confidence)].on_light
        canvas.text((box.left, box.top), text, fill=colour, font=kind)
    _draw_legend(canvas, boxes[-1].top + LEADING + LEADING // 2, kind)


def _draw_legend(canvas: Any, top: int, kind: Any) -> None:
    left = float(MARGIN)
    for text, colour in (("confidence:", SOFT), *((band.label, band.on_light) for band in BANDS)):
        canvas.text((left, top), text, fill=colour, font=kind)
        left += kind.getlength(text + "  ")


def find_font(fonts: Any, text: str, size: int) -> tuple[Any, str]:
    """Return the first font that has all characters of ``text``, or the one that has most, and the missing characters.

    fonts: the module ``PIL.ImageFont``, which the caller has imported.
    """
    best, lacking = None, text
    for font in _fonts(fonts, size):
        missing = _missing(font, text)
        if best is None or len(missing) < len(lacking):
            best, lacking = font, missing
        if not missing:
            break
    return best, lacking


def _fonts(fonts: Any, size: int) -> Iterator[Any]:
    yield fonts.load_default(size)
    for name in SYSTEM_FONTS:
        try:
            yield fonts.truetype(name, size)
        except OSError:  # not on this machine
            continue


def _missing(font: Any, text: str) -> str:
    box = bytes(font.getmask(NO_CHARACTER))
    return "".join(c for c in sorted(set(text)) if not c.isspace() and bytes(font.getmask(c)) == box)
