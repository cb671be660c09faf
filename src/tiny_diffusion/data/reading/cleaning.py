"""From a book's raw text to its paragraphs: removes the licence frame, headings, page furniture and line wraps."""

import re
import unicodedata
from collections.abc import Iterable

from ..language.words import HYPHENATED_WORD
from .gutenberg import strip_frame
from .headings import Block, contents_span, is_contents_list, is_numbered_heading, mark_headings

_LONG_LINE = 120
_LONG_BLOCK = 40
_INVISIBLE = re.compile("[\ufeff\u200b\u2060\x00-\x08\x0e-\x1b\x7f]")
_PAGE_MARK = re.compile(r"[\[{]\s*(?:pg|page|p|s|seite)\.?\s*[0-9ivxlc]{1,5}\s*[\]}]|\{\d{1,4}\}", re.IGNORECASE)
_ILLUSTRATION = re.compile(r"\[\s*Illustrations?\b[^\[\]]{0,2000}(?:\[[^\[\]]{0,500}\][^\[\]]{0,1000})?\]", re.I)
_FOOTNOTE = re.compile(r"\[Footnote[^\[\]:]{0,12}:\s*([^\[\]]{0,20000})\]", re.IGNORECASE)
_NOTE_BODY = re.compile(r"^[ \t]*\[(\d{1,3}|[a-z*†‡])\][ \t]+\S", re.MULTILINE)
_NOTE_MARK = re.compile(r"(?P<before>[^\W\d_]{3}|[.,;:!?…\"”’»)_])?\[(?P<key>\d{1,3}|[a-z*†‡])\]")
_LONE_NUMBER = re.compile(r"[-–—.\[(\s]*(?:\d{1,4}|[ivxl]{2,7})[-–—.\])\s]*")
_SEPARATOR = re.compile(r"[\s*\-_=~•·#—–+.⁂※]+")
_ITALICS = re.compile(r"(?<!\w)_(?=[^\s_])([^_]{0,3000})_(?![^\W_])|(?<=[^\W_])_(?=[^\s_])([^_]{0,80})_(?![^\W])")
_HYPHENATED = re.compile(f"({HYPHENATED_WORD.pattern})-$")
_BROKEN_WORD = re.compile(r"[^\W\d_]+-[ \t]*\n[ \t]*[^\W\d_]+")
_CLOSERS = "\"'”’»)]_*"
_SENTENCE_END = ".!?…。！？:："


def clean_book(text: str, *, strip_gutenberg: bool, unwrap: bool, drop_headings: bool) -> list[str]:
    """Return the paragraphs of a book: each on one line, in NFC, with runs of white space folded to one space.

    ``strip_gutenberg`` drops the licence frame, credits and transcribers' notes. ``unwrap`` joins hard-wrapped lines;
    without it every line is a paragraph. ``drop_headings`` drops chapter headings and the title page. Tables of
    contents, page numbers, illustration and footnote marks, and separators are always dropped.
    """
    text = unicodedata.normalize("NFC", re.sub(r"\r\n?|[\u2028\u2029\x85]", "\n", text))
    text = _INVISIBLE.sub("", text).replace("\f", "\n\n").replace("\v", "\n")
    if strip_gutenberg:
        text = strip_frame(text)
    text = _drop_marks(text)
    blocks = _make_blocks(text.split("\n"), unwrap)
    blocks, cut = _drop_furniture(_drop_contents(blocks))
    if drop_headings:
        mark_headings(blocks)
        blocks = _without_headings(blocks)
    known = _known_words(text) if unwrap else frozenset()
    paragraphs: list[str] = []
    open_ended = False
    for block in blocks:
        paragraph = _join_lines(block.lines, known)
        paragraph = _fold(_ITALICS.sub(lambda m: m[1] if m[1] is not None else m[2], paragraph))
        if paragraph.count("_") == 1 and paragraph.strip("_") and not paragraph.startswith("_ "):
            paragraph = paragraph.strip("_")  # italics that span several paragraphs
        if not paragraph:
            continue
        if open_ended and id(block) in cut and paragraph[0].islower() and not _ends_sentence(paragraphs[-1]):
            paragraphs[-1] = _join_lines([paragraphs[-1], paragraph], known)
        else:
            paragraphs.append(paragraph)
        open_ended = unwrap
    return paragraphs


def _known_words(text: str) -> frozenset[str]:
    """The words and hyphenated words of the text, without the halves of words that a line end breaks."""
    return frozenset(word.casefold() for word in HYPHENATED_WORD.findall(_BROKEN_WORD.sub(" ", text)))


def _fold(text: str) -> str:
    return " ".join(text.replace("\u00ad", "").split())


def _drop_marks(text: str) -> str:
    """Drop page, illustration and footnote marks, but keep the text of the footnotes."""
    text = _FOOTNOTE.sub(r"\1", _ILLUSTRATION.sub("", _PAGE_MARK.sub("", text)))
    bodies = set(_NOTE_BODY.findall(text))

    def without(match: re.Match[str]) -> str:
        before = match["before"] or ""
        # An index such as x[1] is not a footnote mark: a mark follows a word, or a note starts with it.
        if match["key"] in bodies or (before and match["key"].isdigit() and match["key"] != "0"):
            return before
        return match[0]

    return _NOTE_MARK.sub(without, text)


