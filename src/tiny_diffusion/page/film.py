"""The animation as a page to keep: the browser sends back the film that it was sent, and gets the page of ``show``."""

from typing import Annotated

from pydantic import Field, model_validator

from ..config import Config
from ..errors import UserError
from ..show.frames import Frame, Piece
from ..show.page import render_encoded

MOST_BYTES = 8_000_000
MOST_FRAMES = 5_000
Probability = Annotated[float, Field(ge=0, le=1)]
Change = tuple[int] | tuple[int, Probability] | tuple[int, Probability, str]


class Moment(Config):
    """A frame as ``show.page.encode`` writes it."""

    step: int = Field(ge=0)
    steps: int = Field(ge=0)
    changes: list[Change]


class Film(Config):
    """A text's last pieces, ``[text, probability or null if given]``, and all its frames."""

    pieces: list[tuple[str, Probability | None]] = Field(min_length=1)
    frames: list[Moment] = Field(min_length=1, max_length=MOST_FRAMES)

    @model_validator(mode="after")
    def _check_places(self) -> "Film":
        if any(not 0 <= change[0] < len(self.pieces) for frame in self.frames for change in frame.changes):
            raise ValueError("changes a piece that the text does not have")
        return self

    @property
    def final(self) -> Frame:
        """The last frame."""
        pieces = tuple(Piece(t, "given" if p is None else "settled", p or 0.0, False, ()) for t, p in self.pieces)
        return Frame(pieces, self.frames[-1].step, self.frames[-1].steps)


class Films(Config):
    """Films that run side by side, ``pace`` seconds per frame."""

    films: list[Film] = Field(min_length=1)
    pace: float = Field(0.1, ge=0, le=10)


def animation(wish: Films, most: int) -> str:
    """The page of the films. Raises UserError for more than ``most``."""
    if len(wish.films) > most:
        raise UserError(f"{len(wish.films)} films are more than {most} (page.most_drafts)")
    encoded = [[frame.model_dump(mode="json") for frame in film.frames] for film in wish.films]
    return render_encoded([film.final for film in wish.films], encoded, wish.pace)
