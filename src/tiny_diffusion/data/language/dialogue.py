"""Dialogue: which characters of a paragraph are spoken, by the quotation marks of several languages."""

import re

import numpy as np
import numpy.typing as npt

# A mark that opens a quotation, and the marks that close it: English, German, French, Danish, Polish, Japanese.
_CLOSERS = {
    '"': '"',
    "“": "”",
    "„": "“”",
    "«": "»",
    "»": "«",
    "‹": "›",
    "›": "‹",
    "「": "」",
    "『": "』",
    "‘": "’",
}
# A quotation between straight single marks.
_STRAIGHT = re.compile(r"(?<![^\s(\[—–-])'(?=[^\W_]|\").*?(?<=[.,;:!?…—–\"-])'(?!\w)", re.DOTALL)
_DASHES = ("—", "–", "―", "--")


def spoken(paragraph: str) -> npt.NDArray[np.bool_]:
    """Return for each character whether it stands within a quotation, its marks included.

    The outermost quotation counts; one left open ends with the paragraph, as where speech goes on in the next.
    A paragraph that begins with a dash is speech as a whole (French, Spanish, Russian), the narrator's words in it
    too. A ’ before a letter is an apostrophe. The straight ' opens a quotation only at the beginning, or behind white
    space or a dash, before a letter, and where one closes it in the same paragraph, behind a stop and before no
    letter: else it is an apostrophe, as in 'tis and the boys' house.
    """
    inside = np.zeros(len(paragraph), dtype=bool)
    if paragraph.startswith(_DASHES):
        inside[:] = True
        return inside
    start, closers, end = 0, "", 0  # end: of a quotation between straight single marks
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
    """Whether a mark may open: a closing one left over from before the text began stands after a letter or stop."""
    if paragraph[i] in "「『":
        return True
    before = paragraph[i - 1 : i]
    return not before or not (before.isalnum() or before in ".,;:!?…")
