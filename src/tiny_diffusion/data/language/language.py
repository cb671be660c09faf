"""Detects the language of a text: first by its script, then by the share of each language's function words."""

import re
from collections import Counter

from .words import LETTER_RUN

_SAMPLE = 200_000
_MIN_HITS = 3
_MIN_SHARE = 0.12

_FUNCTION_WORDS: dict[str, frozenset[str]] = {
    code: frozenset(words.split())
    for code, words in {
        "en": "the of and to a in that was he it his i with is for as had you be her on at by which not "
        "or have "
        "from this but him she they my all were are we would there their been if when who no so what said",
        "fr": "le la les de des du et un une à en que qui il elle je ne pas dans ce se au pour sur est "
        "était par "
        "plus son sa ses avec mais nous vous on lui cette leur si tout aux dit sont être avait où y d l c "
        "qu n s",
        "de": "der die das und ich zu in den von er sie ist nicht mit es ein eine des dem auf sich als "
        "auch so war "
        "wie für an im daß dass aber hatte noch nach nur bei aus wenn zum ihm einen was mir oder wir mich",
        "es": "el la los las de y que en un una a se no por con su lo al del le más es para como había "
        "era pero "
        "él ella me yo sus si sin ya este esta cuando muy ni o porque todo qué mi hasta",
        "it": "il la i gli le di e che in un una a non per con si del della al da era più come ma lo è "
        "sono nel "
        "alla dei delle mi se io suo sua ha anche questo quando ne ci egli disse tutto dal aveva ed",
        "pt": "o a os as de e que em um uma não se por com do da dos das no na para ao mais como mas era "
        "eu ele "
        "ela foi seu sua lhe me à ou já quando muito nem há são também pelo isso estava tinha",
        "nl": "de het een en van ik te dat die in is hij niet zijn op aan met voor er was als maar om hem "
        "zij ook "
        "bij nog had naar haar uit of door over wat mij je dan zo deze geen werd men wij waren",
        "sv": "och att det i en jag han som på är av för med den till inte ett om hade de var sig men så "
        "hon mig "
        "sin du från när nu har honom eller vi kan där vad ut hans efter under skulle ej",
        "da": "og at det i en jeg han som på er af for med den til ikke et om havde de var sig men så hun "
        "mig sin "
        "du fra når nu har ham eller vi kan der hvad ud hans efter under skulle noget op meget",
        "no": "og at det i en jeg han som på er av for med den til ikke et om hadde de var seg men så hun "
        "meg sin "
        "du fra når nå har ham eller vi kan der hva ut hans etter under skulle noe opp mye",
        "fi": "ja on oli ei että hän se mutta kun niin minä en sen ovat kuin olen myös sitten jos hänen "
        "ole nyt "
        "vain mitä joka tai jo sinä me he tämä siitä kaikki vielä ollut olisi minun",
        "pl": "i w nie na się z do że to jest jak co ale po za tak o od już jego był było tylko dla ja "
        "mnie czy "
        "przez jej pan a też go są przy być która który kiedy",
        "la": "et in est non ad cum ut quod sed qui quae si de ab ex esse enim per nec sunt atque hoc "
        "eius sic "
        "autem etiam me te se ne aut iam quam erat quid",
        "ca": "el la els les de i que en un una a no es per amb va del al més és com però era jo ell ella "
        "seu "
        "seva li quan molt ni dels això aquest aquesta tot havia perquè hi",
    }.items()
}
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
