"""A page for a browser: served in a thread of this process, and opened in the system's Chromium."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="make test-page needs the extra [browser]")
uvicorn = pytest.importorskip("uvicorn", reason="the page needs the extra [app]")

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
SIZES = {"desk": (1280, 860), "phone": (390, 844)}


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of an application that runs in a thread."""
    from tiny_diffusion.page.server import listen

    door = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@contextmanager
def opened() -> Iterator[Callable[..., Any]]:
    """Opens pages, each in a window of its own, and fails if one of them reports an error in its console."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    faults: list[str] = []
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def open_page(address: str, size: str = "desk", *, dark: bool = False) -> Any:
            width, height = SIZES[size]
            window = chromium.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
                reduced_motion="reduce",
                accept_downloads=True,
            )
            page = window.new_page()
            page.set_default_timeout(60_000)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda message: message.type == "error" and faults.append(message.text))
            page.on(
                "request",
                lambda request: request.url.startswith((address, "blob:", "data:")) or faults.append(request.url),
            )
            page.goto(address)
            page.locator("#continue:enabled").wait_for()
            return page

        yield open_page
        chromium.close()
    assert faults == []
