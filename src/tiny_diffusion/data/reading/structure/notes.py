"""Notes and their marks in plain text: [1], (1), {1}, [A], *, ¹, and a footnote in brackets."""

import re
from collections import Counter
from itertools import pairwise

from ..document import PART, Block, Removed
from .blocks import parted
from .titles import is_capitals, is_named_heading, is_numbered_heading

_TOKEN = r"\d{1,3}[a-z]?|(?<!\d[\[({<（［〔【])[A-Za-z]|[ivxl]{1,6}|[*†‡§¶]{1,3}|(?:FN ?#?|[注註]|\^)\d{1,3}"
_SIGNS = r"\*{1,3}+(?!\*)|[†‡§¶‖]|\|\||[¹²³⁰⁴-⁹]{1,3}|[①-⑳]"
_MARK = rf"[\[({{<（［〔【](?:{_TOKEN})[\])}}>）］〕】]|(?<!\d)\d{{1,3}}\)|(?<!\d)\^\d{{1,3}}|{_SIGNS}"
_BODY = re.compile(rf"[ \t\u3000]*({_MARK}):?(?:[ \t\u3000]+|(?<=\d[\])}}>）］〕】])|(?<=[①-⑳]))(?=[^\n]*\w)\S")
_LISTED = re.compile(r"[ \t]*(\d{1,3})[.:]?[ \t]+\S")  # in a list of notes
_REFERENCE = re.compile(rf"(?<=\S)(?<![\s*†‡§(\[])({_MARK})(?=\W|[_\u3040-\u9fff]|\Z)")
_SPACED = re.compile(r"(?<=\S) (\[\d{1,3}\]|\(\d{1,3}\)(?=[.,;:!?]|\s*$)|(?<=\w )\(\d{1,3}\)(?= \w))", re.MULTILINE)
_NUMBERED = re.compile(r"(?P<before>[^\W\d_]{3}|[.,;:!?…\"”’»)_])\[[1-9]\d{0,2}\]")
NOTES_HEAD = re.compile(
    r"\W*(?:(?:foot|end)? ?notes?(?: to .{1,40})?|fußnoten|anmerkungen|notas|noten|примечания|сноски|注释)[:.]?\W*",
    re.IGNORECASE,
)
_JOINED = re.compile(
    r"(?<=[^\W\d_]{2}|[^\s\d_“\"‘«(][.,;:!?…\"”’»)])(?:\^?(\d{1,3})(?!\w|[.,:–-]\d|\))|[\[({](\d{1,3})[\])}])"
)
_REST = 2  # paragraphs of the last note of a list
_LOST = 3  # numbers that may lack between one list of notes and the next
_CLOSED, _CLOSED_MARK = re.compile(r"^[ \t]*\*{1,3}\)[ \t]", re.MULTILINE), re.compile(r"(\*{1,3})\)")
_EMPHASIS = re.compile(r"(?<![^\s(\"“])\*[^\W_](?:[^*\n]*\S)?\*(?!\w)")  # *so*: the book marks emphasis by stars
_WORD = r"\[(?:Foot ?note|Fußnote|Side ?note|Note|FN)\s*"
_IN_BRACKETS = re.compile(
    rf"{_WORD}([^\[\]:]{{0,12}}(?=:)|\d{{1,3}}(?=[.)]))[:.)]\s*((?:[^\[\]]|\[[^\[\]]{{0,200}}\]){{0,20000}})\]"
    r"|^\[(?:Foot ?note|Fußnote|Note)\s*([^\[\]:]{1,12})\]:?[ \t]+((?:.+\n?)+)",
    re.IGNORECASE | re.MULTILINE,
)
_BRACKETED_SIGN = re.compile(r"(?:(?<=\S) )?\[([*†‡]{1,3})\]")
_BRACKETED_MARK = re.compile(r"[ \n]?\[([^\[\]\s]{1,6})\]")
_BY_SIGN = re.compile(r"^[ \t]*\[([*†‡]{1,3})\s+([^\[\]\x1e]{1,2000})\]", re.MULTILINE)  # within a part
_ENCLOSED = re.compile(
    r"^[ \t]*\((\*{1,3}) ?(?:foot ?)?note\b[.:]?((?:[^()]|\([^()]{0,200}\)){1,3000})\)", re.IGNORECASE | re.MULTILINE
)
_NAMED_MARK = re.compile(r"(?<=\S) ?\[(?:(?:foot ?)?note|fn) \d{1,3}\]", re.IGNORECASE)
_RULE = re.compile(r"[-_=*—–]{3,}")  # a line above the notes of a page
_MANY = 3  # notes in brackets, from which every mark with one of their labels is taken out


