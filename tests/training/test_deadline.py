"""A run with a time budget ends when its time is up and not before, whatever its steps take."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tiny_diffusion.cli.training.budget import Budget, keep_deadline
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.studies.budget import Law
from tiny_diffusion.training.course import PAUSES, Deadline
from tiny_diffusion.training.events import Event, Finished, StepDone, Validated
from tiny_diffusion.training.trainer import Trainer

# Steps of a small network: what they take is told by the clock below.
SMALL = {"model.d_model": 16, "model.n_layers": 1, "model.d_ff": 16, "training.batch_size": 32}
LONG = {**SMALL, "curriculum.stages[2].epochs": 6, "training.eval_every_epochs": 2}


class Clock:
    """Time as the test says: step number n takes ``step(n)`` seconds, each validation ``validation``."""

    def __init__(self, step: Callable[[int], float], validation: float) -> None:
        self.now, self.step, self.validation = 0.0, step, validation

    def __call__(self) -> float:
        return self.now

    def pass_by(self, event: Event) -> Event:
        if isinstance(event, StepDone):
            self.now += self.step(event.step)
            return replace(event, seconds=self.step(event.step))
        self.now += self.validation * isinstance(event, Validated)
        return event


def run_within(trainer: Trainer, seconds: float, clock: Clock, **settings: object) -> list[Event]:
    trainer.course.keep(Deadline(seconds, clock=clock, **settings))
    return [clock.pass_by(event) for event in trainer.run()]


def steps_of(events: list[Event]) -> list[StepDone]:
    return [e for e in events if isinstance(e, StepDone)]


def check_whole(trainer: Trainer, events: list[Event], clock: Clock, seconds: float) -> None:
    """The time was used, not overrun; the schedule came to its end; the last weights were validated and kept."""
    steps = steps_of(events)
    assert 0.9 * seconds <= clock.now <= 1.1 * seconds
    assert isinstance(events[-1], Finished) and not events[-1].interrupted and trainer.progress.finished
    assert {e.stage for e in steps} == {0, 1, 2} and steps[-1].scale < 0.1
    assert [e.step for e in events if isinstance(e, Validated)][-1] == len(steps)
    assert trainer.best_path.exists()


def test_a_slow_start_costs_steps_and_not_the_run(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(config.override(**LONG | {"curriculum.stages[2].epochs": 40}), data, tmp_path)
    clock, seconds = Clock(lambda n: 20.0 if n <= 5 else 1.0, 2.0), trainer.total_steps + 40.0
    events = run_within(trainer, seconds, clock)
    check_whole(trainer, events, clock, seconds)
    assert len(steps_of(events)) > seconds - 5 * 20 - 30


def test_a_pace_that_halves_midway_shortens_the_run(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(config.override(**LONG), data, tmp_path)
    half = trainer.total_steps // 2
    clock, seconds = Clock(lambda n: 1.0 if n <= half else 2.0, 2.0), trainer.total_steps + 30.0
    events = run_within(trainer, seconds, clock)
    check_whole(trainer, events, clock, seconds)
    scales = [e.scale for e in steps_of(events)]
    assert max(a - b for a, b in zip(scales, scales[1:], strict=False)) < 0.15  # the decay never jumps


@pytest.mark.parametrize("expected", [0.0, 1.0, 60.0])
def test_a_validation_that_takes_a_fifth_of_the_time_still_fits(
    tmp_path: Path, config: ProjectConfig, data: Processed, expected: float
) -> None:
    trainer = Trainer(config.override(**LONG), data, tmp_path)
    clock = Clock(lambda n: 2.0, 60.0)
    events = run_within(trainer, 300.0, clock, pause=expected)
    check_whole(trainer, events, clock, 300.0)
    assert len(steps_of(events)) > 50  # most of what is left is spent on steps


def test_a_fast_machine_goes_on_until_the_time_is_up(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(config.override(**SMALL), data, tmp_path)
    planned, clock = trainer.total_steps, Clock(lambda n: 0.5, 1.0)
    seconds = planned + 20.0
    events = run_within(trainer, seconds, clock)
    check_whole(trainer, events, clock, seconds)
    assert steps_of(events)[-1].epoch > config.curriculum.stages[2].epochs


def test_epochs_that_the_user_fixed_are_not_exceeded(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(config.override(**LONG), data, tmp_path)
    events = run_within(trainer, 10.0 * trainer.total_steps, Clock(lambda n: 1.0, 1.0), stretches=False)
    steps = steps_of(events)
    assert len(steps) == trainer.total_steps and steps[-1].scale < 0.1 and trainer.progress.finished


def test_each_stage_gets_its_share_of_the_time(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(config.override(**LONG), data, tmp_path)
    shares = [steps / trainer.total_steps for steps in trainer.stage_steps]
    steps = steps_of(run_within(trainer, 200.0, Clock(lambda n: 1.0, 0.0)))
    for stage, share in enumerate(shares):
        assert sum(e.stage == stage for e in steps) / len(steps) == pytest.approx(share, abs=0.02)


def test_a_deadline_already_passed_ends_after_a_step_of_the_run(
    tmp_path: Path, config: ProjectConfig, data: Processed
) -> None:
    trainer = Trainer(config, data, tmp_path)
    events = run_within(trainer, 0.0, Clock(lambda n: 1.0, 1.0))
    assert len(steps_of(events)) == 1 and trainer.best_path.exists() and trainer.progress.finished


def test_a_resumed_run_knows_the_time_it_has_used(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    config = config.override(**LONG)
    first, clock = Trainer(config, data, tmp_path), Clock(lambda n: 1.0, 0.0)
    first.course.keep(Deadline(200.0, clock=clock))
    for event in first.run():
        clock.pass_by(event)
        first.stop_requested |= isinstance(event, StepDone) and event.step == 80
    second = Trainer(config, data, tmp_path, resume=True)
    deadline = second.course.deadline
    assert deadline is not None and deadline.seconds == 200.0 and deadline.used == pytest.approx(80.0, abs=1.0)
    assert second.course.place == pytest.approx(80 / 199, abs=0.01)
    second.course.keep(Deadline(380.0, used=80.0, clock=clock))  # --resume --time-budget: 300 seconds more
    assert second.course.place == pytest.approx(80 / 379, abs=0.01)
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


def test_pauses_take_a_fifth_of_the_time_at_most() -> None:
    clock = Clock(lambda n: 1.0, 0.0)
    deadline = Deadline(100.0, clock=clock)
    assert deadline.may_pause() and deadline.end == 99.0
    clock.now = 10.0
    deadline.paused(8.0)
    assert deadline.end == 97.0  # the longest pause has to fit once more
    clock.now = 10.0 + 2.0 * (1 - PAUSES) / PAUSES - 0.1
    assert not deadline.may_pause()
    clock.now += 0.2
    assert deadline.may_pause()


@pytest.mark.parametrize(
    ("objective", "epochs", "more"), [("diffusion", 1.0, True), ("dual", 0.5, True), ("dual", 1.0, False)]
)
def test_a_dual_network_gets_no_more_epochs_than_were_tried(
    tmp_path: Path, config: ProjectConfig, data: Processed, objective: str, epochs: float, more: bool
) -> None:
    most = Law.load().sizes["cpu_1m"].most_epochs  # of the size nearest to this smaller one
    changes = {"training.objective": objective, "curriculum.stages[2].epochs": round(epochs * most)}
    trainer = Trainer(config.override(**changes), data, tmp_path)
    keep_deadline(Budget(60, 0.0, None, []), trainer, 0.2)
    assert trainer.course.deadline is not None and trainer.course.deadline.stretches == more
