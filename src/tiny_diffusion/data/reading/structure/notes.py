"""Notes and their marks in plain text: [1], (1), [A], *, and a footnote in brackets."""

import re

from ..document import Block, Removed

_MARK = r"\[(?:\d{1,3}|[A-Za-z]|[*†‡])\]|\(\d{1,3}\)|\*{1,3}|[†‡§]"
_BODY = re.compile(rf"[ \t]*({_MARK})[ \t]+\S")
_BEFORE = r"[^\W_]|[.,;:!?…\"”’»)_]"
_REFERENCE = re.compile(rf"(?<=\S)(?<![\s*†‡§(\[])({_MARK})(?=[\s.,;:!?…\"”’»)\]—–_-]|\Z)")
_NUMBERED = re.compile(r"(?P<before>[^\W\d_]{3}|[.,;:!?…\"”’»)_])\[[1-9]\d{0,2}\]")
_NOTES_HEAD = re.compile(r"\W*(?:foot ?notes?|end ?notes?|notes?|fußnoten|anmerkungen|notas)[:.]?\W*", re.IGNORECASE)
_EMPHASIS = re.compile(r"(?<![^\s(\"“])\*[^\W_]")  # *so*: the book marks emphasis by stars
_IN_BRACKETS = re.compile(r"\[(?:Footnote|Fußnote|Note)[^\[\]:]{0,12}:\s*([^\[\]]{0,20000})\]", re.IGNORECASE)


def drop_bracketed_notes(text: str, keep: bool, removed: Removed) -> str:
    """``text`` without ``[Footnote 1: ...]``; with ``keep`` only the brackets go."""

    def without(match: re.Match[str]) -> str:
        if keep:
            return match[1]
        removed.add("notes", match[1])
        return ""

    return _IN_BRACKETS.sub(without, text)


def mark_notes(blocks: list[Block]) -> None:
    """Set the kind of blocks that begin with a mark to which the text refers, then take the marks out of all blocks."""
    text = "\n".join("\n".join(block.lines) for block in blocks)
    bodies = {m[1] for block in blocks if (m := _BODY.match(block.lines[0]))}
    if _EMPHASIS.search(text):
        bodies -= {"*", "**", "***"}
    used = {m[1] for m in _REFERENCE.finditer(text)} & bodies if bodies else set()
    for i, block in enumerate(blocks):
        if not block.kind and (m := _BODY.match(block.lines[0])) and m[1] in used:
            block.kind = "notes"
            block.lines[0] = block.lines[0].lstrip().removeprefix(m[1]).lstrip()
            if i and not blocks[i - 1].kind and _NOTES_HEAD.fullmatch(blocks[i - 1].flat):
                blocks[i - 1].kind = "headings"
        block.lines = _without_marks(block.lines, used)


def _without_marks(lines: list[str], used: set[str]) -> list[str]:
    text = "\n".join(lines)
    if "[" in text:
        # An index such as x[1] is not a footnote mark: a mark follows a word of three letters or punctuation.
        text = _NUMBERED.sub(lambda m: m["before"], text)
    if used:
        text = _REFERENCE.sub(lambda m: "" if m[1] in used else m[0], text)
    return text.split("\n")
