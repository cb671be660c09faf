"""A run's way through its schedule: by its steps or, with a deadline, by its time."""

import math
from collections.abc import Sequence
from itertools import accumulate

from ..config import TrainingConfig
from .deadline import Deadline
from .run_state import Progress
from .scheduler import Line


class Course:
    """Tells where a run stands in its schedule, when a stage is over, and what early stopping does to the rest.

    The learning rate and the ends of the stages follow from one number, the place in the schedule, from 0 to 1: the
    share of the planned steps that are done or, with a deadline, of the time that is used.
    """

    def __init__(self, settings: TrainingConfig, stage_steps: Sequence[int], progress: Progress) -> None:
        """``stage_steps``: planned for each stage. A deadline that ``progress`` knows of goes on."""
        self.settings, self.stage_steps, self.progress = settings, stage_steps, progress
        self.total_steps = sum(stage_steps)
        self.stage_ends = [steps / self.total_steps for steps in accumulate(stage_steps)]
        self.deadline: Deadline | None = None
        if progress.seconds is not None:
            self.deadline = Deadline(progress.seconds, used=progress.used, stretches=progress.stretches)

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
        if self.deadline is None or self.stretches:
            return place
        return max(place, min(1.0, self.progress.step / self.total_steps))

    def stage_place(self, place: float) -> float:
        """Place within the present stage, from 0 to 1, at ``place`` in the whole schedule."""
        begins, ends = [0.0, *self.stage_ends][self.progress.stage : self.progress.stage + 2]
        if ends == begins:  # the most steps end the run before this stage
            return 1.0
        return max(0.0, place - begins) / (ends - begins)

    @property
    def stretches(self) -> bool:
        """Whether the run may take more than its planned epochs, because there is time."""
        return self.deadline is not None and self.deadline.stretches

    @property
    def end(self) -> int:
        """The step after which the run ends; with a deadline, what it comes to if the pace so far goes on."""
        p = self.progress
        if self.deadline is None:
            return math.ceil(p.line.end)
        return max(p.step, round(p.step / max(self.place, 1e-9)))

    def stage_is_over(self) -> bool:
        """Whether the stage, or the whole run, ends with the last step, before the stage's epochs are done."""
        if self.deadline is None:
            return self.progress.step >= self.progress.line.end
        return self.place >= self.stage_ends[self.progress.stage]

    def stop_early(self, final: bool) -> float:
        """Leave the stage, for validation gets no better; the steps, or seconds, until the run ends.

        The next stage begins at its own place in the schedule. A stage's steps that are left out are the run's no
        more; with a deadline the later stages get its time. In the ``final`` stage the learning rate decays first, for
        a share of what the run took so far (``progress.cooling``), unless it is constant.
        """
        p, settings, now = self.progress, self.settings, self.now
        end = now
        if not final:
            end = p.line.end if self.deadline else now + sum(self.stage_steps[p.stage + 1 :])
            p.line = p.line.moved(now, end, self.stage_ends[p.stage])
        elif settings.scheduler != "constant":
            flat = 1 - settings.decay_share if settings.scheduler == "linear" else 0.0
            end = min(p.line.end, now + settings.cooldown_share * now)
            p.line = p.line.moved(now, end, max(self.place, flat))
            p.cooling = p.line.place(now) < 1
        return end - now

    def may_pause(self) -> bool:
        """Whether there is time for a validation that is due."""
        return self.deadline is None or self.deadline.may_pause()

    def paused(self, began: float) -> None:
        """A validation, and what is saved with it, ends now; it ``began`` when so many seconds were used."""
        if self.deadline is not None:
            self.deadline.paused(began)
            if not self.progress.cooling:
                self.progress.line = self.progress.line.moved(self.deadline.used, self.deadline.end)
