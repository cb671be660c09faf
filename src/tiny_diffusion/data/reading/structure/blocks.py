"""Makes the blocks of plain text: from blank lines, indents, short closing lines and headings above their prose."""

from ..document import Block
from .headings import is_numbered_heading
from .lines import ends_sentence, is_han

_LONG_LINE = 120
_LONG_BLOCK = 40
_WIDE_SPACE = "\u3000"
_QUOTES = "「『（〈《【“‘—"  # what opens a paragraph of Chinese or Japanese where it is not indented


def make_blocks(lines: list[str], unwrap: bool) -> list[Block]:
    """Group lines into blocks: at blank lines if the text is wrapped, otherwise one block per line."""
    filled = [line.strip() for line in lines if line.strip()]
    if not filled:
        return []
    lengths = sorted(len(line) for line in filled)
    width = lengths[int(0.9 * (len(lengths) - 1))]
    gapless = not any(not line.strip() for line in _trim(lines))
    ended = sum(ends_sentence(line) for line in filled) / len(filled)
    single = not unwrap or width > _LONG_LINE or (gapless and ended >= 0.9)
    groups = _groups(lines, single)
    if single:
        return groups
    if sum(line.startswith(_WIDE_SPACE) and is_han(line.strip()[0]) for line in lines if line.strip()) > 0.3 * len(
        filled
    ):
        return [part for group in groups for part in _split_at_wide_spaces(group)]
    return [part for group in groups for part in _split_block(group, width, gapless)]


def wrap_width(blocks: list[Block]) -> int:
    """The width at which the lines of a book are wrapped: that of nearly its longest lines."""
    lengths = sorted(len(line.strip()) for block in blocks if len(block.lines) > 1 for line in block.lines)
    return lengths[int(0.95 * (len(lengths) - 1))] if lengths else 0


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


def _trim(lines: list[str]) -> list[str]:
    first = next(i for i, line in enumerate(lines) if line.strip())
    last = next(i for i in range(len(lines) - 1, -1, -1) if lines[i].strip())
    return lines[first : last + 1]


def _split_at_wide_spaces(block: Block) -> list[Block]:
    """Split a block of a book in Chinese or Japanese, where a wide space or a quotation opens a paragraph."""
    parts = [Block([block.lines[0]], block.blanks)]
    for before, line in zip(block.lines, block.lines[1:], strict=False):
        if line[0] == _WIDE_SPACE or line[0] in _QUOTES or ends_sentence(before) or is_numbered_heading(before):
            parts.append(Block([line]))
        else:
            parts[-1].lines.append(line)
    parts[-1].after = block.after
    return parts


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
        closed = ends_sentence(before) and not _is_wide(before, width)
        opens = by_indent and indented[i] and not indented[i - 1] or by_indent and indented[i] and closed
        if opens or closed or is_numbered_heading(before) or is_numbered_heading(lines[i]):
            parts.append(Block([lines[i]]))
        else:
            parts[-1].lines.append(lines[i])
    parts[-1].after = block.after
    return parts


def _is_wide(line: str, width: int) -> bool:
    return len(line.strip()) >= 0.75 * width
