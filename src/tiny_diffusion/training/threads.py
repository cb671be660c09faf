"""How many CPU threads training uses: fewer when other programs make threads wait for each other."""

import statistics
from collections import deque

WINDOW = 8  # steps whose median is the pace
COLLAPSE = 1.5  # times the usual seconds per step: worth trying another number of threads
GAIN = 0.9  # of the seconds per step before: what a trial must reach to be kept
HOLD = 200  # steps with fewer threads before all of them are tried again


class ThreadChooser:
    """Tries half of the threads at the start and when the pace collapses, and keeps the number that is faster.

    Each parallel part of a step ends when its slowest thread ends. Beside other busy programs all threads wait for one
    that was put off, and fewer threads can be faster (docs/performance.md).
    """

    def __init__(self, most: int) -> None:
        """``most``: threads on a quiet machine."""
        self.most = self.threads = most
        self._steps: deque[float] = deque(maxlen=WINDOW)
        self._usual = 0.0  # the least median seen since the last trial: the first pace is put to a trial at once
        self._before: float | None = None  # during a trial: the median before it
        self._held = 0  # steps since the last trial

    def add(self, seconds: float) -> int:
        """Take note of a step's ``seconds``; the threads to take for the next one."""
        self._steps.append(seconds)
        self._held += 1
        if self.most == 1 or len(self._steps) < WINDOW:
            return self.threads
        pace = statistics.median(self._steps)
        if self._before is not None:
            if pace > GAIN * self._before:
                self._switch()
            self._usual, self._before = min(pace, self._before), None
        elif pace > COLLAPSE * self._usual or (self.threads < self.most and self._held >= HOLD):
            self._before = pace
            self._switch()
        else:
            self._usual = min(self._usual, pace)
        return self.threads

    def _switch(self) -> None:
        self.threads = self.most if self.threads < self.most else max(1, self.most // 2)
        self._steps.clear()
        self._held = 0
