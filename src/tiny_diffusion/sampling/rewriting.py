"""Rewriting a text: a share of its tokens is hidden, as the forward process would at time t, and denoised again.

Shapes: B rows, T tokens.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor

from ..data.tokenizer import MASK, BookTokenizer
from ..errors import UserError
from ..model.likelihood import hidden_count
from ..runtime import memory_errors
from .denoise import denoise
from .filler import Filler, window
from .results import Run, written
from .template import Fixed, Kept, parse_kept


def rewriting(filler: Filler, text: str) -> Run:
    """Every moment of rewriting ``text``, states of (num_samples, T); then the texts.

    Each row hides its own ``settings.rewrite_strength`` of the tokens outside the kept spans, so many exactly, rounded
    up; a token that reaches into a kept span is kept whole. A text beyond the context is denoised in blocks of half a
    context, from left to right, each in a window with as much text on both sides: rewritten before, still noisy
    behind. Raises UserError for a ``[[`` that is not closed and where no token may change.
    """
    pieces, settings = parse_kept(text), filler.settings
    ids = torch.tensor(filler.encode("".join(piece.text for piece in pieces)), dtype=torch.long)
    free = ~kept_tokens(pieces, ids.tolist(), filler.tokenizer)
    if not free.any():
        raise UserError("there is nothing to rewrite: give some text outside [[kept spans]]")
    masked = _noise(free, settings.rewrite_strength, settings.num_samples, filler.generator).to(filler.model.device)
    done = ids.to(filler.model.device).expand(settings.num_samples, -1).masked_fill(masked, MASK)  # (B, T)
    sure = (~masked).float()
    steps = 0
    for start, end in _blocks(len(ids), filler.context):
        first, last = window(start, end, len(ids), filler.context)
        if not masked[:, start:end].any():
            continue
        with memory_errors():
            for state in denoise(filler.model, done[:, first:last], settings, filler.generator, filler.allowed):
                yield replace(
                    state,
                    ids=_with_block(done, state.ids, start, end, first),
                    confidence=_with_block(sure, state.confidence, start, end, first),
                )
        done = _with_block(done, state.ids, start, end, first)
        sure = _with_block(sure, state.confidence, start, end, first)
        steps += state.steps
    texts = [filler.tokenizer.decode(row) for row in done.tolist()]
    return written(texts, done, sure, ~masked, steps)


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