def drop_bracketed_notes(text: str, keep: bool, removed: Removed) -> str:
    """``text`` without ``[Footnote 1: ...]``; with ``keep`` only the brackets go."""
    if _CLOSED.search(text):  # "*)" for "*", as German printers wrote
        text = _CLOSED_MARK.sub(r"\1", text)
    text = _ENCLOSED.sub(r"\n\n\1 \2\n\n", text)
    labels: set[str] = set()

    def without(match: re.Match[str]) -> str:
        labels.add((match[1] or match[3] or "").strip())
        note = match[2] or match[4] or ""
        if keep:
            return note
        removed.add("notes", note)
        return PART * note.count(PART)

    text, count = _IN_BRACKETS.subn(without, text)
    text = _NAMED_MARK.sub("", text)
    if signs := set() if keep else {note[1] for note in _BY_SIGN.finditer(text)}:
        text = removed.cut("notes", _BY_SIGN, text)
    labels = signs | {label for label in labels if count >= _MANY or not label.isdecimal()}
    if labels:
        text = _BRACKETED_MARK.sub(lambda mark: "" if mark[1] in labels else mark[0], text)
    return _BRACKETED_SIGN.sub(r"\1", text)


def mark_notes(blocks: list[Block]) -> None:
    """Set the kind of blocks that begin with a mark to which the text refers, then take the marks out of all blocks."""
    used, spaced = _used("\n".join("\n".join(block.lines) for block in blocks))
    blocks[:] = [part for block in blocks for part in _parted_notes(block, used | spaced)]
    numbered = _take_numbers(blocks)
    refers = [_refers(block, used, spaced) for block in blocks]
    section = last = None  # the first block of a list of notes under its heading, and the note before
    for i, block in enumerate(blocks):
        marked = None if block.kind else _BODY.match(block.lines[0])
        if i in numbered or marked and marked[1] in used | spaced:
            block.kind = "notes"
            above = blocks[max(0, i - 2) : i] if i and _is_heading(blocks[i - 1].flat) else blocks[max(0, i - 1) : i]
            heads = [before for before in above if not before.kind and NOTES_HEAD.fullmatch(before.flat)]
            if headed := bool(heads):
                heads[-1].kind = "headings"
            one_list = _mark_rest(blocks, last, i, section, refers)
            section, last = i if headed else section if one_list else None, i
            block.lines[0] = block.lines[0].lstrip().removeprefix(marked[1] if marked else "").lstrip(": ")
        block.lines = _without_marks(block.lines, used, spaced)
    _mark_rest(blocks, last, len(blocks), section, refers)


def _take_numbers(blocks: list[Block]) -> set[int]:
    """The places of lists of notes "1 ..." or "1. ..." to whose numbers words refer, "mare,1", which are taken out.

    All numbers of a list must stand before it, in its order, and the next one only if the next list begins with it. A
    list must begin with 1 or count on from the one before; none is taken if as many that count on lack theirs.
    """
    texts = ("\n".join("" if block.kind else line for line in block.lines) for block in blocks)
    references = [(i, found) for i, text in enumerate(texts) for found in _JOINED.finditer(text)]
    numbers = [int(found[1] or found[2]) for _, found in references]
    taken: list[int] = []
    notes: set[int] = set()
    missed = 0
    for (places, listed), (_, after) in pairwise([*_lists(blocks), ([], [0])] if references else []):
        last = numbers[taken[-1]] if taken else 0
        if listed[0] == 1 or last and last < listed[0] <= last + _LOST:
            ahead = (j for j in range(taken[-1] + 1 if taken else 0, len(numbers)) if references[j][0] < places[0])
            marks = [next((j for j in ahead if numbers[j] == number), None) for number in listed]
            if None not in marks and (listed[-1] + 1 == after[0] or listed[-1] + 1 not in (numbers[j] for j in ahead)):
                taken += marks  # type: ignore[arg-type]
                notes.update(places)
            else:
                missed += listed[0] != 1
    if missed >= len(notes):
        return set()
    for i, found in (references[j] for j in reversed(taken)):
        text = "\n".join(blocks[i].lines)
        blocks[i].lines = (text[: found.start()] + text[found.end() :]).split("\n")
    return notes


