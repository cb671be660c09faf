"""Where a network with a causal reading ends a text by itself, as it has learnt that chapters and texts end."""

from collections.abc import Mapping, Sequence

import torch

from ..runtime import generator_for
from .endings import shortest
from .judge import Judge
from .results import Written

ENDS = 0x5D  # purpose of random draws, see ``runtime.seed_for``


def drawn_ends(judge: Judge, lead: Sequence[int], texts: Mapping[int, Written], length: int) -> dict[int, int]:
    """By number of the text: after how many of its tokens the model ends it, for those that it ends late enough.

    The texts were written without END, as if it were barred, so a draw for one place after the other has the law of
    a draw in the course of writing. An end comes after 0.8 times the ``length`` that is asked for or later, and where
    at least half a context is known before it. ``lead``: what the model sees before a text.
    """
    found, context = {}, judge.model.config.context
    for number, text in texts.items():
        ids = [*lead, *text.ids]
        start = max(0, len(ids) - context)
        least = max(len(lead) + sum(text.given) + shortest(length), start + context // 2 if start else 0)
        chances = judge.ends(torch.tensor(ids[start:]))[least - start :]
        draws = torch.rand(len(chances), generator=generator_for(judge.settings.seed, ENDS, number))
        if hits := (draws < chances).nonzero().flatten().tolist():
            found[number] = least + hits[0] - len(lead)
    return found
