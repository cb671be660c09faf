"""Splits paragraphs into sentences by rules, for old and new prose in many scripts.

A terminator ends a sentence unless an abbreviation or an initial precedes it, or lower case follows it. Closing quotes
and brackets stay with the sentence that they close. Every pattern is possessive or bounded, so that the work grows
linearly with the length of any paragraph.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from .tables import word_lists

ENGLISH = "en"  # its rules apply when the language is unknown
_TERMINATORS = ".!?…。！？．｡؟।॥۔։።"
_WIDE = "。！？．｡"
_UNSPACED = "؟।॥۔።"  # need no space after them
_CLOSERS = "\"'”’»›)]}」』）】》〉"
_GERMAN_CLOSERS = "“«‹"  # elsewhere they open a quotation, and a word follows directly
_ALL_CLOSERS = _CLOSERS + _GERMAN_CLOSERS
_OPENERS = "\"'”“‘„‚«»‹›([{¿¡—–-「『（【《〈_£$€§*#"
_SPACE = "[ \u00a0\u202f]"  # French puts a narrow no-break space before » and !
_DASHES = ("—", "–", "--")
_QUOTE_GOES_ON = ("と", "って", "、", "，")  # Japanese and Chinese: the sentence continues after the quotation

_NEXT = re.compile(rf"[{re.escape(_OPENERS)}\s]*+(\S)")
_NEXT_WORD = re.compile(r"[^\W_]++(?:['’][^\W_]++)?")
_WORD_BEFORE = re.compile(rf"[^\s{re.escape('([{“”‘„‚«»‹¿¡—–_')}\"]*$")
_TAIL = 40  # characters before a full stop that are looked at
_HAS_TEXT = re.compile(r"[^\W_]")
_INITIALS = re.compile(r"(?:[^\W\d_]\.-?){0,4}[^\W\d_]")
_ROMAN = re.compile(r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_SPEECH = re.compile(
    r" (?:I|(?:(?:Mr|Mrs|Ms|Dr|Miss|Lady|Lord|Sir)\.? )?([A-Z][\w’'-]{1,30})) "
    r"(?:said|cried|asked|exclaimed|shouted|whispered|inquired|demanded|murmured)\b"  # "replied" asks nothing
    r"(?! (?:nothing|that|for|no|to|from)\b)"
)


def _end_pattern(terminators: str) -> re.Pattern[str]:
    """Match a run of terminators, dots with spaces between them, closers, and a guillemet after a space."""
    marks = f"[{re.escape(terminators)}]"
    closers = rf"(?:[{re.escape(_CLOSERS)}]|[{_GERMAN_CLOSERS}](?!\w))*+"
    return re.compile(rf"{marks}++(?:{_SPACE}\.)*+{closers}(?:{_SPACE}[»”](?!\w))?")


_END = _end_pattern(_TERMINATORS)
_END_GREEK = _end_pattern(_TERMINATORS + ";\u037e")

_WORDS_TOO = frozenset("no nos art sec fig ed".split())  # the pronoun I after these is not a numeral
_CALENDAR = frozenset(
    "Jan Feb Mar Apr Jun Jul Aug Sept Sep Oct Nov Dec Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun".split()
)
_MONTHS = frozenset("January February March April May June July August September October November December".split())
_TITLES, _MAY_END = word_lists("titles"), word_lists("may_end")
_NUMBERED, _STARTERS = word_lists("numbered"), word_lists("starters")


@dataclass(frozen=True)
class _Rules:
    """The word lists of one language, including English titles, which occur in books of every language."""

    language: str
    titles: frozenset[str]
    may_end: frozenset[str]
    numbered: frozenset[str]
    starters: frozenset[str]


@cache
def _rules(language: str) -> _Rules:
    known = language if language in _TITLES else ENGLISH
    others = (table.get(known, frozenset()) for table in (_MAY_END, _NUMBERED, _STARTERS))
    return _Rules(language, _TITLES[known] | _TITLES[ENGLISH], *others)


def split_sentences(paragraph: str, language: str = ENGLISH) -> list[str]:
    """Return the sentences of ``paragraph`` in order, stripped; together they contain all its text except white space.

    ``language`` is a two-letter code. A language without word lists of its own is split by the English ones.
    """
    bounds = [0, *sentence_ends(paragraph, language), len(paragraph)]
    pieces = (paragraph[start:end].strip() for start, end in pairwise(bounds))
    return [piece for piece in pieces if piece]


def sentence_ends(text: str, language: str = ENGLISH) -> Iterator[int]:
    """Yield where the sentences of ``text`` end, after their terminators and closing quotes, in order.

    The last sentence has an end only if it is finished. ``language`` is as in ``split_sentences``.
    """
    rules = _rules(language)
    start = 0
    for match in (_END_GREEK if language == "el" else _END).finditer(text):
        if _ends(text, match, start, rules) and _HAS_TEXT.search(text, start, match.end()):
            start = match.end()
            yield start


def _ends(text: str, match: re.Match[str], start: int, rules: _Rules) -> bool:
    """Whether the terminators in ``match`` end the sentence that began at ``start``."""
    end = match.end()
    mark = match.group()
    following = _NEXT.match(text, end)
    if following is None:
        return end == len(text)
    first, gap = following.group(1), text[end : following.start(1)]
    if any(c in _WIDE for c in mark):
        decimal = mark == "．" and first.isdigit() and not gap
        return not decimal and not (mark[-1] in _ALL_CLOSERS and text.startswith(_QUOTE_GOES_ON, end))
    if not (first.isupper() or first.isdigit() or _caseless(first)) or not _parted(mark, gap, first):
        return False
    if mark[-1] == "." and any(c.isspace() for c in mark):
        # A spaced ellipsis is a pause within the sentence, but a fourth dot in front of it is a full stop.
        return mark.startswith(".") and mark.count(".") >= 4 and text[match.start() - 1 : match.start()].isalnum()
    if mark[0] == "." and mark[1:2] != "." and not any(c.isspace() for c in mark[:2]):
        next_word = _NEXT_WORD.match(text, following.start(1))
        return _full_stop_ends(text, match, start, rules, next_word.group() if next_word else "", gap)
    if rules.language == "en" and mark[-1] in _ALL_CLOSERS and mark[0] in "!?":
        return not _speech_follows(text, end, rules)
    return True


def _parted(mark: str, gap: str, first: str) -> bool:
    """Whether ``gap`` separates the next sentence: a space, a dash after a quotation, or nothing in some scripts."""
    if gap[:1].isspace():
        return True
    if gap.startswith(_DASHES):
        return mark[-1] in _ALL_CLOSERS
    return mark[0] in _UNSPACED or (mark[0] in "!?" and "\u2e80" <= first <= "\u9fff")


def _speech_follows(text: str, end: int, rules: _Rules) -> bool:
    """Whether a capital after a quotation begins its speaker (``I asked``, ``Mr. Gray cried``), not a sentence."""
    speaker = _SPEECH.match(text, end)
    return speaker is not None and (speaker.group(1) or "").casefold() not in rules.starters


def _full_stop_ends(text: str, match: re.Match[str], start: int, rules: _Rules, next_word: str, gap: str) -> bool:
    """Whether one full stop ends a sentence, rather than an abbreviation, an initial or a number."""
    before = _WORD_BEFORE.search(text, max(start, match.start() - _TAIL), match.start())
    word = before.group().lstrip("'’") if before else ""
    if match.group()[-1] in _ALL_CLOSERS or not word:
        return match.start() > start
    plain = word.casefold() if len(word) > 1 else word  # P. is an initial, p. a page
    starts = next_word.casefold() in rules.starters
    if plain in rules.numbered:
        return not _is_number(next_word, pronoun=plain in _WORDS_TOO)
    if plain in rules.titles:
        return False
    if word in _CALENDAR:
        return not (next_word[:1].isdigit() or next_word in _MONTHS or next_word in _CALENDAR)
    if plain in rules.may_end:
        return starts
    if word.isdigit() and before is not None and not text[start : before.start()].strip():
        return False  # the number of an item in a list: "1. Bread"
    if rules.language == "de" and (_ROMAN.fullmatch(word) or word.isdigit() and len(word) < 4):
        return starts  # an ordinal: am 3. Mai, im XIX. Jahrhundert
    if _INITIALS.fullmatch(word) and not _caseless(word[0]):
        return _initials_end(word, starts)
    return True


def _initials_end(word: str, starts: bool) -> bool:
    """Whether the full stop after an initial, a chain of initials or a one-letter word ends a sentence."""
    if "." in word:
        return starts or not word.isupper()  # M.D., U.S. before a name; 7 a.m. before a capital
    return starts or word in ("I", "Я") or word.islower()


def _is_number(word: str, pronoun: bool) -> bool:
    """Whether ``word`` is a number in figures or Roman numerals; ``pronoun``: a single I is not a numeral."""
    return word[:1].isdigit() or (_ROMAN.fullmatch(word) is not None and not (pronoun and word == "I"))


def usual_lengths(texts: Iterable[str], language: str) -> dict[str, list[int]]:
    """Words of a sentence and of a paragraph of ``texts``: ten quantiles of each, from 5 % to 95 %.

    Blank lines separate paragraphs. ``language``: two letters.
    """
    paragraphs = [paragraph for text in texts for paragraph in text.split("\n\n")]
    sentences = [sentence for paragraph in paragraphs for sentence in split_sentences(paragraph, language)]
    found = {}
    for unit, parts in {"sentence": sentences, "paragraph": paragraphs}.items():
        counts = sorted(count for part in parts if (count := len(part.split())))
        found[unit] = [counts[(2 * i + 1) * len(counts) // 20] for i in range(10) if counts]
    return found


def _caseless(character: str) -> bool:
    """Whether a letter's script has no case (Chinese, Arabic, Devanagari), so that it can begin a sentence."""
    return character.isalpha() and character.lower() == character.upper()
