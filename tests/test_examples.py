"""Each script of ``examples/`` runs with tiny settings and prints what it promises."""

import ast
import math
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

from tiny_diffusion.sampling.denoise import SAMPLERS

from .conftest import make_book

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what an example adds to the library's tables."""
    monkeypatch.setattr("tiny_diffusion.sampling.denoise.SAMPLERS", dict(SAMPLERS))


def run(name: str, *arguments: str | Path) -> None:
    """Run an example in this process, as ``python examples/NAME ARGUMENTS`` would."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that ``train_from_python.py`` made."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "book.txt").write_text(make_book(12_000), encoding="utf-8")
    run("train_from_python.py", folder / "book.txt", "--preset", "smoke", "--output", folder, "--length", 16)
    return folder


@pytest.fixture(scope="module")
def checkpoint(run_folder: Path) -> Path:
    return run_folder / "run" / "best_model.pt"


def test_one_file_learns_and_fills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = tmp_path / "book.txt"
    book.write_text("abcdefgh " * 300, encoding="utf-8")
    small = ("--length", "24", "--width", "32", "--layers", "1", "--steps", "150")
    run("one_file.py", book, *small, "--gap", "abcd_fgh abcdefgh")
    *_, bits, nothing, _, _, _, text, filled = capsys.readouterr().out.splitlines()
    assert float(bits.split()[-4]) < 0.5 * math.log2(9)  # of guesses at random
    assert set(nothing) == {"_"} and "_" not in text and len(text) == 24
    assert (filled[:4], filled[5:]) == ("abcd", "fgh abcdefgh") and filled[4] in "abcdefgh "


def test_one_file_needs_torch_alone() -> None:
    source = (EXAMPLES / "one_file.py").read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(source)))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in named} - set(sys.stdlib_module_names) == {"torch"}
    assert len(source.splitlines()) <= 160


def test_one_file_refuses_a_text_that_is_too_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "book.txt").write_text("Too short.", encoding="utf-8")
    with pytest.raises(SystemExit):
        run("one_file.py", tmp_path / "book.txt")
    assert "the text has 10 characters; it needs" in capsys.readouterr().err


def test_train_from_python(run_folder: Path) -> None:
    assert (run_folder / "processed" / "meta.json").exists()
    assert (run_folder / "run" / "best_model.pt").exists()


def test_write_and_infill(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("write_and_infill.py", checkpoint, "--length", "12")
    said = capsys.readouterr().out
    assert "continued: The value of" in said
    assert "filled: The value is " in said or "no filling was found: " in said
    assert "value" in said.partition("rewritten: ")[2]
    # The last token is drawn first, because a text ends with a sentence; the other 23 take a step each.
    assert "step  6 of 23: 17 tokens open" in said and re.search(r"step +\d+ of \d+:  0 tokens open", said)


def test_own_sampler(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("own_sampler.py", checkpoint, "--length", "12")
    said = capsys.readouterr().out
    assert re.search(r"every_second \(\d+ steps", said) and "entropy (" in said


def test_more_samplers(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("more_samplers.py", checkpoint, "--length", "12")
    said = capsys.readouterr().out
    steps = dict(re.findall(r"^(\w+) \((\d+) steps\):$", said, re.MULTILINE))
    assert list(steps) == ["entropy_bounded", "threshold", "remasking", "planner"]
    assert int(steps["threshold"]) <= 13 < 24 <= int(steps["planner"])


def test_own_schedule(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("own_schedule.py", run_folder / "processed", "--steps", "8")
    said = capsys.readouterr().out
    shares = [float(share) for share in re.findall(r"Schedule: (\d+)% of the tokens hidden", said)]
    # The mean mask rates, 1/2, 2/pi and 1/3, within what 8 steps of 16 stratified rows leave open.
    assert shares == pytest.approx([50, 64, 33], abs=4)
