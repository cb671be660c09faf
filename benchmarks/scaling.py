"""How cost grows: ``python benchmarks/scaling.py [--sizes 0.1 1 10] [--lengths 128 ...] [--cores 1 2] [--json FILE]``.

Each figure comes from a process of its own. By book: seconds and largest resident memory of preparing a made-up book of
so many MB, then the same of a ``cpu_2m`` training on it, and its real tokens a second. By length: tokens a second of
steps of 2,048 tokens in rows of so many. By cores: ``cpu_2m`` with so many threads. Prints markdown.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

STEPS = 5
TOKENS = 2_048
WORDS, SENTENCE, PARAGRAPH = 8_000, 14, 5


def write_book(path: Path, megabytes: float) -> None:
    """A book of made-up words, frequent ones first as in real text, no two sentences alike."""
    draw = random.Random(0)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "en", "ar", "ost")]
    lexicon = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(WORDS)]
    weights = [1 / (rank + 3) for rank in range(WORDS)]
    with path.open("w", encoding="utf-8") as file:
        written = 0
        while written < megabytes * 1e6:
            words = draw.choices(lexicon, weights, k=SENTENCE * PARAGRAPH)
            groups = (words[i : i + SENTENCE] for i in range(0, len(words), SENTENCE))
            written += file.write(" ".join(" ".join(group).capitalize() + "." for group in groups) + "\n\n")


def prepare(book: Path, folder: Path) -> dict[str, float]:
    """Prepare ``book`` in this process; seconds without the imports."""
    from tiny_diffusion.config import PipelineConfig
    from tiny_diffusion.data import pipeline

    began = time.perf_counter()
    for _ in pipeline.prepare(book, folder, PipelineConfig()):
        pass
    return {"prepare_seconds": time.perf_counter() - began, "prepare_gb": peak_gb()}


def train(folder: Path, changes: list[str]) -> dict[str, float]:
    """Steps of the last stage, after one epoch's rows of every stage were laid out."""
    import torch

    from tiny_diffusion.config import ProjectConfig
    from tiny_diffusion.data.artefacts import load_processed
    from tiny_diffusion.training.trainer import Trainer

    began = time.perf_counter()
    trainer = Trainer(ProjectConfig.preset("cpu_2m").override_from_args(changes), load_processed(folder), folder)
    build = time.perf_counter() - began
    for stage in range(len(trainer.stage_steps)):
        rows = trainer.rows.epoch(stage, 0)
    trainer.progress.stage = len(trainer.stage_steps) - 1
    batch = rows.take(torch.arange(trainer.config.training.batch_size) % len(rows))
    rates = []
    for _ in range(STEPS + 1):
        event = trainer.stepper.step(batch, 0).done(0.0)
        rates.append(event.tokens / event.seconds)
    tokens = sum(int(e.lengths.sum()) for e in trainer.rows.encoded)
    return {
        "build_seconds": build,
        "train_gb": peak_gb(),
        "tokens_a_second": statistics.median(rates[1:]),
        "encoded_tokens": tokens,
    }


def peak_gb() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def apart(*arguments: object) -> dict[str, float]:
    """This script's figures for ``arguments``, from a fresh process."""
    command = [sys.executable, __file__, "--worker", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def by_book(sizes: list[float], root: Path) -> Iterator[dict[str, float]]:
    """Preparing and training on books of so many MB."""
    for size in sizes:
        book, folder = root / f"{size}.txt", root / f"{size}"
        write_book(book, size)
        yield {"megabytes": size, **apart("prepare", book, folder), **apart("train", folder)}


def by_length(lengths: list[int], folder: Path) -> Iterator[dict[str, float]]:
    """Steps of TOKENS tokens in rows of so many."""
    for length in lengths:
        batch = max(1, TOKENS // length)
        found = apart("train", folder, f"model.context={length}", f"training.batch_size={batch}")
        yield {"length": length, "rows": batch, **found}


def by_cores(cores: list[int], folder: Path) -> Iterator[dict[str, float]]:
    """The same step on so many threads."""
    for count in cores:
        yield {"threads": count, **apart("train", folder, f"training.threads={count}")}


COLUMNS = {
    "book": {
        "MB": ("megabytes", "g"),
        "prepare, s": ("prepare_seconds", ".1f"),
        "prepare, GB": ("prepare_gb", ".2f"),
        "start of training, s": ("build_seconds", ".1f"),
        "training, GB": ("train_gb", ".2f"),
        "tokens/s": ("tokens_a_second", ",.0f"),
    },
    "length": {"tokens a row": ("length", ""), "rows": ("rows", ""), "tokens/s": ("tokens_a_second", ",.0f")},
    "cores": {"threads": ("threads", ""), "tokens/s": ("tokens_a_second", ",.0f")},
}


def markdown(name: str, rows: list[dict[str, float]]) -> str:
    """One table."""
    columns = COLUMNS[name]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(format(row[key], form) for key, form in columns.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all three, print tables, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", type=float, default=[0.1, 1.0, 10.0], metavar="MB")
    parser.add_argument("--lengths", nargs="*", type=int, default=[128, 256, 512, 1024, 2048])
    parser.add_argument("--cores", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work, *rest = arguments.worker
        found = prepare(Path(rest[0]), Path(rest[1])) if work == "prepare" else train(Path(rest[0]), rest[1:])
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_book(root / "book.txt", 1.0)
        apart("prepare", root / "book.txt", root / "book")
        figures = {
            "book": list(by_book(arguments.sizes, root)),
            "length": list(by_length(arguments.lengths, root / "book")),
            "cores": list(by_cores(arguments.cores, root / "book")),
        }
    for title, rows in figures.items():
        print(f"By {title}:\n\n{markdown(title, rows)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
