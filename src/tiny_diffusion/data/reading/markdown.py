"""Reads the document of a Markdown manuscript: as HTML, after what CommonMark does not know is set aside."""

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from .document import Block
from .markup import html_blocks
from .structure.lines import ends_sentence
from .structure.verse import is_verse, is_verse_book

_FRONT_MATTER = re.compile(
    r"\A\ufeff?(?:---[ \t]*\n(?=\s*(?:#|[\w-]+[ \t]*:))"
    r"(?:(?:[ \t#}\]]|- |[\w -]+:(?=\s)).*\n|\n){0,500}?(?:---|\.\.\.)"
    r"|\+\+\+[ \t]*\n(?:.*\n){0,500}?\+\+\+)[ \t]*(?:\n|\Z)"
)  # lines of YAML or TOML; a rule above the first paragraph begins no such head
_NOTE_BODY = re.compile(r"^\[\^[^\]\n]{1,40}\]:[^\n]*(?:\n(?:[ \t]+[^\n]*|(?=\n[ \t]+\S)))*", re.MULTILINE)
_NOTE_MARK = re.compile(r"\[\^[^\]\n]{1,40}\]")
_NOTE_INLINE = re.compile(r"\^\[(?:[^\[\]]|\[[^\[\]]*\]){1,2000}\]")
# What other dialects put on a line of its own: fenced divisions, shortcodes, templates, LaTeX's page breaks.
_DIRECTIVE = re.compile(r"^(?::{3,}.*|\{[{%<].*[}%>]\}|\\(?:newpage|pagebreak|clearpage))[ \t]*$", re.MULTILINE)
_YEAR = re.compile(r"^(\d{3,9})([.)][ \t])", re.MULTILINE)  # no item of a list
_VERSE = re.compile(r"^\|[ \t](.*)$", re.MULTILINE)  # a line of verse in Pandoc
_TABLE = re.compile(r"\|[ \t]*$")
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
    text = _DIRECTIVE.sub("", _ATTRIBUTES.sub("", _NOTE_MARK.sub("", text)))
    text = _VERSE.sub(lambda line: line[0] if _TABLE.search(line[0]) else f"{line[1]}  ", text)
    text = _YEAR.sub(r"\1\\\2", text)
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = parser.parse(text)
    _break_verse([token for token in tokens if token.type == "inline"])
    page = parser.renderer.render(tokens, parser.options, {})
    return blocks + html_blocks(f"<body>{page}</body>")[0] + notes


def _break_verse(paragraphs: list[Token]) -> None:
    """Let the lines of paragraphs that are verse by their shape end where they do in the manuscript.

    CommonMark joins them. Lines that are a sentence each are a custom of manuscripts in prose.
    """
    texts = [[line for line in paragraph.content.split("\n") if line.strip()] for paragraph in paragraphs]
    lengths = sorted(len(line) for lines in texts for line in lines)
    width = lengths[int(0.95 * (len(lengths) - 1))] if lengths else 0
    verse_book = is_verse_book([lines for lines in texts if len(lines) > 1], width)
    for paragraph, lines in zip(paragraphs, texts, strict=True):
        if is_verse(lines, width, verse_book) and not all(map(ends_sentence, lines)):
            for part in paragraph.children or ():
                part.type = "hardbreak" if part.type == "softbreak" else part.type
