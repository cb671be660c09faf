"""From a book to its paragraphs: one set of rules for all formats says what each block is, and which kinds stay."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from .document import PART, Block, Removed, stays
from .gutenberg import strip_block_frame, strip_frame
from .structure import aozora
from .structure.blocks import make_blocks
from .structure.contents import mark_back, mark_contents
from .structure.headings import mark_headings
from .structure.lines import ends_sentence, fold, goes_on, join_lines, known_words
from .structure.notes import drop_bracketed_notes, mark_notes
from .structure.pages import drop_bracketed_marks, drop_page_marks, mark_furniture, mark_page_ends
from .structure.plays import mark_speeches, part_speeches
from .structure.verse import join_block, joined_lines, mark_verse

_INVISIBLE = re.compile("[\ufeff\u200b\u2060\x00-\x08\x0e-\x1b\x7f]")
_OVERSTRUCK = re.compile("[^\n]\x08")  # by a backspace: old printers made bold letters so
_LIGATURES = {0xFB00 + i: letters for i, letters in enumerate("ff fi fl ffi ffl st st".split())}
_ITALICS = re.compile(
    r"(?<!\w)_(?=[^\s_])([^_]{0,3000})_(?![^\W_])|(?<=[^\W_])_(?=[^\s_])([^_]{0,80})_(?![^\W])"
    r"|(?<!\w)_([^\W\d_]{1,20})_(?=[^\W\d_])"
)
# Of italics that span several paragraphs, or are within others:
_STRAY = re.compile(r"(?<=[\w.,;:!?…\"'”’»)\]—–-])(?<!_)_(?!\w)|(?<!\w)_(?=[^\W_]+(?!\w)|[\"'“‘«¿¡(\[])")
_EMPHASIS = re.compile(r"(?<![\w*=~])([*=~]{1,2})(?=[^\s*=~])([^*=~]{1,300}?)(?<=[^\s*=~])\1(?![\w*=~])")
_CODE, _FIGURES = 0.03, 0.15  # shares of the characters from which a text looks like code, or a table
_LIST, _SHORT, _ENOUGH = 0.8, 25, 50  # share of lines shorter than so many characters, of at least so many, in a list
_LONG, _WITHIN = 45, re.compile(r"[\w,-]$")  # characters and end of prose that a scan's blank line may break off
_FURNITURE = ("pages", "separators")
_CUTTING = ("pages", "notes", "pictures")  # what may stand in the middle of a paragraph
HEADINGS = "headings"


@dataclass(frozen=True)
class Cleaned:
    """What cleaning makes of a book.

    paragraphs: what stays; verse has a line feed between its lines. removed: what was taken out. pieces: every piece in
    order with the kind that it was taken for. chapters: numbers of the paragraphs that begin a chapter, those after a
    heading.
    """

    paragraphs: list[str]
    removed: Removed
    pieces: list[tuple[str, str]]
    chapters: tuple[int, ...] = ()


def clean_book(
    source: str | Sequence[Block],
    *,
    strip_gutenberg: bool = True,
    unwrap: bool = True,
    drop_headings: bool = True,
    keep: Collection[str] = (),
) -> Cleaned:
    """Return the paragraphs of a book, in NFC, with runs of white space folded to one space.

    ``source``: plain text, or the blocks that a format's reader made. ``strip_gutenberg`` drops the licence frame,
    credits and transcribers' notes. ``unwrap`` joins hard-wrapped lines; without it every line is a paragraph.
    ``drop_headings`` drops chapter headings and the title page. ``keep`` names kinds of ``document.Removable`` that
    stay. Marks of pages and notes, and page numbers, are always dropped.
    """
    kept = frozenset(keep) | (frozenset() if drop_headings else {"headings", "front"})
    removed = Removed()
    if isinstance(source, str):
        blocks = _text_blocks(source, strip_gutenberg and "licence" not in kept, unwrap, kept, removed)
    else:
        blocks = [replace(block, lines=_filled(_normalise("\n".join(block.lines)))) for block in source]
        blocks = _unmarked([block for block in blocks if block.lines], kept, removed)
        if strip_gutenberg and "licence" not in kept:
            strip_block_frame(blocks)
    _mark(blocks, unwrap, removed)
    for block in blocks:
        if not stays(block.kind, kept):
            removed.add(block.kind, block.flat)
    return _join(blocks, kept, removed, unwrap)


def _normalise(text: str) -> str:
    text = unicodedata.normalize("NFC", re.sub(r"\r+\n|[\r\u2028\u2029\x85]", "\n", text))
    return _INVISIBLE.sub("", _OVERSTRUCK.sub("", text)).translate(_LIGATURES).replace("\f", "\n\n").replace("\v", "\n")


def _filled(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _text_blocks(text: str, strip: bool, unwrap: bool, keep: frozenset[str], removed: Removed) -> list[Block]:
    text = _normalise(mark_page_ends(text))
    if strip:
        body = strip_frame(text)
        if len(body) < len(text):
            removed.add("licence", text[:2000].strip())
        text = body
    if by_lines := aozora.is_aozora(text):
        text = aozora.drop_marks(text, keep, removed)
    text = drop_page_marks(drop_bracketed_notes(text, "notes" in keep, removed), removed)
    blocks = make_blocks(text.split("\n"), unwrap)
    if by_lines:
        aozora.mark_verse(blocks)
    return blocks


def _unmarked(blocks: list[Block], keep: frozenset[str], removed: Removed) -> list[Block]:
    """``blocks`` without the notes, pictures and pages in brackets that a book has from an edition in plain text."""
    free = [block for block in blocks if stays(block.kind, ())]
    if not free:
        return blocks
    text = drop_bracketed_notes(PART.join("\n".join(block.lines) for block in free), "notes" in keep, removed)
    for block, part in zip(free, text.split(PART), strict=True):
        block.lines = _filled(drop_bracketed_marks(part, removed))
    return [block for block in blocks if block.lines]


def _mark(blocks: list[Block], unwrap: bool, removed: Removed) -> None:
    """Set the kind of every block: first what marks show, then lists of contents, headings, verse; the rest is text."""
    mark_notes(blocks)
    if unwrap:
        blocks[:] = part_speeches(blocks)
    mark_contents(blocks)
    mark_furniture(blocks, removed)
    mark_back(blocks)
    mark_headings(_without_furniture(blocks))
    if unwrap:
        mark_speeches(blocks)
        blocks[:] = joined_lines(blocks)
        mark_verse([block for block in blocks if block.kind in ("", "speech")])
    for block in blocks:
        block.kind = block.kind or "text"


def _without_furniture(blocks: Sequence[Block]) -> list[Block]:
    """The blocks without page numbers, separators and contents.

    The space around what is left out counts as space before the next block.
    """
    left, blanks = [], 0
    for block in blocks:
        if block.kind in _FURNITURE:
            blanks = max(blanks, block.blanks, 2 * (block.kind == "separators"))
        elif block.kind != "contents":
            block.blanks, blanks = max(block.blanks, blanks), 0
            left.append(block)
    return left


def _join(blocks: Sequence[Block], keep: frozenset[str], removed: Removed, unwrap: bool) -> Cleaned:
    """Join the lines of each block, and a paragraph that a page number cuts in two."""
    kept = ("\n".join(block.lines) for block in blocks if stays(block.kind, keep))
    known = known_words("\n\n".join(kept)) if unwrap else frozenset()
    pieces: list[tuple[str, str]] = []
    paragraphs: list[str] = []
    chapters: list[int] = []
    cut = begins = False
    before = ""
    for block in blocks:
        begins = begins or (block.kind == HEADINGS and before != HEADINGS)  # several in a row begin one chapter
        adjacent = before == block.kind == "text"
        before = block.kind
        text = _without_italics_marks(join_block(block, known))
        pieces.append((block.kind, text))
        if not stays(block.kind, keep):
            cut = (cut and block.kind == "separators") or block.kind in _CUTTING
            continue
        if not text:
            continue
        last = paragraphs[-1] if paragraphs and unwrap else ""
        broken = adjacent and len(last) >= _LONG and _WITHIN.search(last)
        if (cut or broken) and last and goes_on(last, block.lines[0]):
            paragraphs[-1] = join_lines([paragraphs[-1], text], known)
        else:
            if begins:
                chapters.append(len(paragraphs))
            paragraphs.append(text)
        cut = begins = False
    return Cleaned(paragraphs, removed, pieces, tuple(chapters))


def _without_italics_marks(text: str) -> str:
    """``text`` without the signs around emphasised words: "_so_", "*so*", "=so=", "~so~"."""
    text = _ITALICS.sub(lambda found: "".join(found.groups("")), text)
    text = _EMPHASIS.sub(r"\2", _STRAY.sub("", text))
    return "\n".join(fold(line) for line in text.split("\n"))


def first_pieces(cleaned: Cleaned, count: int = 10, of_a_kind: int = 2) -> list[tuple[str, str, int]]:
    """The first ``count`` pieces as (kind, text, how many more of the kind follow unshown); long runs are shortened."""
    shown: list[tuple[str, str, int]] = []
    for kind, run in groupby(cleaned.pieces, key=lambda piece: piece[0]):
        texts = [text for _, text in run if text]
        most = of_a_kind if kind not in ("text", "verse", "speech") else count
        for i, text in enumerate(texts[:most]):
            shown.append((kind, text, len(texts) - most if i == most - 1 and len(texts) > most else 0))
        if len(shown) >= count:
            break
    return shown[:count]


def unlike_a_book(cleaned: Cleaned) -> str | None:
    """What a text looks like if it is neither prose nor verse nor a play: code, a table, a list; None for a book."""
    texts = [text for kind, text in cleaned.pieces if kind in ("text", "verse", "speech")]
    lines = [line for text in texts for line in text.split("\n")]
    characters = sum(map(len, lines)) or 1
    if sum(map(line_noise, lines)) > _CODE * characters:
        return "code or markup"
    if sum(character.isdigit() for line in lines for character in line) > _FIGURES * characters:
        return "a table"
    short = sum(len(line) < _SHORT and not ends_sentence(line) for line in lines)
    if len(lines) >= _ENOUGH and short > _LIST * len(lines):
        return "a list"
    return None


def line_noise(line: str) -> int:
    """Number of signs that prose does not have, such as braces."""
    return sum(character in "{}<>=|\\;#$&%@^~/" for character in line)
