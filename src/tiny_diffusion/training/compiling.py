"""Whether a run compiles its blocks."""

import torch

from ..config import ProjectConfig
from ..errors import UserError
from ..runtime import can_compile, fast_bfloat16
from .flops import run_flops

# Compilation takes 10 to 60 s a workload. Below so many operations it costs more than it brings: two to three minutes
# of training on two bfloat16 cores, about as long on a large GPU.
WORTHWHILE_FLOPS = {"cpu": 3e13, "cuda": 3e16}


def wants_compile(config: ProjectConfig, vocab_size: int, total_steps: int, device: torch.device) -> bool:
    """Whether ``training.compile`` means yes for this run on this machine.

    ``auto`` compiles long runs where bfloat16 is fast: in float32 on a CPU the products take three quarters of the
    time and compilation brought nothing (docs/performance.md). Raises UserError when ``on`` cannot be had.
    """
    choice = config.training.compile
    if choice == "on" and not can_compile(device):
        needed = "the package triton" if device.type == "cuda" else "a C++ compiler such as g++"
        raise UserError(f"training.compile=on needs {needed} on {device}; install it or set training.compile=off")
    if choice != "auto":
        return choice == "on"
    long = run_flops(config, vocab_size, total_steps) >= WORTHWHILE_FLOPS.get(device.type, float("inf"))
    return long and fast_bfloat16(device) and can_compile(device)
