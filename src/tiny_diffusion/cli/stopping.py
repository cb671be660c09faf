"""Ctrl-C during long work: it ends after its step, with all saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

EXIT_INTERRUPTED = 130


class Stoppable(Protocol):
    """What ends after its current step when asked to."""

    stop_requested: bool


@contextmanager
def graceful_stop(process: Stoppable) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) asks for a stop after the step, with all saved; a second one stops at once."""

    def ask(signum: int, frame: FrameType | None) -> None:
        process.stop_requested = True
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        restore()
