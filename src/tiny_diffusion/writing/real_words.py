"""Real words: a word that is neither in the book nor in common use is taken out, and a known one drawn in its place."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..data.language.word_list import common_words
from ..data.language.words import folded, is_spaceless, spelled_spans
from ..data.tokenizer import BookTokenizer
from .completion import Completion, Completions
from .layout import Span, token_spans, tokens_of

_NOUNS_ARE_CAPITAL = "de"
_PART, _USES = 3, 3  # letters of an elided part, and words that it must occur in
_NEAR = 16  # tokens that hold the word at an edge and the character before it


class KnownWords:
    """Knows the words of a book, given in its spelling, and those in common use in its language unless ``only_book``.

    A word with an apostrophe is known if it or both of its parts are: ``man's``, ``l'homme``. A name or a number is
    known if it is in the book; a name is a word with a capital in the middle of a sentence (in German any noun is).
    """

    def __init__(self, book: Sequence[str], language: str, *, only_book: bool = False) -> None:
        self.spellings = book
        self._book = {folded(word) for word in book}
        self._common = frozenset[str]() if only_book else common_words(language)
        self._has_names = language != _NOUNS_ARE_CAPITAL

    def unknown(self, text: str) -> list[Span]:
        """The character span of each word of ``text`` that is not known."""
        return [span for span in spelled_spans(text) if not self._is_known(text, *span)]

    def _is_known(self, text: str, start: int, end: int) -> bool:
        word, before = folded(text[start:end]), text[max(0, start - 2) : start]
        if is_spaceless(word) or word in self._book:
            return True
        is_name = self._has_names and text[start].isupper() and before[:1].isalnum() and before[1:] in (" ", "-")
        common: Collection[str] = () if is_name or any(map(str.isdigit, word)) else self._common
        if word in common:
            return True
        head, mark, tail = word.rpartition("'")
        return bool(mark) and (
            (tail in self._elided and (head in self._book or head in common))
            or (head in self._elided and (tail in self._book or tail in common))
        )

    @cached_property
    def _elided(self) -> set[str]:
        """What stands for a word before or behind an apostrophe, as in ``it's`` and ``l'eau``."""
        parts = Counter(
            part
            for word in (*self._book, *self._common)
            if "'" in word
            for part in {word.split("'")[0], word.split("'")[-1]}
            if len(part) <= _PART
        )
        return {part for part, uses in parts.items() if uses >= _USES}


@dataclass(frozen=True)
class RealWords:
    """A rule for ``repair``: every finished word that holds a written token is known.

    open_end: the word at the end of the text is not finished. In scripts without spaces each character is a word, and
    known.
    """

    known: KnownWords
    tokenizer: BookTokenizer
    completions: Completions
    open_end: bool = False
    patience: int = 0
    rounds: int = 4  # a word that holds given letters is drawn freely, and seldom becomes a word later

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """For each word that is not known, its ``free`` tokens."""
        own = [[i for i in tokens if free[i]] for tokens in self._unknown(ids)]
        return [(min(tokens), max(tokens) + 1) for tokens in own if tokens]

    def _unknown(self, ids: Sequence[int]) -> list[range]:
        """The tokens of each finished word that is not known."""
        text = self.tokenizer.decode(ids)
        spans = [span for span in self.known.unknown(text) if span[1] < len(text) or not self.open_end]
        return tokens_of(token_spans(self.tokenizer, ids), spans)

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """A few tokens, which hold the word at the edge of ``ids``."""
        return min(_NEAR, len(ids))

    def completion(self, ids: Sequence[int], free: Sequence[bool], place: Span) -> Completion | None:
        """The words that may stand at ``place``: they begin as its tokens do, with a space and a capital or without.

        None if given tokens are a part of the word, or if no words have so many tokens.
        """
        if range(*place) not in self._unknown(ids) or not all(free[slice(*place)]):
            return None
        text = self.tokenizer.decode(ids[slice(*place)])
        spaced = text.startswith(" ")
        completion = Completion(self.completions, spaced=spaced, capital=text[spaced : spaced + 1].isupper())
        return completion if completion.tokens(place[1] - place[0]) else None

    def give_up(self, ids: Sequence[int], free: Sequence[bool]) -> None:
        """Leave the word: the given text around it leaves no known one."""
