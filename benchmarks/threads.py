"""Seconds of a training step by threads and by how threads wait, on a quiet machine and beside busy loops.

Each setting is a process of its own: how threads wait is fixed when torch loads. The steps are those of a preset on
random rows. ``python benchmarks/threads.py`` needs an otherwise quiet machine, for it makes its own load.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from training_ways import ours
from workloads import FULL_ROWS, Size, draw_batches

from tiny_diffusion.config import ProjectConfig

BUSY_LOOP = "while True: pass"
POLICIES = {"active": {}, "brief": {"GOMP_SPINCOUNT": "3000"}, "passive": {"OMP_WAIT_POLICY": "passive"}}


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many busy loops beside what runs in the block."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY_LOOP]) for _ in range(loops)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def time_steps(preset: str, threads: int, seconds: float) -> list[float]:
    """Seconds of each training step of ``preset`` with so many threads, for about ``seconds``."""
    torch.set_num_threads(threads)
    config = ProjectConfig.preset(preset)
    size = Size(config.model, 1024 * 2 ** (config.model.vocab_level - 2), config.training.batch_size)
    step = ours(size, draw_batches(size, FULL_ROWS).packed).step
    for _ in range(3):
        step()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return times


def main() -> None:
    """Print a row for each load, number of threads and way of waiting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="cpu_2m")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--loads", type=int, nargs="+", default=[0, 1, 2], help="busy loops beside the training")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each setting")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)  # the process of one setting: prints its times
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(time_steps(arguments.preset, arguments.one, arguments.seconds)))
        return
    print(f"{arguments.preset}: seconds of a step (mean, median, slowest tenth)")
    for load in arguments.loads:
        for threads in arguments.threads:
            for name, variables in POLICIES.items():
                command = [sys.executable, __file__, "--preset", arguments.preset, "--one", str(threads)]
                command += ["--seconds", str(arguments.seconds)]
                environment = {**os.environ, **variables, "OMP_NUM_THREADS": str(threads)}
                with busy(load):
                    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                times = sorted(json.loads(result.stdout))
                mean, median, slow = statistics.mean(times), statistics.median(times), times[int(0.9 * len(times))]
                print(f"{load} busy loops, {threads} threads, {name:7}: {mean:.3f} {median:.3f} {slow:.3f}", flush=True)


if __name__ == "__main__":
    main()
