"""Kill commands at random instants or starve them: nothing may be lost, half-written or in the way of the next start.

    python -m tests.storm.storm --trials 200                  # of each kind
    python -m tests.storm.storm --trials 50 --seed 7 train    # of one kind, by other instants

Each command runs in a fork of this process, which has torch loaded already, so a trial takes what the work takes. A
kind is tried until it has had so many kills; a failure is printed with the seed of its round, and the exit code is 1.
"""

import argparse
import faulthandler
import importlib
import json
import logging
import math
import os
import pkgutil
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # torch's optimisers load it at their first use: half the time of a small run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tiny_diffusion
from tests.conftest import make_book
from tiny_diffusion.checkpoint import load_checkpoint, load_plain
from tiny_diffusion.cli import main as program
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.text_quality import coherence
from tiny_diffusion.exchange.folder import read_folder

# All is loaded before the forks, but for the file that is meant for another program.
for _module in pkgutil.walk_packages(tiny_diffusion.__path__, "tiny_diffusion."):
    if "modeling" not in _module.name and not _module.name.endswith("__main__"):
        importlib.import_module(_module.name)
coherence._general_words("en")  # a third of a small evaluation
logging.getLogger("tensorboard").setLevel(logging.ERROR)  # a run that goes on is no fault

SMALL = {
    "model.d_model": 32, "model.n_layers": 1, "model.n_heads": 1, "model.d_ff": 32, "model.context": 32,
    "model.vocab_level": 1, "training.threads": 1, "training.device": "cpu", "training.batch_size": 32,
    "training.tensorboard": "true", "training.eval_every_epochs": 1, "training.micro_batch_size": 16,
    "training.sample_every_epochs": 2, "generation.steps": 4, "generation.length": 24,
}  # fmt: skip
EPOCHS = {"curriculum.stages[0].epochs": 2, "curriculum.stages[1].epochs": 2, "curriculum.stages[2].epochs": 4}
VARIANTS: dict[str, dict[str, object]] = {
    "dual": {},
    "learning from itself": {"training.self_training_share": 0.2, "curriculum.dynamic_scoring": "true"},
    "diffusion": {"training.objective": "diffusion", "model.dual": "false", "training.early_stopping_patience": 2},
    "taught": {"training.teachers": '["teacher.pt"]', "training.teacher_share": 0.5},
}
SAVING = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
INTERRUPTED = 130
PATIENCE = 300  # seconds until the first step, on a machine that is busy
DAY = 86_400.0  # seconds
TELL = 20  # kills, after which a line tells how far the storm is
MOST_KILLS = 5  # in one round, after which it may end


class Broken(AssertionError):
    """A promise was not kept."""


def check(holds: object, what: str) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(what)


def leftovers(folder: Path) -> list[str]:
    """Temporary files below ``folder``, which a killed writer leaves and the next start must remove."""
    return [str(path.relative_to(folder)) for path in folder.rglob(".*") if path.is_file() and path.name != ".lock"]


@dataclass
class Child:
    """A command in a fork of this process; its output goes to the file ``said``."""

    pid: int
    said: Path
    began: float = field(default_factory=time.monotonic)
    started: float = field(default_factory=time.time)

    @classmethod
    def start(
        cls,
        folder: Path,
        *arguments: object,
        limits: Mapping[int, int] | None = None,
        uid: int | None = None,
        shift: float = 0.0,
    ) -> "Child":
        """Begin a command in ``folder``, under ``limits`` of the system's resources, as the user ``uid``.

        ``shift``: seconds that its clock is fast, and slow in every other second of its time.
        """
        said = folder.parent / f"{folder.name}.said"
        said.touch()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.chdir(folder)
                out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                for stream in (1, 2):
                    os.dup2(out, stream)
                faulthandler.enable()  # a segmentation fault says where
                for resource_, most in (limits or {}).items():
                    resource.setrlimit(resource_, (most, most))
                if uid is not None:
                    os.setuid(uid)
                if shift:
                    now = time.time
                    time.time = lambda: now() + (shift if time.monotonic() % 2 < 1 else -shift)
                program([str(argument) for argument in arguments])
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 0
            except BaseException:  # noqa: B036  # what a user would see
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        return cls(pid, said)

    def wait(self) -> int:
        """Its exit code, negative after a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def ended(self) -> int | None:
        """Its exit code if it has ended."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def strike(self, after: float, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal ``after`` so many seconds, unless it has ended by then; returns its exit code."""
        while (left := self.began + after - time.monotonic()) > 0:
            if (code := self.ended()) is not None:
                return code
            time.sleep(min(0.002, left))
        os.kill(self.pid, number)
        return self.wait()


