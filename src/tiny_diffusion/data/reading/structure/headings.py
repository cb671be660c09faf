"""Decides which blocks of a book are headings, tables of contents or title pages rather than prose."""

import re
from collections import Counter, defaultdict
from itertools import pairwise

from ...language.words import count_words
from ..document import Block
from .numbered import mark_numbered
from .titles import (
    NUMBERED,
    ORDINALS,
    QUOTES,
    TERMINAL,
    WORDED,
    is_capitals,
    is_named_heading,
    is_numbered_heading,
    is_title_line,
    is_titled,
    lacks_title,
    may_be_title,
)

_ONE_SENTENCE = re.compile(r"(?:[.:—–-]|, (?=in\b|wherein|worin|où|dans|nel))(?:(?![.!?] +\S).)*(?<![,;:\"”’»])")
_FIRST = ("1", "one", "eins", "uno")
_SPELLED = re.compile(ORDINALS, re.IGNORECASE)
_BARE = re.compile(rf"\d+\.?|{ORDINALS}", re.IGNORECASE)
_STOPS = ".!?。！？"
_MOST_TITLE, _MOST_SUMMARY = 250, 600  # characters of a title in a series, and of a summary
_FRONT_CHARS = 120  # longest paragraph of a title page
_MADE = re.compile(r"e-?(?:book|text)|https?:|www\.|copyright|publish|print|rights|transcri", re.IGNORECASE)
_SENTENCE_WORDS = 4  # words from which a line with a full stop is a sentence
_FAR, _SEVERAL = 3, 5  # blank lines above a title that stands apart, and how many of these tell that they are titles
_SCENE = 60  # longest line that says where a scene is
TITLE_TIMES = 3  # how often a title may occur: in the contents, as a heading, and once more
_SERIES = 3  # chapters, from which a short line below nearly every number is its title
_PER_CHAPTER = 3  # lines in capitals to a chapter, from which they are headings where all lines have the same space
_ALIKE = 3  # words of a title that is like others
_TOPIC = re.compile(r"(?:--|[—–]|\. ?-) ?(?=[^\W\d_a-zß-öø-ÿа-я])")  # begins in a summary: "The Start--A Storm"
_HEAD = re.compile(r"[^\W\d_]+ [^\W\d_]+(?=\. [^\W\d_a-zß-öø-ÿ])")  # of such a title


def mark_headings(blocks: list[Block]) -> None:
    """Set ``kind`` on each block that is a heading or belongs to the title page."""
    _mark_scenes(blocks)
    _mark_long_titles(blocks)
    mark_numbered(blocks)
    _mark_alike(blocks)
    named = sum(block.heading for block in blocks)
    often = Counter(block.flat for block in blocks)  # a name that recurs is a speaker's
    capitals = [
        is_capitals(block.flat.rstrip("!?") if block.blanks >= 2 else block.flat) and often[block.flat] <= TITLE_TIMES
        for block in blocks
    ]
    # In a book printed in capitals throughout, capitals do not tell headings apart.
    shouted = sum(len(block.flat) for block, capital in zip(blocks, capitals, strict=True) if capital)
    by_capitals = shouted <= max(200, 0.3 * sum(len(block.flat) for block in blocks))
    spaced = any(block.blanks >= 2 for block in blocks[1:])
    lone: list[int] = []  # lines in capitals that are not next to another heading
    for i, block in enumerate(blocks):
        if block.kind:
            continue
        flat = block.flat
        titled = is_numbered_heading(block.lines[0]) and all(is_titled(line) for line in block.lines[1:])
        heading = len(block.lines) <= 3 and (is_named_heading(flat) or is_numbered_heading(flat) or titled)
        if not heading and by_capitals and capitals[i] and len(block.lines) <= 3 and not _goes_on(blocks, i):
            below = i == 0 or blocks[i - 1].heading or i >= 2 and blocks[i - 2].heading and is_title_line(blocks[i - 1])
            apart = block.blanks >= 2 if spaced else flat[-1] not in ".,;:" and len(flat.split()) > 1
            heading = below and (spaced or apart)
            if not heading and (apart or spaced and lone[-1:] == [i - 1]):
                lone.append(i)
        block.kind = "headings" if heading else ""
    # Beside numbered headings, or without space above, one or two, or a few a chapter, may be telegrams or gravestones.
    numbered = sum(block.heading and is_numbered_heading(block.flat) for block in blocks)
    even = not spaced or all(block.blanks >= 2 for block in blocks[1:])
    least = max(_SERIES, _PER_CHAPTER * max(numbered, named) * even)
    custom = spaced and not numbered or sum(i - 1 not in lone for i in lone) >= least
    told = (b.flat[-1] in _STOPS and count_words(b.flat) >= _SENTENCE_WORDS and not b.flat.isupper() for b in blocks)
    prose = next((i for i, found in enumerate(told) if found and not blocks[i].kind), 0)
    for i in reversed(lone):
        ends = i + 1 == len(blocks) or blocks[i + 1].heading
        blocks[i].kind = "headings" if custom or ends or i < prose else ""
    _mark_titles(blocks)
    _mark_title_page(blocks)
    for i in range(1, len(blocks) - 1):
        # A lone "or", "by" or name between two headings of a title page.
        between = not blocks[i].kind and blocks[i - 1].heading and blocks[i + 1].heading
        if between and is_title_line(blocks[i]) and not _is_epigraph(blocks[i]):
            blocks[i].kind = "headings"


