"""The memory estimate against the measured peak of real training steps: ``python benchmarks/memory.py``.

Each case is a process of its own. Prints what was measured beside the estimate, in GB, and their ratio: on a CPU the
growth of resident memory over the process after imports, at its peak (Linux only: it reads /proc); with ``--device
cuda`` the most that CUDA's allocator had given out, which ``dry_cuda.py`` tells on a machine without a GPU as well.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = {
    "cpu_2m, bfloat16": ["training.precision=bfloat16"],
    "cpu_2m, float32": ["training.precision=float32"],
    "cpu_10m, bfloat16": ["training.precision=bfloat16"],
    "cpu_10m, float32": ["training.precision=float32"],
    "cpu_10m, checkpointing": ["training.precision=float32", "training.gradient_checkpointing=true"],
    "cpu_30m, bfloat16": ["training.precision=bfloat16"],
    "cpu_30m, float32": ["training.precision=float32"],
    "cpu_30m, checkpointing": ["training.precision=float32", "training.gradient_checkpointing=true"],
    "default, batch of 4": ["training.precision=float32", "training.batch_size=4"],
    "default, passes of 2 rows, checkpointing": [
        "training.precision=float32",
        "training.batch_size=4",
        "training.micro_batch_size=2",
        "training.gradient_checkpointing=true",
    ],
}
PASSES = [f"training.micro_batch_size={rows}" for rows in (2, 8, 16)]
CUDA_CASES = {
    "cpu_2m": [],
    "cpu_10m": [],
    "cpu_10m, checkpointing": ["training.gradient_checkpointing=true"],
    "cpu_30m": [],
    "cpu_30m, float32": ["training.precision=float32"],
    "default": [],
    "default, AdamW": ["training.optimizer=adamw"],
    "default, batch of 8, 1024 tokens": ["training.batch_size=8", "model.context=1024"],
    "default, passes of 2 rows": [PASSES[0]],
    "default, passes of 8 rows, checkpointing": [PASSES[1], "training.gradient_checkpointing=true"],
    "default, checkpointing": ["training.gradient_checkpointing=true"],
    "experimental, passes of 8 rows": [PASSES[1]],
    "experimental, passes of 16 rows, checkpointing": [PASSES[2], "training.gradient_checkpointing=true"],
    "memory_efficient": [],
    "memory_efficient, 512 tokens": ["model.context=512"],
    "memory_efficient, passes of 2 rows": [PASSES[0]],
    "memory_efficient, nothing made anew": ["training.gradient_checkpointing=false"],
}


def read_status(name: str) -> int:
    """Bytes that /proc/self/status gives under ``name`` (VmRSS now, VmHWM at the peak)."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(name))
    return int(line.split()[1]) * 1024


def measure(preset: str, changes: list[str], device: str, folder: Path) -> str:
    """Train two steps of the first and of the last stage; measured, estimated GB and their ratio, as a line."""
    import torch

    from tiny_diffusion.config import ProjectConfig
    from tiny_diffusion.data.artefacts import load_processed
    from tiny_diffusion.training.memory import estimate_memory
    from tiny_diffusion.training.trainer import Trainer

    data = load_processed(folder)
    config = ProjectConfig.preset(preset).override_from_args([*changes, f"training.device={device}"])
    before = 0
    if device == "cpu":
        layer = torch.nn.Linear(64, 64)
        with torch.autocast("cpu", torch.bfloat16):
            layer(torch.randn(4, 64)).sum().backward()
        torch.optim.AdamW(layer.parameters()).step()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = read_status("VmRSS")
    trainer = Trainer(config, data, folder / "outputs")
    for stage in (0, len(trainer.stage_steps) - 1):
        trainer.progress.stage = stage
        rows = trainer.rows.epoch(stage, 10**6)
        batch = rows.take(torch.arange(trainer.config.training.batch_size) % len(rows))
        for _ in range(2):
            trainer.stepper.step(batch, 10**6)
    peak = read_status("VmHWM") - before if device == "cpu" else torch.cuda.max_memory_allocated()
    estimate = estimate_memory(config, trainer.model.vocab_size, device=device).total
    return f"{peak / 1e9:8.3f} {estimate / 1e9:8.3f} {estimate / peak:6.2f}"


def main() -> None:
    """Measure every case in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cases = CASES if arguments.device == "cpu" else CUDA_CASES
    if arguments.case:
        preset = arguments.case.split(",")[0]
        print(measure(preset, cases[arguments.case], arguments.device, arguments.data))
        return
    from tiny_diffusion.config import PipelineConfig
    from tiny_diffusion.data.pipeline import prepare
    from tiny_diffusion.data.reading.example import write_reference_text

    with tempfile.TemporaryDirectory() as name:
        book = write_reference_text(Path(name) / "book.txt")
        for _ in prepare(book, Path(name) / "processed", PipelineConfig()):
            pass
        print(f"{'':48} measured estimate ratio")
        for case in cases:
            command = [sys.executable, __file__, "--device", arguments.device, "--case", case]
            done = subprocess.run(
                [*command, "--data", str(Path(name) / "processed")], check=True, stdout=subprocess.PIPE, text=True
            )
            print(f"{case:48} {done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