def _make_blocks(lines: list[str], unwrap: bool) -> list[Block]:
    """Group lines into blocks: at blank lines if the text is wrapped, otherwise one block per line."""
    filled = [line.strip() for line in lines if line.strip()]
    if not filled:
        return []
    lengths = sorted(len(line) for line in filled)
    width = lengths[int(0.9 * (len(lengths) - 1))]
    gapless = not any(not line.strip() for line in _trim(lines))
    ended = sum(_ends_sentence(line) for line in filled) / len(filled)
    single = not unwrap or width > _LONG_LINE or (gapless and ended >= 0.9)
    groups: list[Block] = []
    blanks, start = 0, True
    for line in lines:
        if not line.strip():
            blanks += 1
            start = True
            continue
        if start or single:
            groups.append(Block([line], blanks))
            if len(groups) > 1:
                groups[-2].after = blanks
        else:
            groups[-1].lines.append(line)
        blanks, start = 0, False
    if single:
        return groups
    return [part for group in groups for part in _split_block(group, width, gapless)]


def _trim(lines: list[str]) -> list[str]:
    first = next(i for i, line in enumerate(lines) if line.strip())
    last = next(i for i in range(len(lines) - 1, -1, -1) if lines[i].strip())
    return lines[first : last + 1]


def _split_block(block: Block, width: int, gapless: bool) -> list[Block]:
    """Split a block that is too long for one paragraph, at indents and after short closing lines."""
    lines = block.lines
    if len(lines) <= _LONG_BLOCK and not gapless and not is_numbered_heading(lines[0]):
        return [block]
    if len(lines) <= _LONG_BLOCK and not gapless:
        # "CHAPTER I." with its prose directly below it, without a blank line.
        if len(lines) == 1 or is_numbered_heading(lines[1]) or not any(_is_wide(x, width) for x in lines[1:]):
            return [block]
        return [Block(lines[:1], block.blanks, 1), Block(lines[1:], 1, block.after)]
    indented = [line[0].isspace() for line in lines]
    by_indent = 0 < sum(indented) <= 0.6 * len(lines)
    parts = [Block([lines[0]], block.blanks)]
    for i in range(1, len(lines)):
        before = lines[i - 1].strip()
        closed = _ends_sentence(before) and not _is_wide(before, width)
        opens = by_indent and indented[i] and not indented[i - 1] or by_indent and indented[i] and closed
        if opens or closed or is_numbered_heading(before) or is_numbered_heading(lines[i]):
            parts.append(Block([lines[i]]))
        else:
            parts[-1].lines.append(lines[i])
    parts[-1].after = block.after
    return parts


def _is_wide(line: str, width: int) -> bool:
    return len(line.strip()) >= 0.75 * width


def _ends_sentence(line: str) -> bool:
    stripped = line.rstrip(_CLOSERS + " ")
    return not stripped or stripped[-1] in _SENTENCE_END


def _drop_contents(blocks: list[Block]) -> list[Block]:
    kept: list[Block] = []
    at = 0
    while at < len(blocks):
        after = contents_span(blocks, at)
        if after > at:
            at = after
            continue
        if not is_contents_list(blocks[at]):
            kept.append(blocks[at])
        at += 1
    return kept


def _drop_furniture(blocks: list[Block]) -> tuple[list[Block], set[int]]:
    """Drop separators and page numbers; also return the ids of the blocks right after a page number."""
    kept: list[Block] = []
    cut: set[int] = set()
    page, blanks = False, 0
    for block in blocks:
        lines = [line for line in block.lines if not (_SEPARATOR.fullmatch(line) and len(line.strip()) > 2)]
        flat = " ".join(lines).strip()
        if not flat or _SEPARATOR.fullmatch(flat) or _LONE_NUMBER.fullmatch(flat):
            page = bool(flat) and _LONE_NUMBER.fullmatch(flat) is not None
            blanks = max(blanks, block.blanks)
            continue
        block.lines, block.blanks = lines, max(block.blanks, blanks)
        if page:
            cut.add(id(block))
        kept.append(block)
        page, blanks = False, 0
    return kept, cut


def _without_headings(blocks: Iterable[Block]) -> list[Block]:
    return [block for block in blocks if not block.heading]


def _join_lines(lines: list[str], known: frozenset[str]) -> str:
    """Join wrapped lines, without a space inside a hyphenated word, after a dash or between Han characters."""
    out = [lines[0].strip()]
    for line in lines[1:]:
        line, before = line.strip(), out[-1]
        if before.endswith("\u00ad"):
            out[-1] = before[:-1]
        elif match := _HYPHENATED.search(before[-80:]):
            if not _keeps_hyphen(match[1], line, known):
                out[-1] = before[:-1]
        elif not (before.endswith(("--", "—")) and not before.endswith((" --", " —")) or _both_han(before, line)):
            out.append(" ")
        out.append(line)
    return "".join(out)


def _keeps_hyphen(left: str, line: str, known: frozenset[str]) -> bool:
    """Whether a hyphen at the end of a line belongs to the word, judged by the words that the book itself uses."""
    match = HYPHENATED_WORD.match(line)
    if match is None or line[0].isupper():
        return True
    left, right = left.casefold(), match[0].casefold()
    if f"{left}-{right}" in known:
        return True
    if left + right in known:
        return False
    return "-" in left or (left in known and right in known and len(left) > 1)


def _both_han(before: str, line: str) -> bool:
    return bool(before and line) and _is_han(before[-1]) and _is_han(line[0])


def _is_han(char: str) -> bool:
    return "\u3000" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uff00" <= char <= "\uffef"
