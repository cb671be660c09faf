"""Steps whose figures may still lie on a busy GPU: they are read later, so that it never waits for the host."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from .events import StepDone


@dataclass(frozen=True)
class RunningStep:
    """A step whose loss and gradient norm may still lie on a busy GPU."""

    event: StepDone
    loss: Tensor
    norm: Tensor
    began: float

    def done(self, since: float) -> StepDone:
        """The event with its figures; waits for the GPU. ``since``: when the step before was done."""
        loss, norm = float(self.loss), float(self.norm)
        seconds = time.perf_counter() - max(self.began, since)
        return replace(self.event, loss=loss, gradient_norm=norm, seconds=seconds)


class StepsInFlight:
    """Steps in the order in which they were begun, of which ``most`` may run on while the next one begins."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._running: deque[RunningStep] = deque()
        self._since = 0.0

    def add(self, step: RunningStep) -> None:
        """A step has been begun."""
        self._running.append(step)

    def done(self) -> Iterator[StepDone]:
        """The events of steps beyond ``most``, the oldest first; waits for them."""
        yield from self._take(self.most)

    def rest(self) -> Iterator[StepDone]:
        """The events of all steps; waits for them."""
        yield from self._take(0)

    def _take(self, kept: int) -> Iterator[StepDone]:
        while len(self._running) > kept:
            event = self._running.popleft().done(self._since)
            self._since = time.perf_counter()
            yield event
