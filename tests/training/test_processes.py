"""Several processes train what one trains: started by torchrun, on CPUs, where gloo carries the gradients."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.cli.running import SMALL, environment, latest, run
from tiny_diffusion.checkpoint import load_checkpoint
from tiny_diffusion.config import ProjectConfig, TrainingConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.training.processes import ALONE, CommonClock, Ranks, first_to_fail, joined, launched
from tiny_diffusion.training.trainer import Trainer

pytestmark = pytest.mark.long

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
# Batches of 5 between 2 processes: shares of unlike size, and a last batch of an epoch of which not each has a row.
EXACT = {"training.batch_size": 5, "model.dropout": 0.0, "training.max_steps": 24, "curriculum.stages[2].epochs": 1}
CASES: dict[str, dict[str, object]] = {
    "diffusion": {"training.gradient_checkpointing": True, "training.micro_batch_size": 1},
    "dual": {"model.dual": True, "training.objective": "dual", "training.self_training_share": 0.2},
    "scored": {"model.controls": True, "curriculum.dynamic_scoring": True, "model.value_residual": True},
    "taught": {"training.teacher_share": 0.5, "training.early_stopping_patience": 1},
    "twin": {"training.objective": "autoregressive", "model.causal": True},
}


def started(folder: Path, processes: int, *command: str) -> subprocess.Popen[str]:
    """``command`` in several processes, in ``folder``."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, *TORCHRUN, str(processes), *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def finished(process: subprocess.Popen[str], code: int = 0) -> str:
    """What it wrote, when it has ended with ``code``."""
    try:
        out, err = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == code, err
    return out + err


def rows(output: Path, event: str) -> list[dict]:
    """The run's log of one kind of event."""
    path = output / "logs" / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [row for row in map(json.loads, lines) if row["event"] == event]


def test_several_processes_learn_what_one_does(
    tmp_path: Path, prepared: Path, config: ProjectConfig, data: Processed
) -> None:
    single = {}
    for name, changes in CASES.items():
        if name == "taught":
            changes = {**changes, "training.teachers": [str(single["diffusion"].best_path)]}
        case = config.override(**EXACT).override(**changes)
        (tmp_path / f"{name}.toml").write_text(case.to_toml(), encoding="utf-8")
        single[name] = Trainer(case, data, tmp_path / "one" / name)
        single[name].losses = [event for event in single[name].run() if hasattr(event, "loss")]  # type: ignore[attr-defined]
    finished(started(tmp_path, 2, str(Path(__file__).with_name("several_processes.py")), str(prepared), str(tmp_path)))
    for name, one in single.items():
        steps, alone = rows(tmp_path / name, "StepDone"), one.losses  # type: ignore[attr-defined]
        assert [row["loss"] for row in steps] == pytest.approx([step.loss for step in alone], rel=2e-3), name
        assert [row["gradient_norm"] for row in steps] == pytest.approx([s.gradient_norm for s in alone], rel=2e-2)
        assert [row["tokens"] for row in steps] == [step.tokens for step in alone]
        assert rows(tmp_path / name, "Finished")[0]["best_bits_per_byte"] == pytest.approx(one.progress.best, rel=1e-3)
        there, here = (load_checkpoint(path / "best_model.pt").weights for path in (tmp_path / name, one.output))
        for part, weight in here.items():
            torch.testing.assert_close(there[part], weight, rtol=0, atol=2e-3)


def test_a_stopped_run_goes_on_with_another_number_of_processes(tmp_path: Path, prepared: Path) -> None:
    exact = ["--training.precision", "float32", "--model.dropout", "0", "--training.batch_size", "5"]
    settings = latest(*SMALL, *exact, "--training.max_steps", "400", "--set", "curriculum.stages[0].epochs=50")
    train = ["train", "--data-dir", str(prepared), "--config", "debug", "--output", "outputs", *settings]
    # Two processes within an hour, which ends none of the steps.
    first = started(tmp_path, 2, "-m", "tiny_diffusion", *train, "--time-budget", "1h")
    while len(rows(tmp_path / "outputs", "StepDone")) < 5 and first.poll() is None:
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=240)
    assert "continue with\n  the same command and --resume" in err and err.count("stopping after this step") == 1
    assert "GB in 2 processes, in each" in out and out.count("parameters (") == 1  # one process speaks
    done = len(rows(tmp_path / "outputs", "StepDone"))
    more = ["train", *latest(*train[1:], "--training.max_steps", str(done + 5)), "--resume"]
    assert done >= 5 and "best validation" in run(tmp_path, *more).text
    assert [row["step"] for row in rows(tmp_path / "outputs", "StepDone")] == [*range(1, done + 6)]


def test_an_error_in_one_process_ends_all_and_is_told_once(tmp_path: Path, prepared: Path) -> None:
    script = tmp_path / "one_fails.py"
    script.write_text(
        """
import os, sys
from tiny_diffusion.cli import main
from tiny_diffusion.errors import WorldError
from tiny_diffusion.training.step import Stepper
whole = Stepper.step
def step(self, *given):
    if self.state.ranks.rank == 1 and self.state.progress.step == 3:
        raise WorldError("this disk is on fire")
    return whole(self, *given)
Stepper.step = step
main(sys.argv[1:])
"""
    )
    said = finished(started(tmp_path, 2, str(script), "train", "--data-dir", str(prepared), "--config", "debug"), 1)
    assert said.count("error: ") == 1 and "error: process 1: this disk is on fire" in said


def test_the_first_to_fail_tells_it(tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_to_fail()
    store = torch.distributed.TCPStore("localhost", 0, is_master=True)
    place = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(store.port)}
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "TORCHELASTIC_RUN_ID": "x", **place}.items():
        monkeypatch.setenv(name, value)
    said = run(tmp_path, "train", "--data-dir", str(prepared), "--time-budget", "30s", code=2).stderr
    assert "error: process 1: choosing a size needs one process" in said
    assert not first_to_fail()
    del store
    assert first_to_fail()  # torchrun is gone


def test_the_clock_of_several_processes_moves_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    others = torch.tensor([10.0, 0.0], dtype=torch.float64)  # what the first process adds: its time, its wish to stop
    monkeypatch.setattr(Ranks, "total", lambda self, found: found.add_(others))
    clock = CommonClock(Ranks(1, 2))
    others[0] = 12.0
    assert clock() == 10.0
    assert not clock.read() and clock() == 12.0
    assert clock.read(True)
    others[1] = 1.0
    assert clock.read(False)


def test_the_clock_of_one_process_is_its_own() -> None:
    assert CommonClock(ALONE)() < CommonClock(ALONE)()


def test_shares_are_disjoint_and_whole() -> None:
    for batch in range(1, 9):
        shares = [[*range(batch)][Ranks(rank, 3).share] for rank in range(3)]
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
