"""Several processes train what one trains: started by torchrun, on CPUs, where gloo carries the gradients."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.cli.running import SMALL, environment, latest, run
from tiny_diffusion.checkpoint import load_checkpoint
from tiny_diffusion.config import TrainingConfig
from tiny_diffusion.errors import UserError
from tiny_diffusion.training.output_folder import locked
from tiny_diffusion.training.processes import ALONE, Ranks, joined, launched

pytestmark = pytest.mark.long

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
# Batches of 5 among 2 or 3 processes: shares of unlike size, and last batches of an epoch that not all have rows of.
EXACT = ["--training.precision", "float32", "--model.dropout", "0", "--training.batch_size", "5"]
VALUES = ["--model.n_layers", "2", "--model.value_residual", "true"]
SHORT = ["--training.max_steps", "36"]


def arguments(prepared: Path, *more: str) -> list[str]:
    """A training of ``debug``."""
    return ["train", "--data-dir", str(prepared), "--config", "debug", *latest(*SMALL, *more)]


def alone(folder: Path, prepared: Path, *more: str) -> None:
    """Train in this process."""
    folder.mkdir()
    run(folder, *arguments(prepared, *more))


def train(folder: Path, prepared: Path, processes: int, *more: str) -> subprocess.Popen[str]:
    """Begin to train in several processes."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, *TORCHRUN, str(processes), "-m", "tiny_diffusion", *arguments(prepared, *more)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def finished(process: subprocess.Popen[str], code: int = 0) -> str:
    """What it wrote, when it has ended with ``code``."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == code, err
    return out + err


def rows(folder: Path, event: str) -> list[dict]:
    """The run's log of one kind of event."""
    path = folder / "outputs" / "logs" / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [row for row in map(json.loads, lines) if row["event"] == event]


@pytest.mark.parametrize(
    ("processes", "changes"),
    [
        (2, ["--training.micro_batch_size", "1", "--training.gradient_checkpointing", "true"]),
        (2, ["--training.objective", "autoregressive", "--model.causal", "true"]),
        (3, ["--model.controls", "true", "--curriculum.dynamic_scoring", "true", *VALUES]),
    ],
    ids=["passes", "twin", "controls"],
)
def test_several_processes_learn_what_one_does(
    tmp_path: Path, prepared: Path, processes: int, changes: list[str]
) -> None:
    alone(tmp_path / "one", prepared, *EXACT, *SHORT, *changes)
    finished(train(tmp_path / "several", prepared, processes, *EXACT, *SHORT, *changes))
    one, several = (rows(tmp_path / name, "StepDone") for name in ("one", "several"))
    assert [row["loss"] for row in several] == pytest.approx([row["loss"] for row in one], rel=2e-3)
    assert [row["gradient_norm"] for row in several] == pytest.approx([row["gradient_norm"] for row in one], rel=2e-2)
    assert [row["tokens"] for row in several] == [row["tokens"] for row in one]
    weights = [load_checkpoint(tmp_path / name / "outputs" / "best_model.pt").weights for name in ("one", "several")]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=0, atol=2e-3)


def test_a_stopped_run_goes_on_with_another_number_of_processes(tmp_path: Path, prepared: Path) -> None:
    long = [*EXACT, "--training.max_steps", "90"]
    alone(tmp_path / "whole", prepared, *long)
    first = train(tmp_path / "parts", prepared, 2, *long)
    while len(rows(tmp_path / "parts", "StepDone")) < 5 and first.poll() is None:
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    told = first.communicate(timeout=120)[1]
    assert "continue with the same command and --resume" in told and told.count("stopping after this step") == 1
    done = len(rows(tmp_path / "parts", "StepDone"))
    assert 5 <= done < len(rows(tmp_path / "whole", "StepDone"))
    said = finished(train(tmp_path / "parts", prepared, 3, *long, "--resume"))
    assert said.count("best validation") == 1  # one process speaks
    whole, parts = ([row["loss"] for row in rows(tmp_path / name, "StepDone")] for name in ("whole", "parts"))
    assert parts == pytest.approx(whole, rel=1e-2)


def test_what_one_process_decides_all_follow(tmp_path: Path, prepared: Path) -> None:
    drawn = ["--training.self_training_share", "0.2", "--training.early_stopping_patience", "1"]
    more = ["--set", "curriculum.stages[2].epochs=4", "--training.eval_every_epochs", "1"]
    said = finished(train(tmp_path, prepared, 2, *drawn, *more))
    assert "in each of 2 processes" in said and rows(tmp_path, "Finished")[0]["interrupted"] is False
    first = (tmp_path / "outputs" / "best_model.pt").stat()
    assert "[training]" in finished(train(tmp_path, prepared, 2, "--dry-run", "--verbose"))
    assert (tmp_path / "outputs" / "best_model.pt").stat() == first


def test_an_error_of_one_process_ends_all(tmp_path: Path, prepared: Path) -> None:
    with locked(tmp_path / "outputs"):
        said = finished(train(tmp_path, prepared, 2), code=1)
    assert "error: another training is writing into outputs" in said


def test_a_time_budget_is_for_one_process(tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("TORCHELASTIC_RUN_ID", "x")):
        monkeypatch.setenv(name, value)
    said = run(tmp_path, *arguments(prepared, "--time-budget", "30s"), code=2).stderr
    assert "--time-budget plans for one process" in said


def test_shares_are_disjoint_and_whole() -> None:
    for batch in range(1, 9):
        shares = [Ranks(rank, 3).share(batch).tolist() for rank in range(3)]
        assert sorted(sum(shares, [])) == list(range(batch))
        assert max(map(len, shares)) == Ranks(0, 3).rows(batch)
    assert [Ranks(rank, 3).rows_at_once(TrainingConfig(batch_size=16)) for rank in range(3)] == [6, 5, 5]
    assert Ranks(0, 3).rows_at_once(TrainingConfig(batch_size=16, micro_batch_size=4)) == 4
    assert ALONE.rows_at_once(TrainingConfig(batch_size=16)) == 16
    assert Ranks(2, 3).rows_at_once(TrainingConfig(batch_size=2)) == 1  # a row without weight


def test_more_processes_than_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORLD_SIZE", "4"), ("RANK", "3"), ("LOCAL_RANK", "3")):
        monkeypatch.setenv(name, value)
    assert launched() == 1  # another launcher's, which we do not know
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert launched() == 4
    with pytest.raises(UserError, match="not to be had"), joined("cuda"):
        pass
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(UserError, match="MPS"), joined("auto"):
        pass
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="--nproc-per-node 2"), joined("cuda"):
        pass
    with pytest.raises(UserError, match="each process takes a device"), joined("cuda:1"):
        pass
    assert not torch.distributed.is_initialized()
