"""Fillings that are tried for a gap: the rows to write them in, how they join their text, and how likely they are.

Shapes: T tokens of a row, V text vocabulary.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import torch
from torch import Tensor

from ...data.tokenizer import MASK, BookTokenizer
from ..endings import ends_of, is_well_ended
from ..filler import Edge, Filler, Row
from ..judge import Judge, joint_rows
from ..layout import BREAK
from ..results import Stretch
from .boundaries import Edges
from .gapped_text import Gap, GappedText, Window
from .requirements import place_words, required_words, size_range, sizes_of, tokens_needed

_TWO_MARKS = re.compile(r"[,;:!?][.,;:!?…]|\.[,;:!?]")  # but not the dots of "..."
_ENDED = re.compile(r"[.!?…]\W*\s")  # an end with text behind it


@dataclass(frozen=True)
class Candidates:
    """Makes rows to fill gaps in. ``k`` is the number of a text, ``number`` that of a gap in it.

    edges: which tokens may begin and end a gap. draws: numbers the attempts.
    """

    filler: Filler
    edges: Edges
    draws: Iterator[int] = field(default_factory=count)

    def row(self, k: int, text: GappedText, gaps: Sequence[Gap], window: Window, draw: int) -> Row:
        """The row to fill the ``gaps`` of text ``k`` in: their window, with its edges."""
        ids, places = window.ids.tolist(), zip(gaps, window.spans, strict=True)
        edges = [edge for gap, span in places for edge in gap.edges(self.edges, ids, span)]
        if text.is_open_after(gaps[-1]):
            edges = self.edges.ended(edges, ids, window.spans[-1][1] - 1)
        part = Stretch(k, window.start, window.spans[0][0], window.spans[-1][1], draw)
        return Row(window.ids, tuple(edges), part)

    def in_sizes(self, text: GappedText, k: int, number: int, ratio: float, slack: float) -> Iterator[Row]:
        """Rows with a gap open in several sizes, its required words in place."""
        gap, filler, settings = text.gaps[number], self.filler, self.filler.settings
        words = required_words(gap, filler.encode)
        needed = tokens_needed(words)
        least, most = size_range(gap.request, ratio, slack, settings.gap_tokens, filler.context, needed, len(words))
        several = -(-settings.gap_candidates // 2)  # each size twice: rows of one size are one batch
        sizes = sizes_of(gap.request, least, most, ratio, several)
        chances: dict[int, Tensor] = {}
        for i in range(settings.gap_candidates):
            opened = gap.opened(sizes[i % len(sizes)])
            window = text.with_gap(opened).window(opened, opened, filler.context)
            [(start, end)] = window.spans
            if words:
                if end - start not in chances:
                    chances[end - start] = filler.expectations(window.ids, start, end)
                room = end - start - gap.request.is_whole
                placed = place_words(words, chances[end - start], room, filler.numbers[k])
                if placed is None:
                    continue
                window.ids[start:end] = torch.tensor(placed)
            yield self.row(k, text, [opened], window, next(self.draws))

    def onward(self, text: GappedText, k: int, number: int, ratio: float, slack: float) -> Iterator[Row]:
        """Rows of the left side of a gap, with room behind it for what the causal reading writes."""
        gap, filler = text.gaps[number], self.filler
        _, room = size_range(gap.request, ratio, slack, filler.settings.gap_tokens, filler.context)
        before, _ = text.beside(gap, gap)
        start, before = text.start_of(gap), before[max(0, len(before) + room - filler.context) :]
        opening = self.edges.opening(gap.opening, single=False)
        edges = () if opening is None else (Edge(len(before), opening),)
        ids = torch.tensor([*before, *[MASK] * room])
        for _ in range(filler.settings.gap_candidates):
            yield Row(ids, edges, Stretch(k, start, len(before), len(ids), next(self.draws)))


def ends_within(gap: Gap, ids: list[int], start: int, tokenizer: BookTokenizer, language: str) -> list[int]:
    """Where a filling from ``start`` of ``ids`` on may end: behind a word, the first sentence or the last one."""
    texts = [tokenizer.decode([i]) for i in ids[start:]]
    last = next((start + i for i, text in enumerate(texts) if BREAK[0] in text), len(ids))
    if gap.request.unit == "words":
        return [end for end in range(start + 1, last) if not texts[end - start][:1].isalnum()]
    found = [end for end in ends_of(ids[:last], tokenizer, language) if end > start]
    return (found[:1] if gap.request.unit == "sentence" else found[-1:]) or [start]


def is_tidy(text: GappedText, gap: Gap, tokenizer: BookTokenizer) -> bool:
    """Whether a filling joins the text around it well; see ``joins_well``."""
    before, behind = text.beside(gap, gap)
    return joins_well(gap, tokenizer.decode(before), tokenizer.decode(behind))


def joins_well(gap: Gap, before: str, behind: str) -> bool:
    """Whether a filling stands between the texts before and behind it as print would have it.

    A sentence ends well (see ``endings.is_well_ended``), no mark meets a mark, words are of one sentence, and no
    quotation is left open that the text without the filling does not leave open.
    """
    if gap.request.is_whole and not is_well_ended(before + gap.text):
        return False
    if _TWO_MARKS.search(gap.text + behind[:1]) or (gap.request.unit == "words" and _ENDED.search(gap.text)):
        return False
    left, right = before[before.rfind(BREAK[0]) + 1 :], behind.partition(BREAK[0])[0]
    return is_open(left + gap.text + right) <= is_open(left + right)


def is_open(paragraph: str) -> bool:
    """Whether a quotation begins or ends in ``paragraph`` without its other mark."""
    for opening, closing in ("„“" if "„" in paragraph else "“”", "«»", "「」", '""'):
        opened, closed = paragraph.count(opening), paragraph.count(closing)
        unequal = opened % 2 if opening == closing else opened != closed and (opened or closed % 2)
        if unequal:  # in Swedish ” opens, too
            return True
    return False


def scores_of(
    filler: Filler, judge: Judge | None, texts: Mapping[int, GappedText], fillings: Sequence[tuple[Row, Gap]]
) -> list[float]:
    """A score of each filling, the highest for the best; only fillings of one text can be compared.

    With a ``judge`` see ``judged``; without one, the mean log-probability per token by the masked reading. Gaps that
    come later are open when a filling is scored. Each row tells the text and the place of its filling.
    """
    if judge is None:
        rows = [row.ids.clone() for row, _ in fillings]
        for ids, (row, gap) in zip(rows, fillings, strict=True):
            ids[row.stretch.first : row.stretch.last] = torch.tensor(gap.ids)
        return filler.scores(rows, [(row.stretch.first, row.stretch.last) for row, _ in fillings])
    scores = [0.0] * len(fillings)
    for k, text in texts.items():
        own = [i for i, (row, _) in enumerate(fillings) if row.stretch.text == k]
        if own:
            found = judged(judge, text, [fillings[i][1] for i in own], filler.context)
            for i, score in zip(own, found, strict=True):
                scores[i] = score
    return scores


def judged(judge: Judge, text: GappedText, gaps: Sequence[Gap], context: int) -> list[float]:
    """Joint log-probability, in nats, of each of several fillings of one gap and of the known text on both sides.

    If the number of words is open, a filling of n tokens gets n times the mean nats per token with which all of them
    were drawn. Longer fillings are more numerous, and each of them is less probable: without this the shortest would
    nearly always win. (It is the log-weight of importance sampling with the probability of a draw averaged by size.)
    """
    before, behind = text.beside(gaps[0], gaps[0])
    found = judge.log_probabilities(*joint_rows(before, [gap.ids for gap in gaps], behind, context))
    request = gaps[0].request
    if request.unit == "words" and request.least == request.most:
        return found
    rate = -sum(math.log(chance) for gap in gaps for chance in gap.confidence) / sum(len(gap.ids) for gap in gaps)
    return [score + rate * len(gap.ids) for score, gap in zip(found, gaps, strict=True)]
