"""Detects the language of a text: first by its script, then by the share of each language's function words."""

import re
from collections import Counter

import wordfreq

from .tables import word_lists
from .words import LETTER_RUN

_SAMPLE = 200_000
_MIN_HITS = 3
_MIN_SHARE, _SURE_SHARE = 0.12, 0.33  # share of function words that a language needs, and that tells it without more

_TYPES, _FEWEST_TYPES = 300, 10  # different words that are looked up in lists of frequent words
_LISTED_SHARE, _AHEAD = 0.5, 1.2  # share of them that a language must know, and how far it must be ahead
_LIKELY_SHARE = 0.3  # share of them that a language must know which only its function words tell, or the most
_OTHER_SCRIPTS = frozenset("ar bg bn el fa he hi ja ko mk ru ta uk ur zh".split())

_FUNCTION_WORDS = word_lists("function_words")
_SCRIPTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(f"[{ranges}]"))
    for name, ranges in (
        ("kana", "\u3041-\u30ff"),
        ("han", "\u3400-\u9fff"),
        ("ko", "\uac00-\ud7a3\u1100-\u11ff"),
        ("cyrillic", "\u0400-\u04ff"),
        ("el", "\u0370-\u03ff\u1f00-\u1fff"),
        ("hebrew", "\u05d0-\u05f2"),
        ("arabic", "\u0620-\u06ff"),
        ("hy", "\u0530-\u058f"),
        ("hi", "\u0900-\u097f"),
        ("bn", "\u0980-\u09ff"),
        ("ta", "\u0b80-\u0bff"),
        ("th", "\u0e00-\u0e7f"),
        ("ka", "\u10a0-\u10ff"),
        ("am", "\u1200-\u137f"),
        ("latin", "A-Za-z\u00c0-\u024f\u1e00-\u1eff"),
    )
)
# Of each script: its languages with letters that others lack, or use less, and the language without any.
_LETTERS: dict[str, tuple[tuple[tuple[str, str], ...], str]] = {
    "cyrillic": (
        (
            ("ru", "ѣ"),
            ("kk", "[әғқңөұүһ]"),
            ("be", "ў"),
            ("mk", "[ѓќѕ]"),
            ("sr", "[ђћјљњџ]"),
            ("uk", "[іїєґ]"),
            ("bg", r"ъ(?=\w)"),
        ),
        "ru",
    ),
    "arabic": ((("ur", "[ٹڈڑںےھ]"), ("fa", "[پچژگی]")), "ar"),
    "hebrew": ((("yi", "[\u05f0-\u05f2]|\u05d0[\u05b7\u05b8]"),), "he"),
}
_OWN_LETTERS = 0.005  # share of a text from which letters tell its language


def detect_language(text: str) -> str:
    """Return the two-letter code of the language of ``text``, or "und" if there is too little evidence for any."""
    # The middle of a long text: its first pages are often a licence in another language.
    start = max(0, (len(text) - _SAMPLE) // 2)
    sample = text[start : start + _SAMPLE]
    counts = {name: len(pattern.findall(sample)) for name, pattern in _SCRIPTS}
    # One character of Han, kana or Hangul carries about as much as two or three letters.
    weight = {"kana": 2.5, "han": 2.5, "ko": 2.5}
    script = max(counts, key=lambda name: counts[name] * weight.get(name, 1.0))
    if counts[script] < 2:
        return "und"
    if script in ("kana", "han"):
        return "ja" if counts["kana"] > 0.05 * (counts["kana"] + counts["han"]) else "zh"
    if script in _LETTERS:
        own, other = _LETTERS[script]
        text = sample.casefold()
        found = (code for code, letters in own if len(re.findall(letters, text)) > _OWN_LETTERS * counts[script])
        return next(found, other)
    return _latin_language(sample) if script == "latin" else script


def wordfreq_name(language: str) -> str:
    """The name by which ``wordfreq`` lists the language of a two-letter code."""
    return {"no": "nb"}.get(language, language)


def _latin_language(sample: str) -> str:
    words = Counter(LETTER_RUN.findall(sample.casefold()))
    total = sum(words.values())
    hits = {code: sum(words[word] for word in table) for code, table in _FUNCTION_WORDS.items()}
    ranked = sorted(hits, key=lambda code: -hits[code])
    best, second = ranked[0], ranked[1]
    if hits[best] >= max(_MIN_HITS, _SURE_SHARE * total) and hits[best] > hits[second]:
        return best
    shares = _shares_of_frequent_words(words)
    if not shares:
        return "und"
    first, next_ = sorted(shares, key=lambda code: -shares[code])[:2]
    if shares[first] >= max(_LISTED_SHARE, _AHEAD * shares[next_]):
        return {"nb": "no"}.get(first, first)
    likely = hits[best] >= max(_MIN_HITS, _MIN_SHARE * total) and hits[best] > hits[second]
    return best if likely and shares.get(wordfreq_name(best), 1.0) >= min(_LIKELY_SHARE, shares[first]) else "und"


def _shares_of_frequent_words(words: Counter[str]) -> dict[str, float]:
    """Of each language the share of the words that are frequent in it; empty if there are too few words.

    Verse has few function words, and languages without a table of them have some of others. It takes a second or two.
    """
    known = [word for word, _ in words.most_common(_TYPES) if len(word) > 2]
    shares = {}
    for code in wordfreq.available_languages("small") if len(known) >= _FEWEST_TYPES else ():
        if code not in _OTHER_SCRIPTS:
            frequent = wordfreq.get_frequency_dict(code, "small")
            shares[code] = sum(word in frequent for word in known) / len(known)
            wordfreq.get_frequency_dict.cache_clear()  # each list takes some megabytes
    return shares
