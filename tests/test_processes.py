"""Training as a user runs it: interrupted, doubled, out of room; the last good state is always kept."""

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.test_commands import SMALL, environment, run
from tiny_diffusion.errors import WorldError
from tiny_diffusion.runtime import memory_errors

pytestmark = pytest.mark.long

LONG = [*SMALL, "--set", "curriculum.stages[2].epochs=40", "--training.eval_every_epochs", "5"]


def command(prepared: Path, *more: str) -> list[str]:
    return ["-m", "tiny_diffusion", "train", "--data-dir", str(prepared), "--config", "debug", *LONG, *more]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True, env=environment()
    )


def log(folder: Path) -> list[dict]:
    path = folder / "outputs" / "logs" / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for_steps(folder: Path, steps: int) -> None:
    while sum(row["event"] == "StepDone" for row in log(folder)[:-1]) < steps:
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_saves_says_so_and_goes_on(tmp_path: Path, prepared: Path, how: signal.Signals) -> None:
    first = start(tmp_path, *command(prepared))
    wait_for_steps(tmp_path, 5)
    second = run(tmp_path, *command(prepared), code=2)
    assert "another training" in second.stderr
    first.send_signal(how)
    _, said = first.communicate()
    assert first.returncode == 130 and "--resume" in said and "Traceback" not in said
    stopped = log(tmp_path)[-1]
    assert stopped["event"] == "Finished" and stopped["interrupted"]
    # The same command, or by the settings that lie beside the run.
    again = (
        command(prepared) if how == signal.SIGINT else ["-m", "tiny_diffusion", "train", "--data-dir", str(prepared)]
    )
    done = run(tmp_path, *again, "--resume")
    assert "best validation" in done.stdout
    rows = log(tmp_path)
    steps = [row["step"] for row in rows if row["event"] == "StepDone"]
    assert steps == list(range(1, steps[-1] + 1))
    assert steps[-1] > stopped["step"] and not rows[-1]["interrupted"]


def test_a_run_on_a_time_budget_is_taken_up_by_the_same_command(tmp_path: Path, prepared: Path) -> None:
    budget = ["--time-budget", "4m"]
    first = start(tmp_path, *command(prepared, *budget))
    wait_for_steps(tmp_path, 5)
    first.send_signal(signal.SIGINT)
    first.communicate()
    assert first.returncode == 130
    done = run(tmp_path, *command(prepared, *budget, "--resume"))
    assert "before the time budget was spent" in done.stdout
    rows = log(tmp_path)
    steps = [row["step"] for row in rows if row["event"] == "StepDone"]
    assert steps == list(range(1, steps[-1] + 1)) and rows[-1]["event"] == "Finished" and not rows[-1]["interrupted"]


def test_resuming_names_the_settings_that_differ(tmp_path: Path, prepared: Path) -> None:
    quick = ["--set", "curriculum.stages[2].epochs=1"]
    run(tmp_path, *command(prepared, *quick))
    done = run(tmp_path, *command(prepared, *quick, "--resume", "--training.seed", "9"), code=2)
    assert "training.seed is 9 and was 0" in done.stderr


def test_a_full_disk_ends_in_one_line_and_keeps_the_last_good_state(tmp_path: Path, prepared: Path) -> None:
    quick = ["--set", "curriculum.stages[2].epochs=1"]
    run(tmp_path, *command(prepared, *quick))
    best = (tmp_path / "outputs" / "best_model.pt").read_bytes()
    assert len(best) > 60_000

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    for arguments in (
        command(prepared, *quick),
        ["-m", "tiny_diffusion", "prepare", "--book", str(prepared.parent / "book.txt"), "--output", "fresh"],
    ):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, env=environment(),
            preexec_fn=no_room,
        )  # fmt: skip
        last = done.stderr.splitlines()[-1]
        assert done.returncode == 1, done.stderr
        assert last.startswith("error: ") and "Traceback" not in done.stderr, done.stderr
    (kept,) = (tmp_path / "outputs" / "earlier").glob("*/best_model.pt")
    assert kept.read_bytes() == best
    assert not (tmp_path / "outputs" / "best_model.pt").exists()
    left = [p.name for p in (tmp_path / "outputs").iterdir() if p.name.startswith(".best")]
    assert not left and not (tmp_path / "fresh" / "processed.json").exists()


@pytest.mark.parametrize(
    "text",
    ["[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes", "CUDA out of memory."],
)
def test_out_of_memory_says_what_to_lower(text: str) -> None:
    with pytest.raises(WorldError, match="micro_batch_size"), memory_errors():
        raise RuntimeError(text)
    with pytest.raises(RuntimeError, match="shapes"), memory_errors():
        raise RuntimeError("shapes cannot be multiplied")
