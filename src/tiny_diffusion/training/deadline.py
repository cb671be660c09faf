"""A run that ends on time: its place in the schedule is the share of its time that is used."""

import time
from collections.abc import Callable

PAUSES = 0.2  # share of the time that validations, samples and saves take at most
LEAVING = 1.0  # seconds to close the log and leave the interpreter


class Deadline:
    """Ends a run when its seconds are used up, however long its steps take.

    Nothing is planned from measured steps: slow steps leave time for fewer of them, and the schedule still runs to its
    end. The last validation has to fit, so the steps end earlier by the longest pause that was seen, or expected.
    """

    def __init__(
        self,
        seconds: float,
        *,
        began: float | None = None,
        used: float = 0.0,
        stretches: bool = True,
        pause: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``seconds``: of the whole run, of which an interrupted run has ``used`` some already.

        ``began``: when this run, or its continuation, began by ``clock``; now, if not given. ``stretches``: whether the
        run may take more than its planned epochs when there is time. ``pause``: expected seconds of a validation with
        the saves that belong to it.
        """
        self.seconds, self.stretches, self.clock = seconds, stretches, clock
        self._began = (clock() if began is None else began) - used
        self._pause = pause
        self._paused = -float("inf")

    @property
    def used(self) -> float:
        """Seconds of the run that are used."""
        return self.clock() - self._began

    @property
    def left(self) -> float:
        """Seconds of the run that are left."""
        return self.seconds - self.used

    @property
    def end(self) -> float:
        """Seconds of the run after which no step begins, so that the last validation fits."""
        return max(0.0, self.seconds - self._pause - LEAVING)

    def may_pause(self) -> bool:
        """Whether enough time has passed since the last pause for pauses to take little of the run."""
        return self.used - self._paused >= self._pause * (1 - PAUSES) / PAUSES

    def paused(self, began: float) -> None:
        """Take note of a pause: it began when ``began`` seconds were used, and ends now."""
        self._paused = self.used
        self._pause = max(self._pause, self._paused - began)
