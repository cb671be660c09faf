"""Page furniture of plain text: page marks, running heads, page numbers, pictures and separators."""

import re
from collections import Counter, defaultdict
from itertools import pairwise

from ...language.tables import heading_pattern
from ..document import Block, Removed
from .lines import ends_sentence
from .titles import is_numbered_heading

_FORM_FEED = re.compile(r"\n?\f\n?")
_PAGE_MARK = re.compile(
    r"[\[{]\s*(?:pg|page|seite|p|s)(?:\.\s*|\s+|(?=\d))(?:\d{1,5}|[ivxlc]{1,7})\s*[\]}]", re.IGNORECASE
)
PAGE = "0"  # stands where a page ends, if its number is not known
_BRACED_NUMBER = re.compile(r"\{(\d{1,4})\}")
_MANY = 5  # braced numbers in rising order from which they are taken for pages
_ILLUSTRATION = re.compile(
    r"\[\s*(?:Illustrations?|Ilustra\w+|Illustra[tz]i\w+|Abbildung|Иллюстрация|Frontispiece|Figure|Image|Blank page"
    r"|Decoration|(?:Head|Tail)piece)\b[^\[\]]{0,2000}(?:\[[^\[\]]{0,500}\][^\[\]]{0,1000})?\]",
    re.IGNORECASE,
)
_HEAD = re.compile(
    r"^[ \t]*(?:(\d{1,4})([ \t]+(?:[|•·] +)?)(\S[^\n]{0,70})|(\S[^\n]{0,70}?)((?: +[|•·])?[ \t]+)(\d{1,4}))[ \t]*$",
    re.MULTILINE,
)
_BROKEN = 0.2  # share of running heads above which a sentence breaks off, at least
_MISREAD = re.compile(r"[\W_il1|]")  # what a scan reads in one head and not in another
_LONGEST_LINE = 300  # characters to look back for the line before a running head
_WIDE = 3  # spaces between a running head and its number, from which two of a kind tell it; else it takes three
_LONE_NUMBER = re.compile(
    r"[-–—.\[(\s]*(?:(?i:page|seite|p\.) )?(?:\d{1,4}|[ivxl]{2,7})(?: ?(?:of|von|de|/) ?\d{1,4})?[-–—.\])\s]*"
)
_LONE_MARK = re.compile(rf"^[ \t]*{_PAGE_MARK.pattern}[ \t]*$", re.IGNORECASE | re.MULTILINE)
_LONGEST_HEAD, _RECURS = 60, 3  # characters of a running head without a number, and how often it recurs
_CHAPTERS, _SHORTEST_CHAPTER = 3, 150  # bare numbers that may be those of chapters, and characters between two
_YEARS = range(1000, 2100)
_STOPPED = re.compile(r"\d{1,4}\.")  # the number of a chapter or letter, or a year: that of a page has no full stop
_MONTH, _DAY = heading_pattern("months"), r"\d{1,2}(?:st|nd|rd|th|d|er|[.º])?"
_DATE = re.compile(
    rf"(?:[^\W\d_]+[.,]? ){{0,2}}(?:{_DAY},? (?:(?:of|de|di) )?(?:{_MONTH})|(?:{_MONTH})\.? (?:the )?{_DAY})(?!\w)",
    re.IGNORECASE,
)
_ONLY_NUMBER = re.compile(r"\s*(?:\d{1,8}\.?|[-–—\[(] ?\d{1,4} ?[-–—\])])\s*")
_LINE_NUMBER = re.compile(r"(?<=\S)[ \t]{2,}(\d{1,5})[ \t]*$|^[ \t]*(\d{1,5})[ \t]+(?=\S)", re.MULTILINE)
_STEPS = (3, 4, 5, 6, 8, 10, 20)  # lines of verse from one that is numbered to the next
_RULE, _RULE_LENGTH = re.compile(r"([=~^\-])\1{2,}"), 3  # below a title, and how much longer or shorter it may be
_SEPARATOR = re.compile(r"[\s*\-_=~•·#—–+.⁂※＊◇◆☆★○●□■]+")


def mark_page_ends(text: str) -> str:
    """``text`` with a page number, about which a paragraph may go on, in place of each form feed."""
    return _FORM_FEED.sub(f"\n\n{PAGE}\n\n", text)


