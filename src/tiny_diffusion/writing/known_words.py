"""Which words are known: those of a book and those in common use, and how they begin."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence

from ..data.language.word_list import SHORTEST, common_words
from ..data.language.words import folded, is_spaceless, spelled_spans
from ..data.tokenizer import NUM_RESERVED, BookTokenizer
from .rules import Span

_NOUNS_ARE_CAPITAL = "de"
_PART, _USES = 3, 3  # letters of an elided part, and words that it must occur in
_WORDS = 1 / 3  # of their other halves that must be words: 0.37 are beside French s', 0.2 to 0.31 beside English 't


class WordList:
    """Words in alphabetical order, which also knows what any of them begins with."""

    def __init__(self, words: set[str]) -> None:
        self.words, self._ordered = words, sorted(words)

    def begins(self, start: str) -> bool:
        """Whether a word begins with ``start``, or is it."""
        place = bisect_left(self._ordered, start)
        return place < len(self._ordered) and self._ordered[place].startswith(start)

    def letters_after(self, start: str) -> set[str]:
        """What follows ``start`` in the words that begin with it."""
        found, place = set[str](), bisect_right(self._ordered, start)
        while place < len(self._ordered) and self._ordered[place].startswith(start):
            found.add(self._ordered[place][len(start)])
            place = bisect_left(self._ordered, start + chr(ord(self._ordered[place][len(start)]) + 1), place)
        return found


class KnownWords:
    """Knows the words of a book, given in its spelling, and those in common use in its language unless ``only_book``.

    A word with an apostrophe is known if it is one of these, or if one part is and the short other one joins any word
    on that side: ``man's``, ``l'homme``, but not ``he'switzerland`` or ``ton't``. A number is known if it is in the
    book. So is a name, with its capital: a word with a capital in the middle of a sentence (in German any noun is).
    Capitals are those of a sentence's beginning or of all letters, or as the book spells the word.
    """

    def __init__(self, book: Sequence[str], language: str, *, only_book: bool = False) -> None:
        own = {folded(word) for word in book}
        common = frozenset[str]() if only_book else common_words(language)
        every = own | common
        halves = {tuple(word.split("'")) for word in every if word.count("'") == 1}
        self._tails = tails = _freely_joined(((tail, head) for head, tail in halves), every)
        self._heads = _freely_joined((half for half in halves if half[1] not in tails.words), every)
        names = WordList({folded(word) for word in book if word[0].isupper()})
        self._spelled = WordList(set(book))
        words = WordList(own | {word for word in common if not any(map(str.isdigit, word))})
        self._of_name = {True: names if language != _NOUNS_ARE_CAPITAL else words, False: words}
        self.letters = defaultdict[int, set[str]](set)
        """Those of the words that are no ASCII, by the first byte of each."""
        for letter in {letter for word in words.words for letter in (*word, *word.upper())}:
            if letter > "\x7f" and not is_spaceless(letter):
                self.letters[letter.encode()[0]].add(letter)

    def unknown(self, text: str) -> list[Span]:
        """The character span of each word of ``text`` that is not known."""
        spans = spelled_spans(text)
        return [(a, b) for a, b in spans if not self.knows(text[a:b], within=is_within(text[max(0, a - 2) : a]))]

    def knows(self, word: str, *, within: bool) -> bool:
        """Whether a spelled word is known; ``within``: it stands in the middle of a sentence."""
        words, plain = self._of_name[within and _is_capital(word)], folded(word)
        if word in self._spelled.words or is_spaceless(word):
            return True
        if not has_usual_capitals(word):
            return False
        if plain in words.words:
            return True
        head, mark, tail = plain.rpartition("'")
        return bool(mark) and (
            (head in words.words and tail in self._tails.words) or (head in self._heads.words and tail in words.words)
        )

    def letters_after(self, start: str) -> set[str]:
        """What may follow ``start``, a beginning without apostrophe, in a known word or an elided part."""
        plain = folded(start)
        lists = self._of_name[False], self._heads, self._tails
        return set[str]().union(*(each.letters_after(plain) for each in lists))

    def begins(self, start: str, *, within: bool) -> bool:
        """Whether a known word begins with ``start``, which may end with an apostrophe."""
        words, plain = self._of_name[within and _is_capital(start)], folded(start)
        if self._spelled.begins(start):
            return True
        if not has_usual_capitals(start):
            return False
        if words.begins(plain) or self._heads.begins(plain):
            return True
        head, mark, tail = plain.rpartition("'")
        if not mark:
            return False
        return (head in words.words and self._tails.begins(tail)) or (head in self._heads.words and words.begins(tail))


def _freely_joined(halves: Iterable[tuple[str, ...]], words: set[str]) -> WordList:
    """The short parts among ``halves``, each a part and its other half, that join any of the ``words``.

    Such a part has several other halves, many of which are words: ``s`` has, but not ``t``, as in ``isn't``.
    """
    others = defaultdict[str, list[bool]](list)
    for part, other in halves:
        if len(part) <= _PART:
            others[part].append(other in words)
    return WordList(
        {part for part, known in others.items() if len(known) >= _USES and sum(known) > _WORDS * len(known)}
    )


def has_usual_capitals(word: str) -> bool:
    """Whether a word or its beginning has no capital but the first letter's, or a name's after one letter, or all."""
    if word == word.upper():
        return True
    first, *others = word.replace("’", "'").split("'")
    if any(part != part.lower() for part in others) and len(first) > 1:
        return False
    return all(part[1:] == part[1:].lower() for part in (first, *others))


def _is_capital(word: str) -> bool:
    """Whether a word begins with a capital and is not in capitals throughout."""
    return word[0].isupper() and not (len(word) > 1 and word.isupper())


def is_within(before: str) -> bool:
    """Whether a word after ``before`` stands in the middle of a sentence."""
    return before[-2:-1].isalnum() and before[-1:] in (" ", "-")


def words_of_tokens(tokenizer: BookTokenizer, language: str) -> list[str]:
    """The words of a book as its tokens show them, for a checkpoint that does not hold them.

    Many tokens are only the beginning of a word: those of three letters or more count if they are in common use.
    """
    tokens = (tokenizer.token_bytes(i).decode("utf-8", "replace") for i in range(NUM_RESERVED, tokenizer.vocab_size))
    words = [token[1:] for token in tokens if token[:1] == " " and token[1:].isalpha()]
    common = common_words(language)
    return [word for word in words if len(word) < SHORTEST or not common or folded(word) in common]
