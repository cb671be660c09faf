"""Finds the spoken characters of a paragraph by the quotation marks of several languages."""

import re

import numpy as np
import numpy.typing as npt

# Each opening quotation mark with the marks that close it: English, German, French, Danish, Polish, Japanese.
_CLOSERS = {'"': '"', "“": "”", "„": "“”", "«": "»", "»": "«", "‹": "›", "›": "‹", "「": "」", "『": "』", "‘": "’"}
# A quotation in straight single quotes.
_STRAIGHT = re.compile(r"(?<![^\s(\[—–-])'(?=[^\W_]|\").*?(?<=[.,;:!?…—–\"-])'(?!\w)", re.DOTALL)
_DASHES = ("—", "–", "―", "--")


def spoken(paragraph: str) -> npt.NDArray[np.bool_]:
    """Return for each character whether it is inside a quotation, quotation marks included: bool [characters].

    The outermost quotation counts; one left open ends with the paragraph, as when speech continues in the next one. A
    paragraph that begins with a dash counts as speech throughout (French, Spanish, Russian), including the narrator's
    words in it. A ’ before a letter is an apostrophe. The straight ' opens a quotation only at the beginning or after
    white space or a dash, before a letter, and only if one closes it in the same paragraph, after punctuation and not
    before a letter. Otherwise it is an apostrophe, as in 'tis and the boys' house.
    """
    inside = np.zeros(len(paragraph), dtype=bool)
    if paragraph.startswith(_DASHES):
        inside[:] = True
        return inside
    start, closers, end = 0, "", 0  # end: of a quotation in straight single quotes
    for i, character in enumerate(paragraph):
        if i < end:
            continue
        if not closers:
            if character in _CLOSERS and _opens(paragraph, i):
                start, closers = i, _CLOSERS[character]
            elif straight := _STRAIGHT.match(paragraph, i):
                end = straight.end()
                inside[i:end] = True
        elif character in closers and not (character == "’" and paragraph[i + 1 : i + 2].isalpha()):
            inside[start : i + 1] = True
            closers = ""
    if closers:
        inside[start:] = True
    return inside


def _opens(paragraph: str, i: int) -> bool:
    """Whether a mark may open a quotation; after a letter or punctuation it closes one begun before the text."""
    if paragraph[i] in "「『":
        return True
    before = paragraph[i - 1 : i]
    return not before or not (before.isalnum() or before in ".,;:!?…")
