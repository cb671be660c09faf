"""What counts as a word: every definition that the program uses, with its reason.

Comparing texts needs words without case and punctuation (``split_words``): style, coherence, novelty, copies and leaks
all count by it. The other definitions differ because they serve another purpose:

* ``spelled_words`` keeps apostrophes, because frequency lists and tables of connectives hold ``don't`` and ``qu'``.
* ``LETTER_RUN`` cuts at apostrophes too, because the tables of function words hold the parts (``l``, ``d``, ``qu``).
* ``LONG_LETTER_RUN`` also drops single letters, which say nothing about names or rarity.
* ``HYPHENATED_WORD`` keeps hyphens, because cleaning has to tell a hyphen in a word from one at the end of a line.
* ``PRINTED_WORD`` is what a reader would count on the page: everything between two spaces, punctuation included.

Lengths that a user asks for are counted between spaces: the user who writes ``{3 words}`` sees three. ``count_words``
does so for ``pipeline.min_sentence_words``, and counts each character of a script without spaces.
"""

import re
import unicodedata

# Kana, Han and their extensions: one character counts as one word. For use in a character class.
SIGNS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
SIGN = re.compile(f"[{SIGNS}]")
LETTER_RUN = re.compile(r"[^\W\d_]+")
LONG_LETTER_RUN = re.compile(r"[^\W\d_]{2,}")
HYPHENATED_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
PRINTED_WORD = re.compile(rf"[{SIGNS}]|[^\s{SIGNS}]+")

_APOSTROPHES = "'\u2018\u2019\u02bc"
_STRETCH = re.compile(r"\S+")
# Thai, Lao, Burmese and Khmer have no spaces either; only lists of words need to know, so ``SIGNS`` leaves them out.
_SPACELESS = f"{SIGNS}\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
# ``re`` does not count combining marks (vowel signs of Devanagari, Arabic points) as part of a word.
_MARKS = "".join(re.escape(c) for c in map(chr, range(0x300, 0xFFFF)) if unicodedata.category(c)[0] == "M")
_SPACELESS_SIGN = re.compile(f"[{_SPACELESS}]")
_LETTER = rf"(?:(?![{_SPACELESS}])[^\W_])"
_COUNTED = re.compile(rf"[{_SPACELESS}]|(?:(?![{_SPACELESS}])\S)*(?:(?![{_SPACELESS}])[^\W_])(?:(?![{_SPACELESS}])\S)*")
_SPELLED = re.compile(rf"[{_SPACELESS}]|{_LETTER}(?:{_LETTER}|[{_MARKS}]|'(?={_LETTER}))*")

WORD_RUN = re.compile(rf"(?:{_LETTER}|[{_MARKS}]|['’])+")
"""What a spelled word may consist of: letters and digits of scripts with spaces, marks, and apostrophes."""
WORD_CHARACTER = rf"(?:[^\W_]|[\ufffd{_MARKS}])"
"""A character of a word, or a sign of unreadable bytes: neither punctuation nor white space."""


class _WordCharacters(dict[int, str]):
    """A table for ``str.translate`` that fills itself: it keeps word characters and turns the rest into spaces."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in _APOSTROPHES or category == "Cf":
            value = ""
        elif SIGN.match(character):
            value = f" {character} "
        else:
            value = character if category[0] in "LMN" else " "
        self[code] = value
        return value


_TABLE = _WordCharacters()


def count_words(text: str) -> int:
    """Number of words as a reader sees them: between spaces, and each character of a script without spaces.

    A piece without any letter or digit, such as a dash, is none.
    """
    return len(_COUNTED.findall(text))


def split_words(text: str) -> list[str]:
    """Return the words of ``text``: NFC, case-folded, without punctuation.

    Apostrophes vanish ("don't" becomes "dont"), other punctuation separates words, and each Han or kana character is
    a word.
    """
    return _flat(text).split()


def words_so_far(text: str) -> tuple[list[str], str]:
    """The words of ``split_words`` that are followed by something else, and the one that the text ends with or ""."""
    flat = _flat(text)
    words = flat.split()
    return (words[:-1], words[-1]) if words and flat[-1] != " " else (words, "")


def _flat(text: str) -> str:
    """``text`` NFC and case-folded, with spaces for all that separates words."""
    return unicodedata.normalize("NFC", text.casefold()).translate(_TABLE)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return the character span (start, end) in ``text`` of each word that ``split_words`` finds.

    A span includes marks inside the word ("don't") but not those around it. The time grows with the square of the
    longest stretch without white space.
    """
    spans: list[tuple[int, int]] = []
    for stretch in _STRETCH.finditer(text):
        before, owned = len(spans), 0
        found: list[str] = []
        for end in range(1, len(stretch.group()) + 1):
            # Folding and composing depend on neighbours: a character belongs to the word that it changes.
            words = split_words(stretch.group()[:end])
            if words != found:
                place = stretch.start() + end
                spans += [(place - 1, place)] * (len(words) - owned)
                owned = max(owned, len(words))
                spans[before + len(words) - 1] = (spans[before + len(words) - 1][0], place)
                found = words
    return spans


def spelled_words(text: str) -> list[str]:
    """Return the case-folded words of ``text`` as lists of words spell them: with the apostrophes inside them.

    In scripts without spaces each character is a word.
    """
    return _SPELLED.findall(text.casefold().replace("’", "'"))


def spelled_spans(text: str) -> list[tuple[int, int]]:
    """The character span (start, end) in ``text`` of each word that ``spelled_words`` finds."""
    return [match.span() for match in _SPELLED.finditer(text.replace("’", "'"))]


def folded(word: str) -> str:
    """One spelled word as ``spelled_words`` returns it."""
    return word.casefold().replace("’", "'")


def is_spaceless(word: str) -> bool:
    """Whether ``word`` belongs to a script without spaces, in which each character is a word."""
    return bool(_SPACELESS_SIGN.match(word))
