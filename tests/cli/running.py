"""Commands as a user types them: in this process, which is quick, or in their own, as signals and scripts need."""

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tiny_diffusion.cli import main

SMALL = [
    "--model.d_model", "32", "--model.n_layers", "1", "--model.n_heads", "1", "--model.d_ff", "32",
    "--model.context", "32", "--model.vocab_level", "1", "--training.threads", "1",
    "--training.sample_every_epochs", "0",
    "--set", "curriculum.stages[0].epochs=1", "--set", "curriculum.stages[1].epochs=1",
    "--set", "curriculum.stages[2].epochs=1",
]  # fmt: skip
WIDTH = {"COLUMNS": "100"}


def latest(*options: str) -> list[str]:
    """The options, each setting once: what comes later takes the place of the same setting before it."""
    found: dict[str, list[str]] = {}
    for option in options:
        if option.startswith("--"):
            found[f"{option}{len(found)}"] = [option]
        else:
            found[[*found][-1]].append(option)
    by_setting: dict[str, list[str]] = {}
    for option in found.values():
        key = option[1].partition("=")[0] if option[0] == "--set" else option[0]
        by_setting[key] = option
    return [part for option in by_setting.values() for part in option]


def environment() -> dict[str, str]:
    return {**os.environ, **WIDTH, "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Done:
    """What a command printed."""

    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8")


def run(folder: Path | None, *arguments: str, code: int = 0, stdin: str | bytes = "") -> Done:
    """Run ``tiny-diffusion ARGUMENTS`` in this process and in ``folder``; it must end with ``code``.

    Wrong usage (2) must be one line of the standard error.
    """
    given = stdin if isinstance(stdin, bytes) else stdin.encode("utf-8")
    streams = {name: io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n") for name in ("stdout", "stderr")}
    streams["stdin"] = io.TextIOWrapper(io.BytesIO(given), "utf-8", errors="surrogateescape")
    with pytest.MonkeyPatch.context() as patch:
        if folder is not None:
            patch.chdir(folder)
        patch.setenv("COLUMNS", WIDTH["COLUMNS"])
        for name, stream in streams.items():
            patch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = streams["stdout"], streams["stderr"]
        out.flush()
        err.flush()
        done = Done(out.buffer.getvalue(), err.buffer.getvalue().decode("utf-8"))  # type: ignore[attr-defined]
    assert ended.value.code == code, done.stderr[-2000:]
    if code == 2:
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done


def run_program(folder: Path, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``python COMMAND`` in a process of its own."""
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, env=environment())
    assert done.returncode == code, done.stderr[-2000:]
    return done
