"""Faults of commands that a user may meet: each ends in one line and the right exit code, and nothing is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.test_commands import environment
from tiny_diffusion.checkpoint import Checkpoint, new_model, save_checkpoint
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed

COMMAND = [sys.executable, "-m", "tiny_diffusion"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, config: ProjectConfig, data: Processed) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "model.pt"
    meta = {"data": data.identity, "source": data.source}
    save_checkpoint(path, Checkpoint(config, data.tokenizer, new_model(config, data.tokenizer).state_dict(), meta))
    return str(path)


def refused(*arguments: str, code: int = 2, stdin: bytes = b"", cwd: Path | None = None) -> str:
    """The one line that a command says when it fails."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, input=stdin, env=environment(), cwd=cwd)
    line = done.stderr.decode()
    assert done.returncode == code, line[-2000:]
    assert line.startswith("error: ") and line.count("\n") == 1, line[-2000:]
    return line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["generate", "--help"],
        ["config"],
        ["config", "--reference"],
        ["generate", "--checkpoint", "MODEL", "--length", "3"],
        ["generate", "--checkpoint", "MODEL", "--length", "3", "--jsonl"],
        ["prepare", "--book", "BOOK", "--output", "DATA"],
    ],
)
def test_a_reader_that_went_away_is_no_failure(checkpoint: str, prepared: Path, arguments: list[str]) -> None:
    names = {"MODEL": checkpoint, "BOOK": str(prepared.parent / "book.txt"), "DATA": str(prepared)}
    reader, writer = os.pipe()
    os.close(reader)  # as where head has read its line and ended
    command = [*COMMAND, *(names.get(each, each) for each in arguments)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment())
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("arguments", [["config"], ["config", "--reference"], ["--help"]])
def test_a_full_disk_behind_the_output_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, env=environment())
    assert done.returncode == 1 and done.stderr.startswith(b"error: cannot write the output: No space left")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["prepare", "--book", "a.txt", "--book", "b.txt"], "--book"),
        (["generate", "--prompt", "A", "--prompt=B"], "--prompt"),
        (["evaluate", "--checkpoint", "a", "--checkpoint", "b"], "--checkpoint"),
        (["blind-test", "--rate", "--no-rate", "--rater", "a"], "--rate/--no-rate"),
        (["config", "--set", "training.seed=1", "--set", "training.seed=2"], "training.seed"),
        (["prepare", "--book", "a", "--pipeline.seed", "1", "--set", "pipeline.seed=2"], "pipeline.seed"),
        (["generate", "--temperature", "1", "--generation.temperature", "2"], "generation.temperature"),
        (["evaluate", "--eval-batch-size", "1", "--evaluation.batch_size", "2"], "evaluation.batch_size"),
        (["twin", "--seeds", "1", "--set", "study.seeds=2"], "study.seeds"),
    ],
)
def test_what_is_given_twice_is_refused(tmp_path: Path, prepared: Path, arguments: list[str], name: str) -> None:
    data = ["--data-dir", str(prepared)] if arguments[0] == "twin" else []
    assert f"error: {name} is given 2 times" in refused(*arguments, *data, cwd=tmp_path)


def test_options_of_many_values_are_not_counted(tmp_path: Path) -> None:
    assert "no checkpoint" in refused("evaluate", "--hf", "a", "--hf", "b", "--fast", "--fast", cwd=tmp_path)
