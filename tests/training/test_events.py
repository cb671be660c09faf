"""The run's log, and the figures of the progress display."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tiny_diffusion.errors import WorldError
from tiny_diffusion.training.course import Progress
from tiny_diffusion.training.events import RunLog, RunningMetrics, Sampled, StepDone, Validated


def step(number: int, loss: float, tokens: int = 100, seconds: float = 0.5) -> StepDone:
    return StepDone(number, 10, 0, "first", 1, loss, 1.0, 0.3, tokens, seconds)


def test_the_log_holds_all_events(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        for event in (step(1, 5.0), Validated(2, 0, 1, 3.25, True), Sampled(2, "The mill.", Path("x.txt"))):
            log.write(event)
    rows = [json.loads(line) for line in (tmp_path / "logs" / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [row["event"] for row in rows] == ["StepDone", "Validated", "Sampled"]
    assert rows[1]["bits_per_byte"] == 3.25


def test_elapsed_seconds_are_those_of_a_clock_that_is_never_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, ticks = iter((5e9, 4e9)), iter((100.0, 102.0, 105.5))
    clocks = SimpleNamespace(time=lambda: next(now), monotonic=lambda: next(ticks))
    monkeypatch.setattr("tiny_diffusion.training.events.time", clocks)
    with RunLog(tmp_path) as log:
        log.write(step(1, 5.0))
        log.write(step(2, 4.0))
    rows = [json.loads(line) for line in (tmp_path / "logs" / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [(row["time"], row["elapsed"]) for row in rows] == [(5e9, 2.0), (4e9, 5.5)]


@pytest.mark.parametrize(
    ("closing", "kept"),
    [
        (0, ["StepDone", "StepDone", "Validated", "Sampled"]),
        (1, ["StepDone", "StepDone"]),
        (2, ["StepDone", "StepDone", "Validated"]),
    ],
    ids=["saved", "stopped in the validation", "stopped in the sample"],
)
def test_a_resumed_run_cuts_off_what_it_repeats(tmp_path: Path, closing: int, kept: list[str]) -> None:
    events = [step(1, 5.0), step(2, 4.0), Validated(2, 0, 1, 3.25, True), Sampled(2, "The mill.", Path("x.txt"))]
    with RunLog(tmp_path) as log:
        for event in [*events, step(3, 3.5), step(4, 3.0)]:
            log.write(event)
    path = tmp_path / "logs" / "metrics.jsonl"
    path.write_text(path.read_text("utf-8") + '{"event": "StepDone", "st', encoding="utf-8")
    with RunLog(tmp_path, after=Progress(step=2, closing=closing)) as log:
        log.write(step(3, 2.5))
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [row["event"] for row in rows] == [*kept, "StepDone"] and rows[-1]["loss"] == 2.5


def test_a_log_that_was_removed_ends_the_run(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.write(step(1, 5.0))
        shutil.rmtree(tmp_path / "logs")
        with pytest.raises(WorldError, match="removed"):
            log.write(step(2, 5.0))


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(WorldError, match="cannot write the log"):
        RunLog(tmp_path)


def test_the_display_averages_a_window() -> None:
    metrics = RunningMetrics(window=2)
    for number, loss in enumerate((9.0, 4.0, 2.0), 1):
        metrics.add(step(number, loss, tokens=100 * number))
    assert metrics.loss == 3 and metrics.tokens_per_second == 500 and metrics.validation is None
    metrics.add(Validated(3, 0, 1, 3.25, True))
    assert metrics.validation == 3.25 and metrics.seconds_left >= 0
