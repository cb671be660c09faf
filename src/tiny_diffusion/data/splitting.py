"""Passages and their split into training, validation and test text, which comes before everything else."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..errors import UserError
from .language.segmentation import split_sentences
from .language.words import SIGN, split_words

CYCLE = 20  # passages, of which these are held out:
HELD_OUT = {5: "test", 10: "validation", 15: "test"}
MIN_PASSAGES = 20
SMALLEST_PASSAGE = 300
SHINGLE = 8
DUPLICATE_SHARE = 0.5
LEAK_WORDS = 8
LEAK_SIGNS = 16
BREAK = "\n\n"
"""What stands between two paragraphs."""


@dataclass(frozen=True)
class Passage:
    """Consecutive paragraphs that belong to one split: ``split`` is "train", "validation" or "test".

    book: number of its book, from 0, if several were prepared together. joint: what stands between it and the passage
    before; not a blank line if a paragraph was cut to fit. chapters: numbers of its paragraphs that begin a chapter.
    """

    index: int
    split: str
    paragraphs: tuple[str, ...]
    book: int = 0
    joint: str = BREAK
    chapters: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The paragraphs with a blank line between them."""
        return BREAK.join(self.paragraphs)


class _Piece(NamedTuple):
    """A paragraph or a part of one: what stands before it in the book, and whether a chapter begins with it."""

    text: str
    before: str
    chapter: bool


def make_passages(
    books: Sequence[Sequence[str]], language: str, min_chars: int, chapters: Sequence[Collection[int]] = ()
) -> list[Passage]:
    """Pack the paragraphs of each book into passages of at least ``min_chars`` characters and split them by position.

    No passage crosses from one book into the next; the places of the split run on through all books. A book too short
    for 20 such passages gets shorter ones. Training passages that nearly repeat a held-out one move to its split.
    ``chapters``: of each book, the numbers of the paragraphs that begin a chapter.
    Raises UserError for books that do not yield 20 passages of about 300 characters, for ``min_chars`` < 1, and if
    nothing is left for training because the book repeats itself.
    """
    if min_chars < 1:
        raise UserError(f"passages need at least 1 character, not min_chars={min_chars}")
    packed = _pack_enough(books, language, min_chars, chapters or [()] * len(books))
    passages = [_passage(i, book, group) for i, (book, group) in enumerate(packed)]
    passages = _move_duplicates(passages)
    if not any(p.split == "train" for p in passages):
        raise UserError(
            f"the book repeats itself: all of its {len(passages)} passages nearly equal a held-out one, "
            "so none is left for training; give a text that is not one text repeated"
        )
    return passages


def drop_leaking(sentences: list[str], held_out: list[str]) -> list[bool]:
    """Return which training ``sentences`` to keep: False for those that also occur among the ``held_out`` ones.

    ``sentence_key`` says which sentences count and how they are compared.
    """
    banned = {key for sentence in held_out if (key := sentence_key(sentence)) is not None}
    return [(key := sentence_key(sentence)) is None or key not in banned for sentence in sentences]


def _passage(index: int, book: int, group: Sequence[_Piece]) -> Passage:
    begins = tuple(i for i, piece in enumerate(group) if piece.chapter)
    split = HELD_OUT.get(index % CYCLE, "train")
    return Passage(index, split, tuple(piece.text for piece in group), book, group[0].before, begins)


