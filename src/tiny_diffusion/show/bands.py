"""Confidence in four bands, and the colour of each.

Colour is never the only sign: the terminal has a legend, and the page shows the number.
"""

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """A range of confidence and its colours: readable on white, on black, and (terminal) on either."""

    label: str
    on_light: str
    on_dark: str
    terminal: str


LIMITS = (0.25, 0.5, 0.75)
BANDS = (
    Band("under 25 %", "#b3261e", "#ff9d94", "#d9534f"),
    Band("under 50 %", "#8a5a00", "#e8b44c", "#c08a1e"),
    Band("under 75 %", "#00695c", "#6fd0bf", "#2a9d8f"),
    Band("75 % and more", "#1f5fbf", "#8fbcff", "#4f8fe0"),
)


def band_of(confidence: float) -> int:
    """The number of the band, 0 the lowest, that contains a confidence from 0 to 1."""
    return bisect_right(LIMITS, confidence)
