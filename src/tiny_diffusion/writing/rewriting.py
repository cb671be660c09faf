"""Rewriting a text: a share of its tokens is masked, as the forward process would at time t, and denoised again.

Shapes: B rows, T tokens.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ..data.tokenizer import MASK, BookTokenizer
from ..errors import UserError
from ..model.likelihood import hidden_count
from .filler import Filler
from .infilling.template import Fixed, Kept, parse_kept
from .repair import Repair
from .results import Outcome, Process, Stretch, WritingState
from .rules import Rule


def rewriting(filler: Filler, rules: Sequence[Rule], text: str) -> Process:
    """Every moment of rewriting ``text``, states of (num_samples, T); then the texts.

    Each row masks exactly the share ``settings.rewrite_strength`` of the tokens outside the kept spans, rounded up, at
    random places of its own. A token that holds any byte of a kept span is kept whole. A text beyond the context is
    denoised window by window, see ``Filler.in_windows``. What breaks ``rules`` is then repaired. Raises UserError for
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
    filling = filler.in_windows(noisy, lambda window, _: filler.denoise(window, filler.numbers))
    for state in Repair(filler, rules).after(filling, masked, refused):
        steps += 1
        ids, confidence = state.ids[:, own].clone(), state.confidence[:, own].clone()
        yield WritingState(ids, confidence, state.step, state.steps, ~masked[:, own], stretches)
    last = WritingState(state.ids[:, own], state.confidence[:, own], steps, steps, ~masked[:, own], stretches)
    return Outcome.of([filler.tokenizer.decode(row) for row in last.ids.tolist()], last, refused)


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
