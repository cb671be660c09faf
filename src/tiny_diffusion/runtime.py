"""Where and how the arithmetic runs: device, precision, threads, seeds."""

import importlib.util
import os
import shutil
import statistics
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache

import torch

from .allocator import SCRATCH, check_address_space
from .errors import OUT_OF_MEMORY, UserError, WorldError, is_out_of_memory

WINDOW = 8  # steps whose median is the pace
COLLAPSE = 1.5  # times the usual seconds per step: worth trying another number of threads
GAIN = 0.9  # of the seconds per step before: what a trial must reach to be kept
HOLD = 200  # steps with fewer threads before all of them are tried again


def find_device(name: str) -> torch.device:
    """The torch device of that name; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises UserError for an unknown name or a device that this machine lacks.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"training.device={name!r} is no device; use auto, cpu, cuda, cuda:1 or mps") from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        raise UserError(f"training.device={name!r} is not to be had on this machine; use training.device=auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"training.device={name!r}: this machine has {torch.cuda.device_count()} CUDA device(s)")
    return device


def fast_bfloat16(device: torch.device) -> bool:
    """True where bfloat16 matrix products run in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    if not hasattr(torch.cpu, "get_capabilities"):  # older releases know of one way only
        return torch.cpu._is_avx512_bf16_supported()
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def can_compile(device: torch.device) -> bool:
    """True where ``torch.compile`` has what it needs: a C++ compiler on a CPU, Triton and a C compiler on CUDA."""
    if device.type == "cuda":
        compilers = (os.environ.get("CC", "gcc"), "gcc", "clang", "cc")
        return importlib.util.find_spec("triton") is not None and any(shutil.which(name) for name in compilers)
    compilers = (os.environ.get("CXX", "g++"), "g++", "clang++", "cl")
    return device.type == "cpu" and any(shutil.which(name) for name in compilers)


@contextmanager
def compile_errors() -> Iterator[None]:
    """Raise WorldError where ``torch.compile`` fails at its first use."""
    try:
        yield
    except torch._dynamo.exc.BackendCompilerFailed as error:
        cause = error.inner_exception
        reason = f"{type(cause).__name__}: {str(cause).strip()}".splitlines()[0]
        raise WorldError(f"torch.compile failed ({reason}); set training.compile=off") from error


@cache
def _check_limit() -> None:
    """Raise WorldError where a limit of this process leaves too little; its success is remembered."""
    check_address_space(SCRATCH, "torch's kernels and threads")


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise WorldError where torch says in one of its ways that memory is at its end, or a limit leaves too little."""
    _check_limit()
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; the CPU's and MPS's have no class of their own
        if not is_out_of_memory(error):
            raise
        raise WorldError(OUT_OF_MEMORY) from error


def product_dtype(device: torch.device, precision: str) -> torch.dtype:
    """The type of matrix products: bfloat16 where ``precision`` and the machine ask for it, else float32."""
    half = precision == "bfloat16" or (precision == "auto" and fast_bfloat16(device))
    return torch.bfloat16 if half else torch.float32


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """A context that runs matrix products in ``product_dtype``."""
    if product_dtype(device, precision) == torch.bfloat16:
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def seed_for(*parts: int) -> int:
    """A 63-bit seed from whole numbers: the same parts always give the same seed, other parts another one.

    Every random draw of a run comes from (seed, purpose, step), so that a resumed run needs no saved generator.
    """
    value = 0x9E3779B97F4A7C15
    for part in parts:  # the SplitMix64 finaliser (Steele et al. 2014), chained
        value = (value + part + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 31
    return value >> 1


def generator_for(*parts: int) -> torch.Generator:
    """A CPU generator seeded by ``seed_for(*parts)``."""
    return torch.Generator().manual_seed(seed_for(*parts))


class ThreadChooser:
    """Tries half of the CPU threads at the start and when steps become slow, and keeps the number that is faster.

    Each parallel part of a step ends when its slowest thread ends. Beside other busy programs all threads wait for a
    delayed one, so fewer threads can be faster (docs/performance.md).
    """

    def __init__(self, most: int) -> None:
        """``most`` threads are used on a quiet machine."""
        self.most = self.threads = most
        self._steps: deque[float] = deque(maxlen=WINDOW)
        self._usual = 0.0  # least median since the last trial; zero, so that the first pace leads to a trial at once
        self._before: float | None = None  # during a trial: the median before it
        self._held = 0  # steps since the last trial

    def add(self, seconds: float) -> int:
        """Note the ``seconds`` of a step; returns the threads for the next one."""
        self._steps.append(seconds)
        self._held += 1
        if self.most == 1 or len(self._steps) < WINDOW:
            return self.threads
        pace = statistics.median(self._steps)
        if self._before is not None:
            if pace > GAIN * self._before:
                self._switch()
            self._usual, self._before = min(pace, self._before), None
        elif pace > COLLAPSE * self._usual or (self.threads < self.most and self._held >= HOLD):
            self._before = pace
            self._switch()
        else:
            self._usual = min(self._usual, pace)
        return self.threads

    def _switch(self) -> None:
        self.threads = self.most if self.threads < self.most else max(1, self.most // 2)
        self._steps.clear()
        self._held = 0
