"""The run's log: TensorBoard beside the JSON lines, and the figures of the progress display."""

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tiny_diffusion.errors import WorldError
from tiny_diffusion.training.events import RunLog, RunningMetrics, Sampled, StepDone, Validated


def step(number: int, loss: float, tokens: int = 100, seconds: float = 0.5) -> StepDone:
    return StepDone(number, 10, 0, "first", 1, loss, 1.0, 0.3, tokens, seconds)


def test_tensorboard_tells_what_the_log_tells(tmp_path: Path) -> None:
    events = [step(1, 5.0), step(2, 4.5), Validated(2, 0, 1, 3.25, True), Sampled(2, "The mill.", Path("x.txt"))]
    with RunLog(tmp_path, tensorboard=True, append=False) as log:
        for event in events:
            log.write(event)
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in board.Scalars("train/loss")] == [(1, 5.0), (2, 4.5)]
    assert [(e.step, e.value) for e in board.Scalars("validation/bits_per_byte")] == [(2, 3.25)]
    assert board.Tensors("sample/text_summary")[0].tensor_proto.string_val[0] == b"The mill."
    rows = [json.loads(line) for line in (tmp_path / "logs" / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [row["event"] for row in rows] == ["StepDone", "StepDone", "Validated", "Sampled"]
    assert rows[2]["bits_per_byte"] == 3.25


def test_a_resumed_run_goes_on_in_the_same_log(tmp_path: Path) -> None:
    for append, number in ((False, 1), (True, 2)):
        with RunLog(tmp_path, tensorboard=False, append=append) as log:
            log.write(step(number, 5.0))
    assert len((tmp_path / "logs" / "metrics.jsonl").read_text("utf-8").splitlines()) == 2
    assert not (tmp_path / "tensorboard").exists()


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(WorldError, match="cannot write the log"):
        RunLog(tmp_path, tensorboard=False, append=False)


def test_the_display_averages_a_window() -> None:
    metrics = RunningMetrics(window=2)
    for number, loss in enumerate((9.0, 4.0, 2.0), 1):
        metrics.add(step(number, loss, tokens=100 * number))
    assert metrics.loss == 3 and metrics.tokens_per_second == 500 and metrics.validation is None
    metrics.add(Validated(3, 0, 1, 3.25, True))
    assert metrics.validation == 3.25 and metrics.seconds_left >= 0
