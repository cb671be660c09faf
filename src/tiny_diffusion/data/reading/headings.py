"""Decides which blocks of a book are headings, tables of contents or title pages rather than prose."""

import re
from dataclasses import dataclass, field

from ..language.tables import heading_pattern

ROMAN = r"(?=[IVXLC])C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_NUMBER = rf"(?:(?:no\.?|nr\.?|n°) ?)?(?:\d{{1,3}}(?:st|nd|rd|th|er|[eºª°])?|(?-i:{ROMAN})|(?-i:[ivxl]{{1,7}}))"
_KEYWORDS, _ORDINALS = heading_pattern("keywords"), heading_pattern("ordinals")
_HEADING = re.compile(
    rf"(?:(?:{_KEYWORDS})\.? (?:{_NUMBER}|{_ORDINALS})|(?:{_ORDINALS}|\d{{1,3}}\.) (?:{_KEYWORDS}))"
    r"(?!\w)(?P<tail>.*)",
    re.IGNORECASE,
)
_HAN_HEADING = re.compile(
    r"(?:第[0-9０-９一二三四五六七八九十百千零〇两兩]{1,7}[章回节節卷部篇話话幕]|제 ?\d{1,3} ?[장부편])"
)
_NAMED = re.compile(heading_pattern("named"), re.IGNORECASE)
_CONTENTS = re.compile(heading_pattern("contents"), re.IGNORECASE)
_LEADER = re.compile(r"(?:[ .…·]*\.{2,}|\s{2,}|[ .…·]{3,}|\t)[ .…·]*(?:\d{1,4}|[ivxlc]{1,7})\s*$")
_PAGE_WORD = re.compile(r"(?:chap\w*\.?|page)(?:\s+page)?", re.IGNORECASE)
_TERMINAL = ".!?…。！？»”\"’'"
_INITIALS = re.compile(r"(?:[^\W\d_]\.? ?){1,4}")
_MAX_TITLE = 120


@dataclass
class Block:
    """Consecutive lines of a book.

    lines: not stripped. blanks, after: number of blank lines before and after the block.
    """

    lines: list[str]
    blanks: int = 0
    after: int = 0
    heading: bool = field(default=False)

    @property
    def flat(self) -> str:
        """The block on one line, with spaces folded and italics marks removed."""
        return " ".join(" ".join(self.lines).replace("_", " ").split())


def is_numbered_heading(line: str) -> bool:
    """True for one line such as "CHAPTER I", "Letter 4." or "Zweites Kapitel"; never for a sentence."""
    line = " ".join(line.replace("_", " ").split()).strip("*=~ ")
    if not line or len(line) > _MAX_TITLE:
        return False
    if match := _HAN_HEADING.match(line):
        tail = line[match.end() :]
        spaced = not tail or tail[0] in " 　:：、.．-—"
        return len(line) <= 40 and spaced and not any(c in "。！？" for c in line)
    if line[0].islower():
        return False
    match = _HEADING.fullmatch(line)
    if match is None:
        return re.fullmatch(ROMAN + r"\.?", line) is not None
    tail = re.sub(r"\[\w{1,3}\]", "", match["tail"]).strip()
    if not tail.strip(".:—–-)] "):
        return True
    if tail[0] in ".:—–-" and not re.search(r"[.!?;] +\S", tail[1:].strip()):
        return tail[-1] not in '.!?,;"”’»' or tail.isupper()
    return tail.isupper()


def is_named_heading(text: str) -> bool:
    """True for a line that consists of "PREFACE", "Epilogue.", "The End" or the like."""
    return _NAMED.fullmatch(text.strip("*=~ ")) is not None


def is_capitals(text: str) -> bool:
    """True for a short line without lower-case letters that is neither speech nor an exclamation."""
    text = text.replace("º", "").replace("ª", "")
    letters = [c for c in text if c.isalpha()]
    if len(letters) < 2 or len(text) > 80 or not text.isupper():
        return False
    if all(len(part) == 1 for part in re.findall(r"[^\W_]+", text)) and _INITIALS.fullmatch(text):
        return False  # the initials that close a letter
    return text[0] not in "\"“‘'«—-„[(" and text[-1] not in "!?\"”’'»"


def is_title_line(block: Block) -> bool:
    """True for one short line that does not end like a sentence."""
    return len(block.lines) == 1 and 0 < len(block.flat) <= 80 and block.flat[-1] not in _TERMINAL


