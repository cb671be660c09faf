"""Decides which blocks of a book are headings, tables of contents or title pages rather than prose."""

import re
from collections import Counter, defaultdict
from itertools import pairwise

from ...language.tables import heading_pattern
from ...language.words import HYPHENATED_WORD, count_words
from ..document import Block
from .numbered import ROMAN, mark_numbered

_NUMBER = rf"(?:(?:no\.?|nr\.?|n°) ?)?(?:\d{{1,3}}(?:st|nd|rd|th|er|[eºª°])?|(?-i:{ROMAN})|(?-i:[ivxl]{{1,7}}))"
_KEYWORDS, _ORDINALS = f"{heading_pattern('keywords')}|{heading_pattern('scenes')}", heading_pattern("ordinals")
_HEADING = re.compile(
    rf"(?:(?:{_KEYWORDS})\.? (?:{_NUMBER}|{_ORDINALS})|(?:{_ORDINALS}|\d{{1,3}}\.) (?:{_KEYWORDS}))"
    r"(?!\w)(?P<tail>.*)",
    re.IGNORECASE,
)
_SCENE_WORD = re.compile(rf"(?:{heading_pattern('scenes')})\b", re.IGNORECASE)
_SENTENCES = re.compile(r"[.!?] +\S")  # more than one
_HAN_HEADING = re.compile(
    r"第[0-9０-９一二三四五六七八九十百千零〇两兩]{1,7}[章回节節卷部篇話话幕]"
    r"|卷[一二三四五六七八九十]{1,3}|(?:제 ?)?\d{1,3} ?[장부편]"
)
_HAN_NUMBER = re.compile(r"[（(〔]?[一二三四五六七八九十百零〇]{1,5}[）)〕]?[、.．]?")
_SPELLED = re.compile(_ORDINALS, re.IGNORECASE)
_BARE = re.compile(rf"\d+\.?|{_ORDINALS}", re.IGNORECASE)
_NAMED = re.compile(heading_pattern("named"), re.IGNORECASE)
_AFTER_NUMBER = ".:—–-)] "
_STOPS, _TERMINAL = ".!?。！？", ".!?…。！？»”\"’'"
QUOTES = "\"“‘'«—„–"
_INITIALS = re.compile(r"(?:[^\W\d_]\.? ?){1,4}")
_MAX_TITLE, _TITLE_WORDS = 120, 12  # characters and words of the longest title
_MOST_TITLE = 250  # characters of a title in a series
_FRONT_CHARS = 120  # longest paragraph of a title page
_MADE = re.compile(r"e-?(?:book|text)|https?:|www\.|copyright|publish|print|rights|transcri", re.IGNORECASE)
_SENTENCE_WORDS = 4  # words from which a line with a full stop is a sentence
_FAR, _SEVERAL = 3, 5  # blank lines above a title that stands apart, and how many of these tell that they are titles
_SCENE = 60  # longest line that says where a scene is
TITLE_TIMES = 3  # how often a title may occur: in the contents, as a heading, and once more
_SERIES = 3  # chapters, from which a short line below nearly every number is its title
_PER_CHAPTER = 3  # lines in capitals to a chapter, from which they are headings where all lines have the same space
_ALIKE = 3  # words of a title that is like others


def is_numbered_heading(line: str) -> bool:
    """True for one line such as "CHAPTER I", "Letter 4." or "Zweites Kapitel"; never for a sentence."""
    line = " ".join(line.replace("_", " ").split()).strip("*=~ ")
    line = line[1:-1] if line[:1] + line[-1:] == "[]" and " " in line else line
    if not line or len(line) > _MAX_TITLE:
        return False
    if match := _HAN_HEADING.match(line):
        tail = line[match.end() :]
        spaced = not tail or tail[0] in " 　:：、.．-—"
        return len(line) <= 40 and spaced and "。" not in line
    if _HAN_NUMBER.fullmatch(line):
        return True
    if line[0].islower():
        return False
    match = _HEADING.fullmatch(line)
    if match is None:
        return re.fullmatch(ROMAN + r"\.?", line) is not None
    tail = re.sub(r"\[\w{1,3}\]", "", match["tail"]).strip()
    if not tail.strip(_AFTER_NUMBER):
        return True
    if tail[0] in ".:—–-" and (_SCENE_WORD.match(line) or not _SENTENCES.search(tail[1:].strip())):
        # A sentence that ends in a full stop is a title only if it is as short as one: "CHAPTER 2. Who Rang?"
        return (
            tail[-1] not in ',;"”’»' and (tail[-1] not in ".!?" or len(tail.split()) <= _TITLE_WORDS) or tail.isupper()
        )
    return tail.isupper()


def _lacks_title(heading: str) -> bool:
    """True for "CHAPTER I." and "4", whose title may be the next line; false for "CHAPTER I. The Harbour"."""
    match = _HEADING.fullmatch(heading) or _HAN_HEADING.match(heading)
    tail = heading[match.end() :] + (match.groupdict().get("tail") or "") if match else ""
    return not tail.strip(_AFTER_NUMBER)


def is_named_heading(text: str) -> bool:
    """True for a line that consists of "PREFACE", "Epilogue.", "The End" or the like."""
    return _NAMED.fullmatch(text.strip("*=~ ")) is not None


