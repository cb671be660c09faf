"""Train, write and serve side by side for hours on a small model, and note what grows: nothing may.

    python -m tests.storm.endure --hours 6 --notes endure.jsonl

Three programs run at once: a training without end, a session of ``generate --interactive`` that is asked again and
again, and the page, which follows the training, writes, and loses every tenth of its readers. Each interval is one line
of the notes; the first, middle and last are printed. Work is told in milliseconds of the processor, since other
programs share the machine. The exit code is 1 if one of the three ended by itself.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from tests.conftest import make_book
from tests.storm.storm import SMALL

PAUSE = 0.2  # seconds between two texts
ANSWER = 3600  # seconds for one, on a machine that may be busy
SECONDS_OF_TICK = 1 / os.sysconf("SC_CLK_TCK")
WISH = {"task": "continue", "text": "The old sailor", "settings": {"length": 24, "steps": 8}}


class Program:
    """A command of ours, with what it did since the last look."""

    def __init__(self, place: Path, name: str, *arguments: object) -> None:
        self.name, self.done, self._seen = name, 0, (0, 0.0)
        self.said = place / f"{name}.said"
        command = [sys.executable, "-m", "tiny_diffusion", *map(str, arguments)]
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                command, cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
            )

    def look(self) -> dict[str, object]:
        """Memory in MB, open files, threads, and the processor's milliseconds for each piece of work since before."""
        here = Path(f"/proc/{self.process.pid}")
        status = (here / "status").read_text()
        ticks = sum(map(int, (here / "stat").read_text().rpartition(")")[2].split()[11:13]))
        done, seconds = self.done, ticks * SECONDS_OF_TICK
        before, self._seen = self._seen, (done, seconds)
        work = done - before[0]
        return {
            "rss_mb": round(int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024, 1),
            "files": len(list((here / "fd").iterdir())),
            "threads": int(re.findall(r"Threads:\s+(\d+)", status)[0]),
            "done": done,
            "ms": round(1000 * (seconds - before[1]) / work, 2) if work else None,
        }


def converse(session: Program, over: threading.Event) -> None:
    """Ask the session for a text, and wait for all of it, until all is over."""
    asked, answers = session.process.stdin, session.process.stdout
    assert asked is not None and answers is not None
    while not over.wait(PAUSE):
        print("The old sailor", file=asked, flush=True)
        print("//end", file=asked, flush=True)  # a prompt of "/end", whose text shows that the one before has ended
        for line in answers:
            if line.startswith("/end"):
                break
        session.done += 1


def visit(page: Program, over: threading.Event) -> None:
    """Open the page, follow the training, and write; every tenth stream is left after its first piece."""
    assert page.process.stdout is not None
    link = next(found[0] for line in page.process.stdout if (found := re.findall(r"http://[^\s]+/", line)))
    body = json.dumps(WISH).encode()
    while not over.wait(PAUSE):
        for path in ("", "api/start", "api/runs/0"):
            urllib.request.urlopen(link + path, timeout=ANSWER).read()
        asked = urllib.request.Request(link + "api/write", body, {"content-type": "application/json"})
        with urllib.request.urlopen(asked, timeout=ANSWER) as stream:
            first = stream.readline()
            if page.done % 10:
                events = first + stream.read()
                assert b"event: done" in events, events[-300:]
        page.done += 1


def last_step(log: Path) -> int:
    """The last step that the log tells whole."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        steps = re.findall(rb'"event": "StepDone".*?"step": (\d+),.*\n', file.read())
    return int(steps[-1]) if steps else 0


def size(folder: Path) -> tuple[int, int]:
    """Files in a folder and below, and their bytes."""
    found = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(found), sum(found)


def endure(place: Path, hours: float, interval: float, notes: Path) -> list[dict]:
    """Run the three programs side by side; returns the notes of all intervals."""
    (place / "book.txt").write_text(make_book(60_000), encoding="utf-8")
    program = [sys.executable, "-m", "tiny_diffusion"]
    subprocess.run([*program, "prepare", "--book", "book.txt", "--output", "data"], cwd=place, check=True)
    changes = {**SMALL, "training.sample_every_epochs": 50}
    flags = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    training = ["train", "--config", "smoke", "--data-dir", "data", *flags, "--output"]
    subprocess.run([*program, *training, "first"], cwd=place, check=True, stdout=subprocess.DEVNULL)
    writing = ["--checkpoint", "first/best_model.pt", "--length", 24, "--steps", 8]
    endless = ["run", "--set", "curriculum.stages[2].epochs=1000000"]
    programs = [
        Program(place, "training", *training, *endless),
        Program(place, "session", "generate", "--interactive", *writing),
    ]
    log = place / "run" / "logs" / "metrics.jsonl"
    while not log.exists() or not last_step(log):
        assert programs[0].process.poll() is None, programs[0].said.read_text()[-500:]
        time.sleep(0.5)
    serve = ["serve", "--port", 0, "--checkpoint", "run/best_model.pt", "--checkpoint", "first/best_model.pt"]
    programs.append(Program(place, "page", *serve))
    over = threading.Event()
    users = [
        threading.Thread(target=use, args=(each, over))
        for use, each in zip((converse, visit), programs[1:], strict=True)
    ]
    for user in users:
        user.start()
    found, began = [], time.monotonic()
    try:
        while time.monotonic() - began < 3600 * hours:
            time.sleep(interval)
            programs[0].done = last_step(log)
            files, total = size(place / "run")
            ended = [each for each in programs if each.process.poll() is not None]
            if ended or not all(user.is_alive() for user in users):
                print("ended by itself:", *(each.said.read_text()[-2000:] for each in ended or programs))
                break
            row: dict = {"seconds": round(time.monotonic() - began), "load": os.getloadavg()[0]}
            row |= {"log_bytes": log.stat().st_size, "run_files": files, "run_bytes": total}
            row |= {each.name: each.look() for each in programs}
            found.append(row)
            with notes.open("a", encoding="utf-8") as file:
                print(json.dumps(row), file=file)
    finally:
        over.set()
        for user in users:
            user.join()
        for each in programs:
            each.process.kill()
            each.process.wait()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=6)
    parser.add_argument("--interval", type=float, default=60, help="seconds")
    parser.add_argument("--notes", type=Path, default=Path("endure.jsonl"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = endure(Path(place), given.hours, given.interval, given.notes)
    for row in (found[0], found[len(found) // 2], found[-1]):
        print(json.dumps(row, indent=1))
    return int(found[-1]["seconds"] < 3600 * given.hours - given.interval)


if __name__ == "__main__":
    sys.exit(main())
