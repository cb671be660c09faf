"""The judge: the exact log-probability of rows by the causal reading of a dual model, in one pass per row.

Shapes: B rows, T tokens, N scored tokens, V text vocabulary, K controls.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import GenerationConfig
from ..data.tokenizer import BOS
from ..model.lengths import equal_lengths
from ..model.transformer import Transformer
from ..runtime import autocast, generator_for, memory_errors
from ..sampling.canvas import float_logits, row_levels, wanted_controls
from ..sampling.draw import forbid
from ..sampling.experts import ALONE, Experts
from .endings import shortest
from .results import Written

ENDS = 0x5D  # purpose of random draws, see ``runtime.seed_for``
ROWS = 32  # rows whose logits exist at the same time


class FinishedRows:
    """The causal reading of finished rows, in one pass, with the controls and the guidance of ``settings``."""

    def __init__(self, model: Transformer, settings: GenerationConfig) -> None:
        self.model, self.settings = model, settings
        self.levels = wanted_controls(model, settings)
        self.guided = self.levels is not None and settings.guidance != 1

    def logits(self, ids: Tensor, where: Tensor) -> Tensor:
        """Float32 logits (N, V) of the tokens ``where`` (B, T) of ``ids`` (B, T), given BOS and those before each."""
        given = torch.cat((torch.full_like(ids[:, :1], BOS), ids[:, :-1]), dim=1)
        if self.guided:
            given, where = given.repeat(2, 1), where.repeat(2, 1)
        levels = row_levels(self.levels, len(ids), self.guided)
        with autocast(ids.device, self.settings.precision):
            hidden = self.model.hidden(given, controls=levels, causal=True)
        logits = float_logits(self.model, hidden[where])
        if not self.guided:
            return logits
        guided, plain = logits.chunk(2)
        return plain + self.settings.guidance * (guided - plain)


class Judge:
    """Exact log-probabilities of texts: the chain rule of the causal reading, with the controls that are wanted.

    The judge's law of each token is the softmax of its logits, divided by ``temperature``, over the first ``allowed``
    text tokens. ``experts`` are asked beside the network. Top-k, top-p, min-p and the repetition penalty have no part
    in it.
    """

    def __init__(
        self,
        model: Transformer,
        settings: GenerationConfig,
        allowed: int,
        temperature: float = 1.0,
        experts: Experts = ALONE,
    ) -> None:
        self.model, self.settings, self.allowed, self.temperature = model, settings, allowed, temperature
        self.levels = wanted_controls(model, settings)
        readers = [FinishedRows(each, settings) for each in (model, *experts.members)]
        self.reader = experts.join(readers, causal=True)

    @torch.inference_mode()
    def log_probabilities(self, rows: Sequence[Tensor], starts: Sequence[int]) -> list[float]:
        """Log-probability, in nats, of each row (T,) from token ``starts[i]`` on, given BOS and the tokens before."""
        found = [0.0] * len(rows)
        for batch in equal_lengths(rows, ROWS):
            ids = batch.rows.to(self.model.device)
            owners = batch.owner.tolist()
            first = torch.tensor([starts[i] for i in owners], device=ids.device)
            scored = torch.arange(ids.shape[1], device=ids.device) >= first[:, None]  # (B, T)
            with memory_errors():
                logits = forbid(self.reader.logits(ids, scored), self.allowed)
                laws = (logits / self.temperature).log_softmax(-1)  # (N, V)
            each = laws.gather(1, ids[scored][:, None] - self.model.reserved).squeeze(1)
            nats = torch.zeros(ids.shape, dtype=each.dtype, device=ids.device).masked_scatter(scored, each)
            for i, total in zip(owners, nats.cpu().double().sum(1).tolist(), strict=True):
                found[i] = total
        return found

    @torch.inference_mode()
    def ends(self, ids: Tensor) -> Tensor:
        """Probabilities (T + 1,) that a chapter or text ends before each token of ``ids`` (T,), and after the last.

        The law is that of END and all text tokens, with the controls, at ``temperature``; guidance has no part in it.
        """
        given = F.pad(ids[None].to(self.model.device), (1, 0), value=BOS)
        with autocast(given.device, self.settings.precision):
            hidden = self.model.hidden(given, controls=row_levels(self.levels, 1, False), causal=True)[0]
        logits = F.linear(hidden.float(), self.model.output[self.model.lowest :])
        return (logits / self.temperature).softmax(-1)[:, 0].cpu()


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