def drop_page_marks(text: str, removed: Removed) -> str:
    """``text`` without ``[Pg 12]``, pictures, and with only the number of each running head, on a line of its own."""
    text = _LONE_MARK.sub(lambda m: _on_its_own(m, PAGE), text)  # a paragraph goes on about it
    text = drop_bracketed_marks(text, removed)
    numbers = [int(found) for found in _BRACED_NUMBER.findall(text)]
    if len(numbers) >= _MANY and rising(numbers):
        text = removed.cut("pages", _BRACED_NUMBER, text)
    return _without_running_heads(_without_line_numbers(text, removed), removed)


def drop_bracketed_marks(text: str, removed: Removed) -> str:
    """``text`` without ``[Pg 12]`` and ``[Illustration]``."""
    return removed.cut("pages", _PAGE_MARK, removed.cut("pictures", _ILLUSTRATION, text))


def mark_furniture(blocks: list[Block], removed: Removed) -> None:
    """Set the kind of separators, page numbers and dates; a separator, or a mere number, within a block goes."""
    for block in blocks:
        flat = block.flat.strip("*=~ ")
        if not block.kind and (title := _underlined(block.lines)):
            block.kind, block.lines = "headings", [title]
        elif len(block.lines) == 1 and len(flat) <= _LONGEST_HEAD and _DATE.match(flat):
            block.kind = block.kind or ("" if is_numbered_heading(flat) else "text")
        lines = list(block.lines)
        inner = len(lines) if len(lines) > 1 and _RULE.fullmatch(lines[-1].strip()) else len(lines) - 1
        for place, line in enumerate(() if block.kind else block.lines[:inner]):
            if kind := _furniture(line, place):
                removed.add(kind, line)
                lines.remove(line)
        flat = " ".join(lines).strip()
        if not flat or _SEPARATOR.fullmatch(flat):
            block.kind = block.kind or "separators"
        elif _LONE_NUMBER.fullmatch(flat):
            block.kind = block.kind or ("headings" if _STOPPED.fullmatch(flat) else "pages")
        else:
            block.lines = lines
    _mark_chapter_numbers(blocks)
    _mark_recurring_heads(blocks)


def _mark_chapter_numbers(blocks: list[Block]) -> None:
    """Mark bare numbers as headings where each follows a finished sentence or a heading, unlike those of pages.

    They must count on from 1, perhaps again in each part, or be years.
    """
    bare = [(block.flat.strip(" -–—"), i) for i, block in enumerate(blocks) if block.kind == "pages"]
    numbers = [(int(number), i) for number, i in bare if number.isdecimal()]
    listed = [number for number, _ in numbers]
    counts = all(b in (1, a + 1) for a, b in pairwise([0, *listed])) or listed == sorted(
        n for n in listed if n in _YEARS
    )
    above = [blocks[i - 1].flat for _, i in numbers[1:]]
    ended = all(ends_sentence(text) or is_numbered_heading(text) for text in above)
    starts = pairwise(i for _, i in numbers)
    long = all(sum(len(block.flat) for block in blocks[a + 1 : b]) >= _SHORTEST_CHAPTER for a, b in starts)
    if len(numbers) >= _CHAPTERS and counts and ended and long:
        for _, i in numbers:
            blocks[i].kind = "headings"


def _mark_recurring_heads(blocks: list[Block]) -> None:
    """Mark a short line that recurs, and mostly cuts a sentence or stands by a page number, as a running head."""
    places = defaultdict(list)
    for i, block in enumerate(blocks[1:-1], 1):
        if (
            not block.kind
            and len(block.lines) == 1
            and len(block.flat) <= _LONGEST_HEAD
            and not block.flat[0].islower()
            and block.flat[-1] not in ",;:-—"
        ):
            places[block.flat.casefold()].append(i)
    for same in places.values():
        if len(same) >= _RECURS and 2 * sum(_cuts(blocks, i) for i in same) >= len(same):
            for i in same:
                blocks[i].kind = "pages"


def _cuts(blocks: list[Block], i: int) -> bool:
    """Whether block ``i`` stands next to a page number, or between the two parts of a sentence."""
    before, after = blocks[i - 1], blocks[i + 1]
    return "pages" in (before.kind, after.kind) or (not ends_sentence(before.flat) and after.flat[:1].islower())


