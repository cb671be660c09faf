"""Notes and their marks in plain text: [1], (1), {1}, [A], *, ¹, and a footnote in brackets."""

import re
from itertools import pairwise

from ..document import Block, Removed
from .headings import is_capitals, is_named_heading, is_numbered_heading

_MARK = r"\[(?:\d{1,3}|[A-Za-z]|[*†‡])\]|\(\d{1,3}\)|\{\d{1,3}\}|\*{1,3}|[†‡§]|[¹²³⁰⁴-⁹]{1,3}"
_BODY = re.compile(rf"[ \t]*({_MARK})[ \t]+(?=[^\n]*\w)\S")
_LISTED = re.compile(r"[ \t]*(\d{1,3})[.):]?[ \t]+\S")  # in a list of notes, under its heading
_BEFORE = r"[^\W_]|[.,;:!?…\"”’»)_]"
_REFERENCE = re.compile(rf"(?<=\S)(?<![\s*†‡§(\[])({_MARK})(?=[\s.,;:!?…\"”’»)\]—–_-]|\Z)")
_NUMBERED = re.compile(r"(?P<before>[^\W\d_]{3}|[.,;:!?…\"”’»)_])\[[1-9]\d{0,2}\]")
_REFERRED = re.compile(r"(?<=\S)[\[({](\d{1,3})[\])}]")
_NOTES_HEAD = re.compile(r"\W*(?:foot ?notes?|end ?notes?|notes?|fußnoten|anmerkungen|notas)[:.]?\W*", re.IGNORECASE)
_EMPHASIS = re.compile(r"(?<![^\s(\"“])\*[^\W_]")  # *so*: the book marks emphasis by stars
_WORD = r"\[(?:Foot ?note|Fußnote|Side ?note|Note)\s*"
_IN_BRACKETS = re.compile(
    rf"{_WORD}([^\[\]:]{{0,12}}):\s*((?:[^\[\]]|\[[^\[\]]{{0,200}}\]){{0,20000}})\]"
    rf"|^{_WORD}([^\[\]:]{{1,12}})\]:?[ \t]+((?:.+\n?)+)",
    re.IGNORECASE | re.MULTILINE,
)
_BRACKETED_MARK = re.compile(r"[ \n]?\[([^\[\]\s]{1,6})\]")
_BY_SIGN = re.compile(r"^[ \t]*\[([*†‡]{1,3})\s+([^\[\]]{1,2000})\]", re.MULTILINE)
_NAMED_MARK = re.compile(r"(?<=\S) ?\[(?:foot ?)?note \d{1,3}\]", re.IGNORECASE)
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
    labels = signs | (labels if count >= _MANY else set())
    if not labels:
        return text
    return _BRACKETED_MARK.sub(lambda mark: "" if mark[1] in labels else mark[0], text)


def mark_notes(blocks: list[Block]) -> None:
    """Set the kind of blocks that begin with a mark to which the text refers, then take the marks out of all blocks."""
    text = "\n".join("\n".join(block.lines) for block in blocks)
    bodies = {m[1] for block in blocks if (m := _BODY.match(block.lines[0]))}
    if _EMPHASIS.search(text):
        bodies -= {"*", "**", "***"}
    used = {m[1] for m in _REFERENCE.finditer(text)} & bodies if bodies else set()
    section = last = None  # the first block of a list of notes under its heading, and the note before
    _mark_list(blocks, text)
    for i, block in enumerate(blocks):
        if not block.kind and (m := _BODY.match(block.lines[0])) and m[1] in used:
            block.kind = "notes"
            if i and not blocks[i - 1].kind and _NOTES_HEAD.fullmatch(blocks[i - 1].flat):
                blocks[i - 1].kind, section = "headings", i
            _mark_rest(blocks, last, i, section)
            last = i
            block.lines[0] = block.lines[0].lstrip().removeprefix(m[1]).lstrip()
        block.lines = _without_marks(block.lines, used)
    _mark_rest(blocks, last, len(blocks), None)


def _mark_list(blocks: list[Block], text: str) -> None:
    """Mark the notes "1. ...", "2. ..." under a heading "Notes", where the text refers to their numbers in brackets."""
    referred = {found[1] for found in _REFERRED.finditer(text)}
    listed = False
    for before, block in pairwise(blocks):
        if not before.kind and _NOTES_HEAD.fullmatch(before.flat):
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


def _without_marks(lines: list[str], used: set[str]) -> list[str]:
    text = "\n".join(lines)
    if "[" in text:
        # An index such as x[1] is not a footnote mark: a mark follows a word of three letters or punctuation.
        text = _NUMBERED.sub(lambda m: m["before"], text)
    if used:
        text = _REFERENCE.sub(lambda m: "" if m[1] in used else m[0], text)
    return text.split("\n")
