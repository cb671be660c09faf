"""Filling the gaps of a template: several at once if their sizes are fixed, otherwise by search, gap after gap.

A gap of a number of words, a sentence, a paragraph, or one with required words is filled in several sizes at once. The
causal reading, if it may write, continues the left side too, and is cut where the gap may end. Of the fillings that
satisfy the request, ``choice.py`` says which is taken. A text beyond the context is filled from left to right, each gap
with as much text on both sides as fits. The guards on copies look at the text as far as the next open gap: fillings of
fixed size are repaired, those of a search discarded. Its unknown words are drawn anew.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

import torch

from ...config.messages import show_value
from ...data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from ...errors import UserError
from ..filler import Filled, Filler
from ..judge import Judge
from ..results import Outcome, Process, WritingState
from ..rules import Rule
from .choice import Candidate, best_first, copied_run, ends_within, fulfils, has_unknown_words, joins_well, reason
from .gap_filler import GapFiller, fill
from .gapped_text import Gap, GappedText
from .required_words import assign_words
from .template import SLACK, Fixed, GapRequest, parse_gaps

Texts = dict[int, GappedText]
"""Those that are not refused, by number, from 0."""
Filling = Generator[WritingState, None, Texts]
"""Every moment of filling some gaps, then the texts with them filled."""


def infilling(
    filler: Filler,
    onward: Filler | None,
    guards: Sequence[Rule],
    words: Sequence[Rule],
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
    pieces = parse_gaps(template, lengths)
    requests = [piece for piece in pieces if isinstance(piece, GapRequest)]
    if not requests:
        raise UserError(f"no gap in {show_value(template)}; mark one with three or more underscores: ___")
    fixed = [piece.text for piece in pieces if isinstance(piece, Fixed)]
    ratio = tokens_per_word(fixed, filler.tokenizer, filler.writing_level)
    sizes = {request: request.usual_size(ratio, settings.gap_tokens, context) for request in requests}
    text = GappedText.of(pieces, filler.encode, sizes, filler.lead)
    if must:
        text = assign_words(filler, text, must, ratio)
    work = GapFiller(filler, guards, words)
    judge = Judge(filler.model, settings, filler.allowed, experts=filler.experts) if filler.model.config.dual else None
    texts = dict.fromkeys(range(settings.num_samples), text)
    for numbers in text.rounds(context):
        if texts and text.gaps[numbers[0]].has_fixed_size:
            texts = yield from Together(work, numbers).run(texts)
        elif texts:
            texts = yield from Search(work, onward, judge, texts, numbers[0], ratio).run()
    return Outcome({k: text.written(filler.tokenizer) for k, text in texts.items()}, work.refused)


def tokens_per_word(texts: Iterable[str], tokenizer: BookTokenizer, level: int) -> float:
    """Mean tokens per word of ``texts`` at a vocabulary level, or of the vocabulary's own words if there are none."""
    words = " ".join(texts).split()
    if not words:
        tokens = (
            tokenizer.token_bytes(i).decode("utf-8", "replace") for i in range(NUM_RESERVED, tokenizer.vocab_size)
        )
        words = [token.strip() for token in tokens if token.startswith(" ")]  # at least the space itself
    return len(tokenizer.encode(" " + " ".join(words), level)) / len(words)


class Together:
    """The filling of neighbouring gaps of fixed size, those with these ``numbers``, in one draw."""

    def __init__(self, work: GapFiller, numbers: Sequence[int]) -> None:
        self.work, self.filler, self.numbers = work, work.filler, numbers

    def run(self, texts: Texts) -> Filling:
        """Fill the gaps of each text, anew where they join it badly; drop texts that the guards refuse."""
        done = yield from self._draw(texts)
        for _ in range(1, self.filler.settings.gap_rounds):
            untidy = {k: texts[k] for k, text in done.items() if not self._is_tidy(text)}
            if not untidy:
                break
            done |= yield from self._draw(untidy)
        return {k: text for k, text in done.items() if k not in self.work.refused}

    def _draw(self, texts: Texts) -> Filling:
        """Fill the gaps of each text in one draw, and repair them; notes refusals."""
        draw, rules = next(self.work.draws), [*self.work.guards, *self.work.words]
        holes = {k: text.hole(text.gaps[self.numbers[0]], text.gaps[self.numbers[-1]]) for k, text in texts.items()}
        filled = yield from fill(self.filler, (self.work.row(k, hole, draw) for k, hole in holes.items()))
        done: Texts = {}
        for (k, text), (row, result) in zip(texts.items(), filled, strict=True):
            result = yield from self.work.repaired(rules, holes[k], row, result)
            for gap, span in zip(holes[k].gaps, row.gaps, strict=True):
                part = row.stretch if span == row.gaps[0] else None
                text = text.with_gap(gap.filled(result, span, self.filler.tokenizer, part))
            done[k] = text
        return done

    def _is_tidy(self, text: GappedText) -> bool:
        """Whether each filling joins the text around it well; see ``joins_well``."""
        decode = self.filler.tokenizer.decode
        gaps = [text.gaps[number] for number in self.numbers]
        holes = [text.hole(gap, gap) for gap in gaps]
        return all(joins_well(g, decode(h.before), decode(h.behind)) for g, h in zip(gaps, holes, strict=True))


