"""The output folder of a run: one training at a time, earlier runs moved aside, the state saved now and then."""

import re
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from .. import files
from ..errors import UserError
from ..files import make_folder

PARTS = ("checkpoints", "logs", "tensorboard", "wandb", "samples")
CONFIG_FILE = "config.toml"
REPORTS = ("evaluation.json", "report.html", "evaluation_seeds.json", "report_seeds.html")
FILES = ("best_model.pt", *REPORTS, "blind_test.sqlite", CONFIG_FILE)
ASIDE = "earlier"
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d_\d{6})(?:_(\d+))?")
SAVING_SHARE = 0.1  # largest share of the time for writing the state of a run
# What a training or a study writes under the folder's lock, whole or not at all. Other commands write the reports.
WRITTEN = {
    ".": ("best_model.pt", CONFIG_FILE, "result.json"),
    "checkpoints": ("last.pt",),
    "logs": ("metrics.jsonl",),
    "samples": ("step_*.txt",),
}


def locked(output: Path) -> AbstractContextManager[None]:
    """Lock the folder for one training, see ``files.locked``."""
    return files.locked(output, "training", WRITTEN)


def check_begun(output: Path) -> None:
    """Raise UserError unless ``output`` holds the state of a run that ``--resume`` can go on with."""
    path = output / "checkpoints" / "last.pt"
    if not path.exists():
        raise UserError(f"nothing to resume: there is no {path}; train without --resume first")


def move_aside(output: Path, *members: str) -> Path | None:
    """Move an earlier run in ``output`` to ``output/earlier/<its date>`` and return that folder; None without a run.

    ``members``: names of folders that are part of it.
    """
    present = [output / name for name in (*PARTS, *FILES, *members) if (output / name).exists()]
    if not present:
        return None
    newest = max(path.stat().st_mtime for path in present)
    stamp, number = max([(stamp_of(newest), 1), *(_after(path.name) for path in (output / ASIDE).glob("*"))])
    target = output / ASIDE / (f"{stamp}_{number}" if number > 1 else stamp)
    make_folder(target)
    for path in present:
        shutil.move(path, target / path.name)
    return target


def stamp_of(seconds: float) -> str:
    """The name of an earlier run that ended so many seconds after the epoch."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d_%H%M%S")


def place_in_order(name: str) -> tuple[str, int] | None:
    """Sorts earlier runs by their names, as they were moved aside; None for a name that ``move_aside`` did not give."""
    match = _STAMP.fullmatch(name)
    return match and (match[1], int(match[2] or 1))


def _after(name: str) -> tuple[str, int]:
    """The place after an earlier run, which a run takes that ended no later by a clock that was set back."""
    stamp, number = place_in_order(name) or ("", 0)
    return stamp, number + 1


def best_models(path: Path) -> list[Path]:
    """The checkpoints that ``path`` names: itself, or those of the run (or student) and of the members in that folder.

    Raises UserError for a folder without any.
    """
    if not path.is_dir():
        return [path]
    own, members = path / "best_model.pt", sorted(path.glob("member-*/best_model.pt"))
    if not own.is_file() and not members:
        raise UserError(f"{path} holds no trained model: neither best_model.pt nor member-*/best_model.pt")
    return [own, *members] if own.is_file() else members


class Saving:
    """Calls ``write`` when asked, unless the last time was so recent that writing would take over SAVING_SHARE.

    The state of a run is several times as large as its weights: writing it after each of many short epochs of a large
    model would take far longer than the epochs. A crash loses at most nine times the seconds of one writing.
    """

    def __init__(self, write: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.write, self.clock = write, clock
        self._next = clock()

    def when_due(self) -> None:
        """Write now if enough time has passed."""
        began = self.clock()
        if began < self._next:
            return
        self.write()
        ended = self.clock()
        self._next = ended + (ended - began) * (1 - SAVING_SHARE) / SAVING_SHARE
