"""Trackers get what the log gets: figures, samples, settings, and the best validation of a run that ended."""

import re
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tiny_diffusion.cli.training import trackers
from tiny_diffusion.cli.training.trackers import Trackers, check_trackers
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.errors import UserError, WorldError
from tiny_diffusion.training.events import Finished, Sampled, StepDone, Validated

EVENTS = [
    *(StepDone(n, 2, 0, "first", 1, 5.5 - n / 2, 1.0, 0.3, 100, 0.5) for n in (1, 2)),
    Validated(2, 0, 1, 3.25, True),
    Sampled(2, "The <old> mill.", Path("x.txt")),
    Finished(2, False, 3.25, Path("best_model.pt")),
]


def report(output: Path, config: ProjectConfig) -> None:
    with Trackers(output, config) as log:
        for event in EVENTS:
            log.write(event)


def test_tensorboard(tmp_path: Path, config: ProjectConfig) -> None:
    report(tmp_path, config.override(**{"training.tensorboard": True, "training.learning_rate": 0.125}))
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in board.Scalars("train/loss")] == [(1, 5.0), (2, 4.5)]
    assert [(e.step, e.value) for e in board.Scalars("validation/bits_per_byte")] == [(2, 3.25)]
    assert [e.value for e in board.Scalars("best_bits_per_byte")] == [3.25]
    assert board.Tensors("sample/text_summary")[0].tensor_proto.string_val[0] == b"The <old> mill."
    held = board.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    settings = HParamsPluginData.FromString(held).session_start_info.hparams
    assert settings["training.learning_rate"].number_value == 0.125
    assert settings["training.optimizer"].string_value == "muon"


def test_tensorboard_shows_each_step_once_when_the_clock_is_set_back(
    tmp_path: Path, config: ProjectConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, on = time.time(), config.override(**{"training.tensorboard": True})
    for start, setback in ((0, 0), (2, 3600), (3, 3600)):  # the third one begins in the same second
        monkeypatch.setattr(time, "time", lambda setback=setback: began - setback)
        with Trackers(tmp_path, on, after=start or None) as log:
            for number in range(start + 1, start + 4):
                log.write(StepDone(number, 9, 0, "first", 1, 10.0 * start + number, 1.0, 0.3, 100, 0.5))
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    shown = [(e.step, e.value) for e in board.Scalars("train/loss")]
    assert shown == [(1, 1.0), (2, 2.0), (3, 23.0), (4, 34.0), (5, 35.0), (6, 36.0)]


def test_a_clock_that_is_set_back_while_a_resumed_run_goes_on_loses_nothing(
    tmp_path: Path, config: ProjectConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, on = time.time(), config.override(**{"training.tensorboard": True})
    with Trackers(tmp_path, on) as log:
        log.write(EVENTS[0])
    with Trackers(tmp_path, on, after=1) as log:
        monkeypatch.setattr(time, "time", lambda: began - 3600)
        for event in EVENTS[1:]:
            log.write(event)
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in board.Scalars("best_bits_per_byte")] == [(2, 3.25)]
    assert [(e.step, e.value) for e in board.Scalars("train/loss")] == [(1, 5.0), (2, 4.5)]


def test_removed_files_of_tensorboard_are_told_once(
    tmp_path: Path, config: ProjectConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)  # as outside pytest
    log = Trackers(tmp_path, config.override(**{"training.tensorboard": True}))
    log.write(EVENTS[0])
    shutil.rmtree(tmp_path / "tensorboard")
    with pytest.raises(WorldError, match="cannot write TensorBoard's files: No such file"):
        for number in range(3, 1000):  # its thread writes when it comes to it
            log.write(StepDone(number, 1000, 0, "first", 1, 5.0, 1.0, 0.3, 100, 0.5))
    (tmp_path / "file").touch()
    with pytest.raises(WorldError, match="cannot write TensorBoard's files: Not a directory"):
        Trackers(tmp_path / "file", config.override(**{"training.tensorboard": True}))
    assert "Traceback" not in capsys.readouterr().err


def test_nothing_is_tracked_unless_asked_for(tmp_path: Path, config: ProjectConfig) -> None:
    report(tmp_path, config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"training.tensorboard": True}, "training.tensorboard=true needs a library: pip install tensorboard"),
        ({"training.tracker": "wandb"}, "training.tracker=wandb needs a library: pip install wandb"),
        ({"training.tracker": "mlflow"}, "training.tracker=mlflow needs a library: pip install mlflow"),
    ],
)
def test_a_missing_library_is_named(
    setting: dict[str, Any], said: str, config: ProjectConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    check_trackers(config.training)
    with pytest.raises(UserError, match=said):
        check_trackers(config.override(**setting).training)


@pytest.mark.long
def test_wandb_offline(
    tmp_path: Path, config: ProjectConfig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    report(tmp_path, config.override(**{"training.tracker": "wandb"}))
    (kept,) = (tmp_path / "wandb").glob("offline-run-*")
    (sample,) = kept.glob("files/media/html/sample_2_*.html")
    assert "The &lt;old&gt; mill." in sample.read_text(encoding="utf-8")
    told = capfd.readouterr().err  # wandb's own summary of the run; its file is compressed
    assert re.search(r"best_bits_per_byte +3.25", told) and re.search(r"train/loss +4.5", told)


@pytest.mark.long
def test_mlflow_on_this_machine(tmp_path: Path, config: ProjectConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    report(tmp_path, config.override(**{"training.tracker": "mlflow"}))
    (run,) = mlflow.search_runs(experiment_names=[trackers.PROJECT], output_format="list")
    assert run.data.metrics["validation/bits_per_byte"] == 3.25 == run.data.metrics["best_bits_per_byte"]
    assert run.data.params["training.optimizer"] == "muon" and run.info.status == "FINISHED"
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/samples/step-2.txt") == "The <old> mill."
