"""Rewriting a text: a share of its tokens is masked, as the forward process would at time t, and denoised again.

Shapes: B rows, T tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor

from ..data.tokenizer import MASK, BookTokenizer
from ..errors import UserError
from ..model.likelihood import hidden_count
from ..sampling.denoise import DenoisingState
from .filler import Filler, window
from .infilling.template import Fixed, Kept, parse_kept
from .repair import Repair
from .results import Outcome, Process, Stretch, WritingState
from .rules import Rule


def rewriting(filler: Filler, rules: Sequence[Rule], text: str) -> Process:
    """Every moment of rewriting ``text``, states of (num_samples, T); then the texts.

    Each row masks exactly the share ``settings.rewrite_strength`` of the tokens outside the kept spans, rounded up, at
    random places of its own. A token that holds any byte of a kept span is kept whole. A text beyond the context is
    denoised window by window, see ``in_windows``. What breaks ``rules`` is then repaired. Raises UserError for
    a ``[[`` that is not closed, and if no token may change.
    """
    pieces, settings = parse_kept(text), filler.settings
    given = [*filler.lead, *filler.encode("".join(piece.text for piece in pieces))]
    own = slice(len(filler.lead), None)  # what is before is no part of the text
    free = ~kept_tokens(pieces, given, filler.tokenizer)
    free[: len(filler.lead)] = False
    if not free.any():
        raise UserError("there is nothing to rewrite: give some text outside [[kept spans]]")
    masked = _noise(free, settings.rewrite_strength, filler.numbers).to(filler.model.device)
    noisy = torch.tensor(given, device=filler.model.device).expand(settings.num_samples, -1)
    noisy = noisy.masked_fill(masked, MASK)  # (B, T)
    stretches = Stretch.whole(settings.num_samples, len(given[own]))
    refused: dict[int, str] = {}
    steps = 0
    for state in Repair(filler, rules).after(in_windows(filler, noisy), masked, refused):
        steps += 1
        ids, confidence = state.ids[:, own].clone(), state.confidence[:, own].clone()
        yield WritingState(ids, confidence, state.step, state.steps, ~masked[:, own], stretches)
    last = WritingState(state.ids[:, own], state.confidence[:, own], steps, steps, ~masked[:, own], stretches)
    return Outcome.of([filler.tokenizer.decode(row) for row in last.ids.tolist()], last, refused)


def in_windows(filler: Filler, rows: Tensor) -> Iterator[DenoisingState]:
    """States of filling the MASKs of ``rows`` (B, T) of any length, from left to right.

    Rows within the context are one window. Longer ones are filled in blocks of half a context, each in a window
    with as much text as fits on both sides: what is written already before it, and MASKs behind.
    """
    length = rows.shape[1]
    size = length if length <= filler.context else filler.context // 2
    confidence = (rows != MASK).float()
    for start in range(0, length, size):
        end = min(length, start + size)
        if not bool((rows[:, start:end] == MASK).any()):
            continue
        first, last = window(start, end, length, filler.context)
        before = rows, confidence
        for state in filler.denoise(rows[:, first:last], filler.numbers):
            rows, confidence = (
                torch.cat((whole[:, :start], part[:, start - first : end - first], whole[:, end:]), dim=1)
                for whole, part in zip(before, (state.ids, state.confidence), strict=True)
            )
            yield replace(state, ids=rows, confidence=confidence)


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


def _noise(free: Tensor, strength: float, numbers: Sequence[Generator]) -> Tensor:
    """Masks (B, T) that hide the share ``strength`` of the ``free`` tokens (T,), drawn for each row anew."""
    count = int(hidden_count(free.sum(), strength))
    order = (
        torch.stack([torch.rand(len(free), generator=own) for own in numbers])
        .masked_fill(~free, 2.0)
        .argsort(dim=1)
        .argsort(dim=1)
    )
    return order < count
