"""All benchmarks of speed, one after another: ``python benchmarks/all.py [--output FOLDER]``, or ``make benchmark``.

Writes ``report.md`` and a JSON file for each benchmark. It takes an hour or two on two cores; run it with nothing else
on the machine. Each script has options of its own for less.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = ("training", "generation", "start_up", "scaling")


def main() -> None:
    """Run each benchmark, pass its tables on, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"))
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    with (output / "report.md").open("w", encoding="utf-8") as report:
        for name in BENCHMARKS:
            report.write(f"# {name}\n\n")
            command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(output / f"{name}.json")]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
                for line in process.stdout or ():
                    print(line, end="", flush=True)
                    report.write(line)
            if process.returncode:
                raise SystemExit(f"{name} failed; its message stands above")
            report.write("\n")


if __name__ == "__main__":
    main()
