"""How long a run is told to take: measuring leaves it as it was, and noise is measured for longer."""

import itertools
from pathlib import Path

import pytest
import torch

from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.training import run_time as estimate
from tiny_diffusion.training.events import StepDone
from tiny_diffusion.training.run_time import Pace, expected_seconds, measure_pace
from tiny_diffusion.training.step import Stepper
from tiny_diffusion.training.trainer import Trainer


@pytest.mark.parametrize("objective", ["diffusion", "autoregressive"])
def test_measuring_leaves_the_run_as_it_was(
    tmp_path: Path, config: ProjectConfig, data: Processed, objective: str
) -> None:
    config = config.override(training={"objective": objective}, model={"causal": objective == "autoregressive"})
    config = config.override(**{"training.sample_every_epochs": 1 if objective == "diffusion" else 0})
    plain, measured = (Trainer(config, data, tmp_path / name) for name in ("plain", "measured"))
    pace = measure_pace(measured, 0.05)
    assert pace.steps >= 1 and min(pace.optimizer, pace.row, pace.validation, pace.state) > 0
    assert (pace.sample > 0) == (objective == "diffusion")
    assert not (tmp_path / "measured").exists()
    assert measured.progress == plain.progress and len(measured.validation.windows) == len(plain.validation.windows)
    for trainer in (plain, measured):
        for event in trainer.run():
            trainer.stop_requested = isinstance(event, StepDone) and event.step == 4
    assert all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), measured.model.parameters(), strict=True))
    assert all(
        torch.equal(a, b) for a, b in zip(plain.average.parameters(), measured.average.parameters(), strict=True)
    )


def test_a_sample_is_timed_by_a_few_of_its_steps(
    tmp_path: Path, config: ProjectConfig, data: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.override(**{"training.sample_every_epochs": 1, "generation.length": 48, "generation.steps": 4})
    monkeypatch.setattr(estimate.time, "perf_counter", itertools.count().__next__)  # a second a writing
    # Windows of 32 and 16 tokens: two steps each timed, of four each.
    assert estimate._sample_seconds(Trainer(config, data, tmp_path).state) == 2.0


def test_a_batch_too_slow_to_time_is_timed_by_the_row(
    tmp_path: Path, config: ProjectConfig, data: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(config.override(**{"training.batch_size": 32}), data, tmp_path)
    rows, step = [], Stepper.step
    monkeypatch.setattr(Stepper, "step", lambda self, batch, epoch: rows.append(len(batch)) or step(self, batch, epoch))
    measure_pace(trainer, 0.0)
    assert rows == [1, 1]
    rows.clear()
    measure_pace(trainer, 1e9)
    assert rows[-1] == 32


def test_the_estimate_counts_what_is_left(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(config, data, tmp_path)
    pace = measure_pace(trainer, 0.0)
    whole = expected_seconds(trainer, pace)
    assert whole > trainer.total_steps * pace.optimizer + 3 * pace.validation
    trainer.progress.step = trainer.total_steps // 2
    assert expected_seconds(trainer, pace) == pytest.approx(whole / 2, rel=0.02)


def test_the_estimate_ends_where_the_run_ends(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    pace = Pace(optimizer=0.1, row=0.01, validation=0.0, sample=0.0, state=0.0, steps=3)
    whole = Trainer(config, data, tmp_path)
    short = Trainer(config.override(**{"training.max_steps": whole.total_steps // 2}), data, tmp_path)
    share = short.total_steps / whole.total_steps
    assert expected_seconds(short, pace) == pytest.approx(share * expected_seconds(whole, pace))
    whole.progress.step = whole.course.end
    assert expected_seconds(whole, pace) == 0


def test_steps_that_differ_much_are_measured_for_longer(
    tmp_path: Path, config: ProjectConfig, data: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, seconds = Trainer(config, data, tmp_path), itertools.cycle([0.01, 0.25, 0.02, 0.3])

    def measured(steps: itertools.cycle) -> int:
        monkeypatch.setattr(estimate.Rehearsal, "step", lambda self, rows: (0.0, next(steps) / rows))
        monkeypatch.setattr(estimate, "SHARE", 1e9)  # only the limit counts
        return measure_pace(trainer, 1.0).steps

    calm, noisy = measured(itertools.repeat(0.145)), measured(seconds)
    assert noisy > 2 * calm


def test_a_slower_pace_is_slower_in_every_part() -> None:
    pace = Pace(optimizer=1.0, row=2.0, validation=3.0, sample=4.0, state=5.0, steps=6)
    assert pace.slowed(2) == Pace(optimizer=2.0, row=4.0, validation=6.0, sample=8.0, state=10.0, steps=6)
