"""The routes of the page."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ..config import PageConfig, Sampler
from ..errors import UserError, WorldError
from ..show.bands import BANDS, LIMITS
from ..version import PROGRAM_VERSION
from .blind import BlindTest, Judgement, NewTest, Rater
from .door import Door, Guard, refusal
from .line import Busy, Event, Line
from .marks import Book, surprise_events
from .messages import EventStream, TooLarge, Wish, read_wish
from .run import REPORT, RunReader
from .sheet import writing_events
from .shelf import Shelf
from .wishes import MOST_FILM_BYTES, Films, OfText, Writing, animation

STATIC = Path(__file__).parent / "static"
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
NONCE = "NONCE"  # in index.html
PAGE_POLICY = (
    "default-src 'none'; script-src 'nonce-NONCE'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
SHOWN_LIMITS = ("longest_text", "most_tokens", "most_drafts", "most_passages")
THREADS = 4  # for short requests, beside the one that writes

Answer = TypeVar("Answer")
Endpoint = Callable[[Request], Awaitable[Response]]


class Page:
    """What the routes share. Only files that are named here are ever read."""

    def __init__(self, shelf: Shelf, blind: BlindTest, settings: PageConfig, door: Door) -> None:
        self.shelf, self.blind, self.settings, self.door = shelf, blind, settings, door
        self.line = Line(settings)
        self.book = None if shelf.data_dir is None else Book.read(shelf.data_dir)
        folders = dict.fromkeys(path.parent for path in shelf.paths)
        self.runs = [RunReader(folder, shelf.data_dir) for folder in folders]
        self.index = (STATIC / "index.html").read_text(encoding="utf-8")
        self.files = {p.name: (p.read_bytes(), KINDS[p.suffix]) for p in STATIC.iterdir() if p.suffix in KINDS}
        self.files["bands.css"] = (band_colours().encode(), KINDS[".css"])
        self._threads = anyio.CapacityLimiter(THREADS)
        self._looking = anyio.Lock()  # a run is read by one request at a time

    async def aside(self, work: Callable[[], Answer]) -> Answer:
        """The answer of short ``work``, done in a thread beside the event loop."""
        return await run_sync(work, limiter=self._threads)

    async def home(self, request: Request) -> Response:
        """The page itself; a nonce of its own lets its script run, and no other."""
        nonce = secrets.token_urlsafe(16)
        policy = {"content-security-policy": PAGE_POLICY.replace(NONCE, nonce)}
        return HTMLResponse(self.index.replace(NONCE, nonce), headers=policy)

    async def file(self, request: Request) -> Response:
        """A file of the page, by its name in the package; no path leads anywhere else."""
        found = self.files.get(request.path_params["name"])
        return refusal(404, "no such file") if found is None else Response(found[0], media_type=found[1])

    async def start(self, request: Request) -> Response:
        """What the page needs to know when it opens."""
        return JSONResponse(
            {
                "version": PROGRAM_VERSION,
                "checkpoints": await self.aside(self.shelf.about),
                "runs": [str(run.folder) for run in self.runs],
                "has_book": self.book is not None,
                "local": self.door.local,
                "samplers": get_args(Sampler),
                "band_limits": LIMITS,
                "limits": self.settings.model_dump(include={*SHOWN_LIMITS}),
            }
        )

    async def animation(self, request: Request) -> Response:
        """Films as a page to keep."""
        wish = await read_wish(request, Films, self.settings, MOST_FILM_BYTES)
        return HTMLResponse(await self.aside(partial(animation, wish, self.settings.most_drafts)))

    async def run(self, request: Request) -> Response:
        """A run as it is now."""
        async with self._looking:
            return JSONResponse(await self.aside(self._run(request).look))

    async def report(self, request: Request) -> Response:
        """The report of a run's checkpoint, shut off from the page."""
        path = self._run(request).folder / REPORT
        if not path.is_file():
            return refusal(404, "there is no report yet: tiny-diffusion evaluate writes it")
        return HTMLResponse(await self.aside(path.read_bytes), headers={"content-security-policy": REPORT_POLICY})

    async def invite(self, request: Request) -> Response:
        """A link for another browser, which opens once."""
        if self.door.local:
            raise UserError("this page can be reached from this machine only; start serve with --host for others")
        return JSONResponse({"link": f"{request.url.scheme}://{request.url.netloc}/?token={self.door.invite()}"})

    def told(self, look: Callable[[], Any]) -> Endpoint:
        """A route that tells what ``look`` finds."""

        async def answer(request: Request) -> Response:
            return JSONResponse(await self.aside(look))

        return answer

    def done(self, kind: type[Wish], act: Callable[[Wish], Any]) -> Endpoint:
        """A route that does what a wish of this ``kind`` asks, and answers with what ``act`` returns."""

        async def answer(request: Request) -> Response:
            wish = await read_wish(request, kind, self.settings)
            return JSONResponse(await self.aside(partial(act, wish)))

        return answer

    def streamed(self, kind: type[Wish], work: Callable[[Wish], Generator[Event, None, None]]) -> Endpoint:
        """A route that answers a wish of this ``kind`` with the events of its ``work``, as they come."""

        async def answer(request: Request) -> Response:
            wish = await read_wish(request, kind, self.settings)
            return EventStream(self.line, lambda: work(wish))

        return answer

    def written(self, wish: Writing) -> Generator[Event, None, None]:
        """The events of continuing, filling or rewriting."""
        return writing_events(self.shelf.volume(wish.model), wish, self.settings)

    def surprise(self, wish: OfText) -> Generator[Event, None, None]:
        """How surprising each word of a text is, as events."""
        return surprise_events(self.shelf.volume(wish.model), wish.text)

    def copies(self, wish: OfText) -> dict[str, Any]:
        """The runs of a text that stand in the book."""
        if self.book is None:
            raise UserError("copied runs need the prepared book: give serve its --data-dir")
        return {"copied": self.book.copied(wish.text)}

    def begin(self, wish: NewTest) -> Generator[Event, None, None]:
        """Begin a blind test, as events."""
        return self.blind.begin(wish, self.shelf, self.settings)

    def _run(self, request: Request) -> RunReader:
        number = request.path_params["number"]
        if number >= len(self.runs):
            raise UserError(f"there is no run number {number}; there are {len(self.runs)}")
        return self.runs[number]


