"""Training at full size on a CUDA device: ``python benchmarks/gpu.py [--data-dir DIR]``.

Real optimiser steps of a preset's last stage, as the trainer takes them, each case in a process of its own: real tokens
a second; utilisation, the products executed over the peak of bfloat16 products measured in the same process; the time
of a step, and the part of it that the host needs to queue the work; the peak that CUDA's allocator had given out, and
what ``config/memory.py`` estimates. A step that made the host wait for the device ends the case with an error. The
last column is the whole run of the preset on this book, from the steps' time alone. Without ``--data-dir`` the book is
the text that Python carries.

Under ``dry_cuda.py`` nothing is computed: memory, the kernels and products launched in a step (counted there alone) and
the host's time (but for the launches' own) are right, the columns of speed stay empty. Writes markdown; ``--json FILE``
keeps the figures.
"""

import argparse
import ctypes
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from tiny_diffusion.config import PipelineConfig, ProjectConfig
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.data.pipeline import prepare
from tiny_diffusion.data.reading.example import write_reference_text
from tiny_diffusion.training.course import mask_range
from tiny_diffusion.training.memory import block_matrices, estimate_memory
from tiny_diffusion.training.trainer import Trainer

CASES: dict[str, tuple[str, list[str]]] = {
    "default": ("default", []),
    "memory_efficient": ("memory_efficient", []),
    "memory_efficient, passes of 4 rows": ("memory_efficient", ["training.micro_batch_size=4"]),
    "memory_efficient, 512 tokens": ("memory_efficient", ["model.context=512"]),
    "memory_efficient, nothing made anew": ("memory_efficient", ["training.gradient_checkpointing=false"]),
    "cpu_30m": ("cpu_30m", []),
    "cpu_2m": ("cpu_2m", []),
}
PRODUCT = 8192  # rows and columns of the products that the peak is measured with
COLUMNS = (
    *("case", "compiled", "tokens/s", "utilisation", "ms a step", "host, ms", "launches"),
    *("peak, GB", "estimated", "whole run, min"),
)
DRY = "dry"  # the name of the device that computes nothing


@dataclass(frozen=True)
class Line:
    """What a case came to; seconds are of one step, ``run`` of all."""

    case: str
    compiled: bool
    tokens_per_second: float | None
    utilisation: float | None
    step: float | None
    host: float
    launches: int | None
    peak_gb: float
    estimated_gb: float
    run: float | None

    def row(self) -> str:
        """A row of the table."""
        cells = [
            self.case,
            "yes" if self.compiled else "no",
            told(self.tokens_per_second, ",.0f"),
            told(self.utilisation, ".0%"),
            told(self.step and 1000 * self.step, ".1f"),
            f"{1000 * self.host:.1f}",
            told(self.launches, ",d"),
            f"{self.peak_gb:.2f}",
            f"{self.estimated_gb:.2f}",
            told(self.run and self.run / 60, ".1f"),
        ]
        return f"| {' | '.join(cells)} |"


def told(value: float | None, form: str) -> str:
    """A figure as the table shows it."""
    return "-" if value is None else format(value, form)


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds of ``work``, the device's part with it."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def peak_rate() -> float:
    """Operations a second of large bfloat16 products."""
    a = torch.randn(PRODUCT, PRODUCT, device="cuda", dtype=torch.bfloat16)
    times = [seconds_of(lambda: a @ a) for _ in range(20)]
    return 2 * PRODUCT**3 / statistics.median(times[3:])


def products(trainer: Trainer, stage: int, rows: int) -> float:
    """Operations of a step's products: blocks and attention at all places, the head at those masked; x3 for backward.

    Blocks that checkpointing makes anew are executed once more.
    """
    model, curriculum = trainer.config.model, trainer.config.curriculum
    places = rows * model.context
    low, high = mask_range(curriculum, stage, 10**6)
    full = curriculum.full_range_share
    masked = places * (full * 0.5 + (1 - full) * (low + high) / 2)
    blocks = places * (2 * block_matrices(model) + 4 * model.n_layers * model.context * model.d_model)
    times = 4 if trainer.config.training.gradient_checkpointing else 3
    return float(times * blocks + 3 * masked * 2 * model.d_model * trainer.model.text_vocab_size)


def launched() -> int:
    """Kernels and products that the dry device was asked for so far; 0 on a real one."""
    try:
        return ctypes.c_long.in_dll(ctypes.CDLL(None), "dry_cuda_launches").value
    except ValueError:
        return 0


def measure(case: str, compiled: bool, data_dir: Path, steps: int) -> Line:
    """Train ``steps`` steps of the last stage."""
    warnings.filterwarnings("ignore", message="Synchronization debug mode")
    preset, changes = CASES[case]
    choice = f"training.compile={'on' if compiled else 'off'}"
    config = ProjectConfig.preset(preset).override_from_args([*changes, choice, "training.device=cuda"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, load_processed(data_dir), Path(folder))
        stage, size = len(trainer.stage_steps) - 1, config.training.batch_size
        trainer.progress.stage = stage
        layout = trainer.rows.epoch(stage, 10**6)
        tokens = 0

        def work() -> float:
            nonlocal tokens
            tokens, began = 0, time.perf_counter()
            for first in range(0, steps * size, size):
                batch = layout.take(torch.arange(first, first + size) % len(layout))
                tokens += int(batch.scorable.sum())
                trainer.stepper.step(batch, 10**6)
            return (time.perf_counter() - began) / steps

        seconds_of(work)  # memory is taken, code is compiled for every kind of rows
        torch.cuda.set_sync_debug_mode("error")
        before = launched()
        host = work()
        launches = launched() - before
        torch.cuda.set_sync_debug_mode("default")
        whole = seconds_of(work) / steps
    memory = (
        torch.cuda.max_memory_allocated() / 1e9,
        estimate_memory(config, trainer.model.vocab_size, device="cuda").total / 1e9,
    )
    if torch.cuda.get_device_name() == DRY:
        return Line(case, compiled, None, None, None, host, round(launches / steps), *memory, None)
    used = products(trainer, stage, size) / whole / peak_rate()
    return Line(case, compiled, tokens / steps / whole, used, whole, host, None, *memory, whole * trainer.total_steps)


def prepared(folder: Path) -> Path:
    """The text that Python carries, prepared under ``folder``."""
    for _ in prepare(write_reference_text(folder / "book.txt"), folder / "processed", PipelineConfig()):
        pass
    return folder / "processed"


def main() -> None:
    """Measure each case, eager and compiled, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; dry_cuda.py measures memory without one")
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    lines = []
    with tempfile.TemporaryDirectory() as name:
        data_dir = arguments.data_dir or prepared(Path(name))
        for case in arguments.cases:
            for compiled in (False, True):
                with ProcessPoolExecutor(1, get_context("spawn")) as process:
                    lines.append(process.submit(measure, case, compiled, data_dir, arguments.steps).result())
                print(lines[-1].row(), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