class Storm:
    """Trials of all kinds in ``place``, on a made-up book; ``kills`` counts those that hit running work."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.kills: Counter[str] = Counter()
        (place / "book.txt").write_text(make_book(16_000), encoding="utf-8")
        self._finished: dict[str, tuple[Path, float]] = {}

    def rage(self, kind: str, trials: int, seed: int = 0, seconds: float = math.inf) -> list[str]:
        """Rounds of one kind until ``trials`` kills hit running work, or for ``seconds``; returns what was broken."""
        failures, number, end = [], seed, time.monotonic() + seconds
        while (before := self.kills[kind]) < trials and time.monotonic() < end:
            try:
                getattr(self, kind)(random.Random(number))
            except Broken as error:
                failures.append(f"{kind}, round of seed {number}: {error}")
                print(failures[-1], flush=True)
            number += 1
            if before // TELL < self.kills[kind] // TELL:
                print(f"{kind}: {self.kills[kind]} kills, {len(failures)} failures so far", flush=True)
            kept = {path.parent for path, _ in self._finished.values()}
            for folder in (path for path in self.place.glob("tmp*") if path.is_dir() and path not in kept):
                shutil.rmtree(folder)
        print(f"{kind}: {self.kills[kind]} kills in {number - seed} rounds, {len(failures)} failures", flush=True)
        return failures

    def run(self, folder: Path, *arguments: object, shift: float = 0.0) -> float:
        """Run a command to its end, which must be a good one; returns its seconds."""
        child = Child.start(folder, *arguments, shift=shift)
        code = child.wait()
        check(code == 0, f"{arguments[0]} ended with {code}: {child.said.read_text()[-500:]}")
        return time.monotonic() - child.began

    def fresh(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.place))

    @cached_property
    def prepared(self) -> tuple[Path, float]:
        """The prepared book, and the seconds that it took."""
        folder = self.place / "data"
        return folder, self.run(self.place, "prepare", "--book", self.place / "book.txt", "--output", folder)

    @cached_property
    def checkpoint(self) -> Path:
        return self.finished("dual")[0] / "best_model.pt"

    def training(self, variant: str, epochs: Mapping[str, object] = EPOCHS) -> list[object]:
        """The arguments of a training."""
        given = ["--config", "smoke", "--data-dir", self.prepared[0], "--output", "run"]
        return ["train", *given, *flags({**SMALL, **VARIANTS[variant], **epochs})]

    def finished(self, variant: str) -> tuple[Path, float]:
        """The folder of an uninterrupted run, and its seconds."""
        if variant not in self._finished:
            folder = self._place_of(variant)
            self._finished[variant] = folder / "run", self.run(folder, *self.training(variant))
        return self._finished[variant]

    def _place_of(self, variant: str) -> Path:
        folder = self.fresh()
        if variant == "taught":
            shutil.copy(self.checkpoint, folder / "teacher.pt")
        return folder

    # Each kind is one round: some kills, then the work to its end, and a comparison with what was never disturbed.

    def prepare(self, draw: random.Random) -> None:
        """Prepare anew, or over an older preparation of other settings."""
        good, seconds = self.prepared
        folder, arguments = self.fresh(), ["prepare", "--book", self.place / "book.txt", "--output", "data"]
        if draw.random() < 0.5:
            self.run(folder, *arguments, "--pipeline.vocab_size", 600)
        for _ in range(draw.randint(1, 3)):
            self.kills["prepare"] += Child.start(folder, *arguments, "--force").strike(draw.uniform(0, seconds)) < 0
            try:
                load_processed(folder / "data")
            except UserError as error:
                check("no prepared book" in str(error), f"half of a preparation was taken for whole: {error}")
        self.run(folder, *arguments)
        for path in (path for path in good.rglob("*") if path.is_file()):
            same = (folder / "data" / path.relative_to(good)).read_bytes() == path.read_bytes()
            check(same, f"{path.name} is not what an undisturbed preparation writes")
        check(not leftovers(folder), f"left behind: {leftovers(folder)}")

    def train(self, draw: random.Random) -> None:
        """Train and resume, killed at each start."""
        self._train(draw, "train", lambda child, after: child.strike(after))

    def clock(self, draw: random.Random) -> None:
        """Train and resume, killed at each start, with a clock that is set every second."""
        self._train(draw, "clock", lambda child, after: child.strike(after), shift=DAY)

    def signals(self, draw: random.Random) -> None:
        """Train and resume, stopped by a signal after the first step of each start."""

        def stop(child: Child, after: float) -> int:
            how = draw.choice(SAVING)
            log = child.said.with_suffix("") / "run" / "logs" / "metrics.jsonl"
            while last_time(log) < child.started:
                if (code := child.ended()) is not None:  # there was no step left to take
                    check(code == 0, f"it ended with {code}: {child.said.read_text()[-500:]}")
                    return code
                check(time.time() < child.started + PATIENCE, f"no step yet: {child.said.read_text()[-500:]}")
                time.sleep(0.005)
            child.began = time.monotonic()
            code, said = child.strike(after, how), child.said.read_text()
            saved = code == INTERRUPTED and "stopped after step" in said
            ended = code == 0 or (code in (-how, INTERRUPTED) and "best validation" in said)
            check(saved or ended, f"{how.name} ended it with {code}: {said[-300:]}")
            return -1 if saved else code

        self._train(draw, "signals", stop)

    def removed(self, draw: random.Random) -> None:
        """Train until the folder of the run is removed: it ends with one line, and the next start is not hindered."""
        good, seconds = self.finished("dual")
        folder, arguments = self.fresh(), self.training("dual")
        child, output = Child.start(folder, *arguments), folder / "run"
        while time.monotonic() < child.began + seconds and not output.exists():
            time.sleep(0.002)
        time.sleep(draw.uniform(0, seconds))
        while output.exists():  # a save may write into it anew
            shutil.rmtree(output, ignore_errors=True)
        code, said = child.wait(), child.said.read_text()
        self.kills["removed"] += code != 0
        check(code == 0 or _told(code, said, "removed", "cannot write"), f"it ended with {code}: {said[-600:]}")
        last = output / "checkpoints" / "last.pt"
        self.run(folder, *arguments, *(["--resume"] if last.exists() else []))
        difference = unlike(load_plain(good / "checkpoints" / "last.pt"), load_plain(last))
        check(difference is None, f"the state differs from the undisturbed run's at {difference}")
        check(not leftovers(output), f"left behind: {leftovers(output)}")

    def disk(self, draw: random.Random) -> None:
        """Train while no file may grow beyond a random size, as on a full disk."""
        self._short(draw, "disk", lambda: {resource.RLIMIT_FSIZE: int(10 ** draw.uniform(3.9, 6))}, "cannot write")

    def memory(self, draw: random.Random) -> None:
        """Train while the process may take only so many bytes more."""

        def limit() -> dict[int, int]:
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            return {resource.RLIMIT_AS: taken + int(10 ** draw.uniform(8, 9.2))}

        self._short(draw, "memory", limit, "memory")

    def _short(self, draw: random.Random, kind: str, limits: Callable[[], dict[int, int]], words: str) -> None:
        """Train under limits: it ends with one line and code 1, and the last good state goes on."""
        good, _ = self.finished("dual")
        folder, arguments = self.fresh(), self.training("dual")
        last = folder / "run" / "checkpoints" / "last.pt"
        for number in range(draw.randint(2, 4)):
            resume = ["--resume"] if last.exists() else []
            if number % 2:  # a state to lose
                Child.start(folder, *arguments, *resume).strike(draw.uniform(0, self.finished("dual")[1]))
                continue
            child = Child.start(folder, *arguments, *resume, limits=limits())
            code, said = child.wait(), child.said.read_text()
            self.kills[kind] += code != 0
            check(code == 0 or _told(code, said, words), f"it ended with {code}: {said[-600:]}")
        self.run(folder, *arguments, *(["--resume"] if last.exists() else []))
        difference = unlike(load_plain(good / "checkpoints" / "last.pt"), load_plain(last))
        check(difference is None, f"the state differs from the undisturbed run's at {difference}")
        check(not leftovers(folder / "run"), f"left behind: {leftovers(folder / 'run')}")

    def _train(self, draw: random.Random, kind: str, strike: Callable[[Child, float], int], shift: float = 0.0) -> None:
        variant = draw.choice([*VARIANTS])
        good, seconds = self.finished(variant)
        folder, arguments = self._place_of(variant), self.training(variant)
        output, last = folder / "run", folder / "run" / "checkpoints" / "last.pt"
        for _ in range(draw.randint(1, MOST_KILLS)):
            resume = ["--resume"] if last.exists() else []
            child = Child.start(folder, *arguments, *resume, shift=draw.uniform(-shift, shift))
            code = strike(child, draw.uniform(0, seconds))
            self.kills[kind] += code < 0
            if code == 0:  # the run is finished
                break
            if last.exists():
                load_plain(last)
            if (output / "best_model.pt").exists():
                load_checkpoint(output / "best_model.pt")
        resume = ["--resume"] if last.exists() else []
        self.run(folder, *arguments, *resume, shift=draw.uniform(-shift, shift))
        for name in ("checkpoints/last.pt", "best_model.pt"):
            difference = unlike(load_plain(good / name), load_plain(output / name))
            check(difference is None, f"{variant}: {name} differs from the undisturbed run's at {difference}")
        for name, read in (("the log", rows), ("TensorBoard", curves)):
            difference = unlike(read(good), read(output))
            check(difference is None, f"{variant}: {name} differs from the undisturbed run's at {difference}")
        check(not leftovers(output), f"left behind: {leftovers(output)}")

    def members(self, draw: random.Random) -> None:
        """Train two members and their student; what is finished stays, the killed one goes on, the others begin."""
        short = {key: 1 for key in EPOCHS}
        arguments = [*self.training("dual", short | {"training.student_epochs": 1}), "--seeds", 2, "--student"]
        if "members" not in self._finished:
            folder = self.fresh()
            self._finished["members"] = folder / "run", self.run(folder, *arguments)
        good, seconds = self._finished["members"]
        folder = self.fresh()

        def resume() -> list[str]:
            return ["--resume"] if (folder / "run" / "member-0" / "checkpoints" / "last.pt").exists() else []

        for _ in range(draw.randint(1, MOST_KILLS)):
            child = Child.start(folder, *arguments, *resume())
            self.kills["members"] += child.strike(draw.uniform(0, seconds)) < 0
        self.run(folder, *arguments, *resume())
        for name in ("member-0/best_model.pt", "member-1/best_model.pt", "best_model.pt"):
            difference = unlike(load_plain(good / name), load_plain(folder / "run" / name))
            check(difference is None, f"{name} differs from the undisturbed one at {difference}")
        check(not leftovers(folder / "run"), f"left behind: {leftovers(folder / 'run')}")

    def study(self, draw: random.Random) -> None:
        """Compare schedules; the same command goes on."""
        shape = {key: value for key, value in SMALL.items() if key.startswith(("model.", "training."))}
        unread = ("training.tensorboard", "training.sample_every_epochs")
        given = flags({key: value for key, value in shape.items() if key not in unread})
        command = ["ablation", "--config", "smoke", "--epochs", 8, "--data-dir", self.prepared[0], *given]
        if "study" not in self._finished:
            folder = self.fresh()
            self._finished["study"] = folder / "found", self.run(folder, *command, "--output", "found")
        good, seconds = self._finished["study"]
        folder = self.fresh()
        for _ in range(draw.randint(1, MOST_KILLS)):
            child = Child.start(folder, *command, "--output", "found")
            self.kills["study"] += child.strike(draw.uniform(0, seconds)) < 0
        self.run(folder, *command, "--output", "found")
        check(
            untimed(good / "ablation.json") == untimed(folder / "found" / "ablation.json"),
            "the figures are not those of an undisturbed study",
        )
        check(not leftovers(folder / "found"), f"left behind: {leftovers(folder / 'found')}")

    def folder(self, draw: random.Random) -> None:
        """Export over the folder of another model: after a kill it is the one, the other, or refused."""
        other = self.finished("taught")[0] / "best_model.pt"
        models = [load_checkpoint(path).weights for path in (self.checkpoint, other)]
        folder = self.fresh()

        def export(path: Path) -> list[object]:
            return ["export", "--checkpoint", path, "--to", "model"]

        seconds = self.run(folder, *export(other))
        for _ in range(draw.randint(1, 3)):
            self.kills["folder"] += Child.start(folder, *export(self.checkpoint)).strike(draw.uniform(0, seconds)) < 0
            try:
                found = read_folder(folder / "model")
            except UserError:
                continue
            check(any(unlike(found.weights, each) is None for each in models), "the folder holds neither model")
            losses = [load_checkpoint(path).meta for path in (self.checkpoint, other)]
            index = [unlike(found.weights, each) is None for each in models].index(True)
            check(found.meta == losses[index], "the folder's settings are of one model and its weights of another")
        self.run(folder, *export(self.checkpoint))
        check(unlike(read_folder(folder / "model").weights, models[0]) is None, "the export is not the model")
        check(not leftovers(folder / "model"), f"left behind: {leftovers(folder / 'model')}")

    def evaluate(self, draw: random.Random) -> None:
        """Measure, killed on the way; finished parts may be kept, and the figures are the same."""
        given = ["--checkpoint", self.checkpoint, "--data-dir", self.prepared[0], "--eval-samples", 4]
        self._command(draw, "evaluate", ["evaluate", "--fast", *given], "found.json", untimed)

    def infill(self, draw: random.Random) -> None:
        """Write into a file that holds something already."""
        command = ["infill", "The old ____ carried the lantern.", "--checkpoint", self.checkpoint, "--steps", 4]
        self._command(draw, "infill", command, "found.txt", Path.read_text)

    def export(self, draw: random.Random) -> None:
        """Save the animation of a text."""
        command = ["generate", "--checkpoint", self.checkpoint, "--length", 24, "--steps", 4]
        self._command(draw, "export", command, "found.html", Path.read_text, option="--html")

    def _command(
        self,
        draw: random.Random,
        kind: str,
        command: list[object],
        name: str,
        read: Callable[[Path], Any],
        option: str = "--output",
    ) -> None:
        if kind not in self._finished:
            folder = self.fresh()
            self._finished[kind] = folder / name, self.run(folder, *command, option, name)
        good, seconds = self._finished[kind]
        folder = self.fresh()
        (folder / name).write_text("old")
        for _ in range(draw.randint(1, 3)):
            self.kills[kind] += Child.start(folder, *command, option, name).strike(draw.uniform(0, seconds)) < 0
            whole = (folder / name).read_text() == "old" or read(folder / name) == read(good)
            check(whole, f"{name} is neither what it was nor what was to be written")
        self.run(folder, *command, option, name)
        check(read(folder / name) == read(good), f"{name} is not what an undisturbed command writes")
        check(not leftovers(folder), f"left behind: {leftovers(folder)}")


def _told(code: int, said: str, *words: str) -> bool:
    """Whether a command ended with exit code 1 and a last line that names the error by one of the ``words``."""
    line = said.strip().splitlines()[-1] if said.strip() else ""
    return code == 1 and line.startswith("error: ") and any(w in line for w in words) and "Traceback" not in said


def flags(changes: Mapping[str, object]) -> list[str]:
    """Settings as arguments."""
    return [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]


def last_time(log: Path) -> float:
    """When the last whole line of a run's log was written; 0 without one."""
    lines = log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []
    return float(json.loads(lines[-1])["time"]) if lines else 0.0


