"""What a browser may ask for, and what the page makes of it: settings within bounds, a text short enough to read."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ..config import Config, GenerationConfig, PageConfig
from ..errors import UserError
from ..show.frames import Frame, Piece
from ..show.page import render_encoded
from ..writing.writer import Writer

MOST_STEPS = 1_000
MOST_FILM_BYTES = 8_000_000
MOST_FRAMES = 5_000
Probability = Annotated[float, Field(ge=0, le=1)]
Change = tuple[int] | tuple[int, Probability] | tuple[int, Probability, str]
AROUND = 1_200  # characters on either side of a passage or of the gaps: about what a context of 512 tokens holds
TAKEN = (
    "length", "num_samples", "temperature", "seed", "reading", "sampler", "gap_sampler", "steps", "top_p", "words",
    "expert", "max_copied_words", "rewrite_strength", "sentence_length", "dialogue", "difficulty", "stage", "guidance",
)  # fmt: skip


class OfText(Config):
    """A wish about a text, by the checkpoint of a number."""

    text: str = ""
    model: int = Field(0, ge=0)

    @field_validator("text")
    @classmethod
    def _check_text(cls, text: str) -> str:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(f"is no text at character {error.start + 1}: half of a surrogate pair") from error
        return text


class Writing(OfText):
    """Continue the text, fill its gaps, or rewrite the passage from ``start`` to ``end``, counted in characters."""

    task: Literal["continue", "fill", "rewrite"]
    start: int = Field(0, ge=0)
    end: int = Field(0, ge=0)
    settings: dict[str, str | int | float] = {}

    @model_validator(mode="after")
    def _check_passage(self) -> Self:
        if self.task == "rewrite" and not self.start < self.end <= len(self.text):
            raise ValueError("select a passage to rewrite")
        return self


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
    def _check_places(self) -> Self:
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


def settings_of(wish: Writing, own: GenerationConfig, page: PageConfig, *, causal: bool) -> GenerationConfig:
    """The checkpoint's ``own`` settings with those of the wish. Raises UserError for what the page does not allow.

    Where the reading is free, text comes out of the noise, unless the model is ``causal`` and cannot do so.
    """
    for key in wish.settings:
        if key not in TAKEN:
            raise UserError(f"the page does not set {key}; it sets {', '.join(TAKEN)}")
    given: dict[str, Any] = {"num_samples": 1}
    if own.reading == "auto" and not causal:
        given["reading"] = "masked"
    settings = GenerationConfig(**{**own.model_dump(mode="json"), **given, **wish.settings})
    bounds = {
        "length": (page.most_tokens, "page.most_tokens"),
        "num_samples": (page.most_drafts, "page.most_drafts"),
        "steps": (MOST_STEPS, "the page's bound"),
    }
    for key, (most, name) in bounds.items():
        if getattr(settings, key) > most:
            raise UserError(f"{key}={getattr(settings, key)} is above {most} ({name})")
    return settings


def shortened(text: str, writer: Writer) -> int:
    """How many characters at the beginning of ``text`` the model leaves unread, to continue it within its context.

    It reads the last half context, as it does while it writes a long text.
    """
    ids, half = writer.tokenizer.encode(text, writer.model.config.vocab_level), writer.model.config.context // 2
    if len(ids) <= half:
        return 0
    tail = writer.tokenizer.decode(ids[-half:]).lstrip("\N{REPLACEMENT CHARACTER}")
    word = next((place for place, letter in enumerate(tail) if letter.isspace()), 0)
    return len(text) - len(tail[word:].lstrip())


def around(text: str, start: int, end: int) -> tuple[int, int]:
    """Where the text begins and ends that is read around the passage from ``start`` to ``end``: between words."""
    first, last = max(0, start - AROUND), min(len(text), end + AROUND)
    while 0 < first < start and not text[first - 1].isspace():
        first += 1
    while end < last < len(text) and not text[last].isspace():
        last -= 1
    return first, last
