"""The search for a filling that is as asked: several sizes at once, the likeliest of those that will do.

Shapes: T tokens of a row.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import UserError
from ...sampling.denoise import DenoisingState
from ..filler import Filled, Filler, Row
from .boundaries import Edges
from .conditions import SLACK, describe, fulfils, size_range, spread
from .draft import Draft, Hole, Part, around, filled_part, hole_at, open_part, surroundings, with_must, with_part
from .hole_window import hole_edges
from .required import best_place, place_words, required_words, tokens_needed


@dataclass(frozen=True)
class Candidate:
    """A row (T,) around one hole of ``sample``'s draft, which stands at ``start``..``end`` in it."""

    sample: int
    ids: Tensor
    start: int
    end: int

    def part(self, hole: Hole, filled: Filled, filler: Filler) -> Part:
        """The hole as it is filled."""
        ids, confidence = (values[self.start : self.end].tolist() for values in (filled.ids, filled.confidence))
        return filled_part(hole, ids, confidence, filler.tokenizer, filled.steps)

    def with_filling(self, part: Part) -> Tensor:
        """The row with this hole filled and those behind it still open."""
        ids = self.ids.clone()
        ids[self.start : self.end] = torch.tensor(part.ids)
        return ids


def search(
    filler: Filler, edges: Edges, drafts: Mapping[int, Draft], index: int, ratio: float, refused: dict[int, str]
) -> Generator[DenoisingState, None, dict[int, Draft]]:
    """Every moment of the search for the filling of the hole at ``index`` in each draft, then the drafts with it.

    A round draws ``settings.gap_candidates`` fillings for each draft that has none yet, in sizes about what ``ratio``
    tokens a word lead to expect; the next round learns the ratio from them. Of fillings that are as asked those that
    make a longer copied run than the guard allows are thrown away, the words that they must hold counted as written.
    A draft without a filling after ``settings.gap_rounds`` is missing from what is returned, and the reason is put
    into ``refused``.
    """
    hole, settings = hole_at(next(iter(drafts.values())), index), filler.settings
    found: dict[int, Part] = {}
    copied: dict[int, list[str]] = {}  # the last run for which a filling was thrown away
    for turn in range(settings.gap_rounds):
        missing = [k for k in drafts if k not in found]
        slack = SLACK / (1 + turn)
        tried = [c for k in missing for c in _candidates(filler, drafts[k], k, index, ratio, slack)]
        rows = [Row(c.ids, hole_edges(edges, hole, c.ids.tolist(), c.start, c.end)) for c in tried]
        filled = yield from filler.fill(rows)
        parts = [c.part(hole, f, filler) for c, f in zip(tried, filled, strict=True)]
        pairs = zip(tried, parts, strict=True)
        good = [(c, part) for c, part in pairs if fulfils(hole, part.text, filler.language)]
        if filler.guard is not None:
            runs = [filler.guard.run_across(*_beside(drafts[c.sample], index, part)) for c, part in good]
            copied |= {c.sample: run for (c, _), run in zip(good, runs, strict=True) if run}
            good = [pair for pair, run in zip(good, runs, strict=True) if not run]
        found |= _likeliest(filler, good)
        if len(found) == len(drafts):
            break
        words = sum(len(part.text.split()) for part in parts)
        ratio = sum(len(part.ids) for part in parts) / words if words else ratio
    refused |= {k: _reason(filler, hole, copied.get(k)) for k in drafts if k not in found}
    return {k: with_part(drafts[k], index, found[k]) for k in drafts if k in found}


def _beside(draft: Draft, index: int, part: Part) -> tuple[list[int], tuple[int, ...], list[int]]:
    """The filling of the hole at ``index`` between what stands before it and what is known to stand behind it."""
    before, behind = surroundings(draft, index, index)
    return before, part.ids, behind


