"""How long the short commands take, as whole processes: ``python benchmarks/start_up.py [--book FILE]``.

``--checkpoint FILE`` adds its loading, within a process, and ``generate`` with one token and with its own settings.
Seconds are the median of the runs, after one that is not counted; memory is the largest resident so far. Writes
markdown; ``--json FILE`` keeps the figures.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measure(command: list[str], runs: int) -> float:
    """Median wall seconds of ``command`` over ``runs``, after a warm-up."""
    seconds = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "tiny_diffusion", *command], check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def measure_loading(checkpoint: Path, runs: int) -> float:
    """Median seconds from a checkpoint's file to a model that can write, torch being imported already."""
    import torch

    from tiny_diffusion.checkpoint import load_checkpoint

    seconds = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        load_checkpoint(checkpoint).build(torch.device("cpu"))
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def main() -> None:
    """Measure and print one line a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--book", help="also prepare this book")
    parser.add_argument("--checkpoint", type=Path, help="also load this and write with it")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    commands = [["--help"], ["train", "--help"], ["train", "--test"], ["train", "--test-integration"]]
    found: list[dict[str, str | float]] = []
    print("| command | seconds | largest memory so far |\n|---|---|---|")

    def add(name: str, seconds: float) -> None:
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        found.append({"command": name, "seconds": seconds, "memory_gb": memory})
        print(f"| {name} | {seconds:.2f} | {memory:.2f} GB |", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        if arguments.book:
            commands.append(["prepare", "--book", arguments.book, "--output", folder, "--force"])
        for command in commands:
            add(" ".join(command[:2]), measure(command, arguments.runs))
    if arguments.checkpoint:
        written = ["generate", "--checkpoint", str(arguments.checkpoint), "--prompt", "The"]
        add("loading the checkpoint", measure_loading(arguments.checkpoint, arguments.runs))
        add("generate --length 1", measure([*written, "--length", "1"], arguments.runs))
        add("generate", measure(written, arguments.runs))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
