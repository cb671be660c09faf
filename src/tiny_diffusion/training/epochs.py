"""Epochs of rows for each stage, built from the prepared book; the same for the same seed, stage and epoch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from ..config import ProjectConfig
from ..config.curriculum_config import ShelfStage, StageConfig
from ..data.artefacts import Processed
from ..data.curriculum import DynamicScorer, Example, build_stage, chosen_passages, easiest, encode_examples
from ..data.sections import Respelled, Section, encode_sections, sections
from ..errors import UserError
from ..runtime import generator_for, seed_for
from .control_labels import UNLABELLED, ControlLabels, measure_examples, nothing_known
from .course import blend
from .rows import Examples, Layout, chop, pack

ROWS, BLEND, BOUNDS, MERGES, WORDS = 1, 2, 10, 11, 12  # purposes of random draws, see runtime.seed_for
FEW, MANY = 12, 25  # epochs: with 8 merge_dropout costs 0.03 bits per byte, with 25 it gains 0.01 (docs/log.md)
FADES = 0.75  # share of the last stage after which its words have the tokens in which the model will write


class StageRows:
    """The text of all stages, encoded once; gives the rows of each epoch."""

    def __init__(self, config: ProjectConfig, data: Processed) -> None:
        self.config = config
        # A row of a dual model holds BOS beside the context.
        self.lead = config.model.dual
        self.width = config.model.context + int(self.lead)
        paragraphs = {p.index: list(p.paragraphs) for p in data.passages if p.split == "train"}
        _check_levels(config, data)
        self.scorers: list[DynamicScorer | None] = []
        encoded: list[Examples] = []
        measures: list[Tensor] = []
        self.openings: dict[int, Tensor] = {}  # of the stages whose examples are one stream
        for number, (stage, level) in enumerate(zip(config.curriculum.stages, config.stage_levels, strict=True)):
            scorer, other = None, isinstance(stage, ShelfStage)
            if stage.format == "paragraphs":  # one stream, with marks where the text does not go on as in the book
                found = self._sections(stage, data, paragraphs)
                encode = partial(data.tokenizer.encode, level=level)
                ids, openings = encode_sections(found, encode, ends=self.lead)
                self.openings[number] = torch.tensor(openings)
                encoded.append(Examples.of([ids]))
                examples = [tuple(section.text for section in found)]
            else:
                examples = build_stage(stage, data.sentences, data.difficulty, paragraphs)
                encoded.append(Examples.of(encode_examples(examples, data.tokenizer, level)))
                if config.curriculum.dynamic_scoring:
                    scorer = self._scorer(examples, data)
            self.scorers.append(scorer)
            if config.model.controls:
                measures.append(nothing_known(encoded[-1]) if other else measure_examples(examples, encoded[-1], data))
        self.encoded = _side_by_side(encoded)
        self.labels = self._labels(measures) if measures else None
        self.respelled: Respelled | None = None
        dropout, seed = config.training.merge_dropout, seed_for(config.training.seed, MERGES)
        if dropout and number in self.openings:  # the last stage
            self.respelled = Respelled(found, data.tokenizer, level, self.lead, dropout, seed)
        # Bytes of each token; a mark counts as one, because it stands at the same places of every spelling.
        self.sizes = torch.tensor(
            [max(1, len(data.tokenizer.token_bytes(i))) for i in range(data.tokenizer.vocab_size)]
        )
        self.rows_per_epoch = [len(self._rows(stage, 0, share=1.0)) for stage in range(len(self.encoded))]

    @property
    def book_ids(self) -> Tensor:
        """Ids (N,) of the book in all its stages, without the shelf; of the shelf if the run learns nothing else."""
        first = min(self.config.curriculum.first, len(self.encoded) - 1)
        return self.encoded[first].ids[int(self.encoded[first].bounds[0]) :]

    @staticmethod
    def _sections(stage: StageConfig, data: Processed, paragraphs: Mapping[int, Sequence[str]]) -> list[Section]:
        """The stream of a stage: the shelf's, or of the book's passages that the stage takes."""
        if isinstance(stage, ShelfStage):
            return sections(data.shelf.passages, {passage.index for passage in data.shelf.passages})
        return sections(data.passages, {*chosen_passages(stage, data.sentences, data.difficulty, paragraphs)})

    def _labels(self, measures: list[Tensor]) -> ControlLabels:
        """The labels that give the levels of the controls for any layout."""
        stages = self.config.curriculum.stages
        formats = [UNLABELLED if isinstance(stage, ShelfStage) else stage.format for stage in stages]
        ends = list(accumulate(map(len, measures)))
        numbers = generator_for(self.config.training.seed, BOUNDS)
        last = pack(self.encoded[-1], self.width, numbers, lead=self.lead)
        return ControlLabels(torch.cat(measures), ends, formats, last)

    def _scorer(self, examples: Sequence[Example], data: Processed) -> DynamicScorer:
        """A scorer of examples made of sentences; it starts from the mean of their combined difficulties."""
        texts = (sentence.text for sentence in data.sentences)
        known = dict(zip(texts, data.difficulty.combined.tolist(), strict=True))
        static = [np.mean([known[segment] for segment in segments]) for segments in examples]
        return DynamicScorer(np.array(static), self.config.curriculum.dynamic_weight)

    def _competence(self, stage: int, epoch: int) -> float:
        """Share of a stage's examples that a dynamic scorer takes: from the easier half to all.

        It grows evenly over the stage (Platanios et al. 2019, "Competence-based curriculum learning", section 3).
        """
        return 0.5 + 0.5 * min(1.0, (epoch + 1) / self.config.curriculum.stages[stage].epochs)

    def _rows(self, stage: int, epoch: int, share: float | None = None) -> Layout:
        """The stage's rows, in random order; ``share`` of the examples, by default the stage's competence."""
        generator = generator_for(self.config.training.seed, ROWS, stage, epoch)
        encoded = self.encoded[stage]
        if stage in self.openings:
            chance = chance_of(self.config, stage, epoch)
            if self.respelled is not None and chance and share is None:
                ids, marks = self.respelled.stream(chance, seed_for(self.config.training.seed, WORDS, epoch))
                stream = torch.tensor(ids, dtype=torch.int32)
                rows = chop(stream, self.width, generator, torch.tensor(marks), self.lead)
                return rows.shifted(torch.cat([encoded.ids, stream]), len(encoded.ids))
            begin, end = encoded.bounds.tolist()
            rows = chop(encoded.ids[begin:end], self.width, generator, self.openings[stage], self.lead)
            return rows.shifted(encoded.ids, begin)
        scorer, chosen = self.scorers[stage], None
        if scorer is not None:
            share = self._competence(stage, epoch) if share is None else share
            chosen = torch.from_numpy(easiest(scorer.scores(), encoded.lengths.numpy(), share))
        return pack(encoded, self.width, generator, chosen, self.lead)

    def epoch(self, stage: int, epoch: int, written: Tensor | None = None) -> Layout:
        """Rows of one epoch in random order, with the levels of their controls if the model learns them.

        During a transition some rows come from the stage before; ``curriculum.rehearsal_share`` of them come from all
        earlier stages. ``written`` (R, T) are the model's own texts, which take the configured share of the rows.
        """
        rows = self._rows(stage, epoch)
        generator = generator_for(self.config.training.seed, BLEND, stage, epoch)
        own = blend(self.config.curriculum, stage, epoch)
        if own < 1:
            before = self._rows(stage - 1, self.config.curriculum.stages[stage - 1].epochs + epoch)
            rows = _replace(rows, before.shifted(rows.stream, 0), 1 - own, generator)
        first = self.config.curriculum.first  # the shelf is not rehearsed
        if stage > first and self.config.curriculum.rehearsal_share:
            earlier = reduce(Layout.beside, (self._rows(before, epoch, share=1.0) for before in range(first, stage)))
            rows = _replace(rows, earlier.shifted(rows.stream, 0), self.config.curriculum.rehearsal_share, generator)
        if written is not None:
            share = self.config.training.self_training_share
            rows = _with_written(rows, written, share, generator)
        wanted = self.rows_per_epoch[stage]
        order = torch.randperm(len(rows), generator=generator)
        # Packing differs by a few rows from epoch to epoch, and where a scorer leaves examples out, rows come again.
        # A fixed count keeps the schedule exact.
        rows = rows.select(order.repeat(wanted // len(rows) + 1)[:wanted])
        if self.labels is None:
            return rows
        full = rows if self.respelled is None else in_full(rows, self.encoded[-1], self.sizes)
        return replace(rows, levels=self.labels.levels(full))


def stage_steps(config: ProjectConfig, rows_per_epoch: Sequence[int]) -> list[int]:
    """Planned optimiser steps of each stage: all its epochs, cut where ``training.max_steps`` ends the run."""
    settings = config.training
    steps: list[int] = []
    for rows, stage in zip(rows_per_epoch, config.curriculum.stages, strict=True):
        whole = math.ceil(rows / settings.batch_size) * stage.epochs
        steps.append(min(whole, settings.max_steps - sum(steps)) if settings.max_steps else whole)
    return steps


def with_shelf(config: ProjectConfig, data: Processed) -> ProjectConfig:
    """``config`` with the stage of the shelf, if ``data`` have one; for training only, since no file may hold it."""
    return config.model_copy(update={"curriculum": config.curriculum.with_shelf(bool(data.shelf.passages))})


def chance_of(config: ProjectConfig, stage: int, epoch: int) -> float:
    """Chance that a word of an epoch lacks merges: in the last stage, falling evenly to 0.

    It begins at 1 if that stage has MANY epochs or more, and at 0 if it has FEW or less: a model that reads the book a
    few times only learns more from the tokens in which it will write.
    """
    stages = config.curriculum.stages
    if config.training.merge_dropout == 0 or stage < len(stages) - 1:
        return 0.0
    epochs = stages[stage].epochs
    begin = min(1.0, max(0.0, (epochs - FEW) / (MANY - FEW)))
    return begin * max(0.0, 1 - epoch / (FADES * epochs))


def in_full(rows: Layout, encoded: Examples, sizes: Tensor) -> Layout:
    """``rows``, with pieces of the same text in the tokens of all merges for those of a respelled stream.

    ``encoded``: the last stage with all merges, whose ids hold all stages; a respelled stream follows them in
    ``rows.stream``, and behind it may stand what the model itself wrote. Other pieces stay as they are. ``sizes``:
    bytes of each id.
    """

    def before(ids: Tensor) -> Tensor:
        """Bytes before each of ``ids`` (N,), and all of them (N + 1,)."""
        return torch.cat([torch.zeros(1, dtype=torch.long), sizes[ids.long()].cumsum(0)])

    (begin, stop), end = encoded.bounds.tolist(), len(encoded.ids)
    full, here = before(rows.stream[begin:stop]), before(rows.stream[end:])
    inside = (rows.starts >= end) & (here[(rows.starts - end).clamp(min=0)] < full[-1])
    first = (rows.starts - end)[inside]
    starts = torch.searchsorted(full, here[first], right=True) - 1
    lengths = (torch.searchsorted(full, here[first + rows.lengths[inside]]) - starts).clamp(min=1)
    moved = rows.starts.masked_scatter(inside, begin + starts)
    return replace(rows, starts=moved, lengths=rows.lengths.masked_scatter(inside, lengths))


def _check_levels(config: ProjectConfig, data: Processed) -> None:
    """Raise UserError if the last stage lacks tokens of the model's level: it would write tokens that it never saw."""
    levels, wanted = config.stage_levels, config.model.vocab_level
    if data.tokenizer.level_size(levels[-1]) < data.tokenizer.level_size(wanted):
        last = f"curriculum.stages[{len(levels) - 1}].vocab_level"
        raise UserError(
            f"{last}={levels[-1]} is below model.vocab_level={wanted}: the last stage must teach all tokens of the "
            f"model; set {last}={wanted} or model.vocab_level={levels[-1]}"
        )


