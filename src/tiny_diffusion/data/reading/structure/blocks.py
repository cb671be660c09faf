"""Makes the blocks of plain text: from blank lines, indents, short closing lines and headings above their prose."""

import re
from itertools import pairwise

from ..document import Block
from .lines import HAN_QUOTES, ends_sentence, is_han
from .titles import is_numbered_heading
from .verse import is_verse

_LONG_LINE = 120
_LONG_BLOCK = 40
_MANY_LINES, _LISTED = 20, 25  # lines from which a text tells that it is double-spaced; their mean length in a list
_WITHIN = 0.4  # share of lines that begin within a sentence in prose with double spacing
_ENDED = 0.7  # share of lines that end a sentence where each is a paragraph
_SAID = re.compile(r"\s*(?:[—–]|--?(?= )) ?\W?[^\W\d_a-zß-öø-ÿа-я]")  # a dash that opens a speech
_POEM = 4
_WIDE_SPACE = "\u3000"


def make_blocks(lines: list[str], unwrap: bool) -> list[Block]:
    """Group lines into blocks: at blank lines if the text is wrapped, otherwise one block per line."""
    lines = _single_spaced(lines)
    filled = [line.strip() for line in lines if line.strip()]
    if not filled:
        return []
    lengths = sorted(len(line) for line in filled)
    width = lengths[int(0.9 * (len(lengths) - 1))]
    gapless = "\n\n" not in "\n".join(line.strip() for line in lines).strip("\n")
    ended = sum(ends_sentence(line) for line in filled) / len(filled)
    single = not unwrap or width > _LONG_LINE or (gapless and ended >= 0.9)
    groups = _groups(lines, single)
    if single:
        return groups
    led = [line for line in lines if line.strip() and line[0] in _WIDE_SPACE + HAN_QUOTES and is_han(line.strip()[0])]
    han = 2 * sum(map(is_han, "".join(filled))) > sum(lengths)  # prose is wrapped at any sign
    if han and ended > _ENDED or len(led) > 0.3 * len(filled) and any(line[0] == _WIDE_SPACE for line in led):
        return [part for group in groups for part in _split_at_wide_spaces(group)]
    return [part for group in groups for part in _split_block(group, width, gapless)]


def _single_spaced(lines: list[str]) -> list[str]:
    """``lines`` without the blank line that follows each of a text that is typed with double spacing."""
    filled = [line for line in lines if line.strip()]
    close = sum(bool(line.strip() and after.strip()) for line, after in pairwise(lines))
    ended = sum(ends_sentence(line) for line in filled)
    within = sum(line.strip()[0].islower() for line in filled) >= _WITHIN * len(filled)
    gaps = {len(gap) for gap in re.findall(r"\n{2,}", "\n".join(line.strip() for line in lines).strip())}
    listed = len(filled) < _MANY_LINES or sum(map(len, filled)) < _LISTED * len(filled)
    if listed or close > 0.02 * len(filled) or ended > 0.5 * len(filled) or not (within or len(gaps) > 1):
        return lines
    return [line for before, line in pairwise(["", *lines]) if line.strip() or not before.strip()]


def _groups(lines: list[str], single: bool) -> list[Block]:
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
    return groups


def _split_at_wide_spaces(block: Block) -> list[Block]:
    """Split a block of a book in Chinese or Japanese, where a wide space or a quotation opens a paragraph.

    Four or more lines of the same length, with punctuation behind each, are a poem.
    """
    lines = [line.strip() for line in block.lines]
    if len(lines) >= _POEM and len(set(map(len, lines))) == 1 and not any(line[-1].isalnum() for line in lines):
        return [block]
    return parted(
        block,
        [
            line[0] in _WIDE_SPACE + HAN_QUOTES
            or ends_sentence(before)
            or is_numbered_heading(before)
            or is_numbered_heading(line)
            for before, line in pairwise(block.lines)
        ],
    )


def _split_block(block: Block, width: int, gapless: bool) -> list[Block]:
    """Split a block that is too long for one paragraph, at indents and after short closing lines; speech at dashes."""
    lines = block.lines
    said = [_SAID.match(line) is not None and not _is_wide(before, width) for before, line in pairwise(lines)]
    if sum(said) + (_SAID.match(lines[0]) is not None) > 1 and all(
        opens or _is_wide(before, width) for opens, before in zip(said, lines, strict=False)
    ):
        return parted(block, said)
    if len(lines) <= _LONG_BLOCK and not gapless:
        # "CHAPTER I." with its prose directly below it, without a blank line.
        first, rest = lines[0], lines[1:]
        if not rest or not is_numbered_heading(first) or is_numbered_heading(rest[0]) or rest[0].strip()[0].islower():
            return [block]
        if not any(_is_wide(line, width) for line in rest):
            return [block]
        return [Block([first], block.blanks, 1), Block(rest, 1, block.after)]
    indented = [line[0].isspace() for line in lines]
    by_indent = 0 < sum(indented) <= 0.6 * len(lines)
    if not (gapless or by_indent) and is_verse(lines, width):
        return [block]
    opening = []
    titled = is_numbered_heading(lines[0])
    for (before, line), (was, now) in zip(pairwise(lines), pairwise(indented), strict=True):
        closed = ends_sentence(before) and not _is_wide(before, width)
        opens = closed or titled or (by_indent and now and not was) or is_numbered_heading(line)
        if titled and _is_wide(before, width) and line.strip()[0].islower():
            opens = False  # the title goes on
        titled = is_numbered_heading(line) or titled and not opens
        opening.append(opens)
    return parted(block, opening)


def parted(block: Block, opening: list[bool]) -> list[Block]:
    """A block in parts; ``opening``: for each line after the first, whether it begins a new part."""
    parts = [Block(block.lines[:1], block.blanks)]
    for line, opens in zip(block.lines[1:], opening, strict=True):
        if opens:
            parts.append(Block([line]))
        else:
            parts[-1].lines.append(line)
    parts[-1].after = block.after
    return parts


def _is_wide(line: str, width: int) -> bool:
    return len(line.strip()) >= 0.75 * width
