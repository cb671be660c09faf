"""Finds the runs in an output folder, present and earlier, describes them without their weights, and removes them."""

import math
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..checkpoint import load_checkpoint
from ..config import ProjectConfig
from ..data.shelf import other_books
from ..errors import UserError, WorldError
from ..evaluation.curves import read_log
from ..training.output_folder import ASIDE, CONFIG_FILE, PARTS, place_in_order, stamp_of

BEST, LOG, STATE = "best_model.pt", Path("logs") / "metrics.jsonl", Path("checkpoints") / "last.pt"


@dataclass(frozen=True)
class KeptRun:
    """A run and its figures; a figure is None if neither its log nor its checkpoint has it. ``size`` is in bytes.

    ``name`` is the run's folder, relative to the folder that was searched (``.`` for that one). ``seconds`` is the time
    of its optimiser steps.
    """

    name: str
    folder: Path
    ended: datetime
    size: int
    config: ProjectConfig | None
    source: str | None = None
    parameters: int | None = None
    step: int | None = None
    total: int | None = None
    seconds: float | None = None
    best: float | None = None
    finished: bool = False

    @property
    def earlier(self) -> bool:
        """Whether the run was moved aside for a later one."""
        return self.folder.parent.name == ASIDE

    @property
    def place(self) -> tuple[str, int]:
        """Sorts runs by age: an earlier one by its name, since a clock that is set or a copy changes dates of files."""
        named = place_in_order(self.folder.name) if self.earlier else None
        return named or (stamp_of(self.ended.timestamp()), 1)


def find_runs(root: Path) -> list[KeptRun]:
    """All runs in ``root`` and below, the newest first. Raises UserError if there is no such folder."""
    if not root.is_dir():
        raise UserError(f"no folder {root}; tiny-diffusion train makes it")
    found = []
    for place, folders, files in os.walk(root):
        folder = Path(place)
        if BEST in files or CONFIG_FILE in files or (folder / LOG).exists() or (folder / STATE).exists():
            found.append(read_run(folder, folder.relative_to(root).as_posix()))
        folders[:] = [name for name in folders if name not in PARTS]
    return sorted(found, key=lambda run: run.place, reverse=True)


def read_run(folder: Path, name: str) -> KeptRun:
    """Describe the run in ``folder``. Raises UserError, naming the file, if one of its files is damaged."""
    files = [path for path in folder.iterdir() if path.is_file()]
    for part in PARTS:
        files += [path for path in (folder / part).rglob("*") if path.is_file()]
    figures: dict[str, Any] = {
        "ended": datetime.fromtimestamp(max(path.stat().st_mtime for path in files)),
        "size": sum(path.stat().st_size for path in files),
        "config": ProjectConfig.preset(folder / CONFIG_FILE) if (folder / CONFIG_FILE).exists() else None,
    }
    if (folder / BEST).exists():
        figures |= _from_checkpoint(folder / BEST)
    if (folder / LOG).exists():
        figures |= _from_log(folder / LOG)
    return KeptRun(name, folder, **figures)


def _from_checkpoint(path: Path) -> dict[str, Any]:
    """Figures of a checkpoint; the weights are memory-mapped, so that only their shapes are read."""
    checkpoint = load_checkpoint(path, mmap=True)
    meta = checkpoint.meta
    shelf = meta.get("shelf", ())
    return {
        "config": checkpoint.config,
        "source": meta.get("source") if not shelf else f"{meta.get('source')}, after {other_books(shelf)}",
        "parameters": sum(weight.numel() for weight in checkpoint.weights.values()),
        "step": meta.get("step"),
        "best": meta.get("validation_bits_per_byte"),
    }


def _from_log(path: Path) -> dict[str, Any]:
    """Figures of a log."""
    rows = read_log(path)
    steps = [row for row in rows if row["event"] == "StepDone"]
    bits = [row["bits_per_byte"] for row in rows if row["event"] == "Validated" and math.isfinite(row["bits_per_byte"])]
    figures: dict[str, Any] = {"finished": bool(rows) and not rows[-1].get("interrupted", True)}
    if steps:
        seconds = {row["step"]: row["seconds"] for row in steps}  # steps that were repeated after a crash count once
        figures |= {"step": steps[-1]["step"], "total": steps[-1]["total"], "seconds": sum(seconds.values())}
    return figures | ({"best": min(bits)} if bits else {})


def named(runs: list[KeptRun], name: str) -> KeptRun:
    """The run with that name. Raises UserError, listing the names that exist, if there is none."""
    for run in runs:
        if run.name == name.rstrip("/"):
            return run
    raise UserError(f"no run is called {name!r}; there are {', '.join(repr(run.name) for run in runs) or 'none'}")


def removable(runs: list[KeptRun], keep: int | None, names: tuple[str, ...]) -> list[KeptRun]:
    """The earlier runs in ``names``, and all but the ``keep`` newest ones unless that is None.

    Raises UserError if a name is not a run, or not an earlier one.
    """
    chosen = [named(runs, name) for name in names]
    for run in chosen:
        if not run.earlier:
            raise UserError(f"{run.name} is not an earlier run; only runs in a folder {ASIDE}/ are removed")
    if keep is not None:
        chosen += [run for run in [run for run in runs if run.earlier][keep:] if run not in chosen]
    return chosen


def remove_run(run: KeptRun) -> None:
    """Delete the folder of an earlier run. Raises WorldError if the disk refuses."""
    if not run.earlier or run.folder.is_symlink():
        raise UserError(f"{run.folder} is not an earlier run")
    try:
        shutil.rmtree(run.folder)
    except OSError as error:
        raise WorldError(f"cannot remove {run.folder}: {error.strerror}") from error
