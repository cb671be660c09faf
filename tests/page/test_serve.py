"""The command ``serve``: what it refuses, and the server as a program of its own."""

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the page needs the extra [app]")
pytest.importorskip("uvicorn", reason="the page needs the extra [app]")

from ..cli.running import environment, run


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--checkpoint", "nothing.pt", code=2)
    assert "no checkpoint at nothing.pt" in done.stderr


def test_a_book_that_no_checkpoint_learnt(tmp_path: Path, checkpoints: list[Path]) -> None:
    done = run(tmp_path, "serve", "--checkpoint", str(checkpoints[0]), "--data-dir", "nowhere", code=2)
    assert "nowhere" in done.stderr


def test_a_port_that_is_taken(tmp_path: Path, checkpoints: list[Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(tmp_path, "serve", "--checkpoint", str(checkpoints[0]), "--port", port, code=2)
    assert f"port {port}" in done.stderr and "--port 0" in done.stderr


def test_an_address_of_another_machine(tmp_path: Path, checkpoints: list[Path]) -> None:
    done = run(tmp_path, "serve", "--checkpoint", str(checkpoints[0]), "--host", "203.0.113.1", code=2)
    assert "203.0.113.1" in done.stderr and "--port 0" not in done.stderr and "attempting" not in done.stderr


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("tiny_diffusion.page.", "starlette"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    done = run(tmp_path, "serve", code=2)
    assert "pip install 'tiny-diffusion[app]'" in done.stderr


@pytest.mark.long
def test_a_server_for_others(tmp_path: Path, checkpoints: list[Path]) -> None:
    """Its link opens once, and Ctrl-C ends it well."""
    given = ["--host", "127.0.0.2", "--port", "0", "--checkpoint", str(checkpoints[0])]
    command = [sys.executable, "-m", "tiny_diffusion", "serve", *given]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+\?token=\S+", server.stdout.readline())
        assert found is not None
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"tiny diffusion" in opener.open(found[0]).read()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(found[0])
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
