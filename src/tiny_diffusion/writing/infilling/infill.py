"""Filling the gaps of a template: several at once if their sizes are fixed, otherwise by search, gap after gap.

A gap of a number of words, a sentence, a paragraph, or one with required words is filled in several sizes at once. The
causal reading, if it may write, continues the left side too, and is cut where the gap may end. Of the fillings that
satisfy the request, ``candidates.py`` chooses. A text beyond the context is filled from left to right, each gap with as
much text on both sides as fits. The guards on copies look at the text as far as the next open gap: fillings of fixed
size are repaired, those of a search discarded. Its unknown words are drawn anew.
"""

from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from ...config.messages import show_value
from ...data.tokenizer import MASK
from ...errors import UserError
from ...sampling.denoise import DenoisingState
from ..copy_guard import NoveltyGuard
from ..filler import Filled, Filler, Row
from ..judge import Judge
from ..repair import Repair
from ..results import Outcome, Process, WritingState
from ..rules import Rule
from .boundaries import Edges
from .candidates import Candidates, ends_within, is_tidy, scores_of
from .gapped_text import Gap, GappedText, Window
from .requirements import (
    SLACK,
    assign_words,
    check_fits,
    fulfils,
    reason,
    tokens_per_word,
    usual_size,
)
from .template import Fixed, GapRequest, parse_gaps

Texts = dict[int, GappedText]  # those that are not refused, by number, from 0
Filling = Generator[WritingState, None, Texts]  # every moment of filling some gaps, then the texts with them filled


def infilling(
    filler: Filler,
    onward: Filler | None,
    guards: Sequence[Rule],
    words: Sequence[Rule],
    language: str,
    template: str,
    must: tuple[str, ...],
    lengths: Mapping[str, Sequence[int]],
) -> Process:
    """Every moment of filling ``template``, then its texts, in which all but the gaps is as it was given.

    States hold the rows that are being filled: a window around the current gaps for every text, or the candidates of
    one size. Later gaps are masked in them and are filled later. Raises UserError for a template without a gap, with
    one that cannot be read or does not fit the context; a text without a filling as requested is refused.
    ``onward``: the filler that writes words and sentences by the causal reading, if it is to be used.
    ``lengths``: words of the book's sentences and paragraphs, see ``usual_lengths``; empty where they are not known.
    """
    settings, context = filler.settings, filler.context
    pieces = [
        replace(piece, usual=tuple(lengths.get(piece.unit, ()))) if isinstance(piece, GapRequest) else piece
        for piece in parse_gaps(template)
    ]
    requests = [piece for piece in pieces if isinstance(piece, GapRequest)]
    if not requests:
        raise UserError(f"no gap in {show_value(template)}; mark one with three or more underscores: ___")
    for request in requests:
        check_fits(request, settings.gap_tokens, context)
    fixed = [piece.text for piece in pieces if isinstance(piece, Fixed)]
    ratio = tokens_per_word(fixed, filler.tokenizer, filler.writing_level)
    sizes = {request: usual_size(request, ratio, settings.gap_tokens, context) for request in requests}
    text = GappedText.of(pieces, filler.encode, sizes.__getitem__, filler.lead)
    if must:
        text = assign_words(filler, text, must, ratio)
    edges = Edges(filler.tokenizer, filler.model.text_vocab_size, filler.allowed, language)
    judge = Judge(filler.model, settings, filler.allowed) if filler.model.config.dual else None
    if onward is not None:
        onward.numbers = filler.numbers  # a text's draws are of one sequence
    work = Infilling(filler, onward, guards, words, language, Candidates(filler, edges), ratio, judge)
    texts = dict.fromkeys(range(settings.num_samples), text)
    for numbers in text.rounds(context):
        if texts:
            together = text.gaps[numbers[0]].has_fixed_size
            texts = yield from work.fill_together(texts, numbers) if together else work.search(texts, numbers[0])
    return Outcome({k: text.written(filler.tokenizer) for k, text in texts.items()}, work.refused)