def _side_by_side(encoded: Sequence[Examples]) -> list[Examples]:
    """Put the ids of all stages into one tensor, so that an epoch may mix rows of several stages."""
    ids = torch.cat([e.ids for e in encoded])
    offsets = [0, *accumulate(len(e.ids) for e in encoded)]
    return [Examples(ids, e.bounds + offset) for e, offset in zip(encoded, offsets, strict=False)]


def _replace(rows: Layout, other: Layout, share: float, generator: torch.Generator) -> Layout:
    """Replace about ``share`` of ``rows`` by random rows of ``other``."""
    count = round(share * len(rows))
    kept = torch.randperm(len(rows), generator=generator)[: len(rows) - count]
    taken = torch.randint(0, len(other), (count,), generator=generator)
    return rows.select(kept).beside(other.select(taken))


def _with_written(rows: Layout, written: Tensor, share: float, generator: torch.Generator) -> Layout:
    """Replace ``share`` of ``rows`` by rows of ``written`` (R, T), of which each is one document."""
    count, length = written.shape
    stream = torch.cat([rows.stream, written.flatten().int()])
    starts = len(rows.stream) + length * torch.arange(count)
    lengths, first = torch.full((count,), length), torch.arange(count + 1)
    own = replace(rows, stream=stream, starts=starts, lengths=lengths, first=first, levels=None, marks=None)
    return _replace(rows.shifted(stream, 0), own, share, generator)
