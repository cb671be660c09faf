"""Detects the language of a text: first by its script, then by the share of each language's function words."""

import re
from collections import Counter

from .tables import word_lists
from .words import LETTER_RUN

_SAMPLE = 200_000
_MIN_HITS = 3
_MIN_SHARE = 0.12

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
        return "und"
    return best
