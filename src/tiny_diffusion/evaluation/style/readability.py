"""Readability by letters and sentences alone, which needs no syllables and so holds for any alphabet."""

import numpy as np
import numpy.typing as npt

LONG_WORD = 6


def lix(words: list[str], sentences: int) -> float:
    """Return LIX (Bjornsson 1968): words a sentence plus the percentage of words of more than six letters.

    Below 30 very easy, above 55 very hard. In scripts without spaces each character is a word, so that only the
    sentence length counts. NaN without a word.
    """
    if not words or sentences == 0:
        return float("nan")
    return len(words) / sentences + 100 * sum(len(word) > LONG_WORD for word in words) / len(words)


def letters_per_word(words: list[str]) -> float:
    """Return the mean length of a word, in characters; NaN without a word."""
    return sum(map(len, words)) / len(words) if words else float("nan")


def readability(words: list[str], sentences: int) -> npt.NDArray[np.float64]:
    """Return LIX and letters a word, [2]."""
    return np.array([lix(words, sentences), letters_per_word(words)])
