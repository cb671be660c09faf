"""A run whose end is moved: the schedule reaches its end with it, and a resumed run goes the same way."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.training import estimate
from tiny_diffusion.training.estimate import Pace, expected_seconds, measure_pace
from tiny_diffusion.training.events import Event, Finished, StepDone, Validated
from tiny_diffusion.training.pace import Pacer, Plan
from tiny_diffusion.training.trainer import Trainer


class Clock:
    """Time as the test says: each step takes ``step`` seconds, each validation ``validation``."""

    def __init__(self, step: float, validation: float) -> None:
        self.now, self.step, self.validation = 0.0, step, validation

    def __call__(self) -> float:
        return self.now

    def timed(self, event: Event) -> Event:
        if isinstance(event, StepDone):
            self.now += self.step
            return replace(event, seconds=self.step)
        self.now += self.validation * isinstance(event, Validated)
        return event


def run_until(
    trainer: Trainer,
    deadline: float,
    clock: Clock,
    limit: int = 10**6,
    slower: dict[int, float] | None = None,
    estimated: float = 1.0,
) -> list[Event]:
    """Train under a pacer by ``clock``; ``slower`` changes its step time from a step on.

    What was measured before the run took ``estimated`` times as long as it takes at its start.
    """
    pacer = Pacer(trainer, deadline, estimated * clock.validation, estimated * clock.step, limit, clock)
    events = []
    for event in trainer.run():
        event = clock.timed(event)
        pacer.add(event)
        events.append(event)
        clock.step = (slower or {}).get(trainer.progress.step, clock.step)
    return events


def steps_of(events: list[Event]) -> list[StepDone]:
    return [e for e in events if isinstance(e, StepDone)]


@given(st.integers(1, 500), st.data())
def test_a_plan_moves_on_without_jumps_and_reaches_its_end(total: int, draw: st.DataObject) -> None:
    plan = Plan(total, total)
    assert [plan.place(s) for s in range(total + 1)] == list(range(total + 1))
    step = 0
    for _ in range(draw.draw(st.integers(1, 5))):
        step = draw.draw(st.integers(step, plan.end))
        before = plan.place(step)
        plan = plan.moved(step, draw.draw(st.integers(step, step + 300)))
        assert plan.end == step or plan.place(step) == before
        places = [plan.place(s) for s in range(step, plan.end + 1)]
        assert places == sorted(places) and places[-1] == total
    with pytest.raises(ValueError, match="cannot end"):
        plan.moved(plan.end + 1, plan.end)


LONG = {"curriculum.stages[2].epochs": 6, "training.eval_every_epochs": 2, "training.batch_size": 32}


def test_a_slower_machine_cuts_the_run_and_the_decay_still_ends(
    tmp_path: Path, config: ProjectConfig, data: Processed
) -> None:
    trainer = Trainer(config.override(**LONG), data, tmp_path)
    planned, half = trainer.total_steps, trainer.total_steps // 2
    clock = Clock(1.0, 4.0)
    events = run_until(trainer, planned + 40.0, clock, limit=planned, slower={half: 3.0})
    steps = steps_of(events)
    assert len(steps) < 0.8 * planned and clock.now <= planned + 40.0
    assert clock.now > 0.9 * planned + 36.0  # and the time is used
    scales = [e.scale for e in steps]
    assert scales[-1] < 0.1 and max(a - b for a, b in zip(scales, scales[1:], strict=False)) < 0.1
    assert isinstance(events[-1], Finished)
    assert not events[-1].interrupted and trainer.progress.finished
    assert sum(isinstance(e, Validated) and e.step == len(steps) for e in events) == 1


def test_a_faster_machine_stretches_the_run_up_to_its_limit(
    tmp_path: Path, config: ProjectConfig, data: Processed
) -> None:
    trainer = Trainer(config.override(**{"training.batch_size": 32}), data, tmp_path)
    planned = trainer.total_steps
    events = run_until(trainer, 1.5 * planned + 30, Clock(1.0, 2.0), limit=planned + 20)
    steps = steps_of(events)
    assert len(steps) == planned + 20 and steps[-1].scale < 0.06 and steps[-1].total == planned + 20
    assert steps[-1].epoch > config.curriculum.stages[2].epochs


def test_what_a_busy_machine_measured_does_not_end_the_run(
    tmp_path: Path, config: ProjectConfig, data: Processed
) -> None:
    trainer = Trainer(config.override(**LONG), data, tmp_path)
    planned, clock = trainer.total_steps, Clock(1.0, 4.0)
    deadline = planned + 40.0
    events = run_until(trainer, deadline, clock, limit=planned, estimated=deadline)
    assert len(steps_of(events)) == planned and clock.now <= deadline


def test_a_deadline_already_passed_ends_after_a_step(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(config, data, tmp_path)
    events = run_until(trainer, 0.0, Clock(1.0, 1.0))
    assert len(steps_of(events)) == 1 and trainer.best_path.exists() and trainer.progress.finished


def test_a_moved_run_is_resumed_to_the_bit(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    config = config.override(**LONG)

    def moved(trainer: Trainer, stop: int | None) -> list[float]:
        losses = []
        for event in trainer.run():
            if isinstance(event, StepDone):
                losses.append(event.loss)
                if event.step in (10, 30):
                    trainer.end_at(trainer.end - 10)
                trainer.stop_requested = event.step == stop
        return losses

    whole = Trainer(config, data, tmp_path / "whole")
    expected = moved(whole, None)
    assert len(expected) == whole.total_steps - 20
    first = moved(Trainer(config, data, tmp_path / "parts"), 22)
    second = Trainer(config, data, tmp_path / "parts", resume=True)
    assert second.end == whole.total_steps - 10
    assert first + moved(second, None) == expected
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True))


def test_a_schedule_that_restarts_cannot_end_on_time(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(config.override(**{"training.scheduler": "cosine_with_restarts"}), data, tmp_path)
    with pytest.raises(UserError, match="training.scheduler"):
        trainer.end_at(9)


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


def test_a_sample_of_a_sampler_that_takes_its_time_is_counted_a_step_a_token(
    tmp_path: Path, config: ProjectConfig, data: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.override(**{"training.sample_every_epochs": 1, "generation.length": 48, "generation.steps": 4})
    monkeypatch.setattr(estimate.time, "perf_counter", itertools.count().__next__)  # a second a writing
    seconds = {}
    for sampler in ("entropy", "threshold"):
        trainer = Trainer(config.override(**{"generation.sampler": sampler}), data, tmp_path / sampler)
        seconds[sampler] = estimate._sample_seconds(trainer)
    # Windows of 32 and 16 tokens: two steps each timed, of four each, or of one a token.
    assert seconds == {"entropy": 2.0, "threshold": 48 / 4}


def test_a_batch_too_slow_to_time_is_timed_by_the_row(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(config.override(**{"training.batch_size": 32}), data, tmp_path)
    rows = []
    step = Trainer.train_step
    try:
        Trainer.train_step = lambda self, batch, epoch: (rows.append(len(batch)), step(self, batch, epoch))[1]
        measure_pace(trainer, 0.0)
        assert rows == [1, 1]
        rows.clear()
        measure_pace(trainer, 1e9)
        assert rows[-1] == 32
    finally:
        Trainer.train_step = step


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
    whole.end_at(2 * whole.total_steps)  # stretched by a time budget
    whole.progress.step = whole.end
    assert expected_seconds(whole, pace) == 0