def contents_span(blocks: list[Block], at: int) -> int:
    """Return the index after the table of contents whose title is block ``at``; ``at`` itself if there is none."""
    lines = blocks[at].lines
    if _CONTENTS.fullmatch(lines[0].replace("_", " ").strip(" .:*\t")) is None:
        return at
    if len(lines) > 1 and not all(_is_entry(line) for line in lines[1:]):
        return at
    first = _words(lines[1]) if len(lines) > 1 else []
    stop = at + 1
    while stop < len(blocks) and all(_is_entry(line) for line in blocks[stop].lines):
        block = blocks[stop]
        head = _words(block.lines[0])
        if first and head and _same_start(first, head):
            return stop
        if not first and _PAGE_WORD.fullmatch(block.flat) is None:
            first = head
        stop += 1
    if first and stop < len(blocks) and _same_start(first, _words(blocks[stop].lines[0])):
        return stop
    stop = at + 1
    while stop < len(blocks) and all(
        is_numbered_heading(line) or _LEADER.search(line) or _PAGE_WORD.fullmatch(line.strip())
        for line in blocks[stop].lines
    ):
        stop += 1
    # The last entry may already be the first real heading; it is then dropped with the table.
    return stop


def is_contents_list(block: Block) -> bool:
    """True for three or more lines that are all chapter headings or end in a page number after leaders."""
    if len(block.lines) < 3:
        return False
    return all(is_numbered_heading(line) or _LEADER.search(line) for line in block.lines)


def _is_entry(line: str) -> bool:
    text = line.strip()
    return is_numbered_heading(text) or bool(_LEADER.search(line)) or (len(text) <= 100 and text[-1] not in '.!?”"')


def _words(line: str) -> list[str]:
    return re.findall(r"\w+", _LEADER.sub("", line).replace("_", " ").casefold())


def _same_start(one: list[str], other: list[str]) -> bool:
    size = min(len(one), len(other))
    return size > 0 and one[:size] == other[:size]


def mark_headings(blocks: list[Block]) -> None:
    """Set ``heading`` on each block that is a heading or belongs to the title page."""
    capitals = [is_capitals(block.flat) for block in blocks]
    # In a book printed in capitals throughout, capitals do not tell headings apart.
    by_capitals = sum(capitals) <= max(3, 0.3 * len(blocks))
    spaced = any(block.blanks >= 2 for block in blocks[1:])
    for i, block in enumerate(blocks):
        flat = block.flat
        titled = is_numbered_heading(block.lines[0]) and all(_is_titled(line) for line in block.lines[1:])
        block.heading = len(block.lines) <= 3 and (is_named_heading(flat) or is_numbered_heading(flat) or titled)
        if not block.heading and by_capitals and capitals[i] and len(block.lines) <= 3:
            apart = i == 0 or blocks[i - 1].heading or block.blanks >= 2 or block.after >= 2
            apart = apart or i >= 2 and blocks[i - 2].heading and is_title_line(blocks[i - 1])
            block.heading = apart if spaced else flat[-1] not in ".,;:" and len(flat.split()) > 1
    _mark_title_page(blocks)
    for i in range(1, len(blocks) - 1):
        # A lone "or", "by" or name between two headings of a title page.
        if blocks[i - 1].heading and blocks[i + 1].heading and is_title_line(blocks[i]):
            blocks[i].heading = True


def _is_titled(line: str) -> bool:
    """True for a title: capitals, or mostly capitalised long words and no sentence end."""
    text = line.replace("_", " ").strip()
    if text.isupper():
        return True
    words = [word for word in re.findall(r"[^\W\d_]+", text) if len(word) > 3]
    capital = sum(word[0].isupper() for word in words)
    return len(text) <= 80 and text[-1] not in '.!?,;"”’»' and bool(words) and capital >= 0.7 * len(words)


def _mark_title_page(blocks: list[Block]) -> None:
    """Mark the short lines before the first heading as a title page, if nothing else precedes that heading."""
    for i, block in enumerate(blocks[:60]):
        if is_numbered_heading(block.lines[0]) or is_named_heading(block.flat):
            for before in blocks[:i]:
                before.heading = True
            return
        if not (block.heading or is_title_line(block)):
            return
