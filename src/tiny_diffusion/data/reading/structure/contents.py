"""Finds tables of contents and indexes: by their name, by page numbers, and because their lines recur as headings."""

import re
from collections import Counter
from itertools import pairwise

from ...language.tables import heading_pattern
from ...language.words import count_words
from ..document import Block
from .headings import TITLE_TIMES
from .lines import ends_sentence
from .numbered import ROMAN
from .pages import rising
from .titles import QUOTES, is_numbered_heading, is_titled

_LISTED = 3  # lines in a row that recur as headings, from which they are a table of contents
_BETWEEN = 3  # blocks between two entries of a table: the number and title of a part
_CONTENTS = re.compile(heading_pattern("contents"), re.IGNORECASE)
_LEADER = re.compile(r"(?:[ .…·]*\.{2,}|\s{2,}|[ .…·]{3,}|\t)[ .…·]*(?:\d{1,4}|[ivxlc]{1,7})\s*$")
_PAGE, _YEAR = re.compile(r"\d+(?=\s*$)"), 1000  # the number at the end of an entry, and what is rather a year
_LISTED_TITLE = re.compile(rf"(?:\d{{1,3}}|{ROMAN})[.)]\s+")
_PAGE_WORD = re.compile(r"(?:chap\w*\.?|page)(?:\s+page)?", re.IGNORECASE)
_TABLE_PLACE = 0.2  # a table of contents stands in this first part of the blocks
_INDEX_SHARE = 0.6  # share of lines that end in page numbers, from which what follows "Index" is one
_INDEX = re.compile(r"\W*(?:general )?(?:index|register|indice|índice|table analytique)\W*", re.IGNORECASE)
_ENTRY = re.compile(r"\d(?:\s*\([a-z]\))?\W*(?:passim|n|note|ff?)?\W*$|\bsee\b", re.IGNORECASE)
_IMPRINT, _WEB = 3_000, re.compile(r"https?:|www\.")  # characters of the longest, and an address
_ADVERT_SHARE = 0.15  # share of the book that a publisher's lists at its end have at most
_FEW_WORDS = 4  # of a publisher's heading, which has no capitals
_PUBLISHER = re.compile(heading_pattern("publisher"), re.IGNORECASE)


def mark_contents(blocks: list[Block]) -> None:
    """Set ``kind`` on the blocks of tables of contents."""
    _mark_recurring(blocks)
    at = 0
    while at < len(blocks):
        stop = at if blocks[at].kind not in ("", "headings") else _contents_span(blocks, at)
        if stop == at and not blocks[at].kind and _is_contents_list(blocks[at]):
            stop = at + 1
        for block in blocks[at:stop]:
            block.kind = block.kind or "contents"
        at = max(stop, at + 1)


def _mark_recurring(blocks: list[Block]) -> None:
    """Mark three or more lines in a row, at the beginning of the book, that all recur later in the same order.

    Where they recur they are headings.
    """
    places: dict[str, int] = {}  # of the last block that is such a line
    counts: Counter[str] = Counter()  # a name or a cry in a play recurs more often than a title
    for i, block in enumerate(blocks):
        if len(block.lines) == 1:
            places[_key(block.flat)] = i
            counts[_key(block.flat)] += 1
    run: list[int] = []
    headings: list[int] = []
    for i, block in enumerate(blocks[: int(_TABLE_PLACE * len(blocks)) + 1]):
        keys = [_key(line) for line in block.lines]
        found = [places.get(key, -1) if counts[key] <= TITLE_TIMES else -1 for key in keys]
        rising = all(a < b for a, b in pairwise([*headings[-1:], *found])) and found[0] > i
        if rising and not block.kind and block.flat[:1] not in QUOTES:
            run.append(i)
            headings += found
            continue
        _mark_run(blocks, run, headings)
        run, headings = [], []
    _mark_run(blocks, run, headings)


def _mark_run(blocks: list[Block], run: list[int], headings: list[int]) -> None:
    lines = [line for i in run for line in blocks[i].lines]
    # A formula, whose sentences follow each other wherever it recurs, lists nothing.
    formula = 2 * sum(b - a == 1 for a, b in pairwise(headings)) > len(lines) - 1
    formula = formula and 2 * sum(ends_sentence(line) for line in lines) > len(lines)
    if len(lines) >= _LISTED and not formula:
        for i in run:
            blocks[i].kind = "contents"
        for i in headings:
            blocks[i].kind = blocks[i].kind or "headings"


