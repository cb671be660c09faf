"""The training text as a stream of tokens, with marks where texts and chapters begin and end, and at gaps.

In other tokens too, for the first epochs of the last stage, see ``training.merge_dropout``.
"""

import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from tokenizers.models import BPE

from .splitting import BREAK, Passage
from .tokenizer import BOS, CHAPTER, END, PAD, PARAGRAPH, TEXT, BookTokenizer

CHOICES = 8  # sets of merges that a word may lack


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


class Respelled:
    """The same sections in other tokens, each time in others: words lack some of the tokenizer's merges.

    A word that always comes in the same tokens is learnt by heart as a whole; in other tokens it is learnt by its parts
    too. This is BPE-dropout (Provilkov et al. 2020), but for one thing: there each word draws anew which merges it
    lacks, here it draws one of CHOICES sets, so that an epoch is spelled in a moment.
    """

    def __init__(
        self, found: Sequence[Section], tokenizer: BookTokenizer, level: int, ends: bool, share: float, seed: int
    ) -> None:
        """``found``: the sections of the stage; ``ends`` as for ``encode_sections``; ``share``: of merges to lack."""
        self.found, self.ends = found, ends
        numbers, full = np.random.default_rng(seed), tokenizer.encoder(level)
        lacking = [tokenizer.thinned(level, share, numbers) for _ in range(CHOICES)]
        self.cut = full.pre_tokenizer
        self.spell = [cache(partial(_spelled, each.model)) for each in (full, *lacking)]
        self.words = cache(self._words)

    def stream(self, chance: float, seed: int) -> tuple[list[int], list[int]]:
        """As ``encode_sections`` gives them, but each word lacks merges with this ``chance``."""
        numbers = np.random.default_rng(seed)

        def encode(text: str) -> list[int]:
            words = self.words(text)
            lacks = numbers.random(len(words)) < chance
            which = np.where(lacks, numbers.integers(1, 1 + CHOICES, len(words)), 0).tolist()
            return [i for word, speller in zip(words, which, strict=True) for i in self.spell[speller](word)]

        return encode_sections(self.found, encode, ends=self.ends)

    def _words(self, text: str) -> tuple[str, ...]:
        """The words of ``text`` as the tokenizer cuts it, spelled as its model reads them."""
        return tuple(sys.intern(word) for word, _ in self.cut.pre_tokenize_str(text))


def _spelled(model: BPE, word: str) -> list[int]:
    return [token.id for token in model.tokenize(word)]
