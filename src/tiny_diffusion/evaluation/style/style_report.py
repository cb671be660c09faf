"""The result of the style measurement: the score with its parts, and the figures behind it."""

from dataclasses import dataclass

from .calibration import Part
from .sentence_lengths import Lengths

DELTA = "function words"
"""Name of the part of the score that is Burrows' Delta."""


@dataclass(frozen=True)
class TextStyle:
    """Figures of one side. Lengths in words, shares in [0, 1]; None if the text or language does not allow a figure."""

    sentences: int
    words: int
    sentence_length_mean: float
    sentence_length_sd: float
    type_token_ratio: float
    hapax_share: float
    zipf_slope: float | None
    rare_word_share: float | None
    function_word_share: float | None
    dialogue_share: float
    lix: float
    letters_per_word: float


@dataclass(frozen=True)
class RankShare:
    """The share of a text that consists of the word at this rank of frequency; None if a text has fewer words."""

    rank: int
    generated: float | None
    held_out: float | None


@dataclass(frozen=True)
class OtherBook:
    """Another book: its score as if it were generated, with its parts (means over pieces), and its Burrows' Delta.

    The two Deltas are those between the other book and the generated and held-out text. The part named ``DELTA`` is the
    Delta of its pieces to this book, calibrated like the generated text's.
    """

    name: str
    score: float
    parts: dict[str, float]
    delta_to_generated: float
    delta_to_held_out: float


@dataclass(frozen=True)
class StyleReport:
    """Score and parts of the generated and of the held-out text, and the figures behind them.

    Those of the held-out text are means over pieces. ``generated`` and ``held_out`` are figures at equal size.
    ``type_token_window`` is in words, and shorter than the setting if the generated text is.
    """

    score: float
    parts: list[Part]
    held_out_score: float
    held_out_parts: dict[str, float]
    lengths: Lengths
    delta: float
    held_out_delta: float
    vocabulary_overlap: float
    type_token_window: int
    generated: TextStyle
    held_out: TextStyle
    zipf: list[RankShare]
    other_books: list[OtherBook]
