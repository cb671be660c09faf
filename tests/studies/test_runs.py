"""The command that lists the runs of an output folder, compares two, and removes earlier ones."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tiny_diffusion.checkpoint import load_plain
from tiny_diffusion.cli.main import main
from tiny_diffusion.cli.training import runs as command
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.studies.run_list import find_runs, remove_run
from tiny_diffusion.training.events import RunLog
from tiny_diffusion.training.output_folder import move_aside
from tiny_diffusion.training.trainer import Trainer


def train(config: ProjectConfig, data: Processed, output: Path, stop_after: int = 0) -> None:
    trainer = Trainer(config, data, output)
    with RunLog(output) as log:
        for event in trainer.run():
            log.write(event)
            trainer.stop_requested = 0 < stop_after <= trainer.progress.step
    (output / "config.toml").write_text(config.to_toml(), encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, config: ProjectConfig, data: Processed) -> Path:
    """Two earlier runs, a present one that was stopped, and a checkpoint alone."""
    output = tmp_path_factory.mktemp("made") / "outputs"
    for seed, stop in ((1, 0), (2, 0), (3, 3)):
        train(config.override(**{"training.seed": seed, "training.max_steps": 5}), data, output, stop)
        if not stop:
            os.utime(output / "best_model.pt", (2e9 + seed, 2e9 + seed))  # the folder is named by the newest file
            move_aside(output)
    (output / "twin").mkdir()
    shutil.copy(next(output.glob("earlier/*/best_model.pt")), output / "twin")
    return output


@pytest.fixture
def outputs(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "outputs")


def test_all_runs_are_found_and_described(made: Path, config: ProjectConfig, data: Processed) -> None:
    runs = {run.name: run for run in find_runs(made)}
    old, new = sorted(name for name in runs if name.startswith("earlier/"))
    assert set(runs) == {".", "twin", old, new}
    first, present = runs[old], runs["."]
    weights = load_plain(first.folder / "best_model.pt")["weights"]
    assert first.parameters == sum(weight.numel() for weight in weights.values())
    assert (first.source, first.step, first.total, first.finished, first.earlier) == (data.source, 5, 5, True, True)
    lines = (first.folder / "logs" / "metrics.jsonl").read_text().splitlines()
    assert first.best == min(r["bits_per_byte"] for r in map(json.loads, lines) if r["event"] == "Validated")
    assert first.size == sum(path.stat().st_size for path in first.folder.rglob("*") if path.is_file())
    assert first.config is not None and first.config.training.seed == 1
    assert (present.step, present.total, present.finished, present.earlier) == (3, 5, False, False)
    assert runs["twin"].source == data.source and runs["twin"].total is None


def test_weights_are_mapped_and_not_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    load = torch.load

    def watched(*given: Any, **options: Any) -> Any:
        asked.append(options["mmap"])
        return load(*given, **options)

    monkeypatch.setattr(torch, "load", watched)
    find_runs(made)
    assert asked == [True] * len(asked) and len(asked) >= 3


def test_a_damaged_log_is_named_and_a_line_cut_short_is_not_one(outputs: Path) -> None:
    log = outputs / "logs" / "metrics.jsonl"
    log.write_text(log.read_text() + '{"event": "StepDone", "st')
    assert {run.name: run.step for run in find_runs(outputs)}["."] == 3
    log.write_text("nonsense\n" + log.read_text())
    with pytest.raises(UserError, match=r"metrics\.jsonl:1 is not an event"):
        find_runs(outputs)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["runs", *arguments])
    assert ended.value.code == code
    shown = capsys.readouterr()
    return shown.err if code else shown.out


def test_the_list_fits_the_screen(outputs: Path, capsys: pytest.CaptureFixture[str], data: Processed) -> None:
    lines = said(capsys, str(outputs)).splitlines()
    assert lines[0].strip() == data.source and max(map(len, lines)) <= 80
    assert any(line.startswith(". ") and "3 of 5" in line for line in lines)
    assert sum(line.startswith("earlier/") for line in lines) == 2
    assert "of it earlier runs" in lines[-1]
    (outputs / "none").mkdir()
    assert "no runs in" in said(capsys, str(outputs / "none"))
    assert "no folder" in said(capsys, str(outputs / "gone"), code=2)


def test_a_comparison_shows_figures_and_what_differs(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = sorted(run.name for run in find_runs(outputs) if run.earlier)
    rows = {
        line.split("  ")[0]: line.split()[-2:]
        for line in said(capsys, str(outputs), "--compare", old, new).splitlines()
    }
    assert rows["training.seed"] == ["1", "2"] and rows["finished"] == ["true", "true"]
    assert "model.d_model" not in rows and "best bits per byte" in rows
    assert "no run is called 'x'" in said(capsys, str(outputs), "--compare", "x", ".", code=2)


def test_the_newest_run_is_the_one_moved_aside_last(outputs: Path) -> None:
    old, new = sorted(run.name for run in find_runs(outputs) if run.earlier)
    for name, seconds in ((old, 1.9e9), (new, 1.8e9)):  # as a copy or a clock that is set may date them
        for path in (outputs / name).rglob("*"):
            os.utime(path, (seconds, seconds))
    (outputs / new).rename(outputs / f"{old}_2")
    shutil.copytree(outputs / old, outputs / "earlier" / "mine")
    for path in (outputs / "earlier" / "mine").rglob("*"):
        os.utime(path, (1e9, 1e9))
    found = [run.name for run in find_runs(outputs) if run.earlier]
    assert found == [f"{old}_2", old, "earlier/mine"]


def test_only_earlier_runs_are_removed_and_only_when_asked(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = sorted(run.name for run in find_runs(outputs) if run.earlier)
    assert "not an earlier run" in said(capsys, str(outputs), "--prune", "--run", ".", "--yes", code=2)
    assert "not an earlier run" in said(capsys, str(outputs), "--prune", "--run", "twin", "--yes", code=2)
    assert "--keep N" in said(capsys, str(outputs), "--prune", code=2)
    assert "belong to --prune" in said(capsys, str(outputs), "--keep", "1", code=2)
    assert "--yes" in said(capsys, str(outputs), "--prune", "--keep", "0", code=2)  # nobody can answer
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(command.click, "confirm", lambda question: False)
    assert "nothing was removed" in said(capsys, str(outputs), "--prune", "--keep", "0")
    assert len(find_runs(outputs)) == 4
    assert old in said(capsys, str(outputs), "--prune", "--keep", "1", "--yes")
    assert {run.name for run in find_runs(outputs)} == {".", "twin", new}
    assert "removed 1 run" in said(capsys, str(outputs), "--prune", "--run", new, "--yes")
    assert "nothing to remove" in said(capsys, str(outputs), "--prune", "--keep", "0", "--yes")
    assert {run.name for run in find_runs(outputs)} == {".", "twin"}
    with pytest.raises(UserError, match="not an earlier run"):
        remove_run(find_runs(outputs)[0])
