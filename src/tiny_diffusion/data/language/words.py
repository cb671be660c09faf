"""Words: the folded word list that style, coherence and novelty all count by."""

import re
import unicodedata

_APOSTROPHES = "'\u2018\u2019\u02bc"
# Scripts written without spaces, where one character stands for one word: kana, Han and their extensions.
_UNSPACED = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))


class _WordCharacters(dict[int, str]):
    """A table for `str.translate` that fills itself: keeps word characters, turns the rest into spaces."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in _APOSTROPHES or category == "Cf":
            value = ""
        elif any(low <= code <= high for low, high in _UNSPACED):
            value = f" {character} "
        else:
            value = character if category[0] in "LMN" else " "
        self[code] = value
        return value


_TABLE = _WordCharacters()
_STRETCH = re.compile(r"\S+")


def split_words(text: str) -> list[str]:
    """Return the words of `text`, NFC, case-folded and without punctuation.

    Apostrophes vanish ("don't" is "dont"), other punctuation parts words; each Han or kana character is
    a word.
    """
    folded = unicodedata.normalize("NFC", text.casefold())
    return folded.translate(_TABLE).split()


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where each of the words that ``split_words`` finds stands in ``text``: its first character, and behind its last.

    Marks within a word ("don't") lie in its span, marks around it do not. The time grows with the square of the
    longest stretch without white space.
    """
    spans: list[tuple[int, int]] = []
    for stretch in _STRETCH.finditer(text):
        before, owned = len(spans), 0
        found: list[str] = []
        for end in range(1, len(stretch.group()) + 1):
            # Folding and composing look at neighbours: a character belongs to the word that it changes.
            words = split_words(stretch.group()[:end])
            if words != found:
                place = stretch.start() + end
                spans += [(place - 1, place)] * (len(words) - owned)
                owned = max(owned, len(words))
                spans[before + len(words) - 1] = (spans[before + len(words) - 1][0], place)
                found = words
    return spans
