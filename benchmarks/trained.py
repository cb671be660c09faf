"""What the benchmarks on a trained model share: arguments, the model with its book, and how figures are told."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tiny_diffusion.checkpoint import Checkpoint, check_same_data, load_checkpoint
from tiny_diffusion.data.artefacts import Processed, load_processed
from tiny_diffusion.runtime import find_device


def model_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser of ``--checkpoint``, ``--data-dir``, ``--device`` and ``--json``, to be added to."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--checkpoint", type=Path, default=Path("outputs/best_model.pt"))
    parser.add_argument("--data-dir", type=Path, default=Path("data/processed"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    return parser


def read_model(arguments: argparse.Namespace) -> tuple[Checkpoint, Processed, torch.device]:
    """The checkpoint, its book, and where to run; raises UserError where they do not belong together."""
    checkpoint, data = load_checkpoint(arguments.checkpoint), load_processed(arguments.data_dir)
    check_same_data(checkpoint, data)
    return checkpoint, data, find_device(arguments.device)


def cell(value: float | None, digits: int) -> str:
    """A figure as a table shows it."""
    return "-" if value is None else f"{value:.{digits}f}"


def keep(figures: Sequence[Any], path: Path | None) -> None:
    """Write dataclasses as JSON to ``path``, where one is given."""
    if path is not None:
        path.write_text(json.dumps([asdict(f) for f in figures], indent=1) + "\n", encoding="utf-8")
