"""Continuing a prompt: by which reading of a network, in how many forward passes, and the texts block by block.

Shapes: B texts, T tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from ..config import GenerationConfig, ModelConfig
from ..data.tokenizer import MASK
from ..errors import UserError
from ..sampling.denoise import DenoisingState, most_steps
from .drafts import Drafts
from .endings import Endings
from .filler import Edge, Filler, Opening, encode_before, opening_after
from .infilling.template import Fixed
from .judge import Judge, drawn_ends
from .repair import Repair
from .results import Outcome, Process, Stretch, WritingState
from .rules import Rule, break_ids

OF_DIFFUSION = ("sampler", "steps", "choice_noise", "block", "cache_context")
"""Settings without effect on the causal reading: whoever changes one of them asks for the masked one."""
DUAL = "needs both readings of one network, which training.objective=dual with model.dual=true learns"


def reading_of(model: ModelConfig, settings: GenerationConfig) -> Literal["masked", "causal", "drafts"]:
    """The reading that ``settings.reading`` asks of a model; "auto" is the best one that it has.

    A network that has learnt both readings writes best by the causal one (docs/sampling.md), unless the settings change
    how diffusion goes. Raises UserError for a reading that the model does not have.
    """
    has_causal, has_masked = model.causal or model.dual, not model.causal
    wanted = settings.reading
    if wanted == "auto":
        fields = GenerationConfig.model_fields
        changed = any(getattr(settings, key) != fields[key].default for key in OF_DIFFUSION)
        return "masked" if has_masked and (changed or not has_causal) else "causal"
    if wanted == "drafts" and not model.dual:
        raise UserError(f"generation.reading=drafts {DUAL}")
    if wanted == "causal" and not has_causal:
        raise UserError("generation.reading=causal: this model has the masked reading only; take masked or auto")
    if wanted == "masked" and not has_masked:
        raise UserError("generation.reading=masked: this model has the causal reading only; take causal or auto")
    return wanted


def most_passes(settings: GenerationConfig, model: ModelConfig) -> int:
    """The most forward passes, of one row or of several at once, to write ``settings.length`` tokens from nothing."""
    reading = reading_of(model, settings)
    if reading == "causal":
        return settings.length
    context = model.context
    first = min(context, settings.length)
    whole, rest = divmod(settings.length - first, context - context // 2)
    sizes = [first] + whole * [context - context // 2] + ([rest] if rest else [])
    judged = len(sizes) if reading == "drafts" else 0
    return sum(most_steps(settings, size) for size in sizes) + judged


class Continuation:
    """``settings.num_samples`` texts that continue ``prompt`` for ``settings.length`` tokens.

    Each block of a text beyond the context sees the last half context before it. ``rules``: what the texts must keep.
    ``inner``: the same for a block that another one follows; it may not end within a word, because the next one may go
    on with no letter.
    """

    def __init__(
        self, filler: Filler, drafts: Drafts | None, prompt: str, rules: Sequence[Rule], inner: Sequence[Rule]
    ) -> None:
        settings = filler.settings
        self.filler, self.drafts, self.rules, self.inner = filler, drafts, rules, inner
        lead, ids, self.first = beginning(prompt, filler)
        self.lead, self.given, self.wanted = lead, len(ids), len(ids) + settings.length
        self.own = slice(len(lead), None)  # what is before is no part of the text
        self.whole = Stretch.whole(settings.num_samples, self.wanted - len(lead))
        self.done = torch.tensor(ids, dtype=torch.long, device=filler.model.device).expand(settings.num_samples, -1)
        self.sure = torch.ones(self.done.shape, device=self.done.device)  # (B, tokens so far), as ``done``
        self.steps, self.refused, self.endings = 0, dict[int, str](), None
        if settings.ending == "sentence" and settings.length > len(self.first):
            self.endings = Endings(filler, rules, len(lead), self.given + len(self.first))

    def write(self) -> Process:
        """Every moment of writing, then the texts."""
        while self.done.shape[1] < self.wanted and len(self.refused) < len(self.done):
            yield from self._block()
        ids, own = self.done[:, self.own], self._given(self.done.shape[1])
        last = WritingState(ids, self.sure[:, self.own], self.steps, self.steps, own, self.whole)
        found = Outcome.of([self.filler.tokenizer.decode(row) for row in ids.tolist()], last, self.refused)
        found = found if self.drafts is None else self.drafts.marked(found, self.whole)
        if self.endings is None:
            return found
        found = yield from self.endings.write(found, self.done, self.sure, self._stretches(len(self.done)))
        return self.endings.cut(found, self._drawn_ends(found))

    def _block(self) -> Iterator[WritingState]:
        """States of writing as much as the context holds beside the text before it, of which a part may be given."""
        done, context = self.done, self.filler.context
        room_left = self.wanted <= context or done.shape[1] == self.given < context
        keep = done.shape[1] if room_left else min(done.shape[1], context // 2)
        size = min(context - keep, self.wanted - done.shape[1])
        ahead, seen = done[:, : done.shape[1] - keep], done[:, done.shape[1] - keep :]
        block = torch.cat((seen, torch.full((len(done), size), MASK, device=done.device)), dim=1)
        is_last = done.shape[1] + size == self.wanted
        edges = self.endings.edges(keep + size - 1) if self.endings and is_last else ()
        if done.shape[1] == self.given:
            edges = (*(replace(edge, place=keep) for edge in self.first), *edges)
        given = self._given(done.shape[1] + size)
        for state in self._filled(block, ahead, edges, is_last):
            self.steps += 1
            times = len(state.ids) // len(done)  # rows per text: several while drafts are written
            yield WritingState(
                torch.cat((ahead.repeat_interleave(times, 0), state.ids), dim=1)[:, self.own],
                torch.cat((self.sure.repeat_interleave(times, 0), state.confidence[:, keep:]), dim=1)[:, self.own],
                state.step,
                state.steps,
                given.repeat_interleave(times, 0),
                self._stretches(len(state.ids)),
            )
        self.done = torch.cat((ahead, state.ids), dim=1)
        self.sure = torch.cat((self.sure, state.confidence[:, keep:]), dim=1)

    def _filled(self, block: Tensor, ahead: Tensor, edges: tuple[Edge, ...], is_last: bool) -> Iterator[DenoisingState]:
        """States of filling ``block`` (B, T) behind ``ahead``; what diffusion writes is then repaired by the rules."""
        filler = self.filler
        if filler.causal:  # the causal reading keeps the rules while it draws
            return filler.denoise(block, filler.numbers, [edges], self.rules, ahead.tolist())
        if self.drafts is None:
            states = filler.denoise(block, filler.numbers, [edges] * len(block))
        else:
            states = self.drafts.fill(block, edges)
        repair = Repair(filler, self.rules if is_last else self.inner, ahead.shape[1], edges=edges)
        return repair.after(states, block == MASK, self.refused, ahead.tolist())

    def _given(self, length: int) -> Tensor:
        """Which of the first ``length`` tokens of the texts were given, (B, T)."""
        return (torch.arange(length) < self.given).expand(len(self.done), -1)[:, self.own]

    def _stretches(self, rows: int) -> tuple[Stretch, ...]:
        """Which text each of the ``rows`` of a state writes."""
        return self.whole if self.drafts is None else self.drafts.stretches(rows, self.whole)

    def _drawn_ends(self, found: Outcome) -> dict[int, int]:
        """After how many tokens the causal reading of a network with marks ends some texts like a chapter."""
        filler, model = self.filler, self.filler.model
        if not (filler.causal and model.config.dual and model.marks):
            return {}
        judge = Judge(model, filler.settings, filler.allowed, filler.settings.temperature)
        return drawn_ends(judge, self.lead, found.texts, filler.settings.length)


def beginning(prompt: str, filler: Filler) -> tuple[list[int], list[int], tuple[Edge, ...]]:
    """The hidden ids before a text, these and the prompt's, and what the first drawn token must begin with."""
    lead = filler.lead
    if not (lead or prompt) and filler.settings.layout == "book":
        lead = break_ids(filler.tokenizer)
    opening = opening_after(Fixed(prompt)) if prompt else Opening.FREE
    ids = [*lead, *encode_before(prompt, opening, filler.encode)]
    if opening is not Opening.SPACE:
        return lead, ids, ()
    spaced = filler.edges.opening(opening, single=False)
    assert spaced is not None
    return lead, ids, (Edge(len(ids), spaced),)
