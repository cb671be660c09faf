"""Where a run is in its schedule, by its steps or, with a deadline, by its time; and what follows from that place.

A place is a number from 0 to 1: the share of the planned steps that are done, or of the time that is used.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from time import monotonic

from ..config import CurriculumConfig, ProjectConfig, TrainingConfig
from ..config.curriculum_config import ShelfStage

WARMUP_SHARE = 0.05  # largest share of the schedule that warm-up takes
FIRST_STAGE_SHARE = 0.5  # largest share of the first stage that it takes
PAUSES = 0.2  # largest share of the time that validations, samples and saves take
ALL_STEPS, VALIDATED, SAMPLED = 1, 2, 3  # values of Progress.closing
LEAVING = 1.0  # seconds to close the log and leave the interpreter
Clock = Callable[[], float]


@dataclass(frozen=True)
class Line:
    """How a run moves through its schedule: in a straight line from the place ``at`` to 1.

    ``since`` and ``end`` count steps or, in a run with a deadline, seconds.
    """

    end: float
    since: float = 0.0
    at: float = 0.0

    def place(self, now: float) -> float:
        """Place in the schedule at ``now`` steps or seconds."""
        return 1.0 if now >= self.end else self.at + (now - self.since) * (1 - self.at) / (self.end - self.since)

    def moved(self, now: float, end: float, at: float | None = None) -> "Line":
        """The line from ``now`` to another ``end``; it begins at the place ``at``, or at the present one if None."""
        return Line(max(now, end), now, self.place(now) if at is None else at)


@dataclass
class Progress:
    """Where a run is, as it is saved. ``stage_step`` counts the stage's steps, and so gives the step of its epoch.

    ``cooling``: early stopping has set in, and the learning rate decays to the end. With a deadline, ``seconds`` are
    those of the whole run, ``used`` those used when the state was saved, and ``stretches`` tells whether the run may
    take more than its planned epochs. ``closing`` tells how much of the work at an epoch's end is done: 0 during its
    steps, then ALL_STEPS, VALIDATED and SAMPLED.
    """

    step: int = 0
    stage: int = 0
    stage_step: int = 0
    best: float = math.inf
    since_best: int = 0
    finished: bool = False
    line: Line = Line(0.0)
    cooling: bool = False
    seconds: float | None = None
    used: float = 0.0
    stretches: bool = True
    closing: int = 0


class Deadline:
    """Ends a run when its seconds are used up, however long its steps take.

    Nothing is planned from measured steps: slow steps leave time for fewer of them, and the schedule still reaches its
    end. The steps end early enough for a last validation: by the longest pause seen so far, or expected.
    """

    def __init__(
        self, seconds: float, used: float = 0.0, stretches: bool = True, pause: float = 0.0, clock: Clock = monotonic
    ) -> None:
        """``seconds`` of the whole run, of which some are ``used`` already.

        ``stretches``: whether the run may take more than its planned epochs when there is time. ``pause``: expected
        seconds of a validation with its saves.
        """
        self.seconds, self.stretches, self.clock = seconds, stretches, clock
        self._began, self._pause, self._paused = clock() - used, pause, -math.inf

    @property
    def used(self) -> float:
        """Seconds of the run that are used."""
        return self.clock() - self._began

    @property
    def end(self) -> float:
        """Seconds after which no step begins, so that the last validation fits."""
        return max(0.0, self.seconds - self._pause - LEAVING)

    def may_pause(self) -> bool:
        """Whether enough time has passed since the last pause for pauses to take little of the run."""
        return self.used - self._paused >= self._pause * (1 - PAUSES) / PAUSES

    def paused(self, began: float) -> None:
        """Note a pause that began when ``began`` seconds were used, and ends now."""
        self._paused = self.used
        self._pause = max(self._pause, self._paused - began)


@dataclass(frozen=True)
class Point:
    """What a step is to do: its share of the peak learning rate, its mask rates, and its ``Course.book_place``."""

    scale: float
    mask_range: tuple[float, float]
    in_book: float


class Course:
    """Tells where a run is in its schedule, when a stage is over, and what early stopping does to the rest."""

    def __init__(
        self, config: ProjectConfig, stage_steps: Sequence[int], progress: Progress, clock: Clock = monotonic
    ) -> None:
        """``stage_steps``: planned steps of each stage. A deadline that ``progress`` knows of goes on by ``clock``."""
        self.settings, self.stage_steps, self.progress = config.training, stage_steps, progress
        self.curriculum, first = config.curriculum, config.curriculum.first
        self.total_steps = sum(stage_steps)
        self.stage_ends = [steps / self.total_steps for steps in accumulate(stage_steps)]
        self.book_begins = self.stage_ends[first - 1] if 0 < first < len(stage_steps) else 0.0
        self.deadline: Deadline | None = None
        if progress.seconds is not None:
            self.deadline = Deadline(progress.seconds, progress.used, progress.stretches, clock=clock)

    def keep(self, deadline: Deadline) -> None:
        """End the run by ``deadline``, whatever its plan says."""
        p, used = self.progress, deadline.used
        at = used / max(used, deadline.end) if self.deadline is not None else self.place
        self.deadline, p.cooling, p.line = deadline, False, Line(deadline.end, used, at)
        p.seconds, p.stretches = deadline.seconds, deadline.stretches

    @property
    def now(self) -> float:
        """Steps taken, or with a deadline seconds used."""
        return self.progress.step if self.deadline is None else self.deadline.used

    @property
    def place(self) -> float:
        """Place in the schedule, from 0 to 1."""
        place = self.progress.line.place(self.now)
        if self.deadline is None or self.deadline.stretches:
            return place
        return max(place, min(1.0, self.progress.step / self.total_steps))

    def at(self, epoch: int) -> Point:
        """What the present place asks of the next step, in the stage's ``epoch`` (from 0)."""
        p, place = self.progress, self.place
        begins, ends = [0.0, *self.stage_ends][p.stage : p.stage + 2]
        # Where max_steps ends the run before this stage, it has no length.
        in_stage = max(0.0, place - begins) / (ends - begins) if ends > begins else 1.0
        in_book = self.book_place(place)
        scale = learning_rate_scale(self.settings, p.step, place, in_stage, p.stage, in_book)
        return Point(scale, mask_range(self.curriculum, p.stage, epoch), in_book)

    def book_place(self, place: float) -> float:
        """Place in what comes after the shelf, from 0 to 1; 0 during the shelf, unless the run has nothing else."""
        if self.book_begins >= 1:  # max_steps ends the run before the book
            return place
        return max(0.0, place - self.book_begins) / (1 - self.book_begins)

    @property
    def end(self) -> int:
        """The run's last step; with a deadline, an estimate from the pace so far."""
        p = self.progress
        if self.deadline is None:
            return math.ceil(p.line.end)
        return max(p.step, round(p.step / max(self.place, 1e-9)))

    def stage_is_over(self) -> bool:
        """Whether the stage or the whole run ends after the last step, even in the middle of an epoch."""
        if self.deadline is None:
            return self.progress.step >= self.progress.line.end
        return self.place >= self.stage_ends[self.progress.stage]

    def stop_early(self, final: bool) -> float:
        """Leave the stage because validation no longer improves; returns the steps, or seconds, until the run ends.

        The next stage begins at its own place in the schedule. Without a deadline the run loses the steps that are left
        of this stage; with one, the later stages get its time. In the ``final`` stage the learning rate first decays
        for a share of what the run took so far (``progress.cooling``), unless it is constant.
        """
        p, settings, now = self.progress, self.settings, self.now
        end = now
        if not final:
            end = p.line.end if self.deadline else now + sum(self.stage_steps[p.stage + 1 :])
            p.line = p.line.moved(now, end, self.stage_ends[p.stage])
        elif settings.scheduler != "constant":
            flat = 1 - settings.decay_share * (1 - self.book_begins) if settings.scheduler == "linear" else 0.0
            end = min(p.line.end, now + settings.cooldown_share * now)
            p.line = p.line.moved(now, end, max(self.place, flat))
            p.cooling = p.line.place(now) < 1
        return end - now

    def may_pause(self) -> bool:
        """Whether there is time for a validation that is due."""
        return self.deadline is None or self.deadline.may_pause()

    def paused(self, began: float) -> None:
        """Note that a validation with its saves ends now; it ``began`` when so many seconds were used."""
        if self.deadline is not None:
            self.deadline.paused(began)
            if not self.progress.cooling:
                self.progress.line = self.progress.line.moved(self.deadline.used, self.deadline.end)


