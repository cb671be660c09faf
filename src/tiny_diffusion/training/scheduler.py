"""Learning rate, stage blending and mask range as pure functions of where the run stands."""

import math
from collections.abc import Sequence

from ..config import CurriculumConfig, ProjectConfig, TrainingConfig


def stage_steps(config: ProjectConfig, rows_per_epoch: Sequence[int]) -> list[int]:
    """Optimiser steps planned for each stage: all its epochs, cut where ``training.max_steps`` ends the run."""
    settings = config.training
    steps: list[int] = []
    for rows, stage in zip(rows_per_epoch, config.curriculum.stages, strict=True):
        whole = math.ceil(rows / settings.batch_size) * stage.epochs
        steps.append(min(whole, settings.max_steps - sum(steps)) if settings.max_steps else whole)
    return steps


def learning_rate_scale(
    config: TrainingConfig, step: float, total: int, stage_step: int, stage_total: int, stage: int
) -> float:
    """Share of the peak learning rate at ``step`` of ``total``; a run whose end was moved stands between steps.

    Warm-up is linear over ``warmup_steps``, at most 5 % of the run. ``linear`` falls over the last
    ``decay_share``; ``cosine_with_restarts`` runs one cosine a stage (Loshchilov & Hutter 2017).
    """
    warmup = min(config.warmup_steps, total // 20)
    rise = min(1.0, (step + 1) / max(1, warmup))
    low = config.min_lr_ratio
    if config.scheduler == "constant":
        return rise
    if config.scheduler == "linear":
        decay = max(1, round(total * config.decay_share))
        left = min(1.0, max(0.0, (total - step) / decay))
        return rise * (low + (1 - low) * left)
    peak = config.restart_decay**stage
    wave = 0.5 * (1 + math.cos(math.pi * min(1.0, stage_step / max(1, stage_total))))
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
