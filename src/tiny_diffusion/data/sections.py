"""The training text as a stream of tokens, with marks where texts and chapters begin and end, and at gaps."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from .splitting import BREAK, Passage
from .tokenizer import BOS, CHAPTER, END, PAD, PARAGRAPH, TEXT


@dataclass(frozen=True)
class Section:
    """Text of a book without a gap, of one chapter at most.

    begins: the mark of what begins with it, BOS if it begins within a paragraph. ends: a chapter or text ends with it.
    """

    begins: int
    text: str
    ends: bool = False


def sections(passages: Sequence[Passage], chosen: Collection[int]) -> list[Section]:
    """The text of the ``chosen`` passages, by number, in the order of all ``passages``.

    A section goes on from one passage into the next, but not over a passage that is left out, nor into another chapter.
    """
    found: list[Section] = []
    before: Passage | None = None
    for passage in passages:
        first, previous = _opening(passage, before), -1 if before is None else before.index
        starts = sorted({0, *passage.chapters})
        for start, end in zip(starts, [*starts[1:], len(passage.paragraphs)], strict=True):
            mark = CHAPTER if start else first
            ahead = passage.index if start else previous  # the passage that holds the text before
            known = ahead in chosen
            if known and mark in (CHAPTER, TEXT):
                found[-1] = replace(found[-1], ends=True)
            if passage.index not in chosen:
                continue
            text = BREAK.join(passage.paragraphs[start:end])
            if known and mark in (BOS, PARAGRAPH) and ahead + 1 == passage.index:
                found[-1] = replace(found[-1], text=found[-1].text + passage.joint + text)
            else:
                found.append(Section(mark, text))
        before = passage
    if before is not None and before.index in chosen:
        found[-1] = replace(found[-1], ends=True)
    return found


def _opening(passage: Passage, before: Passage | None) -> int:
    """The mark of what begins with ``passage``, which stands behind ``before``."""
    if before is None or before.book != passage.book:
        return TEXT
    if 0 in passage.chapters:
        return CHAPTER
    return PARAGRAPH if passage.joint == BREAK else BOS


def encode_sections(
    found: Sequence[Section], encode: Callable[[str], list[int]], *, ends: bool
) -> tuple[list[int], list[int]]:
    """Ids of ``found`` end to end, and for each the mark of what begins with it, PAD where nothing does.

    ``encode`` gives the ids of a text. Each section stands behind its mark, and with ``ends`` END behind the last
    token of a chapter or text.
    """
    ids: list[int] = []
    openings: list[int] = []
    line_feed = encode(BREAK[0])
    for section in found:
        ids.append(section.begins)
        openings.append(PAD)
        for number, paragraph in enumerate(section.text.split(BREAK)):
            if number:  # the tokenizer splits a blank line before a paragraph into two line feeds
                ids += 2 * line_feed
                openings += 2 * len(line_feed) * [PAD]
            own = encode(paragraph)
            ids += own
            mark = PARAGRAPH if number else section.begins
            openings += [PAD if mark == BOS else mark, *[PAD] * (len(own) - 1)]
        if ends and section.ends:
            ids.append(END)
            openings.append(PAD)
    return ids, openings
