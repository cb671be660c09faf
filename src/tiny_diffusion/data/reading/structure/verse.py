"""Finds verse and lists in plain text by their shape, and joins the lines of a block as its kind asks."""

from collections.abc import Sequence
from itertools import groupby, pairwise

from ..document import Block
from .lines import BROKEN_WORD, ends_sentence, fold, is_han, join_lines

_EARLY = 0.92  # share of the wrap width within which the next word must have had room
_EARLY_PAIR = 0.7  # the same for two lines, which tell less
_EARLY_CAPITAL = 0.8  # the same for two, if the second begins with a capital in the middle of the sentence
_MOST, _SOME = 0.6, 0.25  # shares of lines that end early: in verse, and in verse whose lines begin with capitals
_VERSE_BOOK = 0.25  # share of all lines that end early in a book of verse
_NARROW, _SHORT_LINES = 45, 0.15  # no prose is set so narrow if so many lines leave room for the next word
_STANZA = 4  # lines from which lines with a paragraph each, or longer than those of the prose, are verse
_COMMAS = 0.2  # share of such lines that end in a comma or semicolon
_BREAKS = 0.1  # share of lines that end within a word, from which they are prose if it is more than one
_MANY = 20  # lines from which a narrow book tells whether it is verse
_LONGER = 1.25  # times the longest line of one stanza that that of the next may have
_LITTLE = 0.1  # in a book of verse, a block with a larger share than this is verse
_STOPPED = 0.9  # share of lines that end in a sign of punctuation in Chinese and Japanese verse
_HAN_LINE = 16  # signs in the longest line of verse without punctuation
_HAN_COLUMN = 10  # signs, below which no column is wrapped
_CAPITALS = 0.9  # share of lines that begin with a capital in verse whose lines are long
_TURNED = 3  # columns by which the rest of a long line of verse is set in
_FULL, _LONG, _REST = 0.7, 0.5, 0.7  # shares of the page: a line so long may have any rest, or one of this share of it
_TINY, _COLUMN = 24, 0.4  # characters, and share of the page, up to which a block is no prose in a narrow column
_PAUSED = 0.75  # share of lines that end in punctuation, from which a block is no such prose either
_COLUMNS = 72  # the usual width of plain text, where a speech alone must tell whether it is verse


def _wrap_width(blocks: Sequence[Block]) -> int:
    """The width at which the lines of a book are wrapped: that of nearly its longest lines."""
    lengths = sorted(len(line.strip()) for block in blocks if len(block.lines) > 1 for line in block.lines)
    return lengths[int(0.95 * (len(lengths) - 1))] if lengths else 0


def mark_verse(blocks: Sequence[Block]) -> None:
    """Set the kind of blocks that are verse: their lines end before the page does.

    In prose the next word never fits on a line; in verse it nearly always does. Lists and addresses look like verse,
    and keep their lines too.
    """
    width = _wrap_width(blocks)
    speeches = [block for block in blocks if block.kind == "speech"]
    several = [block for block in blocks if len(block.lines) > 1 and not block.kind]
    verse_book = is_verse_book([block.lines for block in several], width)
    for block in several:
        if is_verse(block.lines, width, verse_book):
            block.kind, block.lines = "verse", _unturned(block.lines, width, verse_book)
    for before, block, after in zip(blocks, blocks[1:], blocks[2:], strict=False):
        alike = before.kind == after.kind == "verse" and _alike(block, before) and _alike(block, after)
        if alike and not block.kind and len(_unturned(block.lines, width, verse_book)) == len(block.lines):
            block.kind = "verse"
    for block in speeches:  # of one alone, the width of the book tells little
        columns = width if verse_book else max(width, _COLUMNS)
        name, spoken = block.lines[0], block.lines[1:]
        if is_verse(spoken, columns, verse_book):
            block.kind, block.lines = "verse", [name, *_unturned(spoken, columns, verse_book)]


def is_verse_book(paragraphs: Sequence[Sequence[str]], width: int) -> bool:
    """Whether so many lines of a book's paragraphs of several lines end early that it is one of verse."""
    ends = [early for lines in paragraphs for early in _early_ends(lines, width)]
    if len(ends) >= _MANY and width <= _NARROW:
        full = [early for lines in paragraphs for early in _early_ends(lines, width / _EARLY)]
        return max(sum(ends) / _VERSE_BOOK, sum(full) / _SHORT_LINES) > len(ends)
    return sum(ends) > _VERSE_BOOK * len(ends)


def _alike(one: Block, other: Block) -> bool:
    """Whether two stanzas have as many lines, and about as long ones."""
    return len(one.lines) == len(other.lines) and max(map(len, one.lines)) <= _LONGER * max(map(len, other.lines))


