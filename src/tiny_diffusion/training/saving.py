"""When the state of a run is written while it goes on: so rarely that it takes little of the run's time."""

import time
from collections.abc import Callable

SHARE = 0.1  # of the time, that writing the state may take at most


class Saving:
    """Calls ``write`` when it is asked to, unless so soon after the last time that writing would take over ``SHARE``.

    A run's state is several times its weights: written at each of many short epochs of a large model it would take far
    longer than they do. What a crash loses is then nine times as long as one writing takes, at most.
    """

    def __init__(self, write: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.write, self.clock = write, clock
        self._next = clock()

    def when_due(self) -> None:
        """Write now, if enough time has passed."""
        began = self.clock()
        if began < self._next:
            return
        self.write()
        ended = self.clock()
        self._next = ended + (ended - began) * (1 - SHARE) / SHARE
