"""One wish is worked on at a time, in a thread of its own; the others wait in a line and are told their place."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from ..config import PageConfig
from ..errors import UserError, WorldError
from ..runtime import memory_errors

Event = tuple[str, dict[str, Any]]
Work = Callable[[], Generator[Event, None, None]]

_LOG = logging.getLogger(__name__)


class Busy(UserError):
    """The line is full."""


class Job:
    """A wish, and the events that its reader has not taken yet; None is behind the last.

    Everything but ``left`` belongs to the event loop.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.left = threading.Event()

    async def stream(self, beat: float) -> AsyncIterator[Event | None]:
        """Each event as it comes, and None whenever none has come for ``beat`` seconds."""
        while True:
            try:
                event = await asyncio.wait_for(self.events.get(), beat)
            except TimeoutError:
                yield None
                continue
            if event is None:
                return
            yield event


class Line:
    """The jobs in the order in which they came. All methods are called in the event loop."""

    def __init__(self, settings: PageConfig) -> None:
        self.settings = settings
        self.open = 0  # jobs whose reader is still there
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._closed = False
        # A single thread for all jobs: each new thread would get its own team of helpers within torch.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writing")

    def join(self, work: Work) -> Job:
        """Put ``work`` at the end of the line; it starts in its turn. Raises Busy if ``page.most_jobs`` are open."""
        if self.open >= self.settings.most_jobs:
            raise Busy(f"{self.open} requests are open already; try again in a moment")
        job = Job(work)
        self.open += 1
        self._waiting.append(job)
        self._advance()
        return job

    def leave(self, job: Job) -> None:
        """The reader of ``job`` has gone: it leaves the line, or stops after its current step."""
        self.open -= 1
        job.left.set()
        if job in self._waiting:
            self._waiting.remove(job)
            self._tell_places()

    def close(self) -> None:
        """Stop all jobs and end the thread."""
        for job in [*self._waiting, *([self._running] if self._running else [])]:
            job.left.set()
        self._waiting.clear()
        self._closed = True
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _advance(self) -> None:
        if self._running is None and self._waiting:
            loop = asyncio.get_running_loop()
            job = self._running = self._waiting.popleft()
            future = loop.run_in_executor(self._worker, self._work, job, loop)
            future.add_done_callback(lambda done: self._finish(job, done))
        self._tell_places()

    def _tell_places(self) -> None:
        for place, job in enumerate(self._waiting, start=1):
            job.events.put_nowait(("queued", {"place": place}))

    def _finish(self, job: Job, done: "asyncio.Future[None]") -> None:
        self._running = None
        error = None if done.cancelled() else done.exception()
        if error is not None:  # a fault of ours: the log has the traceback, and the user a line
            _LOG.error("a request failed", exc_info=error)
            message = f"the program failed ({type(error).__name__}); its terminal says more"
            job.events.put_nowait(("failed", {"message": message}))
        job.events.put_nowait(None)
        if not self._closed:
            self._advance()

    def _work(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Run ``job`` in the thread, until it ends, its reader leaves, or its time is up."""
        most, began = self.settings.most_seconds, time.monotonic()
        try:
            with memory_errors(), closing(job.work()) as events:
                for event in events:
                    if job.left.is_set():
                        return
                    loop.call_soon_threadsafe(job.events.put_nowait, event)
                    if time.monotonic() - began > most:
                        raise UserError(f"stopped after {most:g} seconds (page.most_seconds): ask for less")
        except (UserError, WorldError) as error:
            loop.call_soon_threadsafe(job.events.put_nowait, ("failed", {"message": str(error)}))
