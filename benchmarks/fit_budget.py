"""Fit the law behind ``train --time-budget``: ``python benchmarks/fit_budget.py [RUNS.jsonl] [--add RESULT.json ...]``.

Reads finished runs, one JSON object a line (book, size, epochs of the last stage, batch, params, train_bytes, test and
validation bits per byte; dropout where a size was tried with several), and writes
``src/tiny_diffusion/studies/budget_law.json``. ``--add`` first takes the results of more runs into the table. Least
squares on the test figure, with an offset for each book but the first; a floor and a half-way point for each size,
drawn weakly to those of all sizes; one power for all; what small batches gain in speed and lose at the end. A size
without a run, and a batch without one of that size, are no candidates. Lines with ``members`` are students: for
each number of members, their mean gain over the longest run of their book and size is told apart.
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.studies.budget import BATCH_TOKENS

HERE = Path(__file__).parent
LAW = HERE.parent / "src" / "tiny_diffusion" / "studies" / "budget_law.json"
# What a parameter is drawn to, and how far it may be from it: wide against the errors of the runs (about 0.02).
PULL = {
    "floor": (1.65, 0.15),
    "log half": (1.5, 1.0),
    "power": (1.0, 0.3),
    "batch_power": (0.3, 0.2),
    "small_batch": (0.0, 0.1),
}
APART = {"floor": 0.08, "log half": 0.3}  # how far sizes may be from their mean
START = 3.0  # bits per byte of token frequencies alone: 2.97 on Frankenstein (docs/log.md)
ERROR = 0.02


def read_result(path: Path) -> dict[str, object]:
    """A line of the table from a run's own ``result.json``."""
    result = json.loads(path.read_text(encoding="utf-8"))
    book, size, epochs, batch = result["spec"].split(":")
    return {
        "book": book,
        "size": f"cpu_{size}",
        "epochs": int(epochs),
        "batch": int(batch),
        "params": result["params"],
        "train_bytes": result["train_bytes"],
        "test": round(result["test"], 4),
        "validation": round(result["val"], 4),
    }


def student_laws(students: list[dict], runs: list[dict]) -> list[dict[str, float]]:
    """For each number of members, the mean gain of such ``students`` over the longest of ``runs`` of book and size."""
    gains = defaultdict[int, list[float]](list)
    for student in students:
        alike = [run for run in runs if (run["book"], run["size"]) == (student["book"], student["size"])]
        longest = max(alike, key=lambda run: run["epochs"])
        gains[student["members"]].append(longest["test"] - student["test"])
    return [{"members": members, "gain": round(float(np.mean(gains[members])), 4)} for members in sorted(gains)]


def unpack(x: np.ndarray, sizes: list[str], books: list[str]) -> dict[str, dict[str, float]]:
    """The solver's vector by name."""
    n = len(sizes)
    return {
        "floor": dict(zip(sizes, x[:n], strict=True)),
        "log half": dict(zip(sizes, x[n : 2 * n], strict=True)),
        "offset": {books[0]: 0.0, **dict(zip(books[1:], x[2 * n + 3 :], strict=True))},
        "power": {"": np.exp(x[2 * n])},
        "batch_power": {"": np.exp(x[2 * n + 1])},
        "small_batch": {"": x[2 * n + 2]},
    }


def predict(run: dict, law: dict[str, dict[str, float]]) -> float:
    """Test bits per byte that the law expects of a run."""
    tokens = run["batch"] * ProjectConfig.preset(run["size"]).model.context / BATCH_TOKENS
    seen = run["epochs"] * run["train_bytes"] / 1e6 / tokens ** law["batch_power"][""]
    floor, half = law["floor"][run["size"]], np.exp(law["log half"][run["size"]])
    floor += law["small_batch"][""] * max(0.0, -math.log2(tokens))
    return law["offset"][run["book"]] + floor + (START - floor) / (1 + (seen / half) ** law["power"][""])


def residuals(x: np.ndarray, runs: list[dict], sizes: list[str], books: list[str]) -> list[float]:
    """Errors in units of their expected size, then how far the parameters are from where they are drawn to."""
    law = unpack(x, sizes, books)
    return [(predict(run, law) - run["test"]) / ERROR for run in runs] + list(_pulls(law))


def _pulls(law: dict[str, dict[str, float]]) -> Iterator[float]:
    for name, (centre, width) in PULL.items():
        yield from ((value - centre) / width for value in law[name].values())
    for name, width in APART.items():
        mean = float(np.mean(list(law[name].values())))
        yield from ((value - mean) / width for value in law[name].values())


def main() -> None:
    """Fit, print measured beside fitted, and write the law."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=Path, default=HERE / "budget_runs.jsonl")
    parser.add_argument("--add", nargs="+", type=Path, default=[], metavar="RESULT.json")
    arguments = parser.parse_args()
    runs = [json.loads(line) for line in arguments.runs.read_text(encoding="utf-8").splitlines()]
    students = [run for run in runs if "members" in run]
    runs = [run for run in runs if "members" not in run]
    named = {(r["book"], r["size"], r["epochs"], r["batch"]): r for r in runs + [read_result(p) for p in arguments.add]}
    runs = [named[key] for key in sorted(named)]
    arguments.runs.write_text("".join(json.dumps(run) + "\n" for run in runs + students), encoding="utf-8")
    sizes = sorted({r["size"] for r in runs}, key=lambda size: next(r["params"] for r in runs if r["size"] == size))
    books = sorted({r["book"] for r in runs}, key=lambda b: -sum(r["book"] == b for r in runs))
    start = np.concatenate([np.full(len(sizes), 1.7), np.full(len(sizes), 1.5), np.log([1.0, 0.3]), [0.0]])
    solved = least_squares(residuals, np.concatenate([start, np.zeros(len(books) - 1)]), args=(runs, sizes, books))
    law = unpack(solved.x, sizes, books)
    errors = [predict(run, law) - run["test"] for run in runs]
    for run, error in zip(runs, errors, strict=True):
        what = f"{run['book']:16} {run['size']:8} {run['epochs']:4} epochs, batch {run['batch']:3}"
        print(f"{what}: measured {run['test']:.3f}, fitted {run['test'] + error:.3f}")
    print({name: {k: round(float(v), 4) for k, v in values.items()} for name, values in law.items()})
    content = {
        "students": student_laws(students, runs),
        "sizes": {
            size: {
                "parameters": next(r["params"] for r in runs if r["size"] == size),
                "floor": round(float(law["floor"][size]), 4),
                "half": round(float(np.exp(law["log half"][size])), 4),
                "most_epochs": max(r["epochs"] for r in runs if r["size"] == size),
                "batches": sorted({r["batch"] for r in runs if r["size"] == size}),
            }
            for size in sizes
        },
        "start": START,
        "power": round(float(law["power"][""]), 4),
        "batch_power": round(float(law["batch_power"][""]), 4),
        "small_batch": max(0.0, round(float(law["small_batch"][""]), 4)),
        "book_bytes": max(r["train_bytes"] for r in runs if r["book"] == books[0]),
        "error": round(float(np.sqrt(np.mean(np.square(errors)))), 4),
    }
    LAW.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
