"""The run tab's reader: a log that grows, is cut in mid-line, holds rubbish, or belongs to another run."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tiny_diffusion.page.run import MOST_POINTS, SILENT, RunReader


def step(number: int, seconds: float, total: int = 100, loss: float = 2.0) -> dict[str, Any]:
    place = {"step": number, "total": total, "stage_name": "all", "epoch": 1}
    return {"event": "StepDone", "time": seconds, "loss": loss, **place}


def add(folder: Path, *rows: dict[str, Any] | str) -> None:
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with (folder / "logs" / "metrics.jsonl").open("a", encoding="utf-8") as file:
        for row in rows:
            file.write(row if isinstance(row, str) else json.dumps(row) + "\n")


def test_a_run_that_grows(tmp_path: Path) -> None:
    reader = RunReader(tmp_path, Path("my data"))
    found = reader.look()
    assert found["state"] == "none" and found["seconds_left"] is None
    assert found["commands"]["train"] == f"tiny-diffusion train --data-dir 'my data' --output {tmp_path}"
    now = time.time()
    add(tmp_path, step(1, now - 20), step(2, now - 18, loss=1.0), '{"event": "StepDone", "ti')
    found = reader.look()
    assert (found["state"], found["step"], found["total"], found["stage"]) == ("running", 2, 100, "all")
    assert found["loss"] == [(1, 2.0), (2, 1.0)] and found["damaged"] == 0
    assert found["seconds_left"] == pytest.approx(2 * 98, rel=1e-3)
    rest = json.dumps({**step(3, now, loss=0.5), "epoch": 2}).partition('"event": "StepDone", "ti')[2]
    add(tmp_path, rest + "\n", "rubbish\n")
    add(tmp_path, {"event": "Validated", "time": now, "step": 3, "bits_per_byte": 1.7})
    add(tmp_path, *({"event": "Sampled", "time": now, "step": n, "text": f"<i>{n}</i>"} for n in range(9)))
    found = reader.look()
    assert (found["step"], found["epoch"], found["damaged"]) == (3, 2, 1)
    assert found["bits_per_byte"] == [(3, 1.7)]
    assert [sample["text"] for sample in found["samples"]] == [f"<i>{n}</i>" for n in range(4, 9)]
    add(tmp_path, {"event": "Finished", "time": now, "step": 3, "interrupted": True})
    assert reader.look()["state"] == "interrupted"
    add(tmp_path, step(4, now))  # resumed
    assert reader.look()["state"] == "running"
    add(tmp_path, {"event": "Finished", "time": now, "step": 4, "interrupted": False})
    found = reader.look()
    assert found["state"] == "finished" and found["seconds_left"] is None and not found["report"]
    (tmp_path / "report.html").write_text("")
    assert reader.look()["report"]


def test_a_clock_that_is_set_back_takes_no_time_off(tmp_path: Path) -> None:
    reader, now = RunReader(tmp_path, None), time.time()
    add(tmp_path, step(1, now + 3600), step(2, now + 3602), step(3, now - 2), step(4, now))
    found = reader.look()
    assert found["state"] == "running"
    assert found["seconds_left"] == pytest.approx((2 + 0 + 2) / 3 * 96, rel=1e-3)


def test_neither_a_clock_that_is_set_nor_a_pause_between_two_starts_changes_the_time_left(tmp_path: Path) -> None:
    reader, now = RunReader(tmp_path, None), time.time()
    elapsed = {1: 5, 2: 7, 3: 9, 4: 1, 5: 3}  # of two starts
    jumps = {1: -90_000, 2: -89_998, 3: 0, 4: 3600, 5: 0}
    add(tmp_path, *({**step(number, now + jumps[number]), "elapsed": seconds} for number, seconds in elapsed.items()))
    assert reader.look()["seconds_left"] == pytest.approx((2 + 2 + 0 + 2) / 4 * 95)


def test_another_run_begins_anew(tmp_path: Path) -> None:
    reader = RunReader(tmp_path, None)
    add(tmp_path, *(step(n, 1.0) for n in range(1, 9)))
    assert reader.look()["step"] == 8
    log = tmp_path / "logs" / "metrics.jsonl"
    log.rename(tmp_path / "earlier.jsonl")
    assert reader.look()["state"] == "none"
    add(tmp_path, step(1, 2.0))
    assert reader.look()["loss"] == [(1, 2.0)]


def test_a_silent_run(tmp_path: Path) -> None:
    reader, now = RunReader(tmp_path, None), time.time()
    add(tmp_path, step(1, now - 2 * SILENT - 1), step(2, now - 2 * SILENT))
    assert reader.look()["state"] == "silent"
    slow = RunReader(tmp_path / "slow", None)
    add(tmp_path / "slow", step(1, now - 3 * SILENT), step(2, now - 2 * SILENT))  # a step takes as long
    assert slow.look()["state"] == "running"


def test_a_long_curve_keeps_its_shape(tmp_path: Path) -> None:
    losses = [*(float(n) for n in range(10_000)), float("nan")]
    add(tmp_path, *(step(n, 1.0, loss=loss) for n, loss in enumerate(losses)))
    points = RunReader(tmp_path, None).look()["loss"]
    assert len(points) == MOST_POINTS and all(at == value for at, value in points)
    assert points[0][0] < 32 and points[-1][0] > 9_900