def _is_epigraph(block: Block) -> bool:
    """True for a quotation, or for lines with a dash before the name of who said them."""
    named = len(block.lines) > 1 and block.lines[-1].strip()[0] in "-–—"
    return count_words(block.flat) > _SENTENCE_WORDS and (named or block.flat[0] in QUOTES)


def _goes_on(blocks: list[Block], i: int) -> bool:
    """Whether a sentence goes on through block ``i`` or into the next: a sign, which "said: NO BREAD", "DEAR SIR,"."""
    following = blocks[i + 1].flat if i + 1 < len(blocks) else "THE END"
    if blocks[i].flat[-1] in ",-–—" and not (following.isupper() or is_capitals(following)):
        return True
    if not 0 < i < len(blocks) - 1 or blocks[i - 1].heading or blocks[i - 1].flat.isupper():
        return False
    return blocks[i - 1].flat[-1] in ":," or blocks[i + 1].flat[0].islower()


def _mark_scenes(blocks: list[Block]) -> None:
    """Mark "Scene II." with a short line below it, where several scenes, or nearly all, have one."""
    numbered = [block for block in blocks if not block.kind and is_numbered_heading(block.lines[0])]
    scenes = [
        block
        for block in numbered
        if len(block.lines) == 2 and len(block.lines[1].strip()) <= _SCENE and block.lines[1].strip()[0] not in QUOTES
    ]
    if len(scenes) >= _SEVERAL or len(scenes) >= max(_SERIES, 0.8 * len(numbered)):
        for block in scenes:
            block.kind = "headings"


def _mark_long_titles(blocks: list[Block]) -> None:
    """Mark "Chapter the First. In which ..." of one sentence, however long, where three chapters have such a title."""
    titles: dict[str, list[Block]] = {}
    for block in blocks:
        found = NUMBERED.fullmatch(block.flat) or WORDED.fullmatch(block.flat)
        tail = found["tail"].strip() if found else ""
        if found and not block.kind and len(block.flat) <= _MOST_TITLE and _ONE_SENTENCE.fullmatch(tail):
            titles.setdefault(block.flat[: found.start("tail")].casefold(), []).append(block)
    if len(titles) >= _SERIES:
        for block in [block for same in titles.values() for block in same]:
            block.kind = "headings"


