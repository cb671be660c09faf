"""Reads the document of an AsciiDoc manuscript: headings, verse, lists and notes by their marks."""

import html
import re
from itertools import groupby

from .document import Block

_HEADING = re.compile(r"(?:={1,6}|#{1,6})[ \t]+(\S.*)")
_LEFT_OUT = re.compile(
    r"//(?!/).*|:!?[\w-]+!?:.*|\[\[[^\]]*\]\]|(?:image|video|audio|toc|include|ifdef|endif|ifndef)::.*"
)
_STYLE = re.compile(r"\[[\"'\w.#%,=; -]*\]")
_FENCE = re.compile(r"(_{4,}|={4,}|\*{4,}|-{4,}|\.{4,}|\+{4,}|/{4,}|--|```\w*|\|===)")
_AS_LINES = ("....", "----", "++++", "```", "|===")  # what stands between these keeps its lines
_BREAK = re.compile(r"'{3,}|<<<|\*\*\*|---|\* \* \*")
_ITEM = re.compile(r"\s*(?:[*-]+|\.+|\d+\.|<\d+>)[ \t]+(?=\S)|(?=\S.*::)")
_CAPTION = re.compile(r"\.([^\s.\d].*)")  # the title of a picture, a table or another block
_NOTE = re.compile(r"footnote(?:ref)?:[\w-]*\[((?:[^\[\]]|\[[^\[\]]*\])*)\]")
_INLINE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\(\(\(.*?\)\)\)|image:[^\s\[]+\[[^\]]*\]|\[\[\[?[^\]]*\]\]\]?", ""),
        (r"\{(?:nbsp|sp)\}", " "),
        (r"(?m)(?<=\w):{2,4}(?=\s|$)", ":"),
        (r"(?<=\w)`'", "’"),
        (r"(?:pass|kbd|btn|menu):[\w,>-]*\[([^\]\n]*)\]|\+\+\+(.+?)\+\+\+", r"\1\2"),
        (r"(?m)^\|(?!=)|[ \t]\|(?=\S)", " "),
        (r"\(\(([^()]+)\)\)", r"\1"),
        (r"<<[^,<>]*,\s*([^<>]*)>>|<<([^<>]*)>>", r"\1\2"),
        (r"(?:link:|xref:|mailto:|https?://)[^\s\[\]]*\[([^\]\n]*)\]", r"\1"),
        (r"\*\*(.+?)\*\*|__(.+?)__|``(.+?)``|##(.+?)##", r"\1\2\3\4"),
        (r"(?<!\w)(?:\*(\S(?:[^*]*\S)?)\*|_(\S(?:[^_]*\S)?)_|#(\S(?:[^#]*\S)?)#)(?!\w)", r"\1\2\3"),
        (r"\^(\S[^\s^]*)\^|~(\S[^\s~]*)~", r"\1\2"),
        (r"\"`(.*?)`\"", r"“\1”"),
        (r"'`(.*?)`'", r"‘\1’"),
        (r"(?<!\w)`([^`]+)`(?!\w)", r"\1"),
    )
)


def asciidoc_blocks(text: str) -> list[Block]:
    """The blocks of an AsciiDoc text; notes within a paragraph become blocks of their own, after all others."""
    blocks: list[Block] = []
    notes: list[Block] = []
    fence = style = ""
    for number, (filled, group) in enumerate(groupby(text.split("\n"), key=lambda line: bool(line.strip()))):
        lines: list[str] = []
        if not filled:
            continue
        for line in group:
            mark = line.strip()
            if match := _FENCE.fullmatch(mark):
                blocks += _paragraph(lines, style, fence, notes)
                lines = []
                fence, style = ("", "") if fence == match[1] else (match[1], style) if not fence else (fence, style)
            elif fence.startswith("////"):
                continue
            elif fence.startswith(_AS_LINES):
                lines.append(line)
            elif match := _HEADING.fullmatch(mark):
                blocks += [*_paragraph(lines, style, fence, notes), Block([_inline(match[1], notes)], 1, 1, "headings")]
                lines = []
            elif _BREAK.fullmatch(mark):
                blocks += [*_paragraph(lines, style, fence, notes), Block([mark], 1, 1, "separators")]
                lines = []
            elif _STYLE.fullmatch(mark):
                style = mark[1:-1].split(",")[0]
            elif not lines and (match := _CAPTION.match(line)):
                blocks.append(Block([_inline(match[1], notes)], 1, 1, "pictures"))
            elif _LEFT_OUT.fullmatch(mark) or mark == "+":
                continue
            elif _ITEM.match(line) and style != "verse":
                blocks += _paragraph(lines, style, fence, notes)
                lines = [line[_ITEM.match(line).end() :]]  # type: ignore[union-attr]
            else:
                lines.append(line)
        title_page = number == 0 and bool(blocks) and blocks[-1].kind == "headings"  # author and revision
        found = _paragraph(lines, style, fence, notes)
        blocks += [Block(block.lines, 1, 1, "front") for block in found] if title_page else found
        style = style if fence else ""
    return blocks + notes


def _paragraph(lines: list[str], style: str, fence: str, notes: list[Block]) -> list[Block]:
    if not lines or style == "comment":
        return []
    broken = all(line.rstrip().endswith(" +") for line in lines[:-1]) and len(lines) > 1
    kept = "verse" if style in ("verse", "%hardbreaks") or fence.startswith(_AS_LINES) or broken else ""
    text = _inline("\n".join(line.rstrip().removesuffix(" +") for line in lines), notes)
    found = text.split("\n")
    return [Block(found if kept else [" ".join(" ".join(found).split())], 1, 1, kept)] if text.strip() else []


def _inline(text: str, notes: list[Block]) -> str:
    """``text`` without marks; what its notes say goes to ``notes``."""
    notes += [Block([_inline(found[1], [])], 1, 1, "notes") for found in _NOTE.finditer(text) if found[1].strip()]
    text = _NOTE.sub("", text)
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return html.unescape(text)