@dataclass(frozen=True)
class Infilling:
    """What fills the gaps of several texts made from one template. In its methods, ``k`` is the number of a text.

    onward: writes by the causal reading. ratio: expected tokens per word. refused: reasons by number of the text.
    judge: the causal reading, if the model has it.
    """

    filler: Filler
    onward: Filler | None
    guards: Sequence[Rule]
    words: Sequence[Rule]
    language: str
    rows: Candidates
    ratio: float
    judge: Judge | None = None
    refused: dict[int, str] = field(default_factory=dict)

    def fill_together(self, texts: Texts, numbers: Sequence[int]) -> Filling:
        """Fill the gaps ``numbers`` of each text, anew where they join it badly; drop texts that the guards refuse."""
        done = yield from self._draw(texts, numbers)
        for _ in range(1, self.filler.settings.gap_rounds):
            gaps = {k: text.gaps[numbers[0] : numbers[-1] + 1] for k, text in done.items()}
            untidy = {k: texts[k] for k in done if not all(is_tidy(done[k], g, self.filler.tokenizer) for g in gaps[k])}
            if not untidy:
                break
            done |= yield from self._draw(untidy, numbers)
        return {k: text for k, text in done.items() if k not in self.refused}

    def _draw(self, texts: Texts, numbers: Sequence[int]) -> Filling:
        """Fill the gaps ``numbers`` of each text in one draw, and repair them; notes refusals."""
        draw, rows, windows = next(self.rows.draws), dict[int, Row](), dict[int, Window]()
        for k, text in texts.items():
            gaps = text.gaps[numbers[0] : numbers[-1] + 1]
            windows[k] = text.window(gaps[0], gaps[-1], self.filler.context)
            rows[k] = self.rows.row(k, text, gaps, windows[k], draw)
        filled = dict(zip(rows, (yield from self.filler.fill(list(rows.values()))), strict=True))
        done: Texts = {}
        for k, text in texts.items():
            row = filled[k]
            if rules := [*self.guards, *self.words]:
                row = yield from self._repaired(rules, text, numbers, windows[k], rows[k], row)
            for number, span in zip(numbers, windows[k].spans, strict=True):
                origin = rows[k].stretch if number == numbers[0] else None
                text = text.with_gap(text.gaps[number].filled(row, span, self.filler.tokenizer, origin))
            done[k] = text
        return done

    def _repaired(
        self, rules: Sequence[Rule], text: GappedText, numbers: Sequence[int], window: Window, row: Row, filled: Filled
    ) -> Generator[WritingState, None, Filled]:
        """Every moment of repairing gaps ``numbers`` of ``text`` by the row's edges, then the row; notes a refusal."""
        before, behind = text.beside(text.gaps[numbers[0]], text.gaps[numbers[-1]])
        (start, _), (_, end) = window.spans[0], window.spans[-1]
        known = min(len(row.ids), end + len(behind))  # tokens before the next open gap
        device, given = self.filler.model.device, row.ids[None] != MASK
        free = torch.zeros(1, known, dtype=torch.bool, device=device)
        for span in window.spans:
            free[0, slice(*span)] = row.ids[slice(*span)] == MASK  # required words stand there already
        repair = Repair(self.filler, rules, len(before), row.stretch.text, row.edges, row.ids[known:])
        state = DenoisingState(filled.ids[None, :known].to(device), filled.confidence[None, :known].to(device), 0, 0)
        outside = [before[: len(before) - start]], [behind[known - end :]]
        for latest in repair.states(state, free, self.refused, *outside):
            ids = torch.cat((latest.ids[0].cpu(), filled.ids[known:]))
            confidence = torch.cat((latest.confidence[0].cpu(), filled.confidence[known:]))
            filled = Filled(ids, confidence, filled.steps + 1)
            steps = filled.steps
            yield WritingState(ids[None].clone(), confidence[None].clone(), steps, steps, given, (row.stretch,))
        return filled

    def search(self, texts: Texts, number: int) -> Filling:
        """Search for a filling of the gap ``number`` of each text; drop texts without one, and note the reason.

        Each round draws ``settings.gap_candidates`` fillings for every text that has none yet, in sizes around the
        expected one, and the next round learns the tokens per word from those of the same text. Fillings that do not
        satisfy the request are discarded, and so are those that make a longer copied run than the guards allow, where
        required words count as written. There are ``settings.gap_rounds``; see ``_writers``.
        """
        filler, settings, ratios = self.filler, self.filler.settings, dict.fromkeys(texts, self.ratio)
        first = next(iter(texts.values())).gaps[number]
        found, untidy = dict[int, GappedText](), dict[int, GappedText]()
        second = dict[int, GappedText]()  # with words that are not known
        copied: dict[int, list[str]] = {}  # for each text, the last copied run for which a filling was discarded
        for turn in range(settings.gap_rounds):
            slack = SLACK / (1 + turn)
            missing = {k: text for k, text in texts.items() if k not in found}
            good: list[tuple[Row, Gap]] = []
            drawn: defaultdict[int, list[Gap]] = defaultdict(list)
            for writer in self._writers(first, turn):
                opened = self.rows.onward if writer.causal else self.rows.in_sizes
                rows = [row for k, text in missing.items() for row in opened(text, k, number, ratios[k], slack)]
                filled = yield from writer.fill(rows, [*self.guards, *self.words])
                for row, gap in self._gaps(texts, number, rows, filled, writer.causal):
                    k = row.stretch.text
                    drawn[k].append(gap)
                    if fulfils(gap, gap.text, self.language):
                        if run := self._copied_run(texts[k], gap):
                            copied[k] = run
                        else:
                            good.append((row, gap))
            for k, fillings in self._likeliest_first(texts, good).items():
                second[k] = texts[k].with_gap(fillings[0][1])
                for row, gap in fillings:
                    known = yield from self._with_real_words(texts[k], number, row, gap)
                    if known is not None:
                        kind = found if is_tidy(texts[k], known, filler.tokenizer) else untidy
                        kind.setdefault(k, texts[k].with_gap(known))
                        if k in found:
                            break
            if len(found) == len(texts):
                break
            for k, gaps in drawn.items():
                words = sum(len(gap.text.split()) for gap in gaps)
                ratios[k] = sum(len(gap.ids) for gap in gaps) / words if words else ratios[k]
        found = {**second, **untidy, **found}
        self.refused.update(
            {k: reason(text.gaps[number], settings, copied.get(k)) for k, text in texts.items() if k not in found}
        )
        return {k: found[k] for k in texts if k in found}

    def _writers(self, gap: Gap, turn: int) -> list[Filler]:
        """What fills ``gap`` in a turn: by both readings for words, by one after the other for sentences."""
        if self.onward is None or gap.must:
            return [self.filler]
        return [[self.onward, self.filler][turn % 2]] if gap.request.is_whole else [self.onward, self.filler]

    def _gaps(
        self, texts: Texts, number: int, rows: Sequence[Row], filled: Sequence[Filled], causal: bool
    ) -> Iterator[tuple[Row, Gap]]:
        """The gap ``number`` filled by each row; what the causal reading wrote is cut wherever the gap may end."""
        for row, result in zip(rows, filled, strict=True):
            part, gap = row.stretch, texts[row.stretch.text].gaps[number]
            ends = [part.last]
            if causal:
                ends = ends_within(gap, result.ids.tolist(), part.first, self.filler.tokenizer, self.language)
                row = replace(row, ids=row.ids[:0])  # it kept the rule about words as far as it could: no repair
            for end in ends:
                yield row, gap.filled(result, (part.first, end), self.filler.tokenizer, part)

    def _copied_run(self, text: GappedText, gap: Gap) -> list[str]:
        """The words of the first copied run that this filling would make longer than a guard allows."""
        before, behind = text.beside(gap, gap)
        guards = (guard for guard in self.guards if isinstance(guard, NoveltyGuard))
        return next(filter(None, (guard.run_across(before, gap.ids, behind) for guard in guards)), [])

    def _with_real_words(
        self, text: GappedText, number: int, row: Row, gap: Gap
    ) -> Generator[WritingState, None, Gap | None]:
        """Every moment of drawing unknown words of a filling anew, then the gap; None if it is then not as asked."""
        before, behind = text.beside(gap, gap)
        if not self._has_unknown_words(before, gap, behind):
            return gap
        if not len(row.ids):
            return None
        opened = gap.opened(len(gap.ids))
        window = text.with_gap(opened).window(opened, opened, self.filler.context)
        [(start, end)] = window.spans
        ids, confidence = row.ids.clone(), (row.ids != MASK).float()
        ids[start:end], confidence[start:end] = torch.tensor(gap.ids), torch.tensor(gap.confidence)
        filled = Filled(ids, confidence, gap.steps)
        result = yield from self._repaired(self.words, text.with_gap(opened), [number], window, row, filled)
        better = gap.filled(result, (start, end), self.filler.tokenizer, row.stretch)
        if self._has_unknown_words(before, better, behind):
            return None
        return better if fulfils(better, better.text, self.language) and not self._copied_run(text, better) else None

    def _has_unknown_words(self, before: Sequence[int], gap: Gap, behind: Sequence[int]) -> bool:
        """Whether a filling breaks the rule about words."""
        free = [False] * len(before) + [True] * len(gap.ids) + [False] * len(behind)
        return any(rule.places([*before, *gap.ids, *behind], free) for rule in self.words)

    def _likeliest_first(self, texts: Texts, good: Sequence[tuple[Row, Gap]]) -> dict[int, list[tuple[Row, Gap]]]:
        """The ``good`` fillings of each text that has any, tidy ones first; later gaps are open in the scores."""
        scores = scores_of(self.filler, self.judge, texts, good)
        tidy = [is_tidy(texts[row.stretch.text], gap, self.filler.tokenizer) for row, gap in good]
        ordered = defaultdict[int, list[tuple[Row, Gap]]](list)
        for i in sorted(range(len(good)), key=lambda i: (not tidy[i], -scores[i])):
            ordered[good[i][0].stretch.text].append(good[i])
        return ordered
