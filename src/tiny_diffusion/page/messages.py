"""What goes in and out: bodies of bounded size as checked wishes, and events as a stream."""

import json
from typing import Any, TypeVar

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..config import Config, PageConfig
from ..errors import UserError
from .line import Event, Line, Work
from .wishes import OfText

BYTES_OF_CHARACTER = 6  # as JSON may spell it: \u00e9
BESIDE_TEXT = 20_000  # bytes of a body beside its text
BEAT = 10.0  # seconds after which a quiet stream shows that it is alive

Wish = TypeVar("Wish", bound=Config)


class TooLarge(UserError):
    """A body has more bytes than the page takes."""


async def read_wish(request: Request, kind: type[Wish], settings: PageConfig, most: int | None = None) -> Wish:
    """The body of a request, of ``most`` bytes, as a wish of its ``kind``.

    Raises UserError for what is no such wish, for a text longer than the page takes, and for a body that takes too long
    to come; TooLarge for one of more bytes.
    """
    limit = BYTES_OF_CHARACTER * settings.longest_text + BESIDE_TEXT if most is None else most
    body = b""
    with anyio.move_on_after(settings.patience) as waiting:
        async for part in request.stream():
            body += part
            if len(body) > limit:
                raise TooLarge(f"the request has more than {limit:,} bytes")
    if waiting.cancelled_caught:
        raise UserError("the request came too slowly")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UserError("the request is no JSON") from error
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise UserError("the request should be a JSON object")
    wish = kind(**data)
    if isinstance(wish, OfText) and len(wish.text) > settings.longest_text:
        raise UserError(f"the text has {len(wish.text):,} characters; the page takes {settings.longest_text:,} at most")
    return wish


def encoded(event: Event) -> bytes:
    """An event in the form of a stream of server-sent events."""
    name, data = event
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


class EventStream(Response):
    """The events of ``work``, as they come. It joins the line when it is sent, and leaves when the reader does.

    A reader that takes nothing for ``page.patience`` seconds counts as gone.
    """

    media_type = "text/event-stream"

    def __init__(self, line: Line, work: Work) -> None:
        super().__init__()
        self.line, self.work = line, work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream. Raises Busy, before anything is sent, if the line is full."""
        job = self.line.join(self.work)

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        async def put(message: dict[str, Any]) -> None:
            with anyio.fail_after(self.line.settings.patience):
                await send(message)

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(watch)
                headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
                await put({"type": "http.response.start", "status": 200, "headers": headers})
                async for event in job.stream(BEAT):
                    part = b": waiting\n\n" if event is None else encoded(event)
                    await put({"type": "http.response.body", "body": part, "more_body": True})
                await put({"type": "http.response.body", "body": b"", "more_body": False})
                group.cancel_scope.cancel()
        except* TimeoutError:
            pass  # the connection is closed, because its answer is not complete
        finally:
            self.line.leave(job)