def _contents_span(blocks: list[Block], at: int) -> int:
    """Return the index after the table of contents whose title is block ``at``; ``at`` itself if there is none."""
    lines = blocks[at].lines
    if _CONTENTS.fullmatch(lines[0].replace("_", " ").strip(" .:*\t")) is None:
        return at
    if len(lines) > 1 and not all(_is_entry(line) for line in lines[1:]):
        return at
    if (stop := _paged_span(blocks, at)) > at + _LISTED:
        return stop
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


def _paged_span(blocks: list[Block], at: int) -> int:
    """The index after the last entry with a page number, where hardly anything else is between the entries."""
    stop = at + 1
    for i, block in enumerate(blocks[at + 1 :], at + 1):
        if _LEADER.search(f"  {block.lines[-1]}"):  # the number may be on a line of its own
            stop = i + 1
        elif i - stop >= _BETWEEN or ends_sentence(block.flat) and not is_titled(block.flat.rstrip(".")):
            break
    return stop


def _is_contents_list(block: Block) -> bool:
    """True for three or more lines that are all chapter headings or end in a page number after leaders."""
    pages = [int(found[0]) for line in block.lines if (found := _PAGE.search(line)) and _LEADER.search(line)]
    if len(block.lines) < _LISTED or pages and (min(pages) >= _YEAR or not rising(pages)):
        return False  # a chronicle or an account
    return all(is_numbered_heading(line) or _LEADER.search(line) or _is_numbered_title(line) for line in block.lines)


def _is_numbered_title(line: str) -> bool:
    match = _LISTED_TITLE.match(line.strip())
    return match is not None and is_titled(line.strip()[match.end() :].rstrip(".") or "-")


def _is_entry(line: str) -> bool:
    text = line.strip()
    return is_numbered_heading(text) or bool(_LEADER.search(line)) or (len(text) <= 100 and text[-1] not in '.!?”"')


def mark_back(blocks: list[Block]) -> None:
    """Mark the index at the end of a book, most lines of which end in page numbers, and what a publisher says there."""
    for i in range(len(blocks) // 2, len(blocks)):
        if _is_index(blocks[i:]) or _is_advertisement(blocks, i) or _is_imprint(blocks, i):
            for block in blocks[i:]:
                block.kind = block.kind or "back"
            return


def _is_index(blocks: list[Block]) -> bool:
    if not _INDEX.fullmatch(blocks[0].flat):
        return False
    lines = [line.replace("_", " ").strip() for block in blocks[1:] for line in block.lines]
    lines = [line for line in lines if len(line) > 1]  # no letter of the alphabet
    return sum(_ENTRY.search(line) is not None for line in lines) >= max(_LISTED, _INDEX_SHARE * len(lines))


def _is_advertisement(blocks: list[Block], at: int) -> bool:
    """Whether a publisher's heading, and what is left of the book behind it, are no part of the book."""
    flat = blocks[at].flat
    if not _PUBLISHER.fullmatch(flat.rstrip(" .:")) or any(is_numbered_heading(b.flat) for b in blocks[at:]):
        return False
    few = count_words(flat) <= _FEW_WORDS and flat[-1].isalpha()  # "Praise for his patience was ..." is a sentence
    if not blocks[at].kind and ("," in flat or not (few or is_titled(flat.rstrip(" .:")))):
        return False
    return sum(len(b.flat) for b in blocks[at:]) <= _ADVERT_SHARE * sum(len(b.flat) for b in blocks)


def _is_imprint(blocks: list[Block], at: int) -> bool:
    """Whether a separator parts from the book what begins with an address of the web."""
    if blocks[at].kind != "separators" or not any(_WEB.search(b.flat) for b in blocks[at + 1 : at + 2]):
        return False
    return sum(len(b.flat) for b in blocks[at:]) <= _IMPRINT


def _words(line: str) -> list[str]:
    return re.findall(r"\w+", _LEADER.sub("", line).replace("_", " ").casefold())


def _key(line: str) -> str:
    return " ".join(_words(line)) or line


def _same_start(one: list[str], other: list[str]) -> bool:
    size = min(len(one), len(other))
    return size > 0 and one[:size] == other[:size]
