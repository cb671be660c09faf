"""Words that must appear in a gap: how they are encoded, in which gap they go, and at which place of it.

Shapes: T tokens of a row, L tokens of a gap, V text vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from ...data.tokenizer import MASK, NUM_RESERVED
from ...errors import UserError
from ...runtime import memory_errors
from ..filler import Filler, Opening
from ..rules import Span
from .gapped_text import Gap, GappedText
from .template import SLACK


@dataclass(frozen=True)
class RequiredWord:
    """A word's ids within a gap, with its space, and at the very beginning of a gap, where it may have none."""

    text: str
    inner: tuple[int, ...]
    first: tuple[int, ...]


def required_words(gap: Gap, encode: Callable[[str], list[int]]) -> list[RequiredWord]:
    """The words that ``gap`` must hold, encoded for it."""
    bare = gap.opening is Opening.WORD or (gap.opening is Opening.FREE and not gap.before.isalnum())
    spaced = [tuple(encode(f" {word}")) for word in gap.must]
    alone = [tuple(encode(word)) for word in gap.must] if bare else spaced
    return [RequiredWord(*each) for each in zip(gap.must, spaced, alone, strict=True)]


def tokens_needed(words: Sequence[RequiredWord]) -> int:
    """The fewest tokens that hold all of ``words``: the one that saves most at the beginning goes first."""
    return sum(len(word.inner) for word in words) - max((len(w.inner) - len(w.first) for w in words), default=0)


def place_words(words: Sequence[RequiredWord], chances: Tensor, end: int, generator: Generator) -> list[int] | None:
    """Ids (L) of a gap with ``words`` before ``end`` and MASK elsewhere; None if they do not fit in the drawn order.

    The words come in a random order. Each place is drawn by the probability that the model gives the word there
    (``chances``: log-probabilities (L, V)), among the places that leave room for the words after it.
    """
    ids, start = [MASK] * len(chances), 0
    order = [words[i] for i in torch.randperm(len(words), generator=generator).tolist()]
    for i, word in enumerate(order):
        last = end - sum(len(later.inner) for later in order[i + 1 :])
        places = {p: word.first if p == 0 else word.inner for p in range(start, last)}
        places = {p: form for p, form in places.items() if p + len(form) <= last}
        if not places:
            return None
        scores = torch.tensor([_score(form, chances, p) for p, form in places.items()], dtype=torch.float64)
        drawn = int(torch.multinomial(scores.softmax(0), 1, generator=generator))
        place, form = list(places.items())[drawn]
        start = place + len(form)
        ids[place:start] = form
    return ids


def assign_words(filler: Filler, text: GappedText, must: Sequence[str], ratio: float) -> GappedText:
    """``text`` with each word of ``must`` assigned to the gap where the model finds it likeliest, the longest first.

    Raises UserError for a string that is not a single word, and if no gap has room for a word.
    """
    if isinstance(must, str):
        raise UserError(f"must={must!r} is one string; give a tuple of words, such as ({must!r},)")
    for word in must:
        if len(word.split()) != 1 or word != word.strip():
            raise UserError(f"{word!r} is not one word; give each word that must appear by itself, without spaces")
    chances: dict[int, Tensor] = {}
    for word in sorted(must, key=lambda word: -len(filler.encode(word))):
        wider = [replace(gap, must=(*gap.must, word)) for gap in text.gaps]
        wider = [gap for gap in wider if _has_room(filler, gap, ratio)]
        if not wider:
            raise UserError(
                f"no gap has room for the word {word!r}: widen one, or raise generation.gap_tokens for blanks"
            )
        if len(wider) > 1:
            chances |= {gap.place: expected(filler, text, gap) for gap in wider if gap.place not in chances}
            wider.sort(key=lambda gap: -_best_place(required_words(gap, filler.encode)[-1], chances[gap.place]))
        text = text.with_gap(wider[0])
    return text


def expected(filler: Filler, text: GappedText, gap: Gap) -> Tensor:
    """Log-probabilities (L, V) of the tokens of ``gap``, open in its expected size."""
    ids, [span] = text.hole(gap, gap).window(filler.context)
    return expectations(filler, ids, span)


@torch.inference_mode()
def expectations(filler: Filler, ids: Sequence[int], span: Span) -> Tensor:
    """Log-probabilities (L, V), on the CPU, of the tokens at ``span`` of one row ``ids`` (T,).

    Nothing is drawn: every masked token is unknown to all others.
    """
    row = torch.tensor(ids, device=filler.model.device)[None]
    where = torch.zeros_like(row, dtype=torch.bool)
    where[0, slice(*span)] = True
    with memory_errors():
        logits = filler.reader(causal=False).logits(row, where)
    return logits.log_softmax(-1).cpu()


def _has_room(filler: Filler, gap: Gap, ratio: float) -> bool:
    """Whether the words that ``gap`` must hold fit into it."""
    words = required_words(gap, filler.encode)
    needed = tokens_needed(words)
    if needed > filler.context or (gap.request.unit == "words" and len(words) > gap.request.most):
        return False
    bounds = ratio, SLACK, filler.settings.gap_tokens, filler.context
    least, most = gap.request.size_range(*bounds, needed, len(words))
    return needed <= most and least <= most


def _best_place(word: RequiredWord, chances: Tensor) -> float:
    """The highest mean log-probability per token of ``word`` at one place of a gap, from ``chances`` (L, V)."""
    found = [_score(word.inner, chances, place) for place in range(len(chances) - len(word.inner) + 1)]
    return max(found) / len(word.inner) if found else float("-inf")


def _score(ids: Sequence[int], chances: Tensor, place: int) -> float:
    """Log-probability of ``ids`` from ``place`` on, each token by itself."""
    rows = torch.arange(place, place + len(ids))
    return float(chances[rows, torch.tensor(ids) - NUM_RESERVED].sum())
