"""Training as a user runs it: interrupted, doubled, out of room; the last good state is always kept."""

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.cli.running import SMALL, environment, latest, run
from tiny_diffusion import runtime
from tiny_diffusion.errors import WorldError
from tiny_diffusion.runtime import memory_errors

pytestmark = pytest.mark.long

PROGRAM = [sys.executable, "-m", "tiny_diffusion"]

LONG = [*SMALL, "--set", "curriculum.stages[2].epochs=8", "--training.eval_every_epochs", "5"]


def command(prepared: Path, *more: str) -> list[str]:
    return ["train", "--data-dir", str(prepared), "--config", "debug", *latest(*LONG, *more)]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*PROGRAM, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True, env=environment())


def log(folder: Path) -> list[dict]:
    path = folder / "outputs" / "logs" / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for_steps(process: subprocess.Popen[str], folder: Path, steps: int) -> None:
    while process.poll() is None and sum(row["event"] == "StepDone" for row in log(folder)[:-1]) < steps:
        time.sleep(0.05)


def test_an_interrupted_training_saves_says_so_and_goes_on_as_it_says(tmp_path: Path, prepared: Path) -> None:
    first = start(tmp_path, *command(prepared))
    wait_for_steps(first, tmp_path, 5)
    first.send_signal(signal.SIGSTOP)  # it ends no sooner than the second one is refused
    second = run(tmp_path, *command(prepared), code=2)
    first.send_signal(signal.SIGCONT)
    assert "another training" in second.stderr
    first.send_signal(signal.SIGINT)
    _, said = first.communicate()
    assert first.returncode == 130 and "Traceback" not in said and "error" not in said
    assert said.count("stopping after this micro-batch, then saving") == 1
    taken_up = shlex.split(said.strip().splitlines()[-1])
    stopped = log(tmp_path)[-1]
    assert stopped["event"] == "Finished" and stopped["interrupted"]
    done = run(tmp_path, *taken_up[taken_up.index("train") :])
    assert "best validation" in done.text
    rows = log(tmp_path)
    steps = [row["step"] for row in rows if row["event"] == "StepDone"]
    assert steps == list(range(1, steps[-1] + 1))
    assert steps[-1] > stopped["step"] and not rows[-1]["interrupted"]


def test_a_run_on_a_time_budget_is_taken_up_by_the_same_command(tmp_path: Path, prepared: Path) -> None:
    budget = ["--time-budget", "4m"]
    first = start(tmp_path, *command(prepared, *budget))
    wait_for_steps(first, tmp_path, 5)
    first.send_signal(signal.SIGTERM)
    assert "train --resume" in first.communicate()[1]
    assert first.returncode == 130
    done = run(tmp_path, *command(prepared, *budget, "--resume"))
    assert "the run took" in done.text
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

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        for arguments in (
            command(prepared, *quick),
            ["prepare", "--book", str(prepared.parent / "book.txt"), "--output", "fresh"],
        ):
            said = run(tmp_path, *arguments, code=1).stderr
            assert said.splitlines()[-1].startswith("error: ") and "Traceback" not in said, said
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "outputs" / "best_model.pt").read_bytes() == best and not (tmp_path / "outputs/earlier").exists()
    left = [p.name for p in (tmp_path / "outputs").iterdir() if p.name.startswith(".best")]
    assert not left and not (tmp_path / "fresh" / "processed.json").exists()


@pytest.mark.parametrize(
    "text",
    [
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
        "CUDA out of memory.",
        "could not create a primitive",
    ],
)
def test_out_of_memory_says_what_to_lower(text: str) -> None:
    with pytest.raises(WorldError, match="micro_batch_size"), memory_errors():
        raise RuntimeError(text)
    with pytest.raises(RuntimeError, match="shapes"), memory_errors():
        raise RuntimeError("shapes cannot be multiplied")