def _mark_alike(blocks: list[Block]) -> None:
    """Mark lines of a few words of which all but one is the same, in any language: "Rozdział pierwszy".

    So are lines that are spelled numbers. Text is between any two; where they recur, they begin anew in their order. A
    title may follow: "First Story. The Mill".
    """
    spaced = any(block.blanks >= 2 for block in blocks[1:])
    groups: dict[str, list[int]] = defaultdict(list)
    for i, block in enumerate(blocks):
        head = _HEAD.match(block.flat)
        words = (head[0] if head else block.flat).casefold().split()
        if block.kind or len(words) > _ALIKE or not may_be_title(block) or block.flat[-1] in TERMINAL + QUOTES:
            continue
        if spaced and i and block.blanks < 2 and not is_numbered_heading(f"{block.flat.split()[0]} 1"):
            continue
        if _SPELLED.fullmatch(block.flat):
            groups["1"].append(i)
        elif len(words) > 1:
            groups[words[0]].append(i)
            groups[" " + words[-1]].append(i)
    for same in groups.values():
        in_order = _in_order([blocks[i].flat.casefold() for i in same])
        if len(same) >= _SERIES and in_order and all(b - a > 1 for a, b in pairwise(same)):
            for i in same:
                blocks[i].kind = "headings"


def _names_chapter(block: Block) -> bool:
    """Whether a block below a chapter's number may be its title, or a summary in capitals or between dashes."""
    flat = block.flat
    if re.search("[,–—-]$|。", flat):
        return False
    if flat.isupper() or len(_TOPIC.findall(flat)) > 1:
        return len(flat) <= _MOST_SUMMARY
    if len(block.lines) > 1 or len(flat) > 80:
        return False
    return flat[-1] != "." or count_words(flat) < _SENTENCE_WORDS or is_titled(flat[:-1])


def _in_order(titles: list[str]) -> bool:
    """Whether each title follows the same one wherever it recurs, unless it is the first, with which a part begins."""
    order = {title: place for place, title in enumerate(dict.fromkeys(titles))}
    return all(order[b] in (0, order[a] + 1) for a, b in pairwise(titles)) and len(order) >= _SERIES


def _mark_titles(blocks: list[Block]) -> None:
    """Mark the titles of chapters in the paragraph after "CHAPTER I", and titles far above their poem or tale."""
    after = [
        (blocks[i], blocks[i - 1].flat)
        for i in range(1, len(blocks))
        if (not blocks[i].kind or blocks[i].kind == "headings" and not is_numbered_heading(blocks[i].flat))
        and blocks[i].flat[:1] not in QUOTES
        and blocks[i - 1].heading
        and (is_numbered_heading(blocks[i - 1].flat) or _BARE.fullmatch(blocks[i - 1].flat))
    ]
    # Where nearly every chapter's number is followed by one short line, that is its title, unless it is a sentence.
    bare = [block for block, number in after if lacks_title(number)]
    named = [block for block in bare if _names_chapter(block)]
    titles = [block for block, _ in after if is_title_line(block) and is_titled(block.flat)]
    for block in [*titles, *(named if len(bare) >= _SERIES and len(named) >= 0.8 * len(bare) else [])]:
        block.kind = "headings"
    apart = [b for b in blocks if not b.kind and (b.blanks >= _FAR or b is blocks[0]) and b.after and may_be_title(b)]
    words = Counter(word.casefold() for b in apart for word in {b.flat.split()[0], b.flat.split()[-1]})
    sure = sum(is_titled(b.flat) or words[b.flat.split()[-1].casefold()] >= _SEVERAL for b in apart)
    if sure >= max(_SEVERAL, 0.5 * len(apart)):  # then the short ones among them, "To You", are titles too
        for block in apart:
            block.kind = "headings"


def _mark_title_page(blocks: list[Block]) -> None:
    """Mark the short lines before the first heading as a title page, if nothing else precedes that heading.

    Speech, a sentence right below a heading, or two sentences are not a title page but the book.
    """
    sentences = 0
    for i, block in enumerate(blocks[:60]):
        first = is_numbered_heading(block.lines[0]) or block.flat.strip(" .").casefold() in _FIRST
        if first or is_named_heading(block.flat):
            for before in blocks[:i]:
                before.kind = before.kind or ("" if _is_epigraph(before) else "front")
            return
        if block.kind:
            continue
        sentence = block.flat[-1] in _STOPS and count_words(block.flat) >= _SENTENCE_WORDS
        sentence = sentence and not _MADE.search(block.flat)
        told = sentence and (sentences or blocks[max(0, i - 1)].heading)
        sentences += sentence
        if len(block.flat) > _FRONT_CHARS or told or block.flat[-1] in "”»」":
            return
