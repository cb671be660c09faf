"""Filling masked rows, of several lengths or beyond the context, and how likely a filling is.

Shapes: B rows, T tokens of a row, N requested places, V text vocabulary.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..config import GenerationConfig
from ..data.tokenizer import MASK, NUM_RESERVED, PARAGRAPH, BookTokenizer
from ..model.lengths import equal_lengths
from ..model.transformer import Transformer
from ..runtime import memory_errors
from ..sampling.canvas import Predictor, cast_once
from ..sampling.characters import WholeCharacters
from ..sampling.denoise import DenoisingState, denoise, settled_prefix
from ..sampling.draw import Numbers, forbid, row_generators
from ..sampling.in_order import CausalReader, Permit, in_order, left_to_right
from .results import Stretch, WritingState
from .rules import Rule, Rules

Fill = Callable[[Tensor, int], Iterator[DenoisingState]]
"""States of filling a window (B, T) of longer rows; the number says where in the rows it begins."""


@dataclass(frozen=True)
class Edge:
    """A masked place of a row that is drawn before all others, from the tokens ``permitted`` (V,)."""

    place: int
    permitted: Tensor


@dataclass(frozen=True)
class Row:
    """Tokens (T,) with MASK where to fill, the edges to draw first, and the part of a text that is written."""

    ids: Tensor
    edges: tuple[Edge, ...] = ()
    stretch: Stretch = Stretch(0, 0, 0, 0)


@dataclass(frozen=True)
class Filled:
    """A row without masks: its ids (T,), the probabilities (T,) with which they were drawn, and the steps it took."""

    ids: Tensor
    confidence: Tensor
    steps: int


class Filler:
    """A model with its tokenizer and settings, and a generator of random numbers for each text, see ``row_generators``.

    So no text depends on how many are written with it.

    ``causal``: whether it writes by the causal reading, from left to right, or by the masked one; None means the
    reading of ``Transformer.hidden``.
    """

    def __init__(
        self, model: Transformer, tokenizer: BookTokenizer, settings: GenerationConfig, causal: bool | None = None
    ) -> None:
        self.causal = model.config.causal if causal is None else causal
        # The decoder of a dual model's causal reading chooses its own precision.
        cast = not (self.causal and model.config.dual)
        self.model = (cast_once(model, settings.precision) if cast else model).eval()
        self.tokenizer = tokenizer
        self.settings = settings
        self.numbers = row_generators(settings.seed, settings.num_samples)
        self.context = model.config.context
        self.encode = partial(tokenizer.encode, level=model.config.vocab_level)
        self.writing_level = min(settings.vocab_level, model.config.vocab_level)
        self.allowed = tokenizer.level_size(self.writing_level)
        self.whole = whole_characters(tokenizer, self.allowed)
        # What the model sees before a text and no one else: that a paragraph begins.
        self.lead = [PARAGRAPH] if self.model.marks and settings.layout == "book" else []

    def rules(self, rules: Sequence[Rule] = (), ahead: Sequence[list[int]] = (), **text: Any) -> Rules:
        """``rules`` for drawing in order, and whole characters; ``text``: further fields of ``Rules``."""
        near = [ids[len(ids) - max((rule.reach(ids) for rule in rules), default=0) :] for ids in ahead]
        return Rules(self.tokenizer, self.whole, self.model.text_vocab_size, rules, near, **text)

    def fill(self, rows: Sequence[Row], rules: Sequence[Rule] = ()) -> Generator[WritingState, None, list[Filled]]:
        """Every moment of filling ``rows``, then the filled rows in order; for ``rules`` see ``denoise``.

        Rows of one length are filled together and the others wait, because the model has never seen padding. The
        shortest come first, so that what a text draws does not depend on the other texts. Edges are drawn before the
        reverse process begins, one per row at a time. The model may settle tokens in any order, so the rest is a draw
        from its distribution given that the edges are among the permitted tokens.
        """
        found: dict[int, Filled] = {}
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        for batch in equal_lengths([rows[i].ids for i in order], max(1, len(rows))):
            owners = [order[i] for i in batch.owner.tolist()]
            ids, edges = batch.rows.to(self.model.device), [rows[i].edges for i in owners]
            numbers = [self.numbers[rows[i].stretch.text] for i in owners]
            given, stretches = ids != MASK, tuple(rows[i].stretch for i in owners)
            for state in self.denoise(ids, numbers, edges, rules):
                shown, sure = state.ids.clone(), state.confidence.clone()
                yield WritingState(shown, sure, state.step, state.steps, given, stretches)
            for i, row, confidence in zip(owners, state.ids.cpu(), state.confidence.cpu(), strict=True):
                found[i] = Filled(row, confidence, state.step)
        return [found[i] for i in range(len(rows))]

    def denoise(
        self,
        ids: Tensor,
        numbers: Numbers,
        edges: Sequence[tuple[Edge, ...]] = (),
        rules: Sequence[Rule] = (),
        ahead: Sequence[list[int]] = (),
    ) -> Iterator[DenoisingState]:
        """States of filling rows (B, T) of one length within the context; the edges of each row are drawn first.

        The causal reading writes everything after the first MASK from left to right. It keeps ``rules`` while it draws,
        given the ids ``ahead`` of each row, and takes the edges of the first row for all.
        """
        ids, sure = ids.clone(), torch.ones(ids.shape, device=ids.device)
        with memory_errors():
            if self.causal:
                extra = {edge.place: edge.permitted for of_row in edges[:1] for edge in of_row}
                permit, kept = self.rules(rules, ahead, extra=extra), settled_prefix(ids == MASK)
                yield from left_to_right(self.model, ids, kept, self.settings, numbers, self.allowed, permit)
                return
            for turn in range(max(map(len, edges), default=0)):
                first = [of_row[turn] if turn < len(of_row) else None for of_row in edges]
                self._draw_edges(ids, sure, first, numbers)
            settled = ids != MASK
            kept = settled_prefix(~settled)
            for state in denoise(self.model, ids, self.settings, numbers, self.allowed, kept, self.whole):
                yield replace(state, confidence=torch.where(settled, sure, state.confidence))

    def in_order(
        self, ids: Tensor, turns: Sequence[Tensor], numbers: Numbers, permit: Permit
    ) -> Iterator[DenoisingState]:
        """States of drawing the MASKs of rows (B, T) within the context turn by turn; see ``sampling.in_order``.

        The causal reading draws one place per turn, the same in all rows.
        """
        reader = (CausalReader if self.causal else Predictor)(self.model, self.settings)
        with memory_errors():
            yield from in_order(reader, ids, turns, self.settings, numbers, self.allowed, permit)

    def in_windows(self, rows: Tensor, fill: Fill) -> Iterator[DenoisingState]:
        """States of filling the MASKs of ``rows`` (B, T) of any length, from left to right.

        Rows within the context are one window. Longer ones are filled in blocks of half a context, each in a window
        with as much text as fits on both sides: what is written already before it, and MASKs behind.
        """
        length = rows.shape[1]
        size = length if length <= self.context else self.context // 2
        confidence = (rows != MASK).float()
        for start in range(0, length, size):
            end = min(length, start + size)
            if not bool((rows[:, start:end] == MASK).any()):
                continue
            first, last = window(start, end, length, self.context)
            before = rows, confidence
            for state in fill(rows[:, first:last], first):
                rows, confidence = (
                    torch.cat((whole[:, :start], part[:, start - first : end - first], whole[:, end:]), dim=1)
                    for whole, part in zip(before, (state.ids, state.confidence), strict=True)
                )
                yield replace(state, ids=rows, confidence=confidence)

    @torch.inference_mode()
    def _draw_edges(self, ids: Tensor, sure: Tensor, edges: list[Edge | None], numbers: Numbers) -> None:
        """Draw at most one edge per row into ``ids`` (B, T), and its probability into ``sure`` (B, T)."""
        where = torch.zeros_like(ids, dtype=torch.bool)
        for row, edge in enumerate(edges):
            if edge is not None:
                where[row, edge.place] = True
        permitted = torch.stack([edge.permitted for edge in edges if edge is not None]).to(ids.device)  # (N, V)
        logits = Predictor(self.model, self.settings).logits(ids, where)
        logits = forbid(logits.masked_fill(~permitted, -torch.inf), self.allowed)
        drawn, chances = self.whole.choose(ids, where, logits, self.settings, numbers)
        ids[where] = drawn + self.model.reserved
        sure[where] = chances

    @torch.inference_mode()
    def expectations(self, ids: Tensor, start: int, end: int) -> Tensor:
        """Log-probabilities (end - start, V), on the CPU, of the tokens at ``start``..``end`` of one row ``ids`` (T,).

        Nothing is drawn: every masked token is unknown to all others.
        """
        where = torch.zeros(1, len(ids), dtype=torch.bool, device=self.model.device)
        where[0, start:end] = True
        with memory_errors():
            logits = Predictor(self.model, self.settings).logits(ids[None].to(self.model.device), where)
        return logits.log_softmax(-1).cpu()

    @torch.inference_mode()
    def scores(self, rows: Sequence[Tensor], spans: Sequence[tuple[int, int]]) -> list[float]:
        """Mean log-probability per token of the span ``start, end`` of each row (T,), given the rest of the row.

        The left-to-right chain over the span: factor i sees the text on both sides and the first i tokens of the span,
        never its own token or later ones. The factors multiply to a probability that sums to one over all fillings of
        that length; the cheaper score of each token given all others does not. A span of more tokens than
        ``settings.steps`` is scored in that many groups of neighbouring tokens, treated as independent within a group:
        as many passes as the filling took, and the assumption that the sampler itself makes at this number of steps.
        """
        totals = torch.zeros(len(rows), dtype=torch.float64)
        bounds = torch.tensor(spans).view(-1, 2)
        predictor = Predictor(self.model, self.settings)
        for batch in equal_lengths(rows, max(1, len(rows))):
            ids = batch.rows.to(self.model.device)
            start, end = bounds[batch.owner].T.unsqueeze(2).to(ids.device)  # (B, 1) each
            place = torch.arange(ids.shape[1], device=ids.device)
            inside = (place >= start) & (place < end)  # (B, T)
            groups = (end - start).clamp(max=self.settings.steps)
            group = (place - start) * groups // (end - start)
            with memory_errors():
                for turn in range(int(groups.max())):
                    asked = inside & (group == turn)
                    noisy = ids.masked_fill(inside & (group >= turn), MASK)
                    chances = predictor.logits(noisy, asked).log_softmax(-1)  # (N, V)
                    found = chances.gather(1, ids[asked][:, None] - self.model.reserved).squeeze(1)
                    totals.index_add_(0, batch.owner[asked.nonzero()[:, 0].cpu()], found.cpu().double())
        return (totals / (bounds[:, 1] - bounds[:, 0])).tolist()


def window(start: int, end: int, length: int, context: int) -> tuple[int, int]:
    """Bounds of at most ``context`` of ``length`` tokens, with ``start``..``end`` as near the middle as possible."""
    first = max(0, min(start - (context - (end - start)) // 2, length - context))
    return first, min(length, first + context)


def whole_characters(tokenizer: BookTokenizer, allowed: int) -> WholeCharacters:
    """What keeps characters whole when the first ``allowed`` text tokens of ``tokenizer`` are drawn."""
    return WholeCharacters([tokenizer.token_bytes(i) for i in range(NUM_RESERVED, tokenizer.vocab_size)], allowed)
