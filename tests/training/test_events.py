"""The run's log, and the figures of the progress display."""

import json
from pathlib import Path

import pytest

from tiny_diffusion.errors import WorldError
from tiny_diffusion.training.events import RunLog, RunningMetrics, Sampled, StepDone, Validated


def step(number: int, loss: float, tokens: int = 100, seconds: float = 0.5) -> StepDone:
    return StepDone(number, 10, 0, "first", 1, loss, 1.0, 0.3, tokens, seconds)


def test_the_log_holds_all_events(tmp_path: Path) -> None:
    with RunLog(tmp_path, append=False) as log:
        for event in (step(1, 5.0), Validated(2, 0, 1, 3.25, True), Sampled(2, "The mill.", Path("x.txt"))):
            log.write(event)
    rows = [json.loads(line) for line in (tmp_path / "logs" / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [row["event"] for row in rows] == ["StepDone", "Validated", "Sampled"]
    assert rows[1]["bits_per_byte"] == 3.25


def test_a_resumed_run_goes_on_in_the_same_log(tmp_path: Path) -> None:
    for append, number in ((False, 1), (True, 2)):
        with RunLog(tmp_path, append=append) as log:
            log.write(step(number, 5.0))
    assert len((tmp_path / "logs" / "metrics.jsonl").read_text("utf-8").splitlines()) == 2
    assert not (tmp_path / "tensorboard").exists()


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(WorldError, match="cannot write the log"):
        RunLog(tmp_path, append=False)


def test_the_display_averages_a_window() -> None:
    metrics = RunningMetrics(window=2)
    for number, loss in enumerate((9.0, 4.0, 2.0), 1):
        metrics.add(step(number, loss, tokens=100 * number))
    assert metrics.loss == 3 and metrics.tokens_per_second == 500 and metrics.validation is None
    metrics.add(Validated(3, 0, 1, 3.25, True))
    assert metrics.validation == 3.25 and metrics.seconds_left >= 0