class Sought:
    """The gap ``number`` of one text, while a filling of it is searched for.

    ratio: expected tokens per word. drawn: fillings since that was learnt. copied: the last copied run for which a
    filling was discarded. found: a filling as requested; untidy: one that joins its text badly; unknown: one with words
    that are not known.
    """

    def __init__(self, text: GappedText, number: int, ratio: float, tokenizer: BookTokenizer) -> None:
        self.text, self.ratio = text, ratio
        self.hole = text.hole(text.gaps[number], text.gaps[number])
        [self.gap] = self.hole.gaps
        self.sides = tokenizer.decode(self.hole.before), tokenizer.decode(self.hole.behind)
        self.drawn: list[Gap] = []
        self.copied: list[str] | None = None
        self.found: Gap | None = None
        self.untidy: Gap | None = None
        self.unknown: Gap | None = None

    def learn(self) -> None:
        """Take the tokens per word from the fillings that were drawn since the last time."""
        words = sum(len(gap.text.split()) for gap in self.drawn)
        self.ratio = sum(len(gap.ids) for gap in self.drawn) / words if words else self.ratio
        self.drawn = []


class Search:
    """The search for a filling of the gap ``number`` of each of several texts.

    Each of ``settings.gap_rounds`` rounds draws ``settings.gap_candidates`` fillings for every text that has none yet,
    in sizes around the expected one, and the next round learns the tokens per word from those of the same text.
    Fillings that do not satisfy the request are discarded, and so are those that make a longer copied run than the
    guards allow, where required words count as written. Of the others, the best is taken.
    ``onward``, ``judge``: the causal reading, as it writes and as it judges, if it does.
    """

    def __init__(
        self, work: GapFiller, onward: Filler | None, judge: Judge | None, texts: Texts, number: int, ratio: float
    ) -> None:
        self.work, self.filler, self.onward, self.judge = work, work.filler, onward, judge
        self.sought = {k: Sought(text, number, ratio, work.filler.tokenizer) for k, text in texts.items()}

    def run(self) -> Filling:
        """Every moment of the search, then the texts with their filling; notes why a text has none."""
        settings = self.filler.settings
        for turn in range(settings.gap_rounds):
            missing = {k: each for k, each in self.sought.items() if each.found is None}
            good: list[Candidate] = []
            for writer in self._writers(turn):
                good += yield from self._tried(missing, writer, SLACK / (1 + turn))
            for fillings in best_first(self.filler, self.judge, good):
                yield from self._accept(fillings)
            if all(each.found for each in self.sought.values()):
                break
            for each in missing.values():
                each.learn()
        done: Texts = {}
        for k, each in self.sought.items():
            if gap := each.found or each.untidy or each.unknown:
                done[k] = each.text.with_gap(gap)
            else:
                self.work.refused[k] = reason(each.gap, settings, each.copied)
        return done

    def _writers(self, turn: int) -> list[Filler]:
        """What fills the gap in a turn: both readings for words, one after the other for sentences."""
        gap = next(iter(self.sought.values())).gap
        if self.onward is None or gap.must:
            return [self.filler]
        return [[self.onward, self.filler][turn % 2]] if gap.request.is_whole else [self.onward, self.filler]

    def _tried(
        self, missing: Mapping[int, Sought], writer: Filler, slack: float
    ) -> Generator[WritingState, None, list[Candidate]]:
        """Every moment of drawing fillings for ``missing`` gaps, then those that are as requested."""
        opened = self.work.onward if writer.causal else self.work.in_sizes
        rows = (row for k, each in missing.items() for row in opened(k, each.hole, each.ratio, slack))
        good: list[Candidate] = []
        for row, result in (yield from fill(writer, rows, [*self.work.guards, *self.work.words])):
            part, ends = row.stretch, [row.stretch.last]
            each = missing[part.text]
            if writer.causal:  # what it wrote is cut wherever the gap may end
                ends = ends_within(each.gap, result.ids.tolist(), part.first, writer.tokenizer, writer.language)
            for end in ends:
                gap = each.gap.filled(result, (part.first, end), writer.tokenizer, part)
                each.drawn.append(gap)
                if not fulfils(gap, gap.text, writer.language):
                    continue
                if run := copied_run(self.work.guards, each.hole, gap):
                    each.copied = run
                else:
                    is_tidy = joins_well(gap, *each.sides)
                    good.append(Candidate(part.text, each.hole, gap, row, writer.causal, is_tidy))
        return good

    def _accept(self, fillings: Sequence[Candidate]) -> Iterator[WritingState]:
        """Every moment of drawing unknown words anew, until one of a text's ``fillings`` can be taken."""
        sought = self.sought[fillings[0].k]
        sought.unknown = fillings[0].gap
        for each in fillings:
            gap = yield from self._with_real_words(each)
            if gap is not None and joins_well(gap, *sought.sides):
                sought.found = gap
                return
            sought.untidy = sought.untidy or gap

    def _with_real_words(self, each: Candidate) -> Generator[WritingState, None, Gap | None]:
        """Every moment of drawing unknown words of a filling anew, then the gap; None if it is then not as asked."""
        hole, gap, row, words = each.hole, each.gap, each.row, self.work.words
        if not has_unknown_words(words, hole, gap):
            return gap
        if each.is_causal:  # it has kept the rule about words as far as it could
            return None
        ids, confidence, inside = row.ids.clone(), (row.ids != MASK).float(), slice(*row.gaps[0])
        ids[inside], confidence[inside] = torch.tensor(gap.ids), torch.tensor(gap.confidence)
        result = yield from self.work.repaired(words, hole, row, Filled(ids, confidence, gap.steps))
        better = gap.filled(result, row.gaps[0], self.filler.tokenizer, row.stretch)
        if has_unknown_words(words, hole, better) or not fulfils(better, better.text, self.filler.language):
            return None
        return None if copied_run(self.work.guards, hole, better) else better