def test_a_low_limit_of_memory_is_told_before_a_kernel_meets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, 0))
    runtime._check_limit.cache_clear()
    with pytest.raises(WorldError, match=r"leaves 0\.00 GB.*ulimit -v"), memory_errors():
        raise AssertionError("the work began")
    monkeypatch.undo()
    with memory_errors():  # it is asked again after a refusal
        pass


def test_a_failed_start_leaves_the_last_run_where_it_is(tmp_path: Path, prepared: Path) -> None:
    run(tmp_path, *command(prepared, "--set", "curriculum.stages[2].epochs=1"))
    outputs = tmp_path / "outputs"
    before = {path: path.read_bytes() for path in outputs.rglob("*") if path.is_file()}
    for more in (
        ["--training.memory_limit_gb", "0.001"],
        ["--training.device", "cuda:77"],
        ["--from", "outputs/config.toml"],
    ):
        run(tmp_path, *command(prepared, *more), code=2)
    run(tmp_path, *command(prepared, "--from", "outputs/best_model.pt", "--resume"), code=2)
    run(tmp_path, *command(prepared, "--from", "outputs/best_model.pt", "--time-budget", "1m"), code=2)
    assert {path: path.read_bytes() for path in outputs.rglob("*") if path.is_file()} == before


def test_a_finished_run_says_so_or_goes_on_with_more_epochs(tmp_path: Path, prepared: Path) -> None:
    run(tmp_path, *command(prepared, "--set", "curriculum.stages[2].epochs=1"))
    resume = ["train", "--data-dir", str(prepared), "--resume"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs").rglob("*") if path.is_file()}
    said = run(tmp_path, *resume)
    assert said.text.count("\n") == 1 and "is finished" in said.text and not said.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    more = said.text.strip().split("such as ")[1]
    assert more == "--set curriculum.stages[2].epochs=2"
    run(tmp_path, *resume, *more.split())
    steps = [row["step"] for row in log(tmp_path) if row["event"] == "StepDone"]
    assert steps == list(range(1, len(steps) + 1)) and [r["event"] for r in log(tmp_path)].count("Finished") == 2
    assert "is finished" in run(tmp_path, *resume).text


@pytest.mark.parametrize("log_lacks_it", [True, False])
def test_the_end_that_a_kill_left_out_is_written_later(tmp_path: Path, prepared: Path, log_lacks_it: bool) -> None:
    run(tmp_path, *command(prepared, "--set", "curriculum.stages[2].epochs=1", "--training.tensorboard", "true"))
    outputs, path = tmp_path / "outputs", tmp_path / "outputs" / "logs" / "metrics.jsonl"

    def shown() -> list[tuple[int, float]]:
        board = EventAccumulator(str(outputs / "tensorboard")).Reload()
        return [(event.step, event.value) for event in board.Scalars("best_bits_per_byte")]

    whole, best = log(tmp_path), shown()
    (board,) = (outputs / "tensorboard").iterdir()
    os.truncate(board, board.read_bytes().index(b"_hparams_"))
    if log_lacks_it:
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]) + '{"event": "Fini')
    resume = ["train", "--data-dir", str(prepared), "--resume"]
    assert "lacked its end" in run(tmp_path, *resume).text
    when = {"time": 0, "elapsed": 0}
    assert shown() == best and [row | when for row in log(tmp_path)] == [row | when for row in whole]
    assert "lacked" not in run(tmp_path, *resume).text and shown() == best


def test_a_run_that_diverges_names_what_to_lower_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, prepared: Path
) -> None:
    rates = ["--training.optimizer", "adamw", "--training.learning_rate", "1e38", "--training.warmup_steps", "0"]
    done = run(tmp_path, *command(prepared, *rates), code=1)
    assert done.stderr.splitlines()[-1].startswith("error: the ") and "Traceback" not in done.stderr
    assert "lower training.learning_rate (now 1e+38) and train again" in done.stderr
    assert not (tmp_path / "outputs" / "best_model.pt").exists()
