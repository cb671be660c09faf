"""Which words there are: those of a book, as it spells them, and those in general use."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import pairwise

from wordfreq import available_languages, get_frequency_dict

from .language import wordfreq_name
from .words import folded, is_spaceless, spelled_spans

Span = tuple[int, int]

SHORTEST = 3  # letters of a common word
COMMON = 1e-5  # its share of general text
USUAL = 1e-3  # share of a text's words that a single letter has if it is a word


@cache
def word_frequencies(language: str) -> dict[str, float] | None:
    """Frequencies of words in general use, commonest first; None if wordfreq has no list for ``language``.

    The list is as long as wordfreq has it, with misspellings and pieces of words among its rarest.
    """
    name = wordfreq_name(language)
    return get_frequency_dict(name) if name in available_languages() else None


def _short_list(language: str) -> dict[str, float]:
    """The frequencies of the commonest words only; empty without a list."""
    name = wordfreq_name(language)
    return get_frequency_dict(name, "small") if name in available_languages("small") else {}


def without_stray_letters(words: Iterable[str], language: str) -> list[str]:
    """``words`` without single letters, except those that are words in common use in ``language`` (a, I)."""
    listed = _short_list(language)
    return [word for word in words if len(word) > 1 or listed.get(folded(word), 0.0) >= USUAL]


@cache
def common_words(language: str) -> frozenset[str]:
    """Words of three letters or more with a share COMMON of general text; empty without a list for ``language``.

    Nearly all of them are real. Among the shorter ones are abbreviations, among the rarer ones surnames and words of
    our time, in small letters, which no old book would use.
    """
    return frozenset(word for word, share in _short_list(language).items() if len(word) >= SHORTEST and share >= COMMON)


def spellings(texts: Iterable[str]) -> list[str]:
    """Each word of ``texts`` once, in its commonest spelling, in alphabetical order."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text[start:end] for start, end in spelled_spans(text))
    commonest: dict[str, str] = {}
    for spelling, _ in sorted(counts.items(), key=lambda item: (-item[1], not item[0].islower(), item[0])):
        commonest.setdefault(folded(spelling), spelling)
    return sorted(commonest.values())


def doubles(text: str) -> list[tuple[Span, Span]]:
    """The character spans of each word that follows itself with only a space between, and of the one before it.

    Numbers, and scripts without spaces, are left out.
    """
    spans = spelled_spans(text)
    return [
        (first, second)
        for first, second in pairwise(spans)
        if text[first[1] : second[0]] == " "
        and folded(text[slice(*first)]) == (word := folded(text[slice(*second)]))
        and not (is_spaceless(word) or word.isdigit())
    ]


def doubled_words(texts: Iterable[str]) -> list[str]:
    """The words of ``texts``, folded, that somewhere follow themselves, in alphabetical order."""
    return sorted({folded(text[slice(*second)]) for text in texts for _, second in doubles(text)})
