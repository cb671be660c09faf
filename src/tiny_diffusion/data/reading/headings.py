"""Decides which blocks of a book are headings, tables of contents or title pages rather than prose."""

import re

from ..language.tables import heading_pattern
from ..language.words import HYPHENATED_WORD
from .document import Block

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
_LISTED_TITLE = re.compile(rf"(?:\d{{1,3}}|{ROMAN})[.)]\s+")
_PAGE_WORD = re.compile(r"(?:chap\w*\.?|page)(?:\s+page)?", re.IGNORECASE)
_TERMINAL = ".!?…。！？»”\"’'"
_QUOTES = "\"“‘'«—„–"
_INITIALS = re.compile(r"(?:[^\W\d_]\.? ?){1,4}")
_MAX_TITLE = 120
_TITLE_WORDS = 12
_FAR = 3  # blank lines above a title that stands apart
_SEVERAL = 5  # titles that stand apart, from which they are taken for titles
_LISTED = 3  # lines in a row that recur as headings, from which they are a table of contents
_TABLE_PLACE = 0.2  # a table of contents stands in this first part of the blocks


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
    if tail[0] in ".:—–-" and not re.search(r"[.!?] +\S", tail[1:].strip()):
        # A sentence that ends in a full stop is a title only if it is as short as one: "CHAPTER 2. Who Rang?"
        return (
            tail[-1] not in ',;"”’»' and (tail[-1] not in ".!?" or len(tail.split()) <= _TITLE_WORDS) or tail.isupper()
        )
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


def mark_contents(blocks: list[Block]) -> None:
    """Set ``kind`` on the blocks of tables of contents."""
    _mark_recurring(blocks)
    at = 0
    while at < len(blocks):
        stop = at if blocks[at].kind else contents_span(blocks, at)
        if stop == at and not blocks[at].kind and is_contents_list(blocks[at]):
            stop = at + 1
        for block in blocks[at:stop]:
            block.kind = block.kind or "contents"
        at = max(stop, at + 1)


def _mark_recurring(blocks: list[Block]) -> None:
    """Mark three or more lines in a row, at the beginning of the book, that all recur later in the same order."""
    places: dict[str, int] = {}  # of the last block that is such a line
    for i, block in enumerate(blocks):
        if len(block.lines) == 1:
            places[_key(block.flat)] = i
    run: list[int] = []
    last = 0
    for i, block in enumerate(blocks[: int(_TABLE_PLACE * len(blocks)) + 1]):
        found = [places.get(_key(line), -1) for line in block.lines]
        rising = all(a < b for a, b in zip([last, *found], found, strict=False)) and found[0] > i
        if rising and not block.kind and block.flat[:1] not in _QUOTES:
            run.append(i)
            last = found[-1]
            continue
        _mark_run(blocks, run)
        run, last = [], 0
    _mark_run(blocks, run)


def _mark_run(blocks: list[Block], run: list[int]) -> None:
    if sum(len(blocks[i].lines) for i in run) >= _LISTED:
        for i in run:
            blocks[i].kind = "contents"


def _key(line: str) -> str:
    return " ".join(_words(line)) or line


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
    return all(is_numbered_heading(line) or _LEADER.search(line) or _is_numbered_title(line) for line in block.lines)


def _is_numbered_title(line: str) -> bool:
    match = _LISTED_TITLE.match(line.strip())
    return match is not None and _is_titled(line.strip()[match.end() :].rstrip(".") or "-")


def _is_entry(line: str) -> bool:
    text = line.strip()
    return is_numbered_heading(text) or bool(_LEADER.search(line)) or (len(text) <= 100 and text[-1] not in '.!?”"')


def _words(line: str) -> list[str]:
    return re.findall(r"\w+", _LEADER.sub("", line).replace("_", " ").casefold())


def _same_start(one: list[str], other: list[str]) -> bool:
    size = min(len(one), len(other))
    return size > 0 and one[:size] == other[:size]


def mark_headings(blocks: list[Block]) -> None:
    """Set ``kind`` on each block that is a heading or belongs to the title page."""
    capitals = [is_capitals(block.flat) for block in blocks]
    # In a book printed in capitals throughout, capitals do not tell headings apart.
    by_capitals = sum(capitals) <= max(3, 0.3 * len(blocks))
    spaced = any(block.blanks >= 2 for block in blocks[1:])
    for i, block in enumerate(blocks):
        if block.kind:
            continue
        flat = block.flat
        titled = is_numbered_heading(block.lines[0]) and all(_is_titled(line) for line in block.lines[1:])
        heading = len(block.lines) <= 3 and (is_named_heading(flat) or is_numbered_heading(flat) or titled)
        if not heading and by_capitals and capitals[i] and len(block.lines) <= 3:
            apart = i == 0 or blocks[i - 1].heading or block.blanks >= 2 or block.after >= 2
            apart = apart or i >= 2 and blocks[i - 2].heading and is_title_line(blocks[i - 1])
            heading = apart if spaced else flat[-1] not in ".,;:" and len(flat.split()) > 1
        if heading:
            block.kind = "headings"
    _mark_titles(blocks)
    _mark_title_page(blocks)
    for i in range(1, len(blocks) - 1):
        # A lone "or", "by" or name between two headings of a title page.
        if not blocks[i].kind and blocks[i - 1].heading and blocks[i + 1].heading and is_title_line(blocks[i]):
            blocks[i].kind = "headings"


def _mark_titles(blocks: list[Block]) -> None:
    """Mark the titles of chapters in the paragraph after "CHAPTER I", and titles far above their poem or tale."""
    after = [
        (
            blocks[i],
            is_title_line(blocks[i]) and _is_titled(blocks[i].flat),
            len(blocks[i].lines) == 1 and len(blocks[i].flat) <= 80,
        )
        for i in range(1, len(blocks))
        if not blocks[i].kind
        and blocks[i].flat[:1] not in _QUOTES
        and blocks[i - 1].heading
        and is_numbered_heading(blocks[i - 1].flat)
    ]
    # Where nearly every chapter's number is followed by one short line, that line is its title, however it ends.
    series = len(after) >= _LISTED and sum(short for _, _, short in after) >= 0.8 * len(after)
    for block, titled, short in after:
        if titled or (series and short):
            block.kind = "headings"
    apart = [
        b for b in blocks if not b.kind and b.blanks >= _FAR and b.after and is_title_line(b) and _is_titled(b.flat)
    ]
    if len(apart) >= _SEVERAL:
        for block in apart:
            block.kind = "headings"


def _is_titled(line: str) -> bool:
    """True for a title: capitals, or mostly capitalised long words and no sentence end."""
    text = line.replace("_", " ").strip()
    if text.isupper():
        return True
    words = [word for word in HYPHENATED_WORD.findall(text) if len(word) > 3]
    capital = sum(word[0].isupper() for word in words)
    return len(text) <= 80 and text[-1] not in '.!?,;"”’»' and bool(words) and capital >= 0.7 * len(words)


def _mark_title_page(blocks: list[Block]) -> None:
    """Mark the short lines before the first heading as a title page, if nothing else precedes that heading."""
    for i, block in enumerate(blocks[:60]):
        if is_numbered_heading(block.lines[0]) or is_named_heading(block.flat):
            for before in blocks[:i]:
                before.kind = before.kind or "front"
            return
        if not (block.heading or is_title_line(block)):
            return
