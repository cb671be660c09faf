"""Run commands where the disk is full or has a quota, may only be read, has no room for a file, or memory is short.

    python -m tests.storm.world full inodes read_only memory   # as root on Linux: it mounts small file systems
    python -m tests.storm.world quota                          # needs the tools of btrfs

Each command must end well, or with one line and exit code 1 (2 where the user has no right to write); what stood at
its output before is kept whole. Prints a line for each kind of trouble.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from tests.storm.endure import WISH
from tests.storm.storm import Broken, Child, Storm, check, flags, leftovers
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.exchange.folder import read_folder

NOBODY = 65534
ROOM = (0, 8_192, 65_536, 262_144)  # bytes that are left
INODES = (0, 1, 2, 4)  # files that are left
EMPTY = 16_384  # bytes that a folder of btrfs takes
OLD, FILES = b"old", ("file.html", "file.txt", "file.json")


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A small file system in memory, which ends with the block."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=777,{options}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextmanager
def with_quota(place: Path, room: int) -> Iterator[Path]:
    """A folder of a file system that has room, with a quota of ``room`` bytes."""
    image, disk, folder = place / "disk.img", place / "disk", place / "disk" / "home"
    disk.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(200_000_000)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)
    try:
        for words in (["quota", "enable", disk], ["subvolume", "create", folder]):
            subprocess.run(["btrfs", *words], check=True, stdout=subprocess.DEVNULL)
        with_old(folder)
        subprocess.run(["btrfs", "qgroup", "limit", str(EMPTY + room), folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def with_old(folder: Path) -> None:
    """Something that stands at the outputs before."""
    for name in FILES:
        (folder / name).write_bytes(OLD)


def whole(path: Path) -> bool:
    """Whether a file is what it was, or a result: an evaluation writes its report after it."""
    if path.read_bytes() == OLD:
        return True
    try:
        return path.suffix == ".json" and "version" in json.loads(path.read_bytes())
    except ValueError:
        return False


class World:
    """The commands that write, each with the check that what it left is whole."""

    def __init__(self, place: Path, seed: int) -> None:
        self.storm, self.place, self.seed = Storm(place), place, seed
        self.trials = self.met = self.failed = 0
        data, checkpoint = self.storm.prepared[0], self.storm.checkpoint
        text = ["--checkpoint", checkpoint, "--length", 24, "--steps", 4]
        subprocess.run(["chmod", "-R", "a+rX", place], check=True)  # for the user who may read only
        study = flags({"model.d_model": 32, "model.n_heads": 1, "model.context": 32, "training.threads": 1})
        self.commands: dict[str, list[object]] = {
            "prepare": ["prepare", "--book", place / "book.txt", "--output", "out", "--force"],
            "train": self.storm.training("dual"),
            "study": ["ablation", "--config", "smoke", "--epochs", 8, "--data-dir", data, "--output", "out", *study],
            "generate": ["generate", *text, "--html", "file.html"],
            "infill": ["infill", "The ____ lantern.", *text[:2], "--steps", 4, "--output", "file.txt"],
            "evaluate": [
                "evaluate",
                "--fast",
                *text[:2],
                "--data-dir",
                data,
                "--eval-samples",
                2,
                "--output",
                "file.json",
            ],
            "export": ["export", *text[:2], "--to", "out"],
        }

    def trouble(
        self, what: str, name: str, folder: Path, codes: tuple[int, ...] = (0, 1), uid: int | None = None
    ) -> None:
        """Run a command in ``folder``; prints what was broken."""
        self.trials += 1
        child = Child.start(folder, *self.commands[name], uid=uid)
        code, said = child.wait(), child.said.read_text()
        self.met += code != 0
        try:
            errors = [line for line in said.splitlines() if line.startswith("error: ")]
            check(code in codes and "Traceback" not in said, f"it ended with {code}: {said[-700:]}")
            check(code == 0 or len(errors) == 1, f"it told {len(errors)} errors: {said[-500:]}")
            check(
                code == 0 or all(whole(folder / file) for file in FILES),
                "a file is neither what it was nor what was to be written",
            )
            readers: dict[str, Callable[[Path], object]] = {"prepare": load_processed, "export": read_folder}
            if code and name in readers and (folder / "out").exists():
                try:
                    readers[name](folder / "out")
                except UserError as error:
                    check("no prepared book" in str(error) or "holds no config" in str(error), f"half of it: {error}")
            check(not leftovers(folder), f"left behind: {leftovers(folder)}")
        except Broken as error:
            self.failed += 1
            print(f"{what}, {name}: {error}", flush=True)

    def full(self) -> None:
        """No room on the disk."""
        for name in self.commands:
            for room in ROOM:
                with mounted(self.place / "disk", "size=1m") as folder:
                    with_old(folder)
                    with (folder / "filling").open("wb") as file:
                        status = os.statvfs(folder)
                        file.write(bytes(max(0, status.f_bavail * status.f_frsize - room)))
                    self.trouble(f"{room:,} bytes left", name, folder)

    def inodes(self) -> None:
        """No room for another file."""
        for name in self.commands:
            for left in INODES:
                with mounted(self.place / "disk", "nr_inodes=40") as folder:
                    with_old(folder)
                    for number in range(os.statvfs(folder).f_favail - left):
                        (folder / f"filling{number}").touch()
                    self.trouble(f"room for {left} files", name, folder)

    def quota(self) -> None:
        """A quota of the user."""
        for name in self.commands:
            for room in ROOM:
                with with_quota(self.place, room) as folder:
                    self.trouble(f"a quota of {room:,} bytes", name, folder)

    def read_only(self) -> None:
        """A disk that may only be read, and a folder in which another user may not write."""
        for name in self.commands:
            with mounted(self.place / "disk", "size=1m") as folder:
                with_old(folder)
                folder.chmod(0o555)
                self.trouble("a folder of another user", name, folder, (2,), uid=NOBODY)
                subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
                self.trouble("a disk that may only be read", name, folder, (1, 2))

    def memory(self) -> None:
        """Little memory, for texts, measurements and the page."""
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        draw = random.Random(self.seed)
        for name in ("prepare", "generate", "infill", "evaluate", "export"):
            for _ in range(6):
                folder = self.storm.fresh()
                with_old(folder)
                limit = {resource.RLIMIT_AS: taken + int(10 ** draw.uniform(7.5, 9.2))}
                self.trials += 1
                child = Child.start(folder, *self.commands[name], limits=limit)
                code, said = child.wait(), child.said.read_text()
                self.met += code != 0
                line = said.strip().splitlines()[-1] if said.strip() else ""
                if not (code == 0 or (code == 1 and line.startswith("error: ") and "Traceback" not in said)):
                    self.failed += 1
                    print(f"memory, {name}: it ended with {code}: {said[-900:]}", flush=True)
        for more in (30e6, 60e6, 120e6):
            self._page({resource.RLIMIT_AS: taken + int(more)})

    def _page(self, limits: dict[int, int]) -> None:
        """A page that runs out of memory tells its reader so, and goes on."""
        self.trials += 1
        folder = self.storm.fresh()
        text = "The old sailor carried the lantern. " * 200
        wish = str({**WISH, "text": text, "settings": {"length": 400, "steps": 50, "num_samples": 4}}).replace("'", '"')
        child = Child.start(folder, "serve", "--port", 0, "--checkpoint", self.storm.checkpoint, limits=limits)
        while "http://" not in child.said.read_text() and os.waitpid(child.pid, os.WNOHANG)[0] == 0:
            time.sleep(0.1)
        said = child.said.read_text()
        self.met += "http://" not in said
        if "http://" not in said:
            told = said.strip().splitlines()[-1:] and "Traceback" not in said
            print(f"the page did not open: {said.strip()[-300:]}", flush=True)
            self.failed += not told
            return
        link = said[said.index("http://") :].split()[0]
        try:
            request = urllib.request.Request(link + "api/write", wish.encode(), {"content-type": "application/json"})
            answer = urllib.request.urlopen(request, timeout=300).read()
            alive = urllib.request.urlopen(link + "api/start", timeout=60).status == 200
        except (OSError, urllib.error.URLError) as error:
            answer, alive = str(error).encode(), False
        self.met += b"event: failed" in answer
        ended = b"event: done" in answer or (b"event: failed" in answer and b"memory" in answer)
        said = child.said.read_text()
        if not (alive and ended and "Traceback" not in said):
            self.failed += 1
            print(f"memory, page: {answer[-300:]!r}; {said[-600:]}", flush=True)
        os.kill(child.pid, 9)
        child.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=["full", "inodes", "read_only", "memory"])
    parser.add_argument("--seed", type=int, default=0, help="of the limits of memory")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place), given.seed)
        for kind in given.kinds:
            before = world.trials, world.met, world.failed
            getattr(world, kind)()
            trials, met, failed = (
                now - then for now, then in zip((world.trials, world.met, world.failed), before, strict=True)
            )
            print(f"{kind}: {trials} trials, of which {met} met their end, {failed} failures", flush=True)
    return int(world.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