def learning_rate_scale(
    config: TrainingConfig, step: int, place: float, stage_place: float, stage: int, book_place: float
) -> float:
    """Share of the peak learning rate at ``step``, at ``place`` in the run and ``stage_place`` in its stage.

    Warm-up is linear over ``warmup_steps``, at most WARMUP_SHARE of the schedule and FIRST_STAGE_SHARE of the first
    stage. ``linear`` falls over the last ``decay_share`` of the book itself, see ``Course.book_place``: a rate that
    fell on the shelf would leave little for the turn to the book. ``cosine_with_restarts`` runs one cosine per stage
    (Loshchilov & Hutter 2017).
    """
    of_stage = 1.0 if stage else stage_place / FIRST_STAGE_SHARE
    rise = min(1.0, max((step + 1) / max(1, config.warmup_steps), place / WARMUP_SHARE, of_stage))
    low = config.min_lr_ratio
    if config.scheduler == "constant":
        return rise
    if config.scheduler == "linear":
        return rise * (low + (1 - low) * min(1.0, (1 - book_place) / config.decay_share))
    peak = config.restart_decay**stage
    wave = 0.5 * (1 + math.cos(math.pi * min(1.0, stage_place)))
    return rise * (low + (peak - low) * wave if peak > low else low)


def blend(config: CurriculumConfig, stage: int, epoch: int) -> float:
    """Weight of ``stage`` against the one before it, rising to 1 over the transition; ``epoch`` counts from 0.

    The shelf ends at once: the first stage of the book fades out nothing.
    """
    if stage == 0 or isinstance(config.stages[stage - 1], ShelfStage):
        return 1.0
    length = config.transition_share * config.stages[stage].epochs
    return min(1.0, (epoch + 1) / (length + 1))


def mask_range(config: CurriculumConfig, stage: int, epoch: int) -> tuple[float, float]:
    """Mask rates of the stage; during the transition they move from those of the stage before it."""
    (low, high), share = config.stages[stage].mask_range, blend(config, stage, epoch)
    if share == 1.0:
        return low, high
    old_low, old_high = config.stages[stage - 1].mask_range
    return old_low + share * (low - old_low), old_high + share * (high - old_high)
