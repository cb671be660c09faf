"""How long a run will take on this machine, before it starts."""

import time
from dataclasses import dataclass

import torch

from ..config import ProjectConfig
from ..runtime import autocast

DAY = 86_400.0
# Share of the measured matrix-product peak that whole training steps reach here: docs/log.md, 2026-11-24.
UTILISATION = 0.2
CANDIDATES = ("cpu_30m", "cpu_10m", "cpu_2m")


@dataclass(frozen=True)
class TimeEstimate:
    """Floating-point operations of a run, the machine's measured peak a second, and the seconds expected."""

    flops: float
    peak: float
    seconds: float


def measure_peak(device: torch.device, precision: str, size: int = 1024) -> float:
    """Matrix-product operations a second, best of a few products (about 0.1 s on a CPU)."""
    a = torch.randn(size, size, device=device)
    best = 0.0
    with autocast(device, precision):
        for _ in range(5):
            began = time.perf_counter()
            (a @ a).sum().item()
            best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best


def run_flops(config: ProjectConfig, vocab_size: int, total_steps: int) -> float:
    """About 6 operations a parameter and token for a training step, and the attention's products."""
    model = config.model
    tokens = total_steps * config.training.batch_size * model.context
    per_token = 6 * model.parameters(vocab_size) + 12 * model.n_layers * model.context * model.d_model
    return float(tokens * per_token)


def critical_flops(unique_tokens: int) -> float:
    """Compute above which diffusion should beat its twin on so many unique tokens: 2.12e15 U^2.174, U in millions.

    Fitted on far larger text (Prabhudesai et al. 2025): at the size of one book it is an extrapolation.
    """
    return float(2.12e15 * (unique_tokens / 1e6) ** 2.174)


def estimate_time(config: ProjectConfig, vocab_size: int, total_steps: int, device: torch.device) -> TimeEstimate:
    """Expected length of a run, from a quick measurement of this machine; good to a factor of two."""
    peak = measure_peak(device, config.training.precision)
    flops = run_flops(config, vocab_size, total_steps)
    return TimeEstimate(flops, peak, flops / (peak * UTILISATION))


def preset_within(tokens_per_epoch: int, peak: float, limit: float = DAY) -> str | None:
    """The largest CPU preset whose whole run on a book of so many tokens an epoch ends within ``limit`` seconds."""
    for name in CANDIDATES:
        config = ProjectConfig.preset(name)
        per_token = 6 * config.model.parameters(config.vocab_size)
        if tokens_per_epoch * config.curriculum.epochs * per_token / (peak * UTILISATION) <= limit:
            return name
    return None
