"""Learning curves of several runs, as bars and as a drawing."""

import json
from pathlib import Path

import pytest

from tiny_diffusion.cli.studies.curves import bars

from ..cli.running import run


def write_log(folder: Path, bits: dict[int, float], seconds: float = 1.0) -> None:
    (folder / "logs").mkdir(parents=True)
    step_done = {"event": "StepDone", "total": 9, "seconds": seconds}
    rows: list[dict[str, object]] = [step_done | {"step": step, "loss": value} for step, value in bits.items()]
    rows += [{"event": "Validated", "step": step, "bits_per_byte": value} for step, value in bits.items()]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "logs" / "metrics.jsonl").write_text(text, encoding="utf-8")


def test_bars_have_one_scale() -> None:
    assert bars([(1, 8.0), (2, 4.5), (4, 1.0)], 4, 4, [1.0, 8.0]) == "█▅▅▁"
    assert bars([(1, 1.0), (2, 1.0)], 4, 8, [1.0, 8.0]) == "▁▁▁▁"  # half as long as the longest
    assert bars([(1, 1.0)], 1, 3, [1.0]) == "▁▁▁"


def test_the_command(tmp_path: Path) -> None:
    write_log(tmp_path / "a", {10: 3.0, 20: 2.0})
    write_log(tmp_path / "b", {10: 2.5})
    shown = run(tmp_path, "curves", "a", "b").text
    assert "2.000" in shown and "over 20 steps" in shown and not (tmp_path / "c.svg").exists()
    run(tmp_path, "curves", "a", "b", "--output", "c.svg")
    drawn = (tmp_path / "c.svg").read_bytes()
    run(tmp_path, "curves", "a", "b", "--output", "c.svg")
    assert drawn.startswith(b"<?xml") and drawn == (tmp_path / "c.svg").read_bytes()
    assert drawn.count(b'id="line2d') > 3


def test_by_minutes_a_slow_run_is_a_long_one(tmp_path: Path) -> None:
    write_log(tmp_path / "quick", {1: 3.0, 2: 2.0, 3: 1.0}, seconds=6)
    write_log(tmp_path / "slow", {1: 3.0, 2: 2.0}, seconds=90)
    rows = run(tmp_path, "curves", "quick", "slow", "--by", "minutes").text.splitlines()
    lengths = {
        row.split()[0]: (row.split()[1], row.count("█")) for row in rows if row.split()[:1] in (["quick"], ["slow"])
    }
    assert lengths["quick"][0] == "0.3" and lengths["slow"][0] == "3.0" and "over 3.0 minutes" in "".join(rows)
    assert lengths["slow"][1] > 5 > lengths["quick"][1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["none"], "none: no training log"), (["a", "--output", "c.txt"], ".svg or .png"), ([], "Missing argument")],
)
def test_wrong_use(arguments: list[str], said: str, tmp_path: Path) -> None:
    write_log(tmp_path / "a", {10: 3.0})
    assert said in run(tmp_path, "curves", *arguments, code=2).stderr
