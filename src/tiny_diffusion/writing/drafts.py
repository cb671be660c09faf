"""Drafts and a judge: the masked reading writes several drafts of a text, and the causal reading chooses one.

Shapes: B texts, K drafts of each, T tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..config import GenerationConfig
from ..data.tokenizer import MASK
from ..runtime import generator_for
from ..sampling.denoise import DenoisingState
from .filler import Edge, Filler
from .judge import Judge
from .results import Outcome, Stretch

DRAFT, PICK = 0x5B, 0x5C  # purposes of random draws, see ``runtime.seed_for``
KNOWN_ORDER = ("ancestral", "first_hitting", "margin", "entropy")
"""Samplers that choose places by what is settled, or at random, and never by a token that is drawn and discarded."""


class Drafts:
    """Writes ``settings.drafts`` drafts of each text, block by block, and chooses one by ``settings.pick``.

    **best**: the draft x with the highest probability p(x), that of the causal reading at ``settings.temperature``,
    given all text before the block.

    **draw**: by importance resampling (Rubin 1987): draft i is drawn with a probability in proportion to
    p(x_i) / q(x_i), where q(x_i) is the product of the probabilities with which its tokens were drawn. For samplers in
    ``KNOWN_ORDER`` this is exact: with more and more drafts, the law of the chosen draft becomes p, restricted to the
    texts that the sampler can write. (Where the sampler's order is random, q is the probability of the tokens in the
    order that came. As the orders do not depend on what is drawn, they cancel, and the same holds.) With one draft the
    law is the sampler's, and between them lies what 8 or 16 drafts give. For other samplers q is not known, and the
    weights are p(x_i) alone: the law is the judge's, restricted to the drafts that were written.
    """

    def __init__(self, filler: Filler) -> None:
        settings = filler.settings
        self.filler, self.texts, self.count = filler, settings.num_samples, settings.drafts
        self.judge = Judge(filler.model, settings, filler.allowed, settings.temperature, filler.experts)
        self.numbers = draft_generators(settings, filler.numbers)
        self.picks = [generator_for(settings.seed, PICK, text) for text in range(self.texts)]
        self.chosen: list[list[int]] = []  # for each finished block, the number of each text's draft

    def fill(self, block: Tensor, edges: tuple[Edge, ...] = ()) -> Iterator[DenoisingState]:
        """States of all drafts (B * K, T) of ``block`` (B, T), then one of those that are chosen (B, T).

        Rows of one text are neighbours. The judge's pass is the last step. ``edges``: those of every row.
        """
        rows = block.repeat_interleave(self.count, 0)
        for state in self.filler.denoise(rows, self.numbers, [edges] * len(rows)):
            yield replace(state, steps=state.steps + 1)
        weights = self.weights(state, (block == MASK).repeat_interleave(self.count, 0))
        self.chosen.append([self._pick(weights[text], text) for text in range(self.texts)])
        best = [text * self.count + draft for text, draft in enumerate(self.chosen[-1])]
        yield DenoisingState(state.ids[best], state.confidence[best], state.step + 1, state.step + 1)

    def stretches(self, rows: int, whole: Sequence[Stretch]) -> tuple[Stretch, ...]:
        """Which text and draft each of the ``rows`` of a state shows; ``whole``: the stretch of each text."""
        if rows == self.texts:
            return tuple(self._stretch(text, len(self.chosen) - 1) for text in whole)
        block = len(self.chosen) * self.count
        return tuple(replace(text, draw=block + draft) for text in whole for draft in range(self.count))

    def marked(self, outcome: Outcome, whole: Sequence[Stretch]) -> Outcome:
        """``outcome`` whose texts name the drafts that they were made of."""
        texts = {
            number: replace(text, stretches=tuple(self._stretch(whole[number], i) for i in range(len(self.chosen))))
            for number, text in outcome.texts.items()
        }
        return Outcome(texts, outcome.refused)

    def _stretch(self, text: Stretch, block: int) -> Stretch:
        """The stretch of ``text`` with the number of the draft chosen in ``block``; numbers count all drafts."""
        return replace(text, draw=block * self.count + self.chosen[block][text.text])

    def weights(self, state: DenoisingState, free: Tensor) -> Tensor:
        """Log-weights (B, K) of the drafts, of which the ``free`` tokens (B * K, T) are written."""
        rows = list(state.ids.cpu())
        starts = (~free).cumprod(1).sum(1).tolist()  # the text before the block is given
        weights = torch.tensor(self.judge.log_probabilities(rows, starts), dtype=torch.float64)
        settings = self.filler.settings
        if settings.pick == "draw" and settings.sampler in KNOWN_ORDER:
            weights -= torch.where(free, state.confidence.double().log(), 0.0).sum(1).cpu()
        return weights.view(self.texts, -1)

    def _pick(self, weights: Tensor, text: int) -> int:
        if self.filler.settings.pick == "best":
            return int(weights.argmax())
        return int(torch.multinomial(weights.softmax(0), 1, generator=self.picks[text]))


def draft_generators(settings: GenerationConfig, texts: Sequence[torch.Generator]) -> list[torch.Generator]:
    """A generator for each draft of each text; a text's first draft has that of the text itself, one of ``texts``."""
    return [
        own if draft == 0 else generator_for(settings.seed, DRAFT, text, draft)
        for text, own in enumerate(texts)
        for draft in range(settings.drafts)
    ]
