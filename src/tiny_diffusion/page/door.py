"""Who may come in: programs of this machine's own pages, or browsers that came with a link that opens once."""

import secrets
from collections import deque

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "tiny_diffusion"
LOCAL = ("127.0.0.1", "localhost", "[::1]")
MOST_LINKS, MOST_GUESTS = 16, 256  # unused links, and browsers that came in: the oldest ones are forgotten
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Door:
    """Hands out links that open once, and remembers the browsers that used one. ``local``: nobody needs a link."""

    def __init__(self, local: bool) -> None:
        self.local = local
        self._links: deque[str] = deque(maxlen=MOST_LINKS)
        self._guests: deque[str] = deque(maxlen=MOST_GUESTS)

    def invite(self) -> str:
        """A new token for a link."""
        self._links.append(secrets.token_urlsafe(24))
        return self._links[-1]

    def enter(self, token: str) -> str | None:
        """The value of the cookie for a browser with an unused ``token``, which is used up now; else None."""
        for link in self._links:
            if secrets.compare_digest(link.encode(), token.encode()):
                self._links.remove(link)
                self._guests.append(secrets.token_urlsafe(24))
                return self._guests[-1]
        return None

    def knows(self, cookie: str) -> bool:
        """Whether a browser with this ``cookie`` came in by a link."""
        return any(secrets.compare_digest(guest.encode(), cookie.encode()) for guest in self._guests)


class Guard:
    """Lets nobody in whom the door does not know, refuses requests of other sites, and adds the security headers.

    On this machine alone, a request must name it as its host, since another site's name may lead here too (DNS
    rebinding). A POST must hold JSON, which other sites cannot send, and come from this site.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._answer(Request(scope))
        await (self.app if answer is None else answer)(scope, receive, with_headers)

    def _answer(self, request: Request) -> Response | None:
        """The answer to a request that goes no further; None lets it pass."""
        headers = request.headers
        host = headers.get("host", "")
        if self.door.local:
            if host.rpartition(":")[0] not in LOCAL and host not in LOCAL:
                return refusal(403, "this page answers under the name of this machine only, such as 127.0.0.1")
        elif not self.door.knows(request.cookies.get(COOKIE, "")):
            cookie = self.door.enter(request.query_params.get("token", "")) if request.scope["path"] == "/" else None
            if cookie is None:
                return refusal(401, "this link has been used, or is not known; ask for a new one")
            answer = RedirectResponse("/", status_code=303)  # the token leaves the address
            answer.set_cookie(COOKIE, cookie, httponly=True, samesite="strict")
            return answer
        if request.method == "POST":
            if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return refusal(415, "send JSON")
            if headers.get("origin", f"http://{host}").partition("://")[2] != host:
                return refusal(403, "this request comes from another site")
        return None


def refusal(status: int, message: str) -> Response:
    """An answer that says in one line why there is no other."""
    return JSONResponse({"message": message}, status)
