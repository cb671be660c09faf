"""Filling the gaps of a template: several at once where their sizes are told, else by search, gap after gap.

A gap of so many words, a sentence, a paragraph, or one with words that must appear is filled in several sizes at
once; of those fillings that are as asked, the one likeliest a token is taken (see ``search``). A text beyond the
context is filled from left to right through windows of the context, each gap with as much text on both sides as fits.
The guard on copies looks at the text as far as the next open gap: fillings of told size are mended, those of a search
thrown away.
"""

from collections.abc import Generator, Mapping, Sequence

import torch

from ...config import GenerationConfig
from ...config.messages import show_value
from ...errors import UserError
from ...sampling.denoise import DenoisingState
from ..filler import Filler
from ..results import Outcome, Process, Written
from .boundaries import Edges
from .conditions import exact_size, usual_size
from .draft import Draft, draft_of, hole_at, text_of, tokens_a_word
from .hole_window import HoleWindow
from .required import checked
from .search import assign_words, search
from .template import Fixed, Gap, parse_gaps


def gap_settings(settings: GenerationConfig) -> GenerationConfig:
    """``settings`` with the sampler for gaps in the place of that for all other writing."""
    return settings.model_copy(update={"sampler": settings.gap_sampler})


def filling(filler: Filler, template: str, must: tuple[str, ...]) -> Process:
    """Every moment of filling ``template``, then its texts, in which all but the gaps stands as it was given.

    States are of the rows filled at that moment: of a window around the gaps in hand, for every sample, or for the
    candidates of one size. Gaps behind them are masked there and come later. Raises UserError for a template without
    a gap or with one that cannot be read or cannot fit the context; a sample without a filling as asked is refused.
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
    drafts = dict.fromkeys(range(settings.num_samples), draft)
    refused: dict[int, str] = {}
    for holes in _rounds(draft, settings.gap_tokens, context):
        if not drafts:
            break
        if exact_size(hole_at(draft, holes[0]), settings.gap_tokens) is None:
            drafts = yield from search(filler, edges, drafts, holes[0], ratio, refused)
        else:
            drafts = yield from _fill_together(filler, edges, drafts, holes, refused)
    return Outcome({k: _written(filler, each) for k, each in drafts.items()}, refused)


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
    filler: Filler, edges: Edges, drafts: Mapping[int, Draft], holes: Sequence[int], refused: dict[int, str]
) -> Generator[DenoisingState, None, dict[int, Draft]]:
    """Every moment of filling ``holes`` of each draft by one draw and of mending them, then the drafts with them.

    A draft that the guard refuses is missing from these, and the reason is put into ``refused``.
    """
    windows = {k: HoleWindow.of(filler, edges, draft, holes) for k, draft in drafts.items()}
    rows = yield from filler.fill([window.row for window in windows.values()])
    filled = dict(zip(windows, rows, strict=True))
    for k, window in windows.items():
        drawn_with = [n for n, row in filled.items() if len(row.ids) == len(filled[k].ids)]
        for latest in window.mend(filler, filled[k], k, refused):
            filled[k] = latest
            ids = torch.stack([filled[n].ids for n in drawn_with])
            confidence = torch.stack([filled[n].confidence for n in drawn_with])
            yield DenoisingState(ids, confidence, latest.steps, latest.steps)
    return {k: windows[k].fill(filler, drafts[k], row) for k, row in filled.items() if k not in refused}


def _written(filler: Filler, draft: Draft) -> Written:
    """The finished text."""
    return Written(
        text=text_of(draft, filler.tokenizer),
        ids=tuple(i for part in draft for i in part.ids),
        confidence=tuple(c for part in draft for c in part.confidence),
        given=tuple(part.hole is None for part in draft for _ in part.ids),
        steps=sum(part.steps for part in draft),
    )
