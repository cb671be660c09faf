"""Rewriting a text: a share of its tokens is hidden, as the forward process would at time t, and denoised again.

Shapes: B rows, T tokens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor

from ..data.tokenizer import MASK, BookTokenizer
from ..errors import UserError
from ..model.likelihood import hidden_count
from ..runtime import generator_for
from ..sampling.denoise import DenoisingState
from .filler import Filler, window
from .infilling.template import Fixed, Kept, parse_kept
from .mending import mend
from .redrawing import MEND, Redrawing
from .results import Process, outcome


def rewriting(filler: Filler, text: str) -> Process:
    """Every moment of rewriting ``text``, states of (num_samples, T); then the texts.

    Each row hides its own ``settings.rewrite_strength`` of the tokens outside the kept spans, so many exactly, rounded
    up; a token that reaches into a kept span is kept whole. A text beyond the context is denoised in blocks of half a
    context, from left to right, each in a window with as much text on both sides: rewritten before, still noisy
    behind. What makes a longer copied run than the guard allows is then drawn again, in such windows too. Raises
    UserError for a ``[[`` that is not closed and where no token may change.
    """
    pieces, settings = parse_kept(text), filler.settings
    ids = torch.tensor(filler.encode("".join(piece.text for piece in pieces)), dtype=torch.long)
    free = ~kept_tokens(pieces, ids.tolist(), filler.tokenizer)
    if not free.any():
        raise UserError("there is nothing to rewrite: give some text outside [[kept spans]]")
    masked = _noise(free, settings.rewrite_strength, settings.num_samples, filler.generator).to(filler.model.device)
    noisy = ids.to(filler.model.device).expand(settings.num_samples, -1).masked_fill(masked, MASK)  # (B, T)
    start, steps = DenoisingState(noisy, (~masked).float(), 0, 0), 0
    for state in _windows(start, filler, lambda rows, _: filler.denoise(rows, [], filler.generator)):
        steps += 1
        yield state
    refused: dict[int, str] = {}
    rules = [] if filler.guard is None else [filler.guard]
    nothing = noisy[:, :0]

    def redraw(row: Tensor, barred: Mapping[int, set[int]], number: int, draw: int) -> Iterator[DenoisingState]:
        return _redraw(filler, row, barred, generator_for(settings.seed, MEND, 0, number, draw))

    final = state
    for final in mend(state, masked, (nothing, nothing), rules, redraw, refused, onward=False):
        steps += 1
        yield final
    texts = [filler.tokenizer.decode(row) for row in final.ids.tolist()]
    return outcome(texts, final.ids, final.confidence, ~masked, steps, refused)


def _windows(
    state: DenoisingState, filler: Filler, fill: Callable[[Tensor, int], Iterator[DenoisingState]]
) -> Iterator[DenoisingState]:
    """States of filling the MASKs of ``state`` (B, T) block by block; ``fill`` fills a window from some place on."""
    length = state.ids.shape[1]
    for start, end in _blocks(length, filler.context):
        if not bool((state.ids[:, start:end] == MASK).any()):
            continue
        before = state
        first, last = window(start, end, length, filler.context)
        for drawn in fill(before.ids[:, first:last], first):
            ids = _with_block(before.ids, drawn.ids, start, end, first)
            confidence = _with_block(before.confidence, drawn.confidence, start, end, first)
            state = replace(drawn, ids=ids, confidence=confidence)
            yield state


def _redraw(
    filler: Filler, row: Tensor, barred: Mapping[int, set[int]], numbers: Generator
) -> Iterator[DenoisingState]:
    """States of drawing a row (1, T) again where it has MASK."""
    again = Redrawing(
        filler.model, filler.settings, filler.allowed, lambda rows, _, numbers: filler.denoise(rows, [], numbers)
    )

    def fill(rows: Tensor, first: int) -> Iterator[DenoisingState]:
        return again.states(rows, {place - first: tokens for place, tokens in barred.items()}, numbers)

    return _windows(DenoisingState(row, (row != MASK).float(), 0, 0), filler, fill)


def kept_tokens(pieces: Sequence[Fixed | Kept], ids: Sequence[int], tokenizer: BookTokenizer) -> Tensor:
    """Which tokens (T,) of the pieces' text hold at least one byte of a kept span."""
    kept: list[bool] = []  # of each byte
    for piece in pieces:
        kept += [isinstance(piece, Kept)] * len(piece.text.encode("utf-8"))
    found, start = [], 0
    for each in ids:
        end = start + len(tokenizer.token_bytes(each))
        found.append(any(kept[start:end]))
        start = end
    return torch.tensor(found, dtype=torch.bool)


def _noise(free: Tensor, strength: float, rows: int, generator: Generator) -> Tensor:
    """Masks (B, T) that hide ``strength`` of the ``free`` tokens (T,), drawn for each row anew."""
    count = int(hidden_count(free.sum(), strength))
    order = torch.rand(rows, len(free), generator=generator).masked_fill(~free, 2.0).argsort(dim=1).argsort(dim=1)
    return order < count


def _blocks(length: int, context: int) -> list[tuple[int, int]]:
    """Bounds of the blocks that are denoised one after another."""
    size = length if length <= context else context // 2
    return [(start, min(length, start + size)) for start in range(0, length, size)]


def _with_block(whole: Tensor, part: Tensor, start: int, end: int, first: int) -> Tensor:
    """``whole`` (B, T) with ``start``..``end`` taken from ``part``, a window of it that begins at ``first``."""
    return torch.cat((whole[:, :start], part[:, start - first : end - first], whole[:, end:]), dim=1)
