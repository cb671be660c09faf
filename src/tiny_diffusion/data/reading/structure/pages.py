"""Page furniture of plain text: page marks, running heads, page numbers, pictures and separators."""

import re
from collections import defaultdict

from ..document import Block, Removed

_PAGE_MARK = re.compile(
    r"[\[{]\s*(?:pg|page|seite|p|s)(?:\.\s*|\s+|(?=\d))(?:\d{1,5}|[ivxlc]{1,7})\s*[\]}]", re.IGNORECASE
)
_BRACED_NUMBER = re.compile(r"\{(\d{1,4})\}")
_MANY = 5  # braced numbers in rising order from which they are taken for pages
_ILLUSTRATION = re.compile(r"\[\s*Illustrations?\b[^\[\]]{0,2000}(?:\[[^\[\]]{0,500}\][^\[\]]{0,1000})?\]", re.I)
_HEAD = re.compile(
    r"^[ \t]*(?:(\d{1,4})[ \t]{3,}(\S[^\n]{0,70})|(\S[^\n]{0,70}?)[ \t]{3,}(\d{1,4}))[ \t]*$", re.MULTILINE
)
_LONE_NUMBER = re.compile(
    r"[-–—.\[(\s]*(?:(?i:page|seite|p\.) )?(?:\d{1,4}|[ivxl]{2,7})(?: ?(?:of|von|de|/) ?\d{1,4})?[-–—.\])\s]*"
)
_LONE_MARK = re.compile(rf"^[ \t]*{_PAGE_MARK.pattern}[ \t]*$", re.IGNORECASE | re.MULTILINE)
_YEAR = re.compile(r"1[0-9]{3}\.|20[0-9]{2}\.")  # a page number has no full stop
_ONLY_NUMBER = re.compile(r"\s*\d{1,8}\.?\s*")
_LINE_NUMBER = re.compile(r"(?<=\S)[ \t]{2,}(\d{1,5})[ \t]*$", re.MULTILINE)
_SEPARATOR = re.compile(r"[\s*\-_=~•·#—–+.⁂※]+")


def drop_page_marks(text: str, removed: Removed) -> str:
    """``text`` without ``[Pg 12]``, pictures, and with only the number of each running head, on a line of its own."""
    text = removed.cut("pictures", _ILLUSTRATION, text)
    text = _LONE_MARK.sub("\n\n1\n\n", text)  # a page number, about which a paragraph goes on
    text = removed.cut("pages", _PAGE_MARK, text)
    numbers = [int(found) for found in _BRACED_NUMBER.findall(text)]
    if len(numbers) >= _MANY and _rising(numbers):
        text = removed.cut("pages", _BRACED_NUMBER, text)
    return _without_running_heads(_without_line_numbers(text, removed), removed)


def mark_furniture(blocks: list[Block], removed: Removed) -> None:
    """Set the kind of separators and page numbers; a separator, or a line with only a number, within a block goes."""
    for block in blocks:
        lines = list(block.lines)
        for place, line in enumerate(() if block.kind else block.lines[:-1]):
            if kind := _furniture(line, place):
                removed.add(kind, line)
                lines.remove(line)
        flat = " ".join(lines).strip()
        if not flat or _SEPARATOR.fullmatch(flat):
            block.kind = block.kind or "separators"
        elif _LONE_NUMBER.fullmatch(flat):
            block.kind = block.kind or ("headings" if _YEAR.fullmatch(flat) else "pages")
        else:
            block.lines = lines


def _furniture(line: str, place: int) -> str:
    """What a line within a block is, if it is no text; the number above a stanza counts as its heading."""
    if _SEPARATOR.fullmatch(line) and len(line.strip()) > 2:
        return "separators"
    if _ONLY_NUMBER.fullmatch(line):
        return "pages" if place else "headings"
    return ""


def _without_running_heads(text: str, removed: Removed) -> str:
    """Replace each running head, a line with a page number and a title that recurs, by its number alone."""
    titles = defaultdict(list)
    heads = [(m, int(m[1] or m[4]), " ".join((m[2] or m[3]).casefold().split())) for m in _HEAD.finditer(text)]
    for _, number, title in heads:
        titles[title].append(number)
    known = {title for title, numbers in titles.items() if len(numbers) > 1 and _rising(numbers)}
    parts, end = [], 0
    for match, number, title in heads:
        if title in known:
            removed.add("pages", match[0])
            parts += [text[end : match.start()], f"\n\n{number}\n\n"]
            end = match.end()
    return "".join([*parts, text[end:]])


def _without_line_numbers(text: str, removed: Removed) -> str:
    """``text`` without the numbers 5, 10, 15 ... at the ends of lines of verse."""
    found = [int(match[1]) for match in _LINE_NUMBER.finditer(text)]
    steps = sum(b - a in (5, 10) or b in (5, 10) for a, b in zip([0, *found], found, strict=False))
    if len(found) < _MANY or steps < 0.9 * len(found):
        return text
    return removed.cut("pages", _LINE_NUMBER, text)


def _rising(numbers: list[int]) -> bool:
    """Whether nearly all numbers are above the one before them."""
    rises = sum(a < b for a, b in zip(numbers, numbers[1:], strict=False))
    return rises >= 0.9 * (len(numbers) - 1)
