"""Punctuation: how often each kind of mark is set."""

import re

import numpy as np
import numpy.typing as npt

KINDS: dict[str, str] = {
    "full stop": ".。．｡।۔",
    "comma": ",،、，",
    "semicolon": ";；؛·",
    "colon": ":：",
    "question": "?？؟",
    "exclamation": "!！",
    "dash": "—–―",
    "ellipsis": "…",
    "quotation": '"“”„«»‹›「」『』',
    "bracket": "()[]（）【】",
    "hyphen": "-‐‑",
    "apostrophe": "'’‘ʼ",
}
_KIND = {mark: i for i, marks in enumerate(KINDS.values()) for mark in marks}
_ANY = re.compile("[" + re.escape("".join(_KIND)) + "]")
_DASH = re.compile(r"--+")
_ELLIPSIS = re.compile(r"\.(?: ?\.){2,}")


def count_marks(text: str) -> npt.NDArray[np.int64]:
    """Return the count of each kind of mark, int [len(KINDS)]; ``--`` is one dash, ``. . .`` one ellipsis."""
    plain = _ELLIPSIS.sub("…", _DASH.sub("—", text))
    counts = np.zeros(len(KINDS), dtype=np.int64)
    for mark in _ANY.findall(plain):
        counts[_KIND[mark]] += 1
    return counts
