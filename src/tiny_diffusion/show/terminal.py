"""The animation in a terminal: one block of lines of constant height, redrawn at each state."""

import time
from collections.abc import Iterable

from rich.console import Console, Group
from rich.live import Live
from rich.style import Style
from rich.text import Text

from .bands import BANDS, band_of
from .frames import Frame, Piece
from .lines import SHADE, Cell, Lines, printable

WIDTH = 80
AROUND = 4  # rows for the legend, the progress and the blank lines between
NARROWEST = 20


def can_animate(console: Console) -> bool:
    """Whether the console is a terminal that can draw in place and in colour."""
    return console.is_terminal and not console.is_dumb_terminal and not console.no_color


def style_of(piece: Piece, *, bold: bool) -> Style:
    """The style of a piece: given text is plain, masked text dim, and new text may be bold."""
    if piece.state == "masked":
        return Style(dim=True)
    bold = bold and piece.new
    if piece.state == "given":
        return Style(bold=bold)
    return Style(color=BANDS[band_of(piece.confidence)].terminal, bold=bold)


def coloured(frame: Frame) -> Text:
    """A finished text in the colours of its confidence, with its own line breaks."""
    text = Text()
    for piece in frame.pieces:
        text.append(printable(piece.text), style_of(piece, bold=False))
    return text


def legend() -> Text:
    """The meaning of the colours."""
    text = Text("confidence: ", no_wrap=True)
    for band in BANDS:
        text.append("■ ", Style(color=band.terminal)).append(f"{band.label}  ")
    return text.append(f"{SHADE} to come", Style(dim=True))


class Stage:
    """Where one text is animated; the context ``live`` leaves the terminal as it was.

    The first frame sets the height, with some lines in reserve. The height grows with a text that is written in several
    blocks, and with one whose tokens are much longer than most. Of a text higher than the terminal the last lines are
    shown.
    """

    def __init__(self, console: Console, unsettled: int, title: str = "") -> None:
        self._console = console
        self._title = title
        self._lines = Lines(max(NARROWEST, min(console.width, WIDTH)), unsettled)
        self._height = 0
        self._tokens = 0
        self.live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def draw(self, frame: Frame) -> Group:
        """A frame as lines: legend, text at its fixed height, progress.

        The last line is short, so that a key pressed meanwhile, which the terminal echoes there, breaks no line.
        """
        lines = self._lines.wrap(frame)
        tokens = sum(len(piece.ids) for piece in frame.pieces)
        reserve = 2 + len(lines) // 8 if tokens != self._tokens else 0
        room = max(1, self._console.height - AROUND - 1)
        self._tokens, self._height = tokens, min(room, max(self._height, len(lines) + reserve))
        above = max(0, len(lines) - self._height)
        shown = [_line(line) for line in lines[above:]]
        shown += [Text()] * (self._height - len(shown))
        return Group(legend(), Text(), *shown, Text(), self._progress(frame, above))

    def _progress(self, frame: Frame, above: int) -> Text:
        still = sum(len(piece.ids) for piece in frame.pieces if piece.state == "masked")
        parts = [
            self._title,
            f"step {frame.step:{len(str(frame.steps))}} of {frame.steps}",
            f"{still:{len(str(self._tokens))}} tokens to come",
            f"{above} lines above" if above else "",
        ]
        return Text("   ".join(filter(None, parts)), style="dim", no_wrap=True, overflow="crop")


def play(stage: Stage, frames: Iterable[Frame], pace: float) -> None:
    """Show frames as they come, each for at least ``pace`` seconds, including the time to make the next one."""
    with stage.live:
        due = time.monotonic()
        for frame in frames:
            time.sleep(max(0.0, due - time.monotonic()))
            stage.live.update(stage.draw(frame), refresh=True)
            due = time.monotonic() + pace
        time.sleep(max(0.0, due - time.monotonic()))


def _line(cells: list[Cell]) -> Text:
    text = Text(no_wrap=True, overflow="crop")
    for cell in cells:
        text.append(cell.text, style_of(cell.piece, bold=True))
    return text
