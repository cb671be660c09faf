"""Reads the document of a Markdown manuscript: as HTML, after what CommonMark does not know is set aside."""

import re

from markdown_it import MarkdownIt

from .document import Block
from .markup import html_blocks

_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\n.{0,20000}?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_NOTE_BODY = re.compile(r"^\[\^[^\]\n]{1,40}\]:[^\n]*(?:\n(?:[ \t]+[^\n]*|(?=\n[ \t]+\S)))*", re.MULTILINE)
_NOTE_MARK = re.compile(r"\[\^[^\]\n]{1,40}\]")
_NOTE_INLINE = re.compile(r"\^\[(?:[^\[\]]|\[[^\[\]]*\]){1,2000}\]")
_ATTRIBUTES = re.compile(r"[ \t]*\{[#.:][^}\n]{0,200}\}[ \t]*$", re.MULTILINE)  # Pandoc: # Title {#id .class}


def markdown_blocks(text: str) -> list[Block]:
    """The blocks of a text in CommonMark with tables, footnotes and a YAML head."""
    blocks: list[Block] = []
    if head := _FRONT_MATTER.match(text):
        blocks.append(Block(head[0].strip().split("\n"), kind="front"))
        text = text[head.end() :]
    notes = []
    for pattern in (_NOTE_BODY, _NOTE_INLINE):
        notes += [Block(found[0].split("\n"), kind="notes") for found in pattern.finditer(text)]
        text = pattern.sub("", text)
    text = _ATTRIBUTES.sub("", _NOTE_MARK.sub("", text))
    page = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    return blocks + html_blocks(f"<body>{page}</body>")[0] + notes
