"""Which filling of a gap is taken: one that is as requested, joins its text well, and is likely.

Shapes: T tokens of a row, V text vocabulary.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...config import GenerationConfig
from ...data.language.segmentation import ENGLISH, split_sentences
from ...data.tokenizer import MASK, BookTokenizer
from ...model.lengths import equal_lengths
from ...runtime import memory_errors
from ...wording import counted
from ..copy_guard import NoveltyGuard
from ..endings import ends_of, is_well_ended
from ..filler import Filler, Opening, ends_sentence
from ..judge import Judge
from ..quotations import is_open
from ..rules import BREAK, Rule, Span
from .gap_filler import Row
from .gapped_text import Gap, Hole

_TWO_MARKS = re.compile(r"[,;:!?][.,;:!?…]|\.[,;:!?]")  # but not the dots of "..."
_ENDED = re.compile(r"[.!?…]\W*\s")  # an end with text behind it


@dataclass(frozen=True)
class Candidate:
    """A filling as requested of the gap of text ``k``, between what stands around it, and the row that it was drawn in.

    is_causal: the causal reading wrote it. is_tidy: it joins its text well.
    """

    k: int
    hole: Hole
    gap: Gap
    row: Row
    is_causal: bool
    is_tidy: bool


def fulfils(gap: Gap, text: str, language: str = ENGLISH) -> bool:
    """Whether ``text`` fills ``gap`` as requested: number of words or end of sentence, one line, required words."""
    if not _hold_whole_words(gap, text):
        return False
    if gap.request.unit in ("blank", "tokens"):
        return True
    own_space = gap.opening in (Opening.JOIN, Opening.FREE) and text.startswith(" ")
    words = text[1:] if own_space else text
    if words != words.strip() or len(words.splitlines()) != 1:
        return False
    if gap.request.unit == "words":
        return gap.request.least <= len(words.split()) <= gap.request.most
    if not ends_sentence(words, language):
        return False
    return gap.request.unit == "paragraph" or len(split_sentences(words, language)) == 1


def _hold_whole_words(gap: Gap, text: str) -> bool:
    """Whether the filling ``text`` holds each word that ``gap`` must hold, not as a part of a longer word."""
    whole = gap.before + text + gap.after
    start, end = len(gap.before), len(gap.before) + len(text)
    for word, count in Counter(gap.must).items():
        pattern = re.compile(rf"(?<!\w)(?<!\w['’-]){re.escape(word)}(?!['’-]?\w)")
        found = [m for m in pattern.finditer(whole) if m.start() >= start and m.end() <= end]
        if len(found) < count:
            return False
    return True


def ends_within(gap: Gap, ids: list[int], start: int, tokenizer: BookTokenizer, language: str) -> list[int]:
    """Where a filling from ``start`` of ``ids`` on may end: behind a word, the first sentence or the last one."""
    texts = [tokenizer.decode([i]) for i in ids[start:]]
    last = next((start + i for i, text in enumerate(texts) if BREAK[0] in text), len(ids))
    if gap.request.unit == "words":
        return [end for end in range(start + 1, last) if not texts[end - start][:1].isalnum()]
    found = [end for end in ends_of(ids[:last], tokenizer, language) if end > start]
    return (found[:1] if gap.request.unit == "sentence" else found[-1:]) or [start]


def joins_well(gap: Gap, before: str, behind: str) -> bool:
    """Whether a filling stands between the texts before and behind it as print would have it.

    A sentence ends well (see ``endings.is_well_ended``), no mark meets a mark, words are of one sentence, and no
    quotation is left open that the text without the filling does not leave open.
    """
    if gap.request.is_whole and not is_well_ended(before + gap.text):
        return False
    if _TWO_MARKS.search(gap.text + behind[:1]) or (gap.request.unit == "words" and _ENDED.search(gap.text)):
        return False
    left, right = before[before.rfind(BREAK[0]) + 1 :], behind.partition(BREAK[0])[0]
    return is_open(left + gap.text + right) <= is_open(left + right)


def copied_run(guards: Sequence[Rule], hole: Hole, gap: Gap) -> list[str]:
    """The words of the first copied run that this filling would make longer than a guard allows."""
    found = (guard.run_across(hole.before, gap.ids, hole.behind) for guard in guards if isinstance(guard, NoveltyGuard))
    return next(filter(None, found), [])


def has_unknown_words(rules: Sequence[Rule], hole: Hole, gap: Gap) -> bool:
    """Whether a filling breaks the rule about words."""
    free = [False] * len(hole.before) + [True] * len(gap.ids) + [False] * hole.known
    return any(rule.places([*hole.before, *gap.ids, *hole.behind], free) for rule in rules)


def best_first(filler: Filler, judge: Judge | None, good: Sequence[Candidate]) -> list[list[Candidate]]:
    """The ``good`` fillings of each text that has any, tidy ones first, then by a score, the highest first.

    With a ``judge`` see ``judged``; without one, it is the mean log-probability per token by the masked reading. Gaps
    that come later are open.
    """
    of_text = defaultdict[int, list[int]](list)
    for i, each in enumerate(good):
        of_text[each.k].append(i)
    if judge is None:
        rows = [each.row.ids.clone() for each in good]
        for ids, each in zip(rows, good, strict=True):
            ids[slice(*each.row.gaps[0])] = torch.tensor(each.gap.ids)
        found = scores(filler, rows, [each.row.gaps[0] for each in good])
    else:
        found = [0.0] * len(good)
        for own in of_text.values():
            nats = judged(judge, good[own[0]].hole, [good[i].gap for i in own], filler.context)
            for i, score in zip(own, nats, strict=True):
                found[i] = score
    ordered = defaultdict[int, list[Candidate]](list)
    for i in sorted(range(len(good)), key=lambda i: (not good[i].is_tidy, -found[i])):
        ordered[good[i].k].append(good[i])
    return list(ordered.values())


@torch.inference_mode()
def scores(filler: Filler, rows: Sequence[Tensor], spans: Sequence[Span]) -> list[float]:
    """Mean log-probability per token of the span ``start, end`` of each row (T,), given the rest of the row.

    The left-to-right chain over the span: factor i sees the text on both sides and the first i tokens of the span,
    never its own token or later ones. The factors multiply to a probability that sums to one over all fillings of
    that length; the cheaper score of each token given all others does not. A span of more tokens than
    ``settings.steps`` is scored in that many groups of neighbouring tokens, treated as independent within a group:
    as many passes as the filling took, and the assumption that the sampler itself makes at this number of steps.
    """
    totals = torch.zeros(len(rows), dtype=torch.float64)
    bounds = torch.tensor(spans).view(-1, 2)
    reader = filler.reader(causal=False)
    for batch in equal_lengths(rows, max(1, len(rows))):
        ids = batch.rows.to(filler.model.device)
        start, end = bounds[batch.owner].T.unsqueeze(2).to(ids.device)  # (B, 1) each
        place = torch.arange(ids.shape[1], device=ids.device)
        inside = (place >= start) & (place < end)  # (B, T)
        groups = (end - start).clamp(max=filler.settings.steps)
        group = (place - start) * groups // (end - start)
        with memory_errors():
            for turn in range(int(groups.max())):
                asked = inside & (group == turn)
                noisy = ids.masked_fill(inside & (group >= turn), MASK)
                chances = reader.logits(noisy, asked).log_softmax(-1)  # (N, V)
                found = chances.gather(1, ids[asked][:, None] - filler.model.reserved).squeeze(1)
                totals.index_add_(0, batch.owner[asked.nonzero()[:, 0].cpu()], found.cpu().double())
    return (totals / (bounds[:, 1] - bounds[:, 0])).tolist()


def judged(judge: Judge, hole: Hole, gaps: Sequence[Gap], context: int) -> list[float]:
    """Joint log-probability, in nats, of each of several fillings of one gap and of the known text on both sides.

    If the number of words is open, a filling of n tokens gets n times the mean nats per token with which all of them
    were drawn. Longer fillings are more numerous, and each of them is less probable: without this the shortest would
    nearly always win. (It is the log-weight of importance sampling with the probability of a draw averaged by size.)
    """
    rows = joint_rows(hole.before, [gap.ids for gap in gaps], hole.behind, context)
    found = judge.log_probabilities(*rows)
    request = gaps[0].request
    if request.unit == "words" and request.least == request.most:
        return found
    rate = -sum(math.log(chance) for gap in gaps for chance in gap.confidence) / sum(len(gap.ids) for gap in gaps)
    return [score + rate * len(gap.ids) for score, gap in zip(found, gaps, strict=True)]


def joint_rows(
    before: Sequence[int], fillings: Sequence[Sequence[int]], behind: Sequence[int], context: int
) -> tuple[list[Tensor], list[int]]:
    """A row of left side, filling and right side for each of several ``fillings`` of one gap, and where each begins.

    All rows have the same text on both sides, as much as the context holds beside the longest filling: up to half of
    the room behind the gap, the rest before it. So the log-probabilities of filling and right side, given the left
    side, compare fillings of different lengths.
    """
    room = context - max(map(len, fillings))
    right = min(len(behind), max(room // 2, room - len(before)))
    left = min(len(before), room - right)
    seen, after = before[len(before) - left :], behind[:right]
    return [torch.tensor([*seen, *filling, *after]) for filling in fillings], [left] * len(fillings)


def reason(gap: Gap, settings: GenerationConfig, copied: list[str] | None) -> str:
    """Why no filling of ``gap`` was taken; ``copied``: words of a run that made one too like the book."""
    tries = f"of {settings.gap_candidates * settings.gap_rounds} fillings of {gap.request.source}"
    if copied is None:
        return (
            f"none {tries} came out with {_describe(gap)}; ask for less, "
            "or raise generation.gap_candidates or generation.gap_rounds"
        )
    return (
        f"generation.max_copied_words={settings.max_copied_words} cannot be kept: {tries}, every one that is as "
        f'requested copies a longer run of the training text, such as "{" ".join(copied)}"; raise the limit, '
        "generation.temperature, generation.gap_candidates or generation.gap_rounds"
    )


def _describe(gap: Gap) -> str:
    """What was requested of a filling, for an error."""
    unit, least, most = gap.request.unit, gap.request.least, gap.request.most
    words = counted(most, "word") if least == most else f"{least} to {most} words"
    wanted = {"sentence": "one whole sentence", "paragraph": "whole sentences", "words": words}
    parts = [wanted[unit]] if unit in wanted else []
    return " and ".join(parts + [f"the word {word!r}" for word in dict.fromkeys(gap.must)])