def is_capitals(text: str) -> bool:
    """True for a short line without lower-case letters that is neither speech nor an exclamation."""
    text = text.replace("º", "").replace("ª", "")
    letters = [c for c in text if c.isalpha()]
    cased = sum(c.isupper() for c in letters)  # one Latin capital among Chinese signs tells nothing
    if cased < 2 or 2 * cased < len(letters) or len(text) > 80 or not text.isupper():
        return False
    if all(len(part) == 1 for part in re.findall(r"[^\W_]+", text)) and _INITIALS.fullmatch(text):
        return False  # the initials that close a letter
    return text[0] not in "\"“‘'«—-„[(" and text[-1] not in "!?\"”’'»"


def is_title_line(block: Block) -> bool:
    """True for one short line that does not end like a sentence."""
    return len(block.lines) == 1 and 0 < len(block.flat) <= 80 and block.flat[-1] not in _TERMINAL


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
    titles = [block for block in blocks if not block.kind and len(block.flat) <= _MOST_TITLE]
    tails = [(found["tail"].strip(), block) for block in titles if (found := _HEADING.fullmatch(block.flat))]
    titles = [b for tail, b in tails if re.match("[.:—–-]", tail) and not re.search(r"[.!?] +\S|[,;:\"”’»]$", tail[1:])]
    if len(titles) >= _SERIES:
        for block in titles:
            block.kind = "headings"


def _mark_alike(blocks: list[Block]) -> None:
    """Mark lines of a few words of which all but one is the same, in any language: "Rozdział pierwszy".

    So are lines that are spelled numbers. None recurs, and text is between any two.
    """
    spaced = any(block.blanks >= 2 for block in blocks[1:])
    groups: dict[str, list[int]] = defaultdict(list)
    for i, block in enumerate(blocks):
        words = block.flat.casefold().split()
        if block.kind or len(words) > _ALIKE or not _may_be_title(block) or block.flat[-1] in _TERMINAL + QUOTES:
            continue
        if spaced and i and block.blanks < 2:
            continue
        if _SPELLED.fullmatch(block.flat):
            groups["1"].append(i)
        elif len(words) > 1:
            groups[words[0]].append(i)
            groups[" " + words[-1]].append(i)
    for same in groups.values():
        distinct = len({blocks[i].flat.casefold() for i in same}) == len(same)
        if len(same) >= _SERIES and distinct and all(b - a > 1 for a, b in pairwise(same)):
            for i in same:
                blocks[i].kind = "headings"


def _mark_titles(blocks: list[Block]) -> None:
    """Mark the titles of chapters in the paragraph after "CHAPTER I", and titles far above their poem or tale."""
    after = [
        (blocks[i], blocks[i - 1].flat)
        for i in range(1, len(blocks))
        if not blocks[i].kind
        and blocks[i].flat[:1] not in QUOTES
        and blocks[i - 1].heading
        and (is_numbered_heading(blocks[i - 1].flat) or _BARE.fullmatch(blocks[i - 1].flat))
    ]
    # Where nearly every chapter's number is followed by one short line, that is its title, unless it is a sentence.
    bare = [block for block, number in after if _lacks_title(number)]
    short = [b for b in bare if len(b.lines) == 1 and len(b.flat) <= 80 and not re.search("[,–—-]$|。", b.flat)]
    named = [b for b in short if b.flat[-1] != "." or count_words(b.flat) < _SENTENCE_WORDS or is_titled(b.flat[:-1])]
    titles = [block for block, _ in after if is_title_line(block) and is_titled(block.flat)]
    for block in [*titles, *(named if len(bare) >= _SERIES and len(named) >= 0.8 * len(bare) else [])]:
        block.kind = "headings"
    apart = [b for b in blocks if not b.kind and (b.blanks >= _FAR or b is blocks[0]) and b.after and _may_be_title(b)]
    words = Counter(word.casefold() for b in apart for word in {b.flat.split()[0], b.flat.split()[-1]})
    sure = sum(is_titled(b.flat) or words[b.flat.split()[-1].casefold()] >= _SEVERAL for b in apart)
    if sure >= max(_SEVERAL, 0.5 * len(apart)):  # then the short ones among them, "To You", are titles too
        for block in apart:
            block.kind = "headings"


def _may_be_title(block: Block) -> bool:
    """True for one short line that begins with a capital and does not end within a sentence."""
    opening = next((character for character in block.flat if character.isalnum()), "a")
    return len(block.lines) == 1 and len(block.flat) <= 80 and not opening.islower() and block.flat[-1] not in ".,;:"


def is_titled(line: str) -> bool:
    """True for a title: capitals, or mostly capitalised long words and no sentence end."""
    text = line.replace("_", " ").strip()
    if text.isupper():
        return text[-1] not in "-–—"  # as the first line of a letter ends
    words = [word for word in HYPHENATED_WORD.findall(text) if len(word) > 3]
    capital = sum(word[0].isupper() for word in words)
    return len(text) <= 80 and text[-1] not in '.!?,;"”’»' and bool(words) and capital >= 0.7 * len(words)


def _mark_title_page(blocks: list[Block]) -> None:
    """Mark the short lines before the first heading as a title page, if nothing else precedes that heading.

    Speech, a sentence right below a heading, or two sentences are not a title page but the book.
    """
    sentences = 0
    for i, block in enumerate(blocks[:60]):
        if is_numbered_heading(block.lines[0]) or is_named_heading(block.flat):
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
