"""Floating-point operations of training runs, and whether a run is long enough to compile its blocks."""

import torch

from ..config import ProjectConfig
from ..errors import UserError
from ..runtime import can_compile, fast_bfloat16

# Compilation takes 10 to 60 seconds. Below so many operations it costs more than it saves: two to three minutes of
# training on two bfloat16 cores, about as long on a large GPU.
WORTHWHILE_FLOPS = {"cpu": 3e13, "cuda": 3e16}


def training_flops(config: ProjectConfig, vocab_size: int, tokens: float) -> float:
    """Operations of training on ``tokens`` tokens: about 6 per parameter and token, and those of attention."""
    model = config.model
    per_token = 6 * model.parameters(vocab_size) + 12 * model.n_layers * model.context * model.d_model
    return float(tokens * per_token)


def run_flops(config: ProjectConfig, vocab_size: int, total_steps: int) -> float:
    """Operations of ``total_steps`` optimiser steps on full rows."""
    return training_flops(config, vocab_size, total_steps * config.training.batch_size * config.model.context)


def critical_flops(unique_tokens: int) -> float:
    """Operations above which diffusion should beat its twin: 2.12e15 U^2.174, with U million unique tokens.

    The law is fitted on far larger texts (Prabhudesai et al. 2025); for a single book it is an extrapolation.
    """
    return float(2.12e15 * (unique_tokens / 1e6) ** 2.174)


def wants_compile(config: ProjectConfig, vocab_size: int, total_steps: int, device: torch.device) -> bool:
    """Whether ``training.compile`` means yes for this run on this machine.

    ``auto`` compiles long runs where bfloat16 is fast: in float32 on a CPU matrix products take three quarters of the
    time, and compilation saved nothing (docs/performance.md). Raises UserError if it is ``on`` but not possible.
    """
    choice = config.training.compile
    if choice == "on" and not can_compile(device):
        needed = "the package triton" if device.type == "cuda" else "a C++ compiler such as g++"
        raise UserError(f"training.compile=on needs {needed} on {device}; install it or set training.compile=off")
    if choice != "auto":
        return choice == "on"
    long = run_flops(config, vocab_size, total_steps) >= WORTHWHILE_FLOPS.get(device.type, float("inf"))
    return long and fast_bfloat16(device) and can_compile(device)
