"""Ends that are no failures: Ctrl-C during long work, with all saved, and a reader of the output that went away."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, Protocol

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


def discard_output() -> None:
    """Send what is printed from now on, and what waits to be, into the void."""
    void = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(void, stream)


def end_quietly() -> NoReturn:
    """End with exit code 0: the reader of the output went away, as ``| head`` does, and has what it wanted."""
    discard_output()
    raise SystemExit(0)