def joined_lines(blocks: Sequence[Block]) -> list[Block]:
    """``blocks``, of which those that are a line of verse or of a list each, as in many e-books, are stanzas."""
    out: list[Block] = []
    for alone, run in groupby(blocks, lambda b: not b.kind and len(b.lines) == 1 and 0 < len(b.flat) <= _NARROW):
        lines = list(run)
        within = [i for i, block in enumerate(lines) if not ends_sentence(block.flat)] if alone else []
        first, stop = (within[0], within[-1] + 2) if within else (0, 0)  # short paragraphs may be before and after
        stanza = lines[first:stop]
        paused = sum(block.flat.endswith((",", ";", "，", "；", "、")) for block in stanza)
        if len(stanza) < _STANZA or 2 * len(within) < len(stanza) or paused < _COMMAS * len(stanza):
            out += lines
            continue
        gap = min(block.blanks for block in stanza[1:])
        out += lines[:first]
        for i, block in enumerate(stanza):
            if i == 0 or block.blanks > gap:
                out.append(Block([], block.blanks, 0, "verse"))
            out[-1].lines += block.lines
            out[-1].after = block.after
        out += lines[stop:]
    return out


def is_verse(lines: Sequence[str], width: int, verse_book: bool = False) -> bool:
    """Whether two or more lines, in a book that is wrapped at ``width``, end by themselves and not at the margin."""
    if len(lines) < 2:
        return False
    flat = "".join(lines)
    if 2 * sum(map(is_han, flat)) > len(flat):
        return _is_han_verse([line.strip() for line in lines])
    own = _unturned(lines, width, verse_book)
    early = _early_ends(lines, width)
    broken = sum(BROKEN_WORD.search(f"{a}\n{b}") is not None for a, b in pairwise(lines))
    if len(own) < 2 or not early or broken > max(1, _BREAKS * len(lines)):
        return False
    if len(own) == 2 and not verse_book:
        if own[1].strip()[0].isupper() and not ends_sentence(own[0]):
            return _early_ends(own, _EARLY_CAPITAL * width / _EARLY)[0]
        short = all(len(line.strip()) <= _EARLY_PAIR * width for line in own)
        return short and _early_ends(own, round(_EARLY_PAIR * width / _EARLY))[0]
    share = sum(early) / len(early)
    capitals = sum(_opens_with_capital(line) for line in own) / len(own)
    if verse_book and (capitals >= _CAPITALS or share >= _LITTLE or max(map(len, own)) <= _NARROW):
        return True
    longest = max(len(line.strip()) for line in lines)
    ragged = len({_indent(line) for line in lines[1:]}) > 1 or longest <= max(_TINY, _COLUMN * width)
    stopped = sum(not line.rstrip()[-1].isalnum() for line in own[:-1]) >= _PAUSED * (len(own) - 1)
    if len(own) >= _STANZA and stopped and all(map(_opens_with_capital, lines)) and not all(map(ends_sentence, own)):
        return True  # of lines longer than those of the prose
    if capitals < _CAPITALS and not ragged and not stopped and not any(_early_ends(lines, longest)):
        return False  # prose that is wrapped more narrowly than the rest
    return share >= _MOST or (share >= _SOME and capitals >= _CAPITALS)


def _is_han_verse(lines: Sequence[str]) -> bool:
    """Whether lines of Chinese or Japanese are verse: each is a clause; prose breaks off wherever its line is full."""
    stopped = sum(not line[-1].isalnum() for line in lines[:-1])
    short = max(map(len, lines)) <= _HAN_LINE
    even = len(set(map(len, lines))) == 1
    head = sorted(map(len, lines[:-1]))
    wrapped = head[-1] > _HAN_COLUMN and head[-1] - head[0] <= 1 and len(lines[-1]) <= head[-1]
    if "".join(lines).isalnum():
        return short and (even or not wrapped)
    return stopped >= _STOPPED * (len(lines) - 1) and (short or even)


def join_block(block: Block, known: frozenset[str]) -> str:
    """The text of a block: verse keeps its lines, a speech its speaker's name on a line, the rest becomes one line."""
    if block.kind == "verse":
        return "\n".join(fold(line) for line in block.lines)
    if block.kind == "speech":
        return f"{fold(block.lines[0])}\n{fold(join_lines(block.lines[1:], known))}"
    return fold(join_lines(block.lines, known))


def _early_ends(lines: Sequence[str], width: float) -> list[bool]:
    """For each line but the last, whether the first word of the next one would have fitted behind it."""
    return [
        len(line.strip()) + 1 + len(_first_word(after.strip())) <= _EARLY * width
        for line, after in zip(lines, lines[1:], strict=False)
    ]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _first_word(line: str) -> str:
    return line[:2] if is_han(line[0]) else line.split(None, 1)[0]


def _opens_with_capital(line: str) -> bool:
    letters = [character for character in line if character.isalpha()]
    return bool(letters) and not letters[0].islower()


def _unturned(lines: Sequence[str], width: int, verse_book: bool = False) -> list[str]:
    """``lines`` with the rest of each line that reaches the margin, which begins in lower case, joined to it.

    In a book of verse only a rest that is set in is joined: its margin is that of its longest lines.
    """
    out: list[str] = []
    indent, reaches = 0, False
    for line, early in zip(lines, [*_early_ends(lines, width), True], strict=True):
        own, text = _indent(line), line.strip()
        before = len(out[-1].strip()) if out else 0
        turned = own >= indent + _TURNED and before > len(text)
        turned = turned and (before >= _FULL * width or (before >= _LONG * width and len(text) <= _REST * before))
        if out and text[:1].islower() and (turned or (reaches and not verse_book)):
            out[-1] = f"{out[-1].rstrip()} {text}"
        else:
            out.append(line)
            indent = own
        reaches = not early
    return out
