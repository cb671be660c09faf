"""Vocabulary: how varied and how rare the words of a text are, and how easy they are to read."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice

import numpy as np

from ...data.language.word_list import word_frequencies
from ...data.language.words import LONG_LETTER_RUN, split_words

FUNCTION_WORDS = 50
LONG_WORD = 6  # letters; longer words count as long in LIX


def type_token_ratio(words: list[str], window: int) -> float:
    """Return the mean share of distinct words over consecutive full windows of ``window`` words.

    The plain ratio falls as a text grows; equal windows make texts of different lengths comparable. NaN if the text is
    shorter than ``window``.
    """
    if window > len(words):
        return float("nan")
    starts = range(0, len(words) - window + 1, window)
    return float(np.mean([len(set(words[start : start + window])) / window for start in starts]))


def hapax_share(words: list[str]) -> float:
    """Return the share of distinct words that occur only once; comparable at equal length."""
    counts = Counter(words)
    return sum(count == 1 for count in counts.values()) / len(counts)


def zipf_slope(words: list[str]) -> float:
    """Return the slope of log frequency on log rank by least squares, about -1 in a long text (Zipf 1949).

    Comparable at equal length. NaN below two distinct words.
    """
    counts = np.sort(np.array(list(Counter(words).values()), dtype=np.float64))[::-1]
    if len(counts) < 2:
        return float("nan")
    return float(np.polyfit(np.log(np.arange(1, len(counts) + 1)), np.log(counts), 1)[0])


def rank_shares(words: list[str], ranks: Iterable[int]) -> list[float | None]:
    """The share of ``words`` that the word of each rank has, from 1 for the commonest; None beyond the last rank."""
    counts = sorted(Counter(words).values(), reverse=True)
    return [counts[rank - 1] / len(words) if rank <= len(counts) else None for rank in ranks]


def rare_word_share(sentences: list[str], language: str, zipf: float) -> float:
    """Return the share of words below ``zipf`` in general use: log10 of occurrences in 10^9 words (wordfreq).

    Words are runs of two letters or more; a word that is not in the list is rare. NaN if wordfreq has no list for
    ``language``, or ``sentences`` contain no such word.
    """
    table = word_frequencies(language)
    words = [word for sentence in sentences for word in LONG_LETTER_RUN.findall(sentence.casefold())]
    if table is None or not words:
        return float("nan")
    least = 10.0 ** (zipf - 9)
    return sum(word not in table or table[word] < least for word in words) / len(words)


def function_word_share(words: list[str], language: str) -> float | None:
    """Return the share of ``words`` that are among the language's 50 commonest in general use.

    Nearly all of these are function words. ``words`` come from ``split_words``. None if there is no frequency list for
    ``language``.
    """
    table = word_frequencies(language)
    if table is None:
        return None
    # The table is in falling order of frequency.
    common = {word for entry in islice(table, FUNCTION_WORDS) for word in split_words(entry)}
    return sum(word in common for word in words) / len(words)


def lix(words: list[str], sentences: int) -> float:
    """Return LIX (Björnsson 1968): words per sentence plus the percentage of words with more than six letters.

    Below 30 is very easy, above 55 very hard. In scripts without spaces each character is a word, so only the sentence
    length counts. Neither it nor letters per word needs syllables, so they work for any alphabet.
    """
    return len(words) / sentences + 100 * sum(len(word) > LONG_WORD for word in words) / len(words)
