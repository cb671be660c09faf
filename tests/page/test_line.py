"""The line of wishes: its order, its bounds, and readers that leave or read slowly. The application is called as is."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the page needs the extra [app]")

from tiny_diffusion.config import PageConfig
from tiny_diffusion.errors import UserError
from tiny_diffusion.page.app import make_app
from tiny_diffusion.page.line import Busy, Event, Job, Line
from tiny_diffusion.page.messages import EventStream

Message = dict[str, Any]


def within(work: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(work, 60)

    return asyncio.run(bounded())


def steps(count: int, gate: threading.Event | None = None, closed: list[int] | None = None) -> Callable[[], Any]:
    """Work of ``count`` events, each after ``gate`` is open; notes in ``closed`` how many were made when it ended."""

    def work() -> Generator[Event, None, None]:
        made = 0
        try:
            for number in range(count):
                if gate is not None:
                    gate.wait(30)
                made += 1
                yield "step", {"number": number}
        finally:
            if closed is not None:
                closed.append(made)

    return work


async def all_of(job: Job) -> list[Event]:
    return [event async for event in job.stream(30) if event is not None]


def test_jobs_run_in_turn_and_know_their_place() -> None:
    async def work() -> None:
        line, gate = Line(PageConfig()), threading.Event()
        jobs = [line.join(steps(2, gate)) for _ in range(3)]
        gate.set()
        found = [await all_of(job) for job in jobs]
        assert found[0] == [("step", {"number": 0}), ("step", {"number": 1})]
        places = [[data["place"] for name, data in events if name == "queued"] for events in found]
        assert places == [[], [1, 1], [2, 1]]
        for job in jobs:
            line.leave(job)
        assert line.open == 0
        line.close()

    within(work())


def test_a_full_line_refuses() -> None:
    async def work() -> None:
        line, gate = Line(PageConfig(most_jobs=2)), threading.Event()
        jobs = [line.join(steps(1, gate)) for _ in range(2)]
        with pytest.raises(Busy, match="2 requests"):
            line.join(steps(1))
        line.leave(jobs[1])  # it was waiting, and goes
        jobs[1] = line.join(steps(1))
        gate.set()
        assert (await all_of(jobs[1]))[-1] == ("step", {"number": 0})
        line.close()

    within(work())


def test_work_stops_when_its_reader_leaves() -> None:
    async def work() -> None:
        line, closed = Line(PageConfig()), list[int]()
        gate = threading.Event()
        gate.set()
        job = line.join(steps(10**9, gate, closed))
        async for _ in job.stream(30):
            break
        line.leave(job)
        following = line.join(steps(1))
        assert (await all_of(following))[-1] == ("step", {"number": 0})
        assert len(closed) == 1 and closed[0] < 10**8
        line.close()

    within(work())


def test_a_job_ends_when_its_time_is_up() -> None:
    async def work() -> None:
        line = Line(PageConfig(most_seconds=0.05))
        job = line.join(steps(10**9))
        *_, (name, data) = await all_of(job)
        assert name == "failed" and "page.most_seconds" in data["message"]
        line.close()

    within(work())


def test_faults_reach_the_reader_as_a_line() -> None:
    def told() -> Generator[Event, None, None]:
        yield "step", {}
        raise UserError("not so")

    def fault() -> Generator[Event, None, None]:
        raise KeyError("a fault of ours")
        yield

    async def work() -> None:
        line = Line(PageConfig())
        assert (await all_of(line.join(told)))[-1] == ("failed", {"message": "not so"})
        [(name, data)] = [event for event in await all_of(line.join(fault)) if event[0] != "queued"]
        assert name == "failed" and "KeyError" in data["message"] and "ours" not in data["message"]
        assert (await all_of(line.join(steps(1))))[-1][0] == "step"  # the next one is served
        line.close()

    within(work())


def test_a_quiet_stream_beats() -> None:
    async def work() -> None:
        line, gate = Line(PageConfig()), threading.Event()
        job = line.join(steps(1, gate))
        found = []
        async for event in job.stream(0.01):
            found.append(event)
            gate.set()
        assert found[0] is None and found[-1] == ("step", {"number": 0})
        line.close()

    within(work())


class Browser:
    """Calls an application for one request, and leaves or reads slowly as it is told."""

    def __init__(
        self, app: Any, path: str, body: bytes = b"", slow: float = 0.0, leave_after: int | None = None
    ) -> None:
        headers = [(b"host", b"127.0.0.1:1"), (b"content-type", b"application/json")]
        self.scope: Message = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": headers, "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "scheme": "http", "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2), "root_path": "",
        }  # fmt: skip
        self.app, self.body, self.slow, self.leave_after = app, body, slow, leave_after
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self.asked = False

    async def receive(self) -> Message:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await asyncio.sleep(self.slow)
        self.sent.append(message)
        if self.leave_after is not None and len(self.sent) > self.leave_after:
            self.gone.set()

    async def run(self) -> "Browser":
        await self.app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def complete(self) -> bool:
        return not self.sent[-1].get("more_body", False)


def test_a_closed_tab_stops_its_job() -> None:
    async def work() -> None:
        line, closed = Line(PageConfig()), list[int]()
        gate = threading.Event()
        gate.set()
        tab = await Browser(EventStream(line, steps(10**9, gate, closed)), "/", leave_after=3).run()
        assert not tab.complete and line.open == 0
        assert (await all_of(line.join(steps(1))))[-1][0] == "step"
        assert closed and closed[0] < 10**8
        line.close()

    within(work())


def test_a_slow_reader_does_not_hold_the_line() -> None:
    async def work() -> None:
        line = Line(PageConfig(patience=0.2))
        stuck = asyncio.create_task(Browser(EventStream(line, steps(5)), "/", slow=30).run())
        await asyncio.sleep(0)
        quick = await Browser(EventStream(line, steps(5)), "/").run()
        assert quick.complete and quick.status == 200
        began = time.monotonic()
        assert (await stuck).sent == [] and time.monotonic() - began < 20  # it was given up
        assert line.open == 0
        line.close()

    within(work())


def test_a_slow_body_is_given_up(make_page: Callable[..., Any]) -> None:
    app = make_app(make_page(patience=0.05))

    async def work() -> Browser:
        browser = Browser(app, "/api/write")

        async def receive() -> Message:
            if browser.asked:
                await asyncio.sleep(30)
            browser.asked = True
            return {"type": "http.request", "body": b"{", "more_body": True}

        browser.receive = receive  # type: ignore[method-assign]
        return await browser.run()

    found = within(work())
    assert found.status == 400 and b"too slowly" in found.sent[1]["body"]


def test_one_too_many_is_told_to_come_back(make_page: Callable[..., Any]) -> None:
    page = make_page(most_jobs=1)
    app, gate = make_app(page), threading.Event()
    body = json.dumps({"task": "continue", "text": "a", "settings": {"length": 1}}).encode()

    async def work() -> Browser:
        job = page.line.join(steps(1, gate))
        refused = await Browser(app, "/api/write", body).run()
        gate.set()
        await all_of(job)
        page.line.leave(job)
        assert (await Browser(app, "/api/write", body).run()).status == 200
        page.line.close()
        return refused

    found = within(work())
    assert found.status == 503 and b"try again" in found.sent[1]["body"]
