"""Detects the language of a text: first by its script, then by the share of each language's function words."""

import re
from collections import Counter

import wordfreq

from .tables import word_lists
from .words import LETTER_RUN

_SAMPLE = 200_000
_MIN_HITS = 3
_MIN_SHARE = 0.12

_TYPES, _FEWEST_TYPES = 300, 10  # different words that are looked up in lists of frequent words
_LISTED_SHARE, _AHEAD = 0.5, 1.2  # share of them that a language must know, and how far it must be ahead
_OTHER_SCRIPTS = frozenset("ar bg bn el fa he hi ja ko mk ru ta uk ur zh".split())

_FUNCTION_WORDS = word_lists("function_words")
_SCRIPTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(f"[{ranges}]"))
    for name, ranges in (
        ("kana", "\u3041-\u30ff"),
        ("han", "\u3400-\u9fff"),
        ("hangul", "\uac00-\ud7a3\u1100-\u11ff"),
        ("cyrillic", "\u0400-\u04ff"),
        ("greek", "\u0370-\u03ff\u1f00-\u1fff"),
        ("hebrew", "\u05d0-\u05ea"),
        ("arabic", "\u0620-\u06ff"),
        ("latin", "A-Za-z\u00c0-\u024f"),
    )
)


def detect_language(text: str) -> str:
    """Return the two-letter code of the language of ``text``, or "und" if there is too little evidence for any."""
    # The middle of a long text: its first pages are often a licence in another language.
    start = max(0, (len(text) - _SAMPLE) // 2)
    sample = text[start : start + _SAMPLE]
    counts = {name: len(pattern.findall(sample)) for name, pattern in _SCRIPTS}
    # One character of Han, kana or Hangul carries about as much as two or three letters.
    weight = {"kana": 2.5, "han": 2.5, "hangul": 2.5}
    script = max(counts, key=lambda name: counts[name] * weight.get(name, 1.0))
    if counts[script] < 2:
        return "und"
    if script in ("kana", "han"):
        return "ja" if counts["kana"] > 0.05 * (counts["kana"] + counts["han"]) else "zh"
    if script == "cyrillic":
        return "uk" if len(re.findall("[іїєґ]", sample.casefold())) > 0.02 * counts[script] else "ru"
    if script == "arabic":
        return "fa" if len(re.findall("[پچژگی]", sample)) > 0.02 * counts[script] else "ar"
    if script != "latin":
        return {"hangul": "ko", "greek": "el", "hebrew": "he"}[script]
    return _latin_language(sample)


def wordfreq_name(language: str) -> str:
    """The name by which ``wordfreq`` lists the language of a two-letter code."""
    return {"no": "nb"}.get(language, language)


def _latin_language(sample: str) -> str:
    words = Counter(LETTER_RUN.findall(sample.casefold()))
    total = sum(words.values())
    hits = {code: sum(words[word] for word in table) for code, table in _FUNCTION_WORDS.items()}
    ranked = sorted(hits, key=lambda code: -hits[code])
    best, second = ranked[0], ranked[1]
    if hits[best] < _MIN_HITS or hits[best] < _MIN_SHARE * total or hits[best] == hits[second]:
        return _by_frequent_words(words)
    return best


def _by_frequent_words(words: Counter[str]) -> str:
    """The language in whose list of frequent words most words stand: verse has few function words.

    It takes a second or two, so it is only asked where the function words tell nothing.
    """
    known = [word for word, _ in words.most_common(_TYPES) if len(word) > 2]
    if len(known) < _FEWEST_TYPES:
        return "und"
    shares = {}
    for code in wordfreq.available_languages("small"):
        if code not in _OTHER_SCRIPTS:
            frequent = wordfreq.get_frequency_dict(code, "small")
            shares[code] = sum(word in frequent for word in known) / len(known)
            wordfreq.get_frequency_dict.cache_clear()  # each list takes some megabytes
    best, second = sorted(shares, key=lambda code: -shares[code])[:2]
    clear = shares[best] >= _LISTED_SHARE and shares[best] >= _AHEAD * shares[second]
    return {"nb": "no"}.get(best, best) if clear else "und"
