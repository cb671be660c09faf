"""How long the short commands take, as whole processes: ``python benchmarks/start_up.py [--book FILE]``.

``--checkpoint FILE`` adds its loading, within a process, and ``generate`` with one token and with its own settings.
Prints seconds (median of three runs, after one that is not counted) and the largest resident memory.
"""

import argparse
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
    arguments = parser.parse_args()
    commands = [["--help"], ["train", "--help"], ["train", "--test"], ["train", "--test-integration"]]
    if arguments.checkpoint:
        print(f"{'loading the checkpoint':30} {measure_loading(arguments.checkpoint, arguments.runs):6.2f} s")
        written = ["generate", "--checkpoint", str(arguments.checkpoint), "--prompt", "The"]
        commands += [[*written, "--length", "1"], written]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.book:
            commands.append(["prepare", "--book", arguments.book, "--output", folder, "--force"])
        for command in commands:
            seconds = measure(command, arguments.runs)
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            name = " ".join(word for word in command[:2] + command[5:] if word != "--checkpoint")
            print(f"{name:30} {seconds:6.2f} s   largest so far {memory:.2f} GB")


if __name__ == "__main__":
    main()
