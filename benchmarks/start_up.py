"""How long the short commands take, as whole processes: ``python benchmarks/start_up.py [--book FILE]``.

Prints seconds (median of three runs, after one that is not counted) and the largest resident memory.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def measure(command: list[str], runs: int) -> float:
    """Median wall seconds of ``command`` over ``runs``, after a warm-up."""
    seconds = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "tiny_diffusion", *command], check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def main() -> None:
    """Measure and print one line a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--book", help="also prepare this book")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    commands = [["--help"], ["train", "--help"], ["train", "--test"], ["train", "--test-integration"]]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.book:
            commands.append(["prepare", "--book", arguments.book, "--output", folder, "--force"])
        for command in commands:
            seconds = measure(command, arguments.runs)
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            print(f"{' '.join(command[:2]):30} {seconds:6.2f} s   largest so far {memory:.2f} GB")


if __name__ == "__main__":
    main()
