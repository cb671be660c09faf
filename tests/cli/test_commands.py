"""The commands that the README and the design list, as a user types them, on a small text."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import make_book
from tiny_diffusion.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
SMALL = [
    "--model.d_model", "32", "--model.n_layers", "1", "--model.n_heads", "1", "--model.d_ff", "32",
    "--model.context", "32", "--model.vocab_level", "1", "--training.threads", "1",
    "--training.sample_every_epochs", "0",
    "--set", "curriculum.stages[0].epochs=1", "--set", "curriculum.stages[1].epochs=1",
    "--set", "curriculum.stages[2].epochs=1",
]  # fmt: skip


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
    return {**os.environ, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}


def run(folder: Path, *command: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, input=stdin, env=environment()
    )
    assert done.returncode == code, done.stderr[-2000:]
    if code == 2:
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as a checkout, with a book, prepared and trained by the listed commands."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copy(ROOT / "clean.sh", folder)
    (folder / "data" / "raw").mkdir(parents=True)
    (folder / "data" / "raw" / "frankenstein.txt").write_text(make_book(30_000), encoding="utf-8")
    book = ["--book", "data/raw/frankenstein.txt", "--output", "data/processed"]
    table = run(folder, "scripts/prepare_data.py", *book, "--verbose").stdout
    for word in ("passages", "words", "tokens, level 1", "foundational", "easiest", "hardest"):
        assert word in table
    assert "nothing to do" in run(folder, "scripts/prepare_data.py", *book).stdout
    run(folder, "scripts/train.py", "--debug", "--data-dir", "data/processed", *SMALL)
    return folder


@pytest.mark.long
def test_train_again_moves_the_run_aside(checkout: Path) -> None:
    done = run(checkout, "scripts/train.py", "--data-dir", "data/processed", *SMALL)
    assert "is now in" in done.stdout and (checkout / "outputs" / "earlier").is_dir()
    lines = (checkout / "outputs" / "logs" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "Finished"
    run(checkout, "scripts/train.py", "--config", "memory_efficient", "--data-dir", "data/processed", *SMALL)


@pytest.mark.long
def test_a_time_budget_respects_what_is_given_and_ends_in_time(checkout: Path) -> None:
    given = ["--data-dir", "data/processed", "--output", "within", "--training.batch_size", "5"]
    command = ["scripts/train.py", "--config", "debug", "--time-budget", "4m", *given, *SMALL]
    said = run(checkout, *command).stdout
    assert "what could be trained" in said and "the run took" in said
    settings = (checkout / "within" / "config.toml").read_text()
    assert "batch_size = 5\n" in settings and "d_model = 32\n" in settings
    steps = [json.loads(line) for line in (checkout / "within" / "logs" / "metrics.jsonl").read_text().splitlines()]
    epochs = [row["epoch"] for row in steps if row["event"] == "StepDone"]
    assert set(epochs) == {1} and not steps[-1]["interrupted"]


GENERATE = ["scripts/generate.py", "--checkpoint", "outputs/best_model.pt"]
EVALUATE = ["scripts/evaluate.py", "--checkpoint", "outputs/best_model.pt", "--data-dir", "data/processed"]


@pytest.mark.long
def test_generate(checkout: Path) -> None:
    assert run(checkout, *GENERATE, "--prompt", "The origin of", "--length", "20").stdout.startswith("The origin of")
    level = ["--vocab-level", "3", "--prompt", "Science", "--length", "20"]
    assert run(checkout, *GENERATE, *level).stdout.startswith("Science")
    talk = run(checkout, *GENERATE, "--interactive", "--length", "10", stdin="The old\nA new\n\n").stdout
    assert "The old" in talk and "A new" in talk
    both = run(checkout, *GENERATE, "--preset", "fast", "--num-samples", "2", "--prompt", "Well").stdout
    assert both.count("Well") >= 2
    filled = run(checkout, "-m", "tiny_diffusion", "infill", "The old ___ sold it.", "--num-samples", "2").stdout
    assert len(filled.splitlines()) >= 2
    assert filled.startswith("The old") and filled.endswith(" sold it.\n") and "___" not in filled
    kept = run(checkout, "-m", "tiny_diffusion", "rewrite", "The [[old miller]] sold it.", "--strength", "1").stdout
    assert "old miller" in kept and "[[" not in kept


@pytest.mark.long
def test_evaluate(checkout: Path) -> None:
    few = ["--eval-batch-size", "4", "--eval-samples", "50", "--evaluation.draws", "4", "--generation.steps", "2"]
    table = run(checkout, *EVALUATE, "--preset", "default", *few).stdout
    report = json.loads((checkout / "outputs" / "evaluation.json").read_text(encoding="utf-8"))
    assert report["windows"] <= 50 and len(report["samples"]) <= 50
    names = {row["name"] for row in report["likelihood"]}
    ngrams = {"unigram", "bigram", *(f"{n}-gram Kneser-Ney" for n in (3, 4, 5, 6))}
    own = {"diffusion (bound)", "diffusion (chain rule)"}
    assert names >= own | ngrams | {"PPMd order 8, primed", "uniform"}
    assert all(name in table for name in names)
    other = ["--other-books", "other.txt"]
    (checkout / "other.txt").write_text("Nobody came. Who would? It rained, and rained again.\n" * 40, encoding="utf-8")
    table = run(checkout, *EVALUATE, "--preset", "fast", "--verbose", "--generation.steps", "2", *other).stdout
    assert all(word in table for word in ("other.txt", "sentence length", "held-out text", "12-grams", "entropy"))
    assert "missing.txt" in run(checkout, *EVALUATE, "--other-books", "missing.txt", code=2).stderr


@pytest.mark.long
def test_score(checkout: Path) -> None:
    (checkout / "new.txt").write_text("The old miller carried the quiet lantern.\n\nThe zebra's xylophone exploded.\n")
    text = run(checkout, "-m", "tiny_diffusion", "score", "new.txt", "--evaluation.draws", "2").stdout
    assert "[" in text and "bits per byte (chain rule)" in text and "\x1b" not in text
    command = ["-m", "tiny_diffusion", "score", "-", "--json", "--evaluation.draws", "2"]
    found = json.loads(run(checkout, *command, stdin="The old miller sold it.").stdout)
    assert "".join(word["text"] for word in found["words"]) == "The old miller sold it."


@pytest.mark.long
def test_the_self_tests(checkout: Path) -> None:
    assert "ok:" in run(checkout, "scripts/train.py", "--test").stdout
    assert "ok:" in run(checkout, "scripts/train.py", "--test-integration").stdout


def test_config_prints_what_it_reads_back(checkout: Path) -> None:
    text = run(checkout, "-m", "tiny_diffusion", "config", "cpu_2m", "--set", "training.seed=7").stdout
    (checkout / "experiment.toml").write_text(text)
    assert run(checkout, "-m", "tiny_diffusion", "config", "experiment.toml").stdout == text
    assert "training.seed" in run(checkout, "-m", "tiny_diffusion", "config", "--reference").stdout


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_comes_without_torch(tmp_path: Path, command: str) -> None:
    code = (
        "import sys; from tiny_diffusion.cli import main\n"
        f"try: main({[command, '--help'] if command else ['--help']!r})\n"
        "finally: sys.stderr.write('torch' if 'torch' in sys.modules else 'light')"
    )
    done = run(tmp_path, "-c", code)
    assert "Usage" in done.stdout and done.stderr == "light"


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["train", "--data-dir", "none"], "no prepared book"),
        (["train", "--trainig.seed", "1"], "No such option"),
        (["train", "--set", "trainig.seed=1"], "training"),
        (["train", "--model.d_model", "33"], "d_model"),
        (["train", "--config", "cpu_3m"], "cpu_"),
        (["train", "--time-budget", "soon"], "write it like"),
        (["train", "--time-budget", "1s"], "the least that works is about"),
        (["prepare", "--book", "none.txt"], "no file"),
        (["prepare", "--book", "short.txt"], "too few"),
        (["generate", "--vocab-level", "9"], "vocab_level"),
        (["generate", "--checkpoint", "short.txt"], "short.txt"),
        (["generate", "--prompt", "word " * 400], "context"),
        (["infill", "no gap"], "no gap"),
        (["infill", "The {3 wrods} sold it."], "did you mean {3 words}?"),
        (["rewrite", "The [[old miller"], "never closed"),
        (["rewrite", "The old miller", "--strength", "0"], "rewrite_strength"),
        (["evaluate", "--data-dir", "other"], "not what the checkpoint was trained on"),
        (["blind-test"], "--rater NAME"),
        (["blind-test", "--rater", "anna", "--passages", "3"], "evaluation.blind_passages=3"),
        (["blind-test", "--report"], "no blind test"),
        (["ablation", "--data-dir", "none"], "no prepared book"),
        (["ablation", "--epochs", "0"], "ablation_epochs"),
        (["ablation", "--set", "curriculum.full_range_share=1"], "does nothing"),
        (["compare", "--no-plot", "--epochs", "9,3"], "must rise"),
        (["compare", "--no-plot", "--sizes", "cpu_3m"], "cpu_2m"),
        (["compare", "--no-plot", "--set", "training.max_steps=3"], "does nothing"),
        (["twin", "--checkpoint", "outputs/best_model.pt", "--config", "cpu_2m"], "not both"),
        (["twin", "--checkpoint", "outputs/best_model.pt", "--data-dir", "other"], "not what the checkpoint"),
        (["score", "none.txt"], "no file"),
        (["score", "-"], "no text"),
        (["evaluate", "--twin", "outputs/best_model.pt"], "not an autoregressive"),
        (["evaluate", "--hf", "none"], "none"),
        (["unknown"], "No such command"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(checkout: Path, command: list[str], words: str) -> None:
    (checkout / "short.txt").write_text("Too short a text.")
    if "other" in command:
        (checkout / "b.txt").write_text(make_book(30_000, seed=1))
        run(checkout, "-m", "tiny_diffusion", "prepare", "--book", "b.txt", "--output", "other")
    assert words in run(checkout, "-m", "tiny_diffusion", *command, code=2).stderr


@pytest.mark.long
def test_output_that_cannot_be_written(checkout: Path) -> None:
    (checkout / "file").write_text("x")
    book = ["--book", "data/raw/frankenstein.txt"]
    run(checkout, "-m", "tiny_diffusion", "prepare", *book, "--output", "file/processed", code=2)
    run(checkout, "-m", "tiny_diffusion", "train", "--output", "file/out", *SMALL, code=2)


def test_clean_keeps_raw_books_and_what_lies_behind_links(checkout: Path, tmp_path: Path) -> None:
    place = tmp_path / "project"
    (place / "data" / "raw").mkdir(parents=True)
    (place / "data" / "processed").mkdir()
    (place / "data" / "raw" / "b.txt").write_text("x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("x")
    (place / "outputs").symlink_to(tmp_path / "outside")
    shutil.copy(checkout / "clean.sh", place)
    script = str(place / "clean.sh")
    done = subprocess.run([script, "quick"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "removing outputs" in done.stdout
    assert (place / "data" / "raw" / "b.txt").exists() and (tmp_path / "outside" / "kept").exists()
    assert not (place / "outputs").exists() and not (place / "data" / "processed").exists()
    assert subprocess.run([script, "everything"], capture_output=True).returncode == 2
