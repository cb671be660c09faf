"""Words: the folded word list that style, coherence and novelty all count by."""

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


def split_words(text: str) -> list[str]:
    """Return the words of `text`, NFC, case-folded and without punctuation.

    Apostrophes vanish ("don't" is "dont"), other punctuation parts words; each Han or kana character is
    a word.
    """
    folded = unicodedata.normalize("NFC", text.casefold())
    return folded.translate(_TABLE).split()
