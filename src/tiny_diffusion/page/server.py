"""Listens for the page, until Ctrl-C."""

import errno
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from ..errors import UserError

MOST_CONNECTIONS = 100
IDLE = 5  # seconds for which a connection without a request is kept
LEAVING = 2  # seconds for answers that are still being sent at the end


def listen(host: str, port: int) -> socket.socket:
    """A socket at ``host`` and ``port``; raises UserError if it is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while attempting")[0]
        advice = "; --port 0 takes any free one" if error.errno in (errno.EADDRINUSE, errno.EACCES) else ""
        raise UserError(f"cannot listen on {host}, port {port}: {reason}{advice}") from error


def run(app: ASGIApp, door: socket.socket, started: Callable[[], None]) -> None:
    """Answer requests at ``door``; ``started`` is called just before the first. Raises KeyboardInterrupt at Ctrl-C."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=LEAVING,
    )
    started()
    uvicorn.Server(config).run(sockets=[door])
