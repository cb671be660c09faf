"""Removes the frame that Project Gutenberg puts around a book: licence, credits and transcribers' notes."""

import re

from .document import Block

_FLAGS = re.IGNORECASE | re.MULTILINE
_START = re.compile(
    r"^[ \t]*\*{2,}[ \t]*START OF (?:THE |THIS )?PROJECT GUTENBERG[^\n]*(?:\n[^\n]*\*{2,}[ \t]*$)?", _FLAGS
)
_START_CLOSED = re.compile(r"\*{2,}[ \t]*START OF[^\n]*\*{2,}[ \t]*$", re.IGNORECASE)
_END = re.compile(
    r"^[ \t]*(?:\*{2,}[ \t]*END OF (?:THE |THIS )?PROJECT GUTENBERG"
    r"|(?:\*{3}[ \t]*)?(?:END|ENDE|FIN|FINE)\b[^\n]{0,40}?\bPROJE[CK]T GUTENBERG"
    r"|\*{3}[ \t]*START: FULL LICENSE)",
    _FLAGS,
)
_SMALL_PRINT = re.compile(r"^[ \t]*\*+[ \t]*START[ \t]*\*+[ \t]*THE SMALL PRINT", _FLAGS)
_SMALL_PRINT_END = re.compile(r"^[^\n]*\*END[ \t]*\*?[ \t]*THE SMALL PRINT[^\n]*$", _FLAGS)
_CREDIT = re.compile(
    r"\s*(?:Produced by|E-?text prepared by|E-?text (?:was )?produced by|Transcribed (?:from|by)|Scanned (?:and|by)"
    r"|HTML version by|Proofread|Prepared by|Updated by|(?:This|The) (?:e-?text|e-?book|file) (?:was|is|has)\b"
    r"|The Project Gutenberg|Project Gutenberg|Credits:|Note: (?:Project Gutenberg|Images))",
    re.IGNORECASE,
)
_CREDIT_INSIDE = re.compile(r"https?:|\bwww\W|Project Gutenberg|Distributed Proofread|Internet Archive", re.I)
_NOTE = re.compile(r"\[\s*Transcriber[’']?s?[’']?\s+note[^\[\]]{0,20000}\]", re.IGNORECASE)
_NOTE_HEAD = re.compile(r"\W*Transcriber[’']?s?[’']?s? notes?\b", re.IGNORECASE)
_CREDIT_BLOCKS = 12
_CREDIT_CHARS = 1500


def strip_frame(text: str) -> str:
    """Return ``text`` (with line feeds as line ends) without Gutenberg's head, foot, credits and transcribers' notes.

    A text without such a frame comes back unchanged, except for bracketed transcribers' notes.
    """
    start, end = 0, len(text)
    found = False
    if match := _START.search(text):
        first_line = match.group(0).split("\n")[0]
        start = match.start() + len(first_line) if _START_CLOSED.search(first_line) else match.end()
        found = True
    if match := _SMALL_PRINT_END.search(text, start):
        opening = _SMALL_PRINT.search(text)
        if end - match.end() >= match.start():
            start = match.end()
        elif opening and opening.start() > start:
            end = opening.start()
        found = True
    if match := _END.search(text, start, end):
        end = match.start()
    body = text[start:end]
    return _NOTE.sub("", _drop_notes(_drop_credits(body)) if found else body)


def _drop_credits(body: str) -> str:
    """Drop credit paragraphs among the first few paragraphs: further in, such words may belong to the book."""
    blocks = re.split(r"(\n[ \t]*\n\s*)", body.lstrip("\n"), maxsplit=_CREDIT_BLOCKS)
    for i in range(0, min(len(blocks), 2 * _CREDIT_BLOCKS), 2):
        block = blocks[i]
        if len(block) <= _CREDIT_CHARS and (_CREDIT.match(block) or _CREDIT_INSIDE.search(block)):
            blocks[i] = ""
    return "".join(blocks)


def _drop_notes(body: str) -> str:
    """Drop transcribers' notes without brackets: one block, or all text from the note on if it is at the book's end."""
    parts = re.split(r"(\n[ \t]*\n\s*)", body)
    position, kept = 0, []
    for part in parts:
        if _NOTE_HEAD.match(part):
            if position > 0.9 * len(body):
                break
        else:
            kept.append(part)
        position += len(part)
    return "".join(kept)


def strip_block_frame(blocks: list[Block]) -> None:
    """Set the kind of the blocks of an HTML page that belong to Gutenberg's head, foot or credits to "licence"."""
    texts = ["\n".join(block.lines) for block in blocks]
    starts = [i for i, text in enumerate(texts) if _START.search(text) or _SMALL_PRINT_END.search(text)]
    begin = starts[0] + 1 if starts else 0
    ends = [i for i, text in enumerate(texts) if i >= begin and _END.search(text)]
    end = ends[0] if ends else len(blocks)
    framed = bool(starts or ends) or any(block.kind == "licence" for block in blocks)
    for i, text in enumerate(texts):
        outside = not begin <= i < end
        credit = framed and begin <= i < begin + _CREDIT_BLOCKS and len(text) <= _CREDIT_CHARS
        if outside or (credit and (_CREDIT.match(text) or _CREDIT_INSIDE.search(text))) or _NOTE.match(text):
            blocks[i].kind = "licence"
