"""Training speed against a plain reference on the same work: ``python benchmarks/training.py [--sizes S M L]``.

Real tokens a second (padding does not count) of optimiser steps with AdamW, each way in a process of its own (ours with
the allocator as the trainer sets it), the processes taken in turn within one run, the median of the rounds.
Utilisation: products that the way really executes, over the peak of the machine's faster products (bfloat16, else
float32) measured in the same run. Memory: by how much the process grows over what it took for the imports, at its
peak (Linux only). ModernBERT is Hugging Face's, of the same shape, from a config with random weights, and needs the
extra ``hf``. Run it with nothing else on the machine. Writes markdown; ``--json FILE`` keeps the figures.
"""

import argparse
import itertools
import json
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from training_ways import SETTINGS, build
from workloads import CPU, FULL_ROWS, LENGTHS, SIZES

from tiny_diffusion.runtime import product_dtype

PRODUCT = 2048  # rows and columns of the products that the peak is measured with
WARM_UP = 2  # rounds that do not count: pages are touched, code is compiled


class Process:
    """A way in a process of its own, whose memory is its own and whose allocator is as its users would have it."""

    def __init__(self, size: str, workload: str, way: str) -> None:
        self.pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self.name, self.tokens, self.operations = self.pool.submit(_make, size, workload, way).result()

    def step(self) -> float:
        """Seconds of one step."""
        return self.pool.submit(_step).result()

    def close(self) -> float:
        """End the process; bytes by which it grew at its peak."""
        memory = self.pool.submit(_memory).result()
        self.pool.shutdown()
        return memory


# The way of this process and what it took before that; set by ``_make``.
_state: dict[str, Any] = {}


def _status(name: str) -> int:
    """Bytes that the system gives under ``name`` for this process; 0 where it does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return 1024 * int(next(row for row in status.read_text().splitlines() if row.startswith(name)).split()[1])


def _make(size: str, workload: str, way: str) -> tuple[str, int, float]:
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    _state["before"] = _status("VmRSS")
    made = _state["way"] = build(SIZES[size], workload)[way]()
    return made.name, made.tokens, made.operations


def _step() -> float:
    began = time.perf_counter()
    _state["way"].step()
    return time.perf_counter() - began


def _memory() -> float:
    return _status("VmHWM") - _state["before"] if _state["before"] else float("nan")


def product_seconds(dtype: torch.dtype) -> float:
    """Seconds of the best of a few square products of PRODUCT rows."""
    a, b = (torch.randn(PRODUCT, PRODUCT, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def measure(ways: list[Process], rounds: int) -> tuple[list[float], float]:
    """Median seconds of a step of each way, the ways taken in turn after two rounds not counted; the products' peak.

    The peak, operations a second, is taken in every round: on a machine with neighbours a single moment tells little.
    """
    seconds: list[list[float]] = [[] for _ in ways]
    products = []
    for _ in range(rounds + WARM_UP):
        for way, found in zip(ways, seconds, strict=True):
            found.append(way.step())
        products.append(product_seconds(product_dtype(CPU, SETTINGS.precision)))
    return [statistics.median(found[WARM_UP:]) for found in seconds], 2 * PRODUCT**3 / min(products)


def main() -> None:
    """Measure the sizes and workloads asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--workloads", nargs="+", choices=[FULL_ROWS, *LENGTHS], default=[FULL_ROWS, *LENGTHS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print("| size | workload | way | tokens/s | ours is faster by | utilisation | memory |")
    print("|---|---|---|---|---|---|---|")
    found = []
    for name, workload in itertools.product(arguments.sizes, arguments.workloads):
        ways = [Process(name, workload, way) for way in build(SIZES[name], workload)]
        seconds, peak = measure(ways, arguments.rounds)
        for way, each in zip(ways, seconds, strict=True):
            rate, memory = way.tokens / each, way.close() / 1e9
            ratio, share = ways[0].tokens / seconds[0] / rate, way.operations / each / peak
            row = {"size": name, "workload": workload, "way": way.name, "tokens_per_second": rate}
            found.append({**row, "ratio": ratio, "utilisation": share, "peak": peak, "memory": memory})
            cells = (name, workload, way.name, f"{rate:,.0f}", f"{ratio:.1f}", f"{share:.0%}", f"{memory:.2f} GB")
            print("|", " | ".join(cells), "|", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
