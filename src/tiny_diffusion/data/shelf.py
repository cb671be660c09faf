"""Other people's books, to learn the language from first: their passages, without anything of the book itself."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ..errors import UserError
from ..wording import counted
from .reading.document import Removed
from .sentences import without_leaks
from .splitting import DUPLICATE_SHARE, Passage, pack_book, shingles

ITSELF, HELD_OUT = "shelf: the book itself", "shelf: held-out text"
"""Kinds of ``Removed``: passages that are the book's own, and sentences that occur in its held-out text."""


@dataclass(frozen=True)
class Shelf:
    """Passages of other books, and the names of the books; both empty if there is no shelf.

    The numbers of the passages grow, and leave out those that were dropped.
    """

    passages: tuple[Passage, ...] = ()
    books: tuple[str, ...] = ()


def other_books(names: Sequence[str]) -> str:
    """How many books those are, in words."""
    return counted(len(names), "other book")


def make_shelf(
    books: Sequence[tuple[str, Sequence[str], Collection[int]]],
    target: Sequence[Passage],
    language: str,
    min_chars: int,
) -> tuple[Shelf, Removed]:
    """Passages of ``books``, without what also stands in ``target``; and what that was.

    Each book is a name, its paragraphs, and the numbers of those that begin a chapter.

    ``target``: all passages of the book to be learnt, before any sentence was dropped. Books and passages that share
    over DUPLICATE_SHARE of their runs of eight words with it are dropped as the book itself, and so are all sentences
    that occur in its held-out passages, by ``sentence_key``. Raises UserError if nothing is left.
    """
    known = set().union(*map(shingles, target))
    held_out = [passage for passage in target if passage.split != "train"]
    kept: list[Passage] = []
    names: list[str] = []
    removed = Removed()
    for name, paragraphs, chapters in books:
        packed = pack_book(paragraphs, language, min_chars, chapters)
        counts = [_shared(passage, known) for passage in packed]
        whole = _copied(sum(shared for shared, _ in counts), sum(all_ for _, all_ in counts))
        own = [whole or _copied(*count) for count in counts]
        for passage in (p for p, itself in zip(packed, own, strict=True) if itself):
            removed.add(ITSELF, passage.text)
        others = [p for p, itself in zip(packed, own, strict=True) if not itself]
        clean, dropped = without_leaks([*held_out, *others], language)
        for sentence in dropped:
            removed.add(HELD_OUT, sentence)
        left = [passage for passage in clean if passage.split == "train"]
        first = kept[-1].index + 1 if kept else 0
        kept += [replace(passage, index=first + passage.index, book=len(names)) for passage in left]
        names += [name] if left else []
    if not kept:
        raise UserError("nothing is left of the shelf: all of it is the book itself; give other books to --shelf")
    return Shelf(tuple(kept), tuple(names)), removed


def _shared(passage: Passage, known: set[str]) -> tuple[int, int]:
    own = shingles(passage)
    return len(own & known), len(own)


def _copied(shared: int, count: int) -> bool:
    return shared > DUPLICATE_SHARE * count
