"""Splitting paragraphs into sentences by rules, for old and new prose in many scripts.

A terminator ends a sentence unless what stands before it is an abbreviation or an initial, or what follows it
goes on in lower case. Closing quotes and brackets stay with the sentence they close.
"""

import re

TERMINATORS = ".!?…。！？．｡؟।॥"
WIDE = "。！？．｡"
CLOSERS = "\"'”’“»›)]}」』）】》〉"  # “ closes a German quotation
OPENERS = "\"'“‘„‚«‹([{¿¡—–-「『（【《〈_"

_END = re.compile(
    rf"(?:[{re.escape(TERMINATORS)}]|(?<=\s)\.(?=\s\.))[{re.escape(TERMINATORS)}]*(?: \.)*[{re.escape(CLOSERS)}]*"
    rf"(?: [»”](?!\w))?"
)
_WORD_BEFORE = re.compile(r"[^\s(\[“\"‘«—–-]*$")
_NEXT = re.compile(rf"\s*[{re.escape(OPENERS)}\s]*(\S)")

ABBREVIATIONS = {
    "en": "mr mrs ms messrs mme mlle dr prof rev hon st ste capt col gen lt lieut sgt maj adm cmdr gov sen rep pres "
    "esq sr jr vs viz cf vol vols chap ch fig figs no nos p pp sec art ed eds trans inst ult prox anon "
    "jan feb mar apr aug sept sep oct nov dec mon tue wed thu fri sat sun mt ft co inc ltd bros &c i.e e.g",
    "fr": "m mm mme mmes mlle mlles mgr dr me st ste cf p pp chap vol art no av apr ex fig liv éd",
    "de": "dr prof hr fr frl st z.b d.h u.a bzw ca vgl nr s bd hrsg jh geb gest abs evtl ggf sog str v",
    "ru": "г гг т тт д стр св им ул и.о т.е т.д т.п проф акад гр кн др пр",
    "es": "sr sra srta d dña dr dra ud uds vd pág cap núm vol av",
    "it": "sig sigg sig.ra dott prof avv ing pag cap vol s",
}
# After these a capital more often begins a new sentence than goes on with the old one.
NUMBERED = {
    "no",
    "nos",
    "p",
    "pp",
    "vol",
    "vols",
    "chap",
    "ch",
    "fig",
    "sec",
    "art",
    "nr",
    "s",
    "стр",
    "т",
    "№",
    "inst",
}
_SETS = {code: frozenset(words.split()) for code, words in ABBREVIATIONS.items()}
_INITIAL = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]$")
_TAIL = 40  # characters before a full stop that can matter to whether it ends a sentence


def split_sentences(paragraph: str, language: str = "en") -> list[str]:
    """Sentences of ``paragraph``, stripped, in order; together they hold all of its text but white space."""
    abbreviations = _SETS.get(language, frozenset()) | _SETS["en"]
    found: list[str] = []
    start = 0
    for match in _END.finditer(paragraph):
        end = match.end()
        if match.start() < start or not _ends(paragraph, match, abbreviations, language):
            continue
        piece = paragraph[start:end].strip()
        if piece:
            found.append(piece)
        start = end
    rest = paragraph[start:].strip()
    if rest:
        found.append(rest)
    return found


def _ends(text: str, match: re.Match[str], abbreviations: frozenset[str], language: str) -> bool:
    """Whether the terminator of ``match`` ends a sentence."""
    end = match.end()
    mark = match.group()
    if any(c in WIDE for c in mark):
        return True
    if end == len(text):
        return True
    following = _NEXT.match(text, end)
    if following is None:
        return True
    gap = text[end : following.start(1)]
    if " ." in mark and mark[-1] == ".":  # a spaced ellipsis is a pause in the sentence
        return False
    upper = following.group(1).isupper() or following.group(1).isdigit() or _caseless(following.group(1))
    if not upper:
        return False
    if not gap[:1].isspace() and not (gap.startswith("—") and mark[-1] in CLOSERS):
        return False
    if mark.startswith(".") and not mark.startswith(("..", ". .")):
        return _full_stop_ends(text, match, abbreviations, language, following.group(1), gap)
    return True


def _full_stop_ends(
    text: str, match: re.Match[str], abbreviations: frozenset[str], language: str, following: str, gap: str
) -> bool:
    """Whether a single full stop ends a sentence rather than an abbreviation, an initial or a number."""
    before = _WORD_BEFORE.search(text[max(0, match.start() - _TAIL) : match.start()])
    word = before.group() if before else ""
    plain = word.casefold().strip("_")
    if gap.startswith("—") and not any(c in CLOSERS for c in match.group()):
        return False
    if not word:
        return match.start() > 0
    if plain in abbreviations:
        if plain in NUMBERED:
            return not (following.isdigit() or following in "IVXLC")
        return False
    if language == "de" and word.isdigit():
        return False
    if _INITIAL.match(word) and word not in ("I", "я", "Я", "a", "y", "à") and len(word) <= 7:
        if "." in word:  # M.D., P.S., a.m.: ends when what follows is no name of a person
            return not word.isupper() or any(c in CLOSERS for c in match.group())
        return False
    return True


def _caseless(character: str) -> bool:
    """Letters of scripts without case (Chinese, Arabic, Devanagari) count as a beginning."""
    return character.isalpha() and character.lower() == character.upper()