def _lists(blocks: list[Block]) -> list[tuple[list[int], list[int]]]:
    """Runs of lines that begin with numbers which count on, each from the first line of a block: places and numbers."""
    found: list[tuple[list[int], list[int]]] = []
    for i, block in enumerate(blocks):
        for k, line in enumerate(() if block.kind else block.lines):
            number = int(listed[1]) if (listed := _LISTED.match(line)) else 0
            on = found and found[-1][0][-1] == i - (k == 0) and found[-1][1][-1] == number - 1
            if number and (on or k == 0):
                found += [] if on else [([], [])]
                found[-1][0].append(i)
                found[-1][1].append(number)
    return found


def _used(text: str) -> tuple[set[str], set[str]]:
    """The marks with which a line begins and to which a word refers; then those to which one refers after a space.

    "as (1), and" is such a reference only if (1) stands nowhere else, so that every note has one, and before the note.
    """
    bodies = Counter(m[1] for line in text.split("\n") if (m := _BODY.match(line)))
    if _EMPHASIS.search(text):
        bodies -= Counter({sign: bodies[sign] for sign in ("*", "**", "***")})
    used = {m[1] for m in _REFERENCE.finditer(text)} & bodies.keys() if bodies else set()
    referred = Counter(m[1] for m in _SPACED.finditer(text)) if bodies else Counter()
    spaced = {mark for mark in referred.keys() & bodies.keys() - used
              if referred[mark] == bodies[mark] == text.count(mark) - referred[mark]
              and text[: text.index(mark)].rstrip(" \t")[-1:] not in ("", "\n")}  # fmt: skip
    # The items of a list look like notes too, but not all of them are referred to.
    listed = {mark[0] for mark in bodies.keys() - used - spaced if mark[1:-1].isdecimal()}
    return used, {mark for mark in spaced if mark[0] not in listed}


def _parted_notes(block: Block, used: set[str]) -> list[Block]:
    """``block`` in parts if it is a list of notes without blank lines, or a rule with notes below it."""
    begins = [(m := _BODY.match(line)) is not None and m[1] in used for line in block.lines]
    ruled = [i and _RULE.fullmatch(block.lines[i - 1].strip()) is not None for i in range(len(begins))]
    first = next((i for i, ready in enumerate(begins) if ready and (i == 0 or ruled[i])), None)
    if first is None or block.kind:
        return [block]
    return parted(block, [begins[i] and i >= first for i in range(1, len(begins))])


def _refers(block: Block, used: set[str], spaced: set[str]) -> bool:
    """Whether a block holds a reference to a note."""
    text = "\n".join(block.lines)
    found = (m[1] in used for m in _REFERENCE.finditer(text))
    return any(found) or any(m[1] in spaced for m in _SPACED.finditer(text))


def _mark_rest(blocks: list[Block], note: int | None, stop: int, section: int | None, refers: list[bool]) -> bool:
    """Mark the further paragraphs of a note: those set in below it, and all between two notes of one list.

    Text that refers to a note is not between two of one list, and behind the last note of a list there are few.
    Returns whether no heading is before ``stop``.
    """
    if note is None:
        return False
    between = blocks[note + 1 : stop]
    ends = next((k for k, block in enumerate(between) if block.kind or _is_heading(block.flat)), len(between))
    listed = section is not None and not any(refers[note + 1 : note + 1 + ends])
    listed = listed and (ends <= _REST or ends == len(between) and stop < len(blocks))
    for block in between[:ends]:
        if not (listed or all(line[:2].isspace() for line in block.lines)):
            break
        block.kind = "notes"
    return ends == len(between)


def _is_heading(text: str) -> bool:
    return is_numbered_heading(text) or is_named_heading(text) or is_capitals(text)


def _without_marks(lines: list[str], used: set[str], spaced: set[str]) -> list[str]:
    text = "\n".join(lines)
    if "[" in text:
        # An index such as x[1] is not a footnote mark: a mark follows a word of three letters or punctuation.
        text = _NUMBERED.sub(lambda m: m["before"], text)
    if used:
        text = _REFERENCE.sub(lambda m: "" if m[1] in used else m[0], text)
    if spaced:
        text = _SPACED.sub(lambda m: "" if m[1] in spaced else m[0], text)
    return text.split("\n")
