"""Learning rate, stage blending and mask range as pure functions of where the run stands."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import CurriculumConfig, ProjectConfig, TrainingConfig

WARMUP_SHARE = 0.05  # of the schedule that warm-up takes at most


@dataclass(frozen=True)
class Line:
    """How a run moves through its schedule: straight from the place ``at`` to 1.

    ``since`` and ``end`` count steps or, in a run with a deadline, seconds.
    """

    end: float
    since: float = 0.0
    at: float = 0.0

    def place(self, now: float) -> float:
        """Place in the schedule, from 0 to 1, at ``now`` steps or seconds."""
        if now >= self.end:
            return 1.0
        return self.at + (now - self.since) * (1 - self.at) / (self.end - self.since)

    def moved(self, now: float, end: float, at: float | None = None) -> "Line":
        """The line from ``now`` on to another end; from the place ``at``, if that is not where it stands."""
        return Line(max(now, end), now, self.place(now) if at is None else at)


def stage_steps(config: ProjectConfig, rows_per_epoch: Sequence[int]) -> list[int]:
    """Optimiser steps planned for each stage: all its epochs, cut where ``training.max_steps`` ends the run."""
    settings = config.training
    steps: list[int] = []
    for rows, stage in zip(rows_per_epoch, config.curriculum.stages, strict=True):
        whole = math.ceil(rows / settings.batch_size) * stage.epochs
        steps.append(min(whole, settings.max_steps - sum(steps)) if settings.max_steps else whole)
    return steps


def learning_rate_scale(config: TrainingConfig, step: int, place: float, stage_place: float, stage: int) -> float:
    """Share of the peak learning rate at ``step``, with ``place`` of the run and ``stage_place`` of its stage done.

    Warm-up is linear over ``warmup_steps``, at most WARMUP_SHARE of the schedule. ``linear`` falls over the last
    ``decay_share``; ``cosine_with_restarts`` runs one cosine a stage (Loshchilov & Hutter 2017).
    """
    rise = min(1.0, max((step + 1) / max(1, config.warmup_steps), place / WARMUP_SHARE))
    low = config.min_lr_ratio
    if config.scheduler == "constant":
        return rise
    if config.scheduler == "linear":
        return rise * (low + (1 - low) * min(1.0, (1 - place) / config.decay_share))
    peak = config.restart_decay**stage
    wave = 0.5 * (1 + math.cos(math.pi * min(1.0, stage_place)))
    return rise * (low + (peak - low) * wave if peak > low else low)


def blend(config: CurriculumConfig, stage: int, epoch: int) -> float:
    """Weight of the stage itself against the one before it, rising to 1 over the transition; ``epoch`` from 0."""
    if stage == 0:
        return 1.0
    length = config.transition_share * config.stages[stage].epochs
    return min(1.0, (epoch + 1) / (length + 1))


def mask_range(config: CurriculumConfig, stage: int, epoch: int) -> tuple[float, float]:
    """The stage's mask range, coming over gradually from the range of the stage before it."""
    low, high = config.stages[stage].mask_range
    share = blend(config, stage, epoch)
    if share == 1.0:
        return low, high
    old_low, old_high = config.stages[stage - 1].mask_range
    return old_low + share * (low - old_low), old_high + share * (high - old_high)