def _underlined(lines: list[str]) -> str:
    """The only line of a block, if a rule of about its length is below it, and perhaps above it; empty if not."""
    title = [line.strip() for line in lines if not _SEPARATOR.fullmatch(line)]
    rule = lines[-1].strip()
    found = (
        len(title) == 1
        and title[0][-1] not in ":,;"
        and _RULE.fullmatch(rule)
        and abs(len(rule) - len(title[0])) <= _RULE_LENGTH
    )
    return title[0] if found else ""


def _furniture(line: str, place: int) -> str:
    """What a line within a block is, if it is no text; the number above a stanza counts as its heading."""
    if _SEPARATOR.fullmatch(line) and len(line.strip()) > 2:
        return "separators"
    if _ONLY_NUMBER.fullmatch(line):
        return "pages" if place else "headings"
    return ""


def _without_running_heads(text: str, removed: Removed) -> str:
    """Replace each running head, a line with a page number and a title that recurs, by its number alone.

    Where all their numbers rise, as those of pages do, the titles need not recur. Some must break off a sentence.
    """
    heads = [m for m in _HEAD.finditer(text) if is_numbered_heading(_title(m)) or not is_numbered_heading(m[0].strip())]
    wide = [m for m in heads if len(m[2] or m[5]) >= _WIDE]
    alone = [m for m in wide if text.endswith("\n\n", 0, m.start()) and text.startswith("\n\n", m.end())]
    found: set[re.Match[str]] = set()
    for group, least in ((wide, 2), (heads, 3)):
        titles = defaultdict(list)
        for match in group:
            titles[_MISREAD.sub("", _title(match).casefold())].append(match)
        likely = [same for same in titles.values() if len(same) >= least]
        for same in [*likely, alone] if group is wide and len(alone) >= _MANY else likely:
            if rising([_page(m) for m in same]) and sum(map(_breaks_off, same)) >= _BROKEN * len(same):
                found.update(same)
    parts, end = [], 0
    sure = sorted(found, key=lambda match: match.start())
    for before, after in pairwise(sure):  # a title that does not recur, on a page between theirs
        found.update(
            m
            for m in {*wide, *alone}
            if before.start() < m.start() < after.start() and _page(before) < _page(m) < _page(after)
        )
    for match in heads:
        if match in found:
            removed.add("pages", match[0])
            parts += [text[end : match.start()], _on_its_own(match, str(_page(match)))]
            end = match.end()
    return "".join([*parts, text[end:]])


def _breaks_off(head: re.Match[str]) -> bool:
    """Whether the line before a running head, unless it may be another, ends within a sentence."""
    before = head.string[max(0, head.start() - _LONGEST_LINE) : head.start()].rstrip().rpartition("\n")[2]
    return not ends_sentence(before) and not _HEAD.fullmatch(before)


def _on_its_own(line: re.Match[str], page: str) -> str:
    """``page`` in place of a line, with a blank line before and after it."""
    before = line.string.endswith("\n\n", 0, line.start())
    after = line.string.startswith("\n\n", line.end())
    return "\n" * (not before) + page + "\n" * (not after)


def _title(head: re.Match[str]) -> str:
    return (head[3] or head[4]).strip()


def _page(head: re.Match[str]) -> int:
    return int(head[1] or head[6])


def _without_line_numbers(text: str, removed: Removed) -> str:
    """``text`` without the numbers 5, 10, 15 ... or 4, 8, 12 ... at the ends of lines of verse, or before them.

    So many lines must stand between two of them, as do not in a list of numbers.
    """
    found = list(_LINE_NUMBER.finditer(text))
    numbers = [int(match[1] or match[2]) for match in found]
    steps = [after - before for before, after in pairwise([0, *numbers])]
    step = Counter(steps).most_common(1)[0][0] if found else 0
    counted = sum(
        number in (1, step, 2 * step) or by in (step, 2 * step) for number, by in zip(numbers, steps, strict=True)
    )
    apart = sum(2 * text.count("\n", a.start(), b.start()) >= step for a, b in pairwise(found))
    if len(found) < _MANY or step not in _STEPS or min(counted, apart + 1) < 0.9 * len(found):
        return text
    return removed.cut("pages", _LINE_NUMBER, text)


def rising(numbers: list[int]) -> bool:
    """Whether nearly all numbers are above the one before them."""
    rises = sum(a < b for a, b in zip(numbers, numbers[1:], strict=False))
    return rises >= 0.9 * (len(numbers) - 1)