def _reason(filler: Filler, hole: Hole, copied: list[str] | None) -> str:
    """Why no filling of ``hole`` was taken; ``copied``: words of a run that made one too like the book."""
    settings = filler.settings
    tries = f"of {settings.gap_candidates * settings.gap_rounds} fillings of {hole.gap.source}"
    if copied is None:
        return (
            f"none {tries} came out with {describe(hole)}; ask for less, "
            "or raise generation.gap_candidates or generation.gap_rounds"
        )
    return (
        f"generation.max_copied_words={settings.max_copied_words} cannot be kept: {tries} each that came out as asked "
        f'makes a longer run of the training text, such as "{" ".join(copied)}"; raise the limit, '
        "generation.temperature, generation.gap_candidates or generation.gap_rounds"
    )


def _candidates(
    filler: Filler, draft: Draft, sample: int, index: int, ratio: float, slack: float
) -> Iterator[Candidate]:
    """Rows with the hole at ``index`` open in several sizes, the words that it must hold in place."""
    hole, settings = hole_at(draft, index), filler.settings
    words = required_words(hole, filler.encode)
    least, most = size_range(
        hole.gap, ratio, slack, settings.gap_tokens, filler.context, tokens_needed(words), len(words)
    )
    sizes = spread(least, most, -(-settings.gap_candidates // 2))  # each twice: rows of one size are filled together
    chances: dict[int, Tensor] = {}
    for i in range(settings.gap_candidates):
        size = sizes[i % len(sizes)]
        listed, start = around(with_part(draft, index, open_part(hole, size)), index, index, filler.context)
        ids = torch.tensor(listed)
        if words:
            if size not in chances:
                chances[size] = filler.expectations(ids, start, start + size)
            room = size - 1 if hole.gap.unit in ("sentence", "paragraph") else size
            placed = place_words(words, chances[size], room, filler.generator)
            if placed is None:
                continue
            ids[start : start + size] = torch.tensor(placed)
        yield Candidate(sample, ids, start, start + size)


def _likeliest(filler: Filler, good: Sequence[tuple[Candidate, Part]]) -> dict[int, Part]:
    """The likeliest filling of each sample among those that are as asked."""
    scores = filler.scores([c.with_filling(part) for c, part in good], [(c.start, c.end) for c, _ in good])
    best: dict[int, tuple[float, Part]] = {}
    for (candidate, part), score in zip(good, scores, strict=True):
        if candidate.sample not in best or score > best[candidate.sample][0]:
            best[candidate.sample] = (score, part)
    return {sample: part for sample, (_, part) in best.items()}


def assign_words(filler: Filler, draft: Draft, must: Sequence[str], ratio: float) -> Draft:
    """``draft`` with each word of ``must`` given to the gap where the model finds it likeliest, the longest first.

    Raises UserError when no gap has room for a word.
    """
    holes = [i for i, part in enumerate(draft) if part.hole is not None]
    chances: dict[int, Tensor] = {}
    for word in sorted(must, key=lambda word: -len(filler.encode(word))):
        wider = {i: with_must(draft, i, (*hole_at(draft, i).must, word)) for i in holes}
        wider = {i: changed for i, changed in wider.items() if _has_room(filler, hole_at(changed, i), ratio)}
        if not wider:
            raise UserError(
                f"no gap has room for the word {word!r}: widen one, or raise generation.gap_tokens for blanks"
            )
        if len(wider) > 1:
            chances |= {i: _expected(filler, draft, i) for i in wider if i not in chances}
            scores = {
                i: best_place(required_words(hole_at(changed, i), filler.encode)[-1], chances[i])
                for i, changed in wider.items()
            }
            draft = wider[max(scores, key=lambda i: scores[i])]
        else:
            [draft] = wider.values()
    return draft


def _expected(filler: Filler, draft: Draft, index: int) -> Tensor:
    """Log-probabilities of the tokens of the hole at ``index``, open in its expected size."""
    ids, start = around(draft, index, index, filler.context)
    return filler.expectations(torch.tensor(ids), start, start + len(draft[index].ids))


def _has_room(filler: Filler, hole: Hole, ratio: float) -> bool:
    """Whether the words that ``hole`` must hold fit into it."""
    words = required_words(hole, filler.encode)
    needed = tokens_needed(words)
    if needed > filler.context or (hole.gap.unit == "words" and len(words) > hole.gap.most):
        return False
    least, most = size_range(hole.gap, ratio, SLACK, filler.settings.gap_tokens, filler.context, needed, len(words))
    return needed <= most and least <= most
