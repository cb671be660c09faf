"""One optimiser step: which tokens are hidden, what the loss is, and how the weights follow its gradient.

Only ``uniform`` masks are the forward process of the likelihood; the other strategies are augmentation.
Shapes: B rows, T tokens.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from ..config import ProjectConfig
from ..data.difficulty import percentiles
from ..data.tokenizer import BOS, BookTokenizer
from ..model.autoregressive import next_token_loss
from ..model.compiled import prove_compiled
from ..model.loss import diffusion_loss
from ..model.schedule import draw_times, stratified
from ..model.transformer import Transformer
from ..runtime import autocast, generator_for, seed_for
from .control_labels import drop_controls
from .course import Course, Point
from .events import StepDone
from .optimizers import clip_gradients, update_average
from .rows import Rows
from .run_state import RunState

MASKS, DROPOUT, CONTROLS, READING = 3, 4, 9, 11  # purposes of random draws, see runtime.seed_for


class Stopped(Exception):
    """A stop was asked for in the middle of work that is thrown away; the resumed run repeats it."""


def uniform_mask(rate: Tensor, scorable: Tensor, generator: Generator) -> Tensor:
    """Hide each scorable token with the probability ``rate`` (B,), and at least one token of each row."""
    noise = torch.rand(scorable.shape, generator=generator).masked_fill(~scorable, 2.0)
    masked = noise < rate[:, None]
    lowest = torch.zeros_like(scorable).scatter(1, noise.argmin(1, keepdim=True), True)
    return torch.where(masked.any(1, keepdim=True), masked, lowest) & scorable


def whole_word_mask(rate: Tensor, batch: Rows, word_starts: Tensor, generator: Generator) -> Tensor:
    """Hide each whole word of ``batch`` with the probability ``rate`` (B,).

    ``word_starts`` (vocab,) marks the tokens that begin a word; the first token of a document begins one too.
    """
    scorable = batch.scorable
    begins = word_starts[batch.ids]
    begins[:, 1:] |= batch.documents[:, 1:] != batch.documents[:, :-1]
    words = begins.long().cumsum(1)  # (B, T): number of the word in its row
    noise = torch.rand(len(words), words.shape[1] + 1, generator=generator).gather(1, words)
    return (noise < rate[:, None]) & scorable


def span_mask(rate: Tensor, scorable: Tensor, span_length: int, generator: Generator) -> Tensor:
    """Hide spans of ``span_length`` n tokens; a span starts with probability 1 - (1 - rate)^(1/n)."""
    start = 1 - (1 - rate).clamp(min=1e-6) ** (1 / span_length)
    starts = torch.rand(scorable.shape, generator=generator) < start[:, None]
    masked = starts.clone()
    for shift in range(1, span_length):
        masked[:, shift:] |= starts[:, :-shift]
    return masked & scorable


def token_rarity(text: Tensor, vocab_size: int) -> Tensor:
    """Rarity (vocab,) of each token id: the share of the tokens of ``text`` (N,) that are commoner.

    Half of those that are as common, its own occurrences among them, count as commoner. Counts decide, for the order of
    BPE merges is not that of frequency: later merges take most occurrences from the tokens that they join.
    """
    counts = torch.bincount(text, minlength=vocab_size).numpy()
    return torch.from_numpy(percentiles(-counts, -counts[text.numpy()])).float()


def rare_first_mask(rate: Tensor, ids: Tensor, scorable: Tensor, rarity: Tensor, generator: Generator) -> Tensor:
    """Hide the share ``rate`` (B,) of each row, rare tokens more often; ``rarity`` (vocab,) is as ``token_rarity``."""
    noise = torch.rand(scorable.shape, generator=generator)
    key = (noise - rarity[ids]).masked_fill(~scorable, 3.0)
    rank = key.argsort(1).argsort(1)
    return (rank < (rate * scorable.sum(1)).ceil().long()[:, None]) & scorable


def draw_causal(rows: int, share: tuple[float, float], place: float, generator: Generator) -> Tensor:
    """Which of ``rows`` learn the causal reading (B,), at ``place`` (0 to 1), see ``Point.in_book``.

    Their share moves evenly from the first of ``share`` to the second; a part of a row is drawn.
    """
    begin, end = share
    wanted = rows * (begin + (end - begin) * place)
    count = math.floor(wanted + torch.rand((), generator=generator).item())
    return torch.randperm(rows, generator=generator) < count


class Masker:
    """Draws the masks of a batch by the configured strategy."""

    def __init__(self, config: ProjectConfig, tokenizer: BookTokenizer, model: Transformer, text: Tensor) -> None:
        """``text`` (N,): ids of the book's training text, whose rare tokens ``rare_first`` hides."""
        self.config, self.full_range_share = config.training, config.curriculum.full_range_share
        self.schedule = model.schedule
        self.word_starts = torch.from_numpy(tokenizer.word_starts[: model.vocab_size].copy())
        self.rarity = token_rarity(text, model.vocab_size)

    def draw(self, batch: Rows, mask_range: tuple[float, float], generator: Generator) -> tuple[Tensor, Tensor]:
        """Masks (B, T) and times (B,) of ``batch``; ``strategy_share`` of its rows use the strategy."""
        t = draw_times(len(batch), self.schedule, mask_range, self.full_range_share, generator)
        rate, scorable = self.schedule.rate(t), batch.scorable
        masked = uniform_mask(rate, scorable, generator)
        strategy = self.config.masking_strategy
        if strategy == "uniform":
            return masked, t
        if strategy == "whole_word":
            other = whole_word_mask(rate, batch, self.word_starts, generator)
        elif strategy == "span":
            other = span_mask(rate, scorable, self.config.span_length, generator)
        else:
            other = rare_first_mask(rate, batch.ids, scorable, self.rarity, generator)
        use = (stratified(len(batch), generator) < self.config.strategy_share) & other.any(1)
        return torch.where(use[:, None], other, masked), t


