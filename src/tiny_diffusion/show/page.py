"""The animation as one self-contained page: no network, no library, and no script for the final text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..files import write_text
from .bands import BANDS, LIMITS, band_of
from .frames import Frame, Piece

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,  # the page contains what a model wrote
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(films: Sequence[Sequence[Frame]], pace: float) -> str:
    """The page of some films (frames of the same pieces), which run side by side, ``pace`` seconds per frame."""
    return render_encoded([film[-1] for film in films], [encode(film) for film in films], pace)


def render_encoded(finals: Sequence[Frame], films: Sequence[Sequence[dict[str, Any]]], pace: float) -> str:
    """The page of some films by their last frames and, in the form of ``encode``, all their frames."""
    return PAGES.get_template("animation.html.j2").render(
        finals=finals,
        data={"pace": pace, "limits": LIMITS, "films": films},
        bands=BANDS,
        band_of=band_of,
        longest=max(len(film) for film in films) - 1,
    )


def write_page(path: Path, films: Sequence[Sequence[Frame]], pace: float) -> None:
    """Write the page, completely or not at all."""
    write_text(path, render(films, pace))


def encode(film: Sequence[Frame]) -> list[dict[str, Any]]:
    """Each frame as its step and its changes: ``[piece, confidence, text]``.

    The text is left out if it is the final one, and the confidence too if the piece is masked again. The first frame
    contains what was given; everything else is masked at first.
    """
    final = film[-1].pieces
    before: Sequence[Piece | None] = [None] * len(final)
    encoded = []
    for frame in film:
        changes: list[list[Any]] = []
        for place, (piece, old) in enumerate(zip(frame.pieces, before, strict=True)):
            if piece.state == "masked":
                changes += [[place]] if old is not None and old.state != "masked" else []
            elif old is None or (piece.state, piece.text, piece.confidence) != (old.state, old.text, old.confidence):
                text = [] if piece.text == final[place].text else [piece.text]
                changes.append([place, round(piece.confidence, 4), *text])
        encoded.append({"step": frame.step, "steps": frame.steps, "changes": changes})
        before = frame.pieces
    return encoded
