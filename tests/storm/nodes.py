"""Train on two nodes, of which one fails, is killed or loses its cable: the other must end too, and tell it once.

    python -m tests.storm.nodes error killed cut        # as root on Linux: it makes two network namespaces

Each node is a network namespace with one process, and a cable is a pair of virtual devices. The exit code is 1 if a
promise was broken.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.conftest import make_book
from tests.storm.storm import Broken, check, flags
from tiny_diffusion.checkpoint import load_plain
from tiny_diffusion.training.processes import PATIENCE

SMALL = {
    "model.d_model": 32, "model.n_layers": 1, "model.n_heads": 1, "model.d_ff": 32, "model.context": 32,
    "model.vocab_level": 1, "training.threads": 1, "training.device": "cpu", "training.batch_size": 32,
    "training.eval_every_epochs": 1, "training.sample_every_epochs": 0, "curriculum.stages[2].epochs": 10_000,
}  # fmt: skip
STEPS = 10  # before the trouble
# What each process runs: the program with another patience, and in the second process perhaps an error.
PROGRAM = """
import os, sys
from datetime import timedelta
from tiny_diffusion.cli import main
from tiny_diffusion.errors import WorldError
from tiny_diffusion.training import processes
from tiny_diffusion.training.step import Stepper
processes.PATIENCE, fails, whole = timedelta(seconds=float(sys.argv[1])), int(sys.argv[2]), Stepper.step
def step(self, *given):
    if fails and self.state.ranks.rank and self.state.progress.step >= fails:
        raise WorldError("the disk of this node is on fire")
    return whole(self, *given)
Stepper.step = step
main(sys.argv[3:])
"""


def network(*words: str) -> None:
    """A command of ``ip``."""
    subprocess.run(["ip", *words], check=True)


@contextmanager
def cable() -> Iterator[tuple[str, str]]:
    """The names of two namespaces with the addresses 10.77.0.1 and 10.77.0.2, joined by the devices v1 and v2."""
    names = (f"storm{os.getpid()}a", f"storm{os.getpid()}b")
    try:
        for name in names:
            network("netns", "add", name)
        network("link", "add", "v1", "netns", names[0], "type", "veth", "peer", "name", "v2", "netns", names[1])
        for number, name in enumerate(names, 1):
            network("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", f"v{number}")
            for device in ("lo", f"v{number}"):
                network("-n", name, "link", "set", device, "up")
        yield names
    finally:
        for name in names:
            kill(name)
            subprocess.run(["ip", "netns", "delete", name])


def kill(name: str) -> None:
    """End all processes of a namespace: those that torchrun started outlive it."""
    found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout
    for pid in found.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def trouble(kind: str, place: Path, patience: float) -> None:
    """Train on two nodes until the trouble of that ``kind``; raises Broken if it does not end as promised."""
    output, script = place / kind, place / "program.py"
    script.write_text(PROGRAM)
    train = ["train", "--config", "smoke", "--data-dir", "data", "--output", output, *flags(SMALL)]
    nodes, said = [], [place / f"{kind}{number}.said" for number in (1, 2)]
    with cable() as names:
        for number, name in enumerate(names):
            torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", 2, "--node-rank", number]
            torchrun += ["--master-addr", "10.77.0.1", "--master-port", 29_511, script, patience]
            command = ["ip", "netns", "exec", name, *torchrun, STEPS if kind == "error" else 0, *train]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": f"v{number + 1}"}
            environment["PYTHONPATH"] = os.pathsep.join(sys.path)
            with said[number].open("wb") as out:
                words = [*map(str, command)]
                nodes.append(subprocess.Popen(words, cwd=place, stdout=out, stderr=out, env=environment))
        log = output / "logs" / "metrics.jsonl"
        while not log.exists() or log.read_text().count("StepDone") < STEPS:
            check(nodes[0].poll() is None, f"it ended too early: {said[0].read_text()[-500:]}")
            time.sleep(0.2)
        began = time.monotonic()
        if kind == "killed":
            kill(names[1])
        elif kind == "cut":
            network("-n", names[1], "link", "set", "v2", "down")
        codes = [node.wait() for node in nodes]
        print(f"{kind}: ended after {time.monotonic() - began:.0f} s by {codes}", flush=True)
    told = [[line for line in path.read_text().splitlines() if line.startswith("error: ")] for path in said]
    for lines in told:
        print("", *lines, sep="  ", flush=True)
    check(codes == [1, -signal.SIGKILL if kind == "killed" else 1], f"the nodes ended by {codes}")
    expected = {"error": ([0], [1]), "killed": ([1], [0]), "cut": ([1], [1])}[kind]
    check(tuple([len(lines)] for lines in told) == expected, f"the nodes told {told}")
    check(not any("Exception raised from" in path.read_text() for path in said), "torch told its own attempts")
    load_plain(output / "checkpoints" / "last.pt")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=["error", "killed", "cut"])
    parser.add_argument("--patience", type=float, default=PATIENCE.total_seconds(), help="seconds, for another node")
    given, failures = parser.parse_args(), 0
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "book.txt").write_text(make_book(16_000), encoding="utf-8")
        prepare = [sys.executable, "-m", "tiny_diffusion", "prepare", "--book", "book.txt", "--output", "data"]
        subprocess.run(prepare, cwd=place, check=True, stdout=subprocess.DEVNULL)
        for kind in given.kinds:
            try:
                trouble(kind, Path(place), given.patience)
            except Broken as error:
                failures += 1
                print(f"{kind}: {error}", flush=True)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