@dataclass(frozen=True)
class RunningStep:
    """A step whose loss and gradient norm may still be under computation on a GPU."""

    event: StepDone
    loss: Tensor
    norm: Tensor
    began: float

    def done(self, since: float) -> StepDone:
        """Wait for the GPU and return the event with its figures; ``since``: when the step before was done."""
        loss, norm = float(self.loss), float(self.norm)
        seconds = time.perf_counter() - max(self.began, since)
        return replace(self.event, loss=loss, gradient_norm=norm, seconds=seconds)


@dataclass(frozen=True)
class Task:
    """What a batch asks of the model: ``masked`` (B, T) are the tokens to predict, ``t`` (B,) their times.

    ``causal`` (B,) are the rows that learn the causal reading; None unless the model learns two.
    """

    rows: Rows
    masked: Tensor
    t: Tensor
    causal: Tensor | None

    def take(self, index: Tensor) -> "Task":
        """The task of the rows at ``index``."""
        causal = None if self.causal is None else self.causal[index]
        return Task(self.rows.take(index), self.masked[index], self.t[index], causal)


class Stepper:
    """Takes the optimiser steps of a run."""

    def __init__(self, state: RunState, course: Course, stops: Callable[[], bool]) -> None:
        """``stops`` is asked between two micro-batches whether the step is to be given up.

        Several processes, which exchange gradients, finish a step that has begun.
        """
        self.state, self.course, self.stops, self.settings = state, course, stops, state.config.training
        self.model, self.device, self.ranks = state.model, state.model.device, state.ranks
        self.own_rows, self.own_seed = state.ranks.share, state.ranks.own
        self.masker = Masker(state.config, state.data.tokenizer, state.model, state.rows.book_ids)
        self.fast_products = autocast(self.device, self.settings.precision)

    def step(self, batch: Rows, epoch: int) -> RunningStep:
        """Take one step on ``batch`` in the stage's ``epoch`` (from 0). On CUDA it may still run when this returns.

        Raises Stopped, with part of the gradients left, when ``stops`` says so.
        """
        state, p, settings, began = self.state, self.state.progress, self.settings, time.perf_counter()
        self.model.train()
        point = self.course.at(epoch)
        loss = self._add_gradients(self._draw(batch, point))
        norm = clip_gradients(list(self.model.parameters()), settings.gradient_clipping)
        state.optimizers.step(point.scale)
        # Early on the average forgets its random start sooner: decay min(d, (1 + n) / (10 + n)).
        update_average(state.average, self.model, min(settings.ema_decay, (1 + p.step) / (10 + p.step)))
        p.step += 1
        p.stage_step += 1
        stage, tokens = state.config.curriculum.stages[p.stage].name, int(batch.scorable.sum())
        done = StepDone(p.step, self.course.end, p.stage, stage, epoch + 1, math.nan, point.scale, math.nan, tokens, 0)
        return RunningStep(done, loss, norm, began)

    def _draw(self, batch: Rows, point: Point) -> Task:
        """Make the random draws of the step: masks, controls to drop, causal rows, and the seed of dropout."""
        settings, step = self.settings, self.state.progress.step
        torch.manual_seed(seed_for(settings.seed, DROPOUT, step, *self.own_seed))
        masked, t = self.masker.draw(batch, point.mask_range, generator_for(settings.seed, MASKS, step))
        if batch.controls is not None:
            numbers = generator_for(settings.seed, CONTROLS, step)
            batch = replace(batch, controls=drop_controls(batch.controls, settings.control_dropout, numbers))
        if settings.objective != "dual":
            return Task(batch, masked, t, None)
        numbers = generator_for(settings.seed, READING, step)
        causal = draw_causal(len(batch), settings.causal_share, point.in_book, numbers)
        return Task(batch, torch.where(causal[:, None], batch.scorable, masked), t, causal)

    def _add_gradients(self, task: Task) -> Tensor:
        """Add the gradient of the batch's loss to the parameters' and return the loss, a scalar on the device.

        Each process takes its share of the rows; their gradients are exchanged once, after the last micro-batch.
        """
        settings = self.settings
        of_all = settings.objective == "autoregressive" or settings.loss_weighting == "bound"
        weight = int((task.rows.scorable if of_all else task.masked).sum())
        mine = torch.arange(len(task.rows))[self.own_rows]
        parts = mine.split(settings.micro_batch_size or len(mine)) if len(mine) else ()
        total = torch.zeros((), device=self.device)
        if parts and len(parts[0]) == self.model.unproven_rows:
            prove_compiled(self.model, lambda: self._loss(task.take(parts[0])))
        for i, part in enumerate(parts, start=1):
            loss = self._loss(task.take(part)) / weight
            loss.backward()
            total += loss.detach()
            if i < len(parts) and self.ranks.count == 1 and self.stops():
                raise Stopped
        if self.ranks.count > 1:
            for parameter in self.model.parameters():
                if parameter.grad is None:  # more processes than rows
                    parameter.grad = torch.zeros_like(parameter)
            self.ranks.total(total, *(p.grad for p in self.model.parameters() if p.grad is not None))
        return total

    def _loss(self, task: Task) -> Tensor:
        """Summed training loss of ``task``, a scalar."""
        rows, settings, teachers = task.rows, self.settings, self.state.teachers
        with self.fast_products:
            if settings.objective == "autoregressive":
                return next_token_loss(self.model, rows.ids, BOS, rows.documents, settings.label_smoothing, teachers)
            return diffusion_loss(
                self.model,
                rows.ids,
                task.masked,
                task.t,
                weighting=settings.loss_weighting,
                causal=task.causal,
                documents=rows.documents,
                controls=rows.controls,
                label_smoothing=settings.label_smoothing,
                teachers=teachers,
            )