def _pack_enough(
    books: Sequence[Sequence[str]], language: str, min_chars: int, chapters: Sequence[Collection[int]]
) -> list[tuple[int, list[_Piece]]]:
    """Return the number of its book and the paragraphs of each passage.

    They are packed at ``min_chars``, or at the largest smaller size that yields enough passages.
    """
    total = sum(len(p) for paragraphs in books for p in paragraphs)
    smallest = min(min_chars, SMALLEST_PASSAGE)
    sentences: list[dict[int, list[str]]] = [{} for _ in books]

    def pack(size: int) -> list[tuple[int, list[_Piece]]]:
        return [
            (i, group)
            for i, book in enumerate(books)
            for group in _pack(book, language, size, sentences[i], chapters[i])
        ]

    size = min_chars
    packed = pack(size)
    while len(packed) < MIN_PASSAGES and size > smallest:
        # Passages come out longer than asked for, so the next size starts below the mean and decreases.
        size = max(smallest, min(int(0.9 * size), total // MIN_PASSAGES))
        packed = pack(size)
    if len(packed) < MIN_PASSAGES:
        needed = -(-max(total * MIN_PASSAGES // max(len(packed), 1), MIN_PASSAGES * smallest) // 500) * 500
        raise UserError(
            f"the book has {total:,} characters of text, too few to hold a part out for testing: "
            f"about {needed:,} are needed ({MIN_PASSAGES} passages of at least {smallest} characters)"
        )
    return packed


def _pack(
    paragraphs: Sequence[str], language: str, size: int, sentences: dict[int, list[str]], chapters: Collection[int]
) -> list[list[_Piece]]:
    """Greedy packing; ``sentences`` caches the sentences of long paragraphs by paragraph number."""
    passages: list[list[_Piece]] = []
    current: list[_Piece] = []
    length = 0
    for number, paragraph in enumerate(paragraphs):
        if not paragraph.strip():
            continue
        texts = [paragraph]
        if len(paragraph) > size:
            if number not in sentences:
                sentences[number] = split_sentences(paragraph, language)
            texts = _cut_paragraph(paragraph, sentences[number], size)
        for piece in _pieces(paragraph, texts, number in chapters):
            if current and piece.before != BREAK:  # a part that was too short to end a passage
                current[-1] = _joined(current[-1], piece)
            else:
                current.append(piece)
            length += len(piece.text)
            if length >= size:
                passages.append(current)
                current, length = [], 0
    if current and passages:
        if current[0].before != BREAK:  # the rest of a cut paragraph goes back to it
            current[0] = _joined(passages[-1].pop(), current[0])
        passages[-1].extend(current)
    elif current:
        passages.append(current)
    return passages


def _joined(first: _Piece, second: _Piece) -> _Piece:
    """Two parts of one paragraph as one."""
    return first._replace(text=first.text + second.before + second.text)


def _pieces(paragraph: str, texts: Iterable[str], chapter: bool) -> Iterator[_Piece]:
    """The parts ``texts`` of a paragraph, with the white space between them."""
    end = 0
    for text in texts:
        start = paragraph.index(text, end)
        yield _Piece(text, paragraph[end:start] if end else BREAK, chapter and not end)
        end = start + len(text)


def _cut_paragraph(paragraph: str, sentences: list[str], size: int) -> list[str]:
    """Cut a paragraph at sentence ends into pieces of at least ``size`` characters (the last may be shorter)."""
    pieces: list[str] = []
    start = end = 0
    for sentence in sentences:
        end = paragraph.index(sentence, end) + len(sentence)
        if end - start >= size:
            pieces.extend(_cut_run(paragraph[start:end].strip(), size))
            start = end
    rest = paragraph[start:].strip()
    return [*pieces, rest] if rest else pieces


def _cut_run(piece: str, size: int) -> list[str]:
    """Cut a piece that an overlong sentence makes much longer than ``size``, at spaces where there are any."""
    pieces: list[str] = []
    start = 0
    while len(piece) - start > 2 * size:
        space = piece.rfind(" ", start + 1, start + size + 1)
        cut = space if space > start else start + size
        pieces.append(piece[start:cut].strip())
        start = cut
    return [*pieces, piece[start:].strip()]


def pack_book(paragraphs: Sequence[str], language: str, min_chars: int, chapters: Collection[int]) -> list[Passage]:
    """Pack paragraphs into training passages of at least ``min_chars`` characters; a short book is one."""
    packed = _pack(paragraphs, language, min_chars, {}, chapters)
    return [replace(_passage(i, 0, group), split="train") for i, group in enumerate(packed)]


def shingles(passage: Passage) -> set[str]:
    """All runs of SHINGLE words in a passage, by which copies are found."""
    words = split_words(passage.text)
    return {" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}


def sentence_key(sentence: str) -> str | None:
    """The sentence's words as one string, without case, punctuation and spacing; None if it is too short to be a copy.

    A sentence counts from eight words on, or from 16 characters in Chinese and Japanese.
    """
    words = split_words(sentence)
    signs = sum(SIGN.match(word) is not None for word in words)
    needed = LEAK_SIGNS if 2 * signs > len(words) else LEAK_WORDS
    return " ".join(words) if len(words) >= needed else None


def _move_duplicates(passages: list[Passage]) -> list[Passage]:
    """Move each training passage that shares over half its shingles with a held-out one to that passage's split.

    A moved passage is held out from then on, so the search repeats until nothing moves.
    """
    of_passage = [shingles(passage) for passage in passages]
    result = list(passages)
    fresh = [i for i, passage in enumerate(result) if passage.split != "train"]
    while fresh:
        index: dict[str, list[int]] = defaultdict(list)
        for i in fresh:
            for shingle in of_passage[i]:
                index[shingle].append(i)
        moved = []
        for i, passage in enumerate(result):
            if passage.split == "train" and (twin := _closest(i, of_passage, index)) is not None:
                result[i] = replace(passage, split=result[twin].split)
                moved.append(i)
        fresh = moved
    return result


def _closest(i: int, of_passage: list[set[str]], index: dict[str, list[int]]) -> int | None:
    """The held-out passage that shares most with passage ``i``, if it shares more than DUPLICATE_SHARE."""
    own = of_passage[i]
    shared = Counter(other for shingle in own for other in index.get(shingle, ()))
    shares = {other: count / min(len(own), len(of_passage[other])) for other, count in sorted(shared.items())}
    best = max(shares, key=shares.__getitem__, default=None)
    return best if best is not None and shares[best] > DUPLICATE_SHARE else None
