"""A run that ends on time: where it stands in its schedule when its end moves, and who moves it."""

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .events import Event, Sampled, StepDone, Validated

if TYPE_CHECKING:
    from .trainer import Trainer

WINDOW = 9  # steps whose median is the pace
SLACK = 0.02  # share of the steps left by which the end may be too early before it is moved on
LAST_SECONDS = 1.0  # for closing the log and leaving the interpreter


@dataclass(frozen=True)
class Plan:
    """Where a run ends, and how its place in a schedule of ``total`` steps moves: on a line to (end, total).

    Moving the end bends the line where the run stands, so that the learning rate never jumps and reaches its end
    with the run. These four numbers are all: a resumed run follows the same line.
    """

    total: int
    end: int
    since: int = 0
    at: float = 0.0

    def place(self, step: int) -> float:
        """Place in the schedule, from 0 to ``total``, when ``step`` steps of the run are done."""
        if step >= self.end:
            return float(self.total)
        return self.at + (step - self.since) * ((self.total - self.at) / (self.end - self.since))

    def moved(self, step: int, end: int) -> "Plan":
        """The plan from ``step`` on, with another end; raises ValueError for an end before ``step``."""
        if end < step:
            raise ValueError(f"the run stands at step {step} and cannot end at {end}")
        return Plan(self.total, end, step, self.place(step))


class Pacer:
    """Reads a trainer's events and moves the run's end to the last step that fits before a deadline.

    The pace is the median of the last steps. Set aside are the validations to come, once and a half the longest pause
    at an epoch's end for the last one, and a second to leave. Until a pause was seen it is the estimated one, corrected
    by how the steps turn out: what was measured at the start may have been measured on a busy machine.
    """

    def __init__(
        self,
        trainer: "Trainer",
        deadline: float,
        pause: float,
        step: float,
        limit: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``deadline`` by ``clock``; ``pause``, ``step``: seconds of a validation and of a step as estimated.

        ``limit``: the latest end.
        """
        self.trainer, self.deadline, self.limit, self.clock = trainer, deadline, limit, clock
        self._pause_in_steps = pause / step
        self._longest = 0.0  # pause seen
        self._paused = False
        self._steps: deque[float] = deque(maxlen=WINDOW)
        self._before = clock()

    def add(self, event: Event) -> None:
        """Take note of an event; after a step the end may move."""
        self._paused |= isinstance(event, Validated | Sampled)
        if not isinstance(event, StepDone):
            return
        now = self.clock()
        between = now - self._before
        self._steps.append(min(event.seconds, between))  # on a GPU two steps overlap
        if self._paused:
            self._longest = max(self._longest, between - event.seconds)
            self._paused = False
        self._before = now
        step, end = self.trainer.progress.step, self.trainer.end
        fits = min(step + self.steps_left(now), max(self.limit, step))
        if fits < end or fits - end > SLACK * (end - step):
            self.trainer.end_at(fits)

    @property
    def pause(self) -> float:
        """Seconds to set aside for a validation with what comes with it."""
        return self._longest or self._pause_in_steps * statistics.median(self._steps)

    def steps_left(self, now: float) -> int:
        """Steps that fit between ``now`` and the deadline, with the validations that fall among them."""
        seconds = self.deadline - now - LAST_SECONDS - 1.5 * self.pause
        pace = statistics.median(self._steps)
        left = int(max(0.0, seconds) / pace)
        while left > 0 and (over := left * pace + self._validations(left) * self.pause - seconds) > 0:
            left = max(0, left - max(1, int(over / (2 * pace))))
        return left

    def _interval(self) -> int:
        """Steps from one validation of the current stage to the next."""
        trainer = self.trainer
        return trainer.steps_per_epoch[trainer.progress.stage] * trainer.config.training.eval_every_epochs

    def _validations(self, steps: int) -> int:
        """Validations on the way when ``steps`` more steps are taken, without the last one."""
        if steps == 0:
            return 0
        into = self.trainer.progress.stage_step % self._interval()
        return (into == 0) + (into + steps - 1) // self._interval()