def untimed(path: Path) -> Any:
    """A file of results without what the clock and the place say."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            timed = ("second", "checkpoint", "folder")
            return {key: plain(part) for key, part in value.items() if not any(word in key for word in timed)}
        return [plain(part) for part in value] if isinstance(value, list) else value

    return plain(json.loads(path.read_text()))


def rows(output: Path) -> list[dict]:
    """The run's log, without times, and without the ends of its parts."""
    lines = (output / "logs" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = [row for row in map(json.loads, lines) if not (row["event"] == "Finished" and row["interrupted"])]
    timed = ("time", "elapsed", "seconds", "path", "checkpoint")
    return [{key: value for key, value in row.items() if key not in timed} for row in found]


def curves(output: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of the run."""
    board = EventAccumulator(str(output / "tensorboard"), {"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def unlike(one: object, other: object, name: str = "") -> str | None:
    """Where two saved states differ; None if they are the same to the bit."""
    if isinstance(one, torch.Tensor):
        return None if isinstance(other, torch.Tensor) and torch.equal(one, other) else name
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        found = (unlike(one[key], other[key], f"{name}/{key}") for key in one)
        return next((each for each in found if each is not None), None)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        found = (unlike(a, b, f"{name}/{i}") for i, (a, b) in enumerate(zip(one, other, strict=True)))
        return next((each for each in found if each is not None), None)
    return None if one == other else f"{name}: {str(one)[:160]} and {str(other)[:160]}"


KINDS = (
    "prepare", "train", "clock", "members", "study", "signals", "disk", "memory", "evaluate", "infill", "export",
    "folder", "removed",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=KINDS)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="for each kind, at most")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        storm = Storm(Path(place))
        failures = [storm.rage(kind, given.trials, given.seed, 60 * given.minutes) for kind in given.kinds]
    return int(any(failures))


if __name__ == "__main__":
    sys.exit(main())