def band_colours() -> str:
    """A style sheet of the colours of confidence."""
    light, dark = (
        "".join(f"--c{n}: {getattr(b, ground)}; " for n, b in enumerate(BANDS)) for ground in ("on_light", "on_dark")
    )
    return f":root {{ {light}}} @media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}"


def make_app(page: Page) -> Starlette:
    """The application of a page."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        page.line.close()

    def failed(status: int) -> Callable[[Request, Exception], Response]:
        return lambda request, error: refusal(status, str(error))

    blind = page.blind
    get = {
        "/": page.home, "/static/{name}": page.file, "/api/start": page.start, "/api/runs/{number:int}": page.run,
        "/runs/{number:int}/report": page.report, "/api/blind": page.told(blind.about),
        "/api/blind/results": page.told(blind.results),
    }  # fmt: skip
    post = {
        "/api/write": page.streamed(Writing, page.written), "/api/surprise": page.streamed(OfText, page.surprise),
        "/api/copies": page.done(OfText, page.copies), "/api/animation": page.animation, "/api/invite": page.invite,
        "/api/blind/begin": page.streamed(NewTest, page.begin), "/api/blind/join": page.done(Rater, blind.join),
        "/api/blind/judge": page.done(Judgement, blind.judge), "/api/blind/undo": page.done(Rater, blind.undo),
    }  # fmt: skip
    return Starlette(
        routes=[
            *(Route(path, answer) for path, answer in get.items()),
            *(Route(path, answer, methods=["POST"]) for path, answer in post.items()),
        ],
        middleware=[Middleware(Guard, door=page.door)],
        exception_handlers={UserError: failed(400), TooLarge: failed(413), WorldError: failed(500), Busy: failed(503)},
        lifespan=lifespan,
    )
