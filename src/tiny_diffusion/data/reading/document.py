"""The document that every format is read into: blocks in reading order, each with what it was taken for.

A reader (plain text, HTML, EPUB, Markdown) makes the blocks and sets the kind where its format says it; the rules of
``cleaning`` set the others, and decide which kinds stay in the training text.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from ...config.pipeline_config import Removable

Kept = Literal["text", "verse", "speech"]
REMOVABLE: tuple[str, ...] = get_args(Removable)
"""Kinds that are taken out unless the user keeps them, in the order of a report."""
PART = "\n\n\x1e\n\n"
"""Stands between the parts of a text that are read as one; no book holds its control character after cleaning."""


@dataclass
class Block:
    """A paragraph, stanza, speech, heading or other unit of a book.

    lines: as in the file, not stripped. blanks, after: number of blank lines before and after the block. kind: one of
    ``Kept`` or ``Removable``; empty if still unknown.
    """

    lines: list[str]
    blanks: int = 0
    after: int = 0
    kind: str = ""

    @property
    def flat(self) -> str:
        """The block on one line, with spaces folded and italics marks removed."""
        return " ".join(" ".join(self.lines).replace("_", " ").split())

    @property
    def heading(self) -> bool:
        """Whether it was taken for a heading or a part of the title page."""
        return self.kind in ("headings", "front")


@dataclass
class Removed:
    """What was taken out of a book: how many pieces of each kind, and the first of each as an example."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, example: str) -> None:
        """Count one piece of ``kind``; the first with any text is its example."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        text = " ".join(example.split())
        if text and not self.examples.get(kind):
            self.examples[kind] = text if len(text) <= 70 else text[:69] + "…"

    def cut(self, kind: str, pattern: re.Pattern[str], text: str) -> str:
        """``text`` without what matches ``pattern``; each match counts as a piece of ``kind``, and ``PART`` stays."""
        for found in pattern.finditer(text):
            self.add(kind, found[0])
        return pattern.sub(lambda found: PART * found[0].count(PART), text)

    def update(self, other: "Removed") -> None:
        """Add the counts of another book."""
        for kind, count in other.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            if other.examples.get(kind):
                self.examples.setdefault(kind, other.examples[kind])

    def rows(self) -> list[tuple[str, int, str]]:
        """(kind, count, example) in a fixed order: what ``--keep`` can leave in, then the others."""
        kinds = [*(kind for kind in REMOVABLE if kind in self.counts), *(k for k in self.counts if k not in REMOVABLE)]
        return [(kind, self.counts[kind], self.examples.get(kind, "")) for kind in kinds]


def plain(blocks: Iterable[Block]) -> str:
    """The text of ``blocks`` with a blank line between them, whatever their kind."""
    return "\n\n".join("\n".join(line.strip(" ") for line in block.lines) for block in blocks)


def stays(kind: str, keep: Collection[str]) -> bool:
    """Whether blocks of this kind belong to the training text."""
    return kind not in REMOVABLE or kind in keep
