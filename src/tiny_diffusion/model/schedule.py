"""Mask schedules: how many tokens are hidden at each time of the diffusion process.

The network never sees the time, so a schedule decides only three things: how often training shows each mask rate, the
weight of each rate in the likelihood bound, and how many tokens a sampler settles per step. Masks, loss and samplers
all ask the same object. To add a schedule, write one class and name it in ``SCHEDULES`` and ``training.mask_schedule``.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor


class MaskSchedule(ABC):
    """alpha(t) is the chance that a token is visible at time t; it falls from 1 at t = 0 to 0 at t = 1.

    Methods take and return tensors of any shape; ``time`` takes a single number, for the bounds of a stage.
    """

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Chance that a token is visible at ``t``."""

    @abstractmethod
    def derivative(self, t: Tensor) -> Tensor:
        """Derivative of ``alpha`` at ``t``, negative or zero."""

    @abstractmethod
    def rate(self, t: Tensor) -> Tensor:
        """Chance that a token is masked at ``t``: 1 - alpha(t), written so that small rates keep their digits."""

    @abstractmethod
    def time(self, rate: float) -> float:
        """The time at which the mask rate is ``rate``: the inverse of ``rate``."""

    def weight(self, t: Tensor) -> Tensor:
        """Weight of the masked tokens' cross-entropy in the likelihood bound: -alpha'(t) / (1 - alpha(t)).

        Sahoo et al. 2024 (MDLM), Shi et al. 2024 (MD4). The bound is the expectation over t uniform on (0, 1], and is
        the same for every schedule.
        """
        return -self.derivative(t) / (1 - self.alpha(t))

    def unmask_probability(self, t: Tensor, s: Tensor) -> Tensor:
        """Chance that a token masked at ``t`` is settled by the time ``s`` < t: (alpha_s - alpha_t) / (1 - alpha_t)."""
        return (self.alpha(s) - self.alpha(t)) / (1 - self.alpha(t))


class LinearSchedule(MaskSchedule):
    """alpha(t) = 1 - t: the time is the mask rate, and the bound's weight is 1/t."""

    def alpha(self, t: Tensor) -> Tensor:
        """Chance that a token is visible at ``t``: 1 - t."""
        return 1 - t

    def derivative(self, t: Tensor) -> Tensor:
        """Derivative of ``alpha``: -1."""
        return torch.full_like(t, -1.0)

    def rate(self, t: Tensor) -> Tensor:
        """Mask rate at ``t``: t itself."""
        return t

    def time(self, rate: float) -> float:
        """Time of ``rate``: the rate itself."""
        return rate


class CosineSchedule(MaskSchedule):
    """alpha(t) = 1 - cos(pi/2 (1 - t)) (Shi et al. 2024, after the masking of Chang et al. 2022).

    High mask rates are shown more often than under the linear schedule, and samplers settle few tokens at first, while
    they know little, and more later. The bound's weight is pi/2 tan(pi/2 (1 - t)).
    """

    def alpha(self, t: Tensor) -> Tensor:
        """Chance that a token is visible at ``t``."""
        return 1 - self.rate(t)

    def derivative(self, t: Tensor) -> Tensor:
        """Derivative of ``alpha``: -pi/2 sin(pi/2 (1 - t)) = -pi/2 cos(pi/2 t)."""
        return -math.pi / 2 * (math.pi / 2 * t).cos()

    def rate(self, t: Tensor) -> Tensor:
        """Mask rate at ``t``: cos(pi/2 (1 - t)) = sin(pi/2 t)."""
        return (math.pi / 2 * t).sin()

    def time(self, rate: float) -> float:
        """Time of ``rate``: 2/pi arcsin(rate)."""
        return 2 / math.pi * math.asin(rate)


SCHEDULES: dict[str, type[MaskSchedule]] = {"linear": LinearSchedule, "cosine": CosineSchedule}


def stratified(count: int, generator: Generator) -> Tensor:
    """Draw ``count`` uniform numbers in [0, 1), one in each of ``count`` equal strata, in random order."""
    offsets = torch.rand(count, generator=generator, dtype=torch.float64)
    return ((torch.randperm(count, generator=generator) + offsets) / count).float()


def draw_times(
    rows: int, schedule: MaskSchedule, mask_range: tuple[float, float], full_range_share: float, generator: Generator
) -> Tensor:
    """Draw the times (B,) of the diffusion process, stratified between those of the mask rates in ``mask_range``.

    The share ``full_range_share`` of the rows gets times over all of (0, 1].
    """
    full = stratified(rows, generator) < full_range_share
    u = 1 - stratified(rows, generator)  # (0, 1]
    low, high = (schedule.time(rate) for rate in mask_range)
    return torch.where(full, 1 - stratified(rows, generator), low + (high - low) * u)


def uniform_time_masks(ids: Tensor, schedule: MaskSchedule, generator: Generator) -> tuple[Tensor, Tensor]:
    """Masks (B, T) and times (B,) of the forward process of ``schedule``: t is stratified over (0, 1]."""
    t = 1 - stratified(len(ids), generator)
    return torch.rand(ids.shape, generator=generator) < schedule.rate(t)[:, None], t
