"""Ends that are no failures: Ctrl-C during long work, which saves everything, and a reader that went away."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, Protocol

EXIT_INTERRUPTED = 130
STOPPING = "stopping after this {part}, then saving; Ctrl-C again quits without saving"
# Ctrl-C, kill, a terminal that was closed, and a cluster's warning; Windows has the first two.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
SIGNALS = tuple(signal.Signals[name] for name in _NAMES if name in signal.Signals.__members__)


class Stoppable(Protocol):
    """Work that ends soon after ``stop_requested`` is set."""

    stop_requested: bool


@contextmanager
def graceful_stop(process: Stoppable, acknowledge: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C, or another of SIGNALS, asks ``process`` to save and stop; a second one stops at once.

    The first one also calls ``acknowledge``, from another thread.
    """

    def ask(signum: int, frame: FrameType | None) -> None:
        process.stop_requested = True
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    # nohup ignores SIGHUP, and so do we then.
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, ask) for number in heard}
    try:
        with _at_signal(acknowledge):
            yield
    finally:
        restore()


@contextmanager
def _at_signal(act: Callable[[], None]) -> Iterator[None]:
    """Call ``act`` at the first of SIGNALS, in a thread: the main thread may be inside torch for seconds."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def wait() -> None:
        while numbers := os.read(reading, 1):
            if numbers[0] in SIGNALS:
                act()
                return

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        thread.join()
        os.close(reading)


def discard_output() -> None:
    """Discard what is printed from now on, and what is still buffered."""
    void = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(void, stream)


def end_quietly() -> NoReturn:
    """End with exit code 0: the reader of the output has what it wanted and went away, as ``| head`` does."""
    discard_output()
    raise SystemExit(0)
