"""Filling the gaps of a template: several at once where their sizes are told, else by search, gap after gap.

A gap of so many words, a sentence, a paragraph, or one with words that must appear is filled in several sizes at
once; of those fillings that are as asked, the one likeliest a token is taken (see ``search``). A text beyond the
context is filled from left to right through windows of the context, each gap with as much text on both sides as fits.
"""

from collections.abc import Generator, Sequence

import torch

from ..config import GenerationConfig
from ..config.validation import show_value
from ..errors import UserError
from .conditions import exact_size, usual_size
from .denoise import DenoisingState
from .draft import Draft, around, draft_of, filled_part, tokens_a_word, with_part
from .edges import Edges
from .filler import Filler, Row
from .required import checked
from .results import Run, Written
from .search import assign_words, hole_at, hole_edges, search
from .template import Fixed, Gap, parse_gaps


def gap_settings(settings: GenerationConfig) -> GenerationConfig:
    """``settings`` with the sampler for gaps in the place of that for all other writing."""
    return settings.model_copy(update={"sampler": settings.gap_sampler})


def filling(filler: Filler, template: str, must: tuple[str, ...]) -> Run:
    """Every moment of filling ``template``, then its texts, in which all but the gaps stands as it was given.

    States are of the rows filled at that moment: of a window around the gaps in hand, for every sample, or for the
    candidates of one size. Gaps behind them are masked there and come later. Raises UserError for a template without
    a gap or with one that cannot be read or cannot fit the context, and when no filling is as asked.
    """
    pieces = parse_gaps(template)
    gaps = [piece for piece in pieces if isinstance(piece, Gap)]
    if not gaps:
        raise UserError(f"no gap in {show_value(template)}; mark one with three or more underscores: ___")
    settings, context = filler.settings, filler.context
    for gap in gaps:
        _check(gap, settings.gap_tokens, context)
    texts = [piece.text for piece in pieces if isinstance(piece, Fixed)]
    ratio = tokens_a_word(texts, filler.tokenizer, filler.writing_level)
    draft = draft_of(pieces, filler.encode, lambda gap: usual_size(gap, ratio, settings.gap_tokens, context))
    draft = assign_words(filler, draft, checked(must), ratio)
    edges = Edges(filler.tokenizer, filler.model.text_vocab_size, filler.allowed, filler.language)
    drafts, rounds = [draft] * settings.num_samples, _rounds(draft, settings.gap_tokens, context)
    for holes in rounds:
        if exact_size(hole_at(draft, holes[0]), settings.gap_tokens) is None:
            drafts = yield from search(filler, edges, drafts, holes[0], ratio)
        else:
            drafts = yield from _fill_together(filler, edges, drafts, holes)
    return [_written(each, settings.steps * len(rounds)) for each in drafts]


def _check(gap: Gap, gap_tokens: int, context: int) -> None:
    """Raise UserError for a gap that needs more tokens than the context holds; a word needs one at least."""
    needed = gap_tokens if gap.unit == "blank" else gap.most
    if needed > context:
        raise UserError(
            f"the gap {gap.source} needs {needed} tokens at least; the model's context holds {context}: make it smaller"
        )


def _rounds(draft: Draft, gap_tokens: int, context: int) -> list[list[int]]:
    """Which holes are filled together: each alone, but neighbours of told size that one window holds well.

    That is all of them in a text that the context holds; beyond it, those within half a context.
    """
    limit = context if sum(len(part.ids) for part in draft) <= context else context // 2
    rounds: list[list[int]] = []
    open_round = False
    for index in (i for i, part in enumerate(draft) if part.hole is not None):
        exact = exact_size(hole_at(draft, index), gap_tokens) is not None
        first = rounds[-1][0] if rounds else index
        if exact and open_round and sum(len(part.ids) for part in draft[first : index + 1]) <= limit:
            rounds[-1].append(index)
        else:
            rounds.append([index])
        open_round = exact
    return rounds


def _fill_together(
    filler: Filler, edges: Edges, drafts: Sequence[Draft], holes: Sequence[int]
) -> Generator[DenoisingState, None, list[Draft]]:
    """Every moment of filling ``holes`` of each draft by one draw, then the drafts with them filled."""
    rows, places = [], []
    for draft in drafts:
        ids, offset = around(draft, holes[0], holes[-1], filler.context)
        spans = {}
        for index in range(holes[0], holes[-1] + 1):
            spans[index] = (offset, offset + len(draft[index].ids))
            offset = spans[index][1]
        found = [edge for i in holes for edge in hole_edges(edges, hole_at(draft, i), ids, *spans[i])]
        rows.append(Row(torch.tensor(ids), tuple(found)))
        places.append(spans)
    filled = yield from filler.fill(rows)
    done = []
    for draft, spans, row in zip(drafts, places, filled, strict=True):
        for i in holes:
            ids, confidence = (values[slice(*spans[i])].tolist() for values in (row.ids, row.confidence))
            draft = with_part(draft, i, filled_part(hole_at(draft, i), ids, confidence, filler.tokenizer))
        done.append(draft)
    return done


def _written(draft: Draft, steps: int) -> Written:
    """The finished text: its fixed parts as they were given, and what fills its holes."""
    return Written(
        text="".join(part.text for part in draft),
        ids=tuple(i for part in draft for i in part.ids),
        confidence=tuple(c for part in draft for c in part.confidence),
        given=tuple(part.hole is None for part in draft for _ in part.ids),
        steps=steps,
    )
