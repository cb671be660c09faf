"""Notes and their marks in plain text: [1], (1), {1}, [A], *, ¹, and a footnote in brackets."""

import re
from collections import Counter
from itertools import pairwise

from ..document import Block, Removed
from .blocks import parted
from .headings import is_capitals, is_named_heading, is_numbered_heading

_TOKEN = r"\d{1,3}[a-z]?|(?<!\d[\[({<（［])[A-Za-z]|[ivxl]{1,6}|[*†‡§¶]{1,3}|(?:FN ?#?|[注註])\d{1,3}"
_SIGNS = r"\*{1,3}+(?!\*)|[†‡§¶‖]|\|\||[¹²³⁰⁴-⁹]{1,3}|[①-⑳]"
_MARK = rf"[\[({{<（［](?:{_TOKEN})[\])}}>）］]|(?<!\d)\d{{1,3}}\)|(?<!\d)\^\d{{1,3}}|{_SIGNS}"
_BODY = re.compile(rf"[ \t\u3000]*({_MARK})(?:[ \t\u3000]+|(?<=\d[\])}}>）］])|(?<=[①-⑳]))(?=[^\n]*\w)\S")
_LISTED = re.compile(r"[ \t]*(\d{1,3})[.):]?[ \t]+\S")  # in a list of notes, under its heading
_REFERENCE = re.compile(rf"(?<=\S)(?<![\s*†‡§(\[])({_MARK})(?=\W|[_\u3040-\u9fff]|\Z)")
_SPACED = re.compile(r"(?<=\S) (\[\d{1,3}\]|\(\d{1,3}\)(?=[.,;:!?]|\s*$))", re.MULTILINE)
_NUMBERED = re.compile(r"(?P<before>[^\W\d_]{3}|[.,;:!?…\"”’»)_])\[[1-9]\d{0,2}\]")
_REFERRED = re.compile(r"(?<=\S)[\[({](\d{1,3})[\])}]")
NOTES_HEAD = re.compile(r"\W*(?:foot ?notes?|end ?notes?|notes?|fußnoten|anmerkungen|notas)[:.]?\W*", re.IGNORECASE)
_EMPHASIS = re.compile(r"(?<![^\s(\"“])\*[^\W_]")  # *so*: the book marks emphasis by stars
_WORD = r"\[(?:Foot ?note|Fußnote|Side ?note|Note)\s*"
_IN_BRACKETS = re.compile(
    rf"{_WORD}([^\[\]:]{{0,12}}):\s*((?:[^\[\]]|\[[^\[\]]{{0,200}}\]){{0,20000}})\]"
    r"|^\[(?:Foot ?note|Fußnote|Note)\s*([^\[\]:]{1,12})\]:?[ \t]+((?:.+\n?)+)",
    re.IGNORECASE | re.MULTILINE,
)
_BRACKETED_MARK = re.compile(r"[ \n]?\[([^\[\]\s]{1,6})\]")
_BY_SIGN = re.compile(r"^[ \t]*\[([*†‡]{1,3})\s+([^\[\]]{1,2000})\]", re.MULTILINE)
_NAMED_MARK = re.compile(r"(?<=\S) ?\[(?:foot ?)?note \d{1,3}\]", re.IGNORECASE)
_RULE = re.compile(r"[-_=*—–]{3,}")  # a line above the notes of a page
_MANY = 3  # notes in brackets, from which every mark with one of their labels is taken out


def drop_bracketed_notes(text: str, keep: bool, removed: Removed) -> str:
    """``text`` without ``[Footnote 1: ...]``; with ``keep`` only the brackets go."""

    labels: set[str] = set()

    def without(match: re.Match[str]) -> str:
        labels.add((match[1] or match[3] or "").strip())
        note = match[2] or match[4] or ""
        if keep:
            return note
        removed.add("notes", note)
        return ""

    text, count = _IN_BRACKETS.subn(without, text)
    text = _NAMED_MARK.sub("", text)
    if signs := set() if keep else {note[1] for note in _BY_SIGN.finditer(text)}:
        text = removed.cut("notes", _BY_SIGN, text)
    labels = signs | {label for label in labels if count >= _MANY or not label.isdecimal()}
    if not labels:
        return text
    return _BRACKETED_MARK.sub(lambda mark: "" if mark[1] in labels else mark[0], text)


def mark_notes(blocks: list[Block]) -> None:
    """Set the kind of blocks that begin with a mark to which the text refers, then take the marks out of all blocks."""
    text = "\n".join("\n".join(block.lines) for block in blocks)
    used, spaced = _used(text)
    blocks[:] = [part for block in blocks for part in _parted_notes(block, used | spaced)]
    section = last = None  # the first block of a list of notes under its heading, and the note before
    _mark_list(blocks, text)
    for i, block in enumerate(blocks):
        if not block.kind and (m := _BODY.match(block.lines[0])) and m[1] in used | spaced:
            block.kind = "notes"
            if i and not blocks[i - 1].kind and NOTES_HEAD.fullmatch(blocks[i - 1].flat):
                blocks[i - 1].kind, section = "headings", i
            _mark_rest(blocks, last, i, section)
            last = i
            block.lines[0] = block.lines[0].lstrip().removeprefix(m[1]).lstrip()
        block.lines = _without_marks(block.lines, used, spaced)
    _mark_rest(blocks, last, len(blocks), None)


def _used(text: str) -> tuple[set[str], set[str]]:
    """The marks with which a line begins and to which a word refers; then those to which one refers after a space.

    "as (1), and" is such a reference only if (1) stands nowhere else, so that every note has one.
    """
    bodies = Counter(m[1] for line in text.split("\n") if (m := _BODY.match(line)))
    if _EMPHASIS.search(text):
        bodies -= Counter({sign: bodies[sign] for sign in ("*", "**", "***")})
    used = {m[1] for m in _REFERENCE.finditer(text)} & bodies.keys() if bodies else set()
    referred = Counter(m[1] for m in _SPACED.finditer(text)) if bodies else Counter()
    spaced = {mark for mark in referred.keys() & bodies.keys() - used
              if referred[mark] == bodies[mark] == text.count(mark) - referred[mark]}  # fmt: skip
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


def _mark_list(blocks: list[Block], text: str) -> None:
    """Mark the notes "1. ...", "2. ..." under a heading "Notes", where the text refers to their numbers in brackets."""
    referred = {found[1] for found in _REFERRED.finditer(text)}
    listed = False
    for before, block in pairwise(blocks):
        if not before.kind and NOTES_HEAD.fullmatch(before.flat):
            number = _LISTED.match(block.lines[0])
            listed = number is not None and number[1] in referred
            before.kind = "headings" if listed else ""
        elif block.kind or _is_heading(block.flat):
            listed = False
        if listed:
            block.kind = "notes"


def _mark_rest(blocks: list[Block], note: int | None, stop: int, section: int | None) -> None:
    """Mark the further paragraphs of a note: those set in below it, and all between two notes of one list."""
    if note is None:
        return
    between = blocks[note + 1 : stop]
    listed = section is not None and section <= note and not any(b.kind or _is_heading(b.flat) for b in between)
    for block in between:
        if block.kind or not (listed or all(line[:2].isspace() for line in block.lines)):
            return
        block.kind = "notes"


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
