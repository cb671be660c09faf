"""How likely fillings of a gap are, so that the best one can be chosen."""

import math
from collections.abc import Mapping, Sequence

import torch

from ..filler import Filler, Row
from ..judge import Judge, joint_rows
from .gapped_text import Gap, GappedText


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
