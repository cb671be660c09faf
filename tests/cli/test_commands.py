"""The commands that the README and the design list, as a user types them, on a small text."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.running import SMALL, run, run_program
from tests.conftest import make_book
from tiny_diffusion.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as a checkout, with a book, prepared and trained by the listed commands."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    (folder / "data" / "raw").mkdir(parents=True)
    (folder / "data" / "raw" / "frankenstein.txt").write_text(make_book(30_000), encoding="utf-8")
    book = ["--book", "data/raw/frankenstein.txt", "--output", "data/processed"]
    table = run_program(folder, "scripts/prepare_data.py", *book, "--verbose").stdout
    for word in ("passages", "words", "tokens, level 1", "foundational", "easiest", "hardest", "because"):
        assert word in table
    again = run(folder, "prepare", *book).text
    assert "nothing to do" in again and again.rstrip().endswith(" train --time-budget 20m") and "because" not in again
    run(folder, "train", "--debug", *SMALL)
    return folder


@pytest.mark.parametrize("name", ["prepare_data", "train", "generate", "evaluate"])
def test_the_scripts_are_the_commands(tmp_path: Path, name: str) -> None:
    said = run_program(tmp_path, str(ROOT / "scripts" / f"{name}.py"), "--help").stdout
    assert f"Usage: tiny-diffusion {name.split('_')[0]} " in said


@pytest.mark.long
def test_train_again_moves_the_run_aside(checkout: Path) -> None:
    done = run(checkout, "train", "--data-dir", "data/processed", *SMALL)
    assert "is now in" in done.text and (checkout / "outputs" / "earlier").is_dir()
    lines = (checkout / "outputs" / "logs" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "Finished"
    run(checkout, "train", "--config", "memory_efficient", *SMALL)


@pytest.mark.long
def test_a_time_budget_respects_what_is_given_and_ends_in_time(checkout: Path) -> None:
    given = ["--output", "within", "--training.batch_size", "5"]
    said = run(checkout, "train", "--config", "debug", "--time-budget", "4m", *given, *SMALL).text
    assert "what could be trained" in said and "the run took" in said
    settings = (checkout / "within" / "config.toml").read_text()
    assert "batch_size = 5\n" in settings and "d_model = 32\n" in settings
    steps = [json.loads(line) for line in (checkout / "within" / "logs" / "metrics.jsonl").read_text().splitlines()]
    epochs = [row["epoch"] for row in steps if row["event"] == "StepDone"]
    assert set(epochs) == {1} and not steps[-1]["interrupted"]


@pytest.mark.long
def test_generate(checkout: Path) -> None:
    chosen = ["--checkpoint", "outputs/best_model.pt", "--length", "20"]
    written = run(checkout, "generate", *chosen, "--prompt", "The origin of").text
    assert written.startswith("The origin of")
    level = ["--vocab-level", "3", "--prompt", "Science", "--length", "20"]
    assert run(checkout, "generate", *level).text.startswith("Science")
    talk = run(checkout, "generate", "--interactive", "--length", "10", stdin="The old\nA new\n\n").text
    assert "The old" in talk and "A new" in talk
    both = run(checkout, "generate", "--preset", "fast", "--num-samples", "2", "--prompt", "Well").text
    assert both.count("Well") >= 2
    filled = run(checkout, "infill", "The old ___ sold it.", "--num-samples", "2").text
    assert len(filled.splitlines()) >= 2
    assert filled.startswith("The old") and filled.endswith(" sold it.\n") and "___" not in filled
    kept = run(checkout, "rewrite", "The [[old miller]] sold it.", "--strength", "1").text
    assert "old miller" in kept and "[[" not in kept


@pytest.mark.long
def test_evaluate(checkout: Path) -> None:
    chosen = ["--checkpoint", "outputs/best_model.pt", "--data-dir", "data/processed", "--preset", "default"]
    few = ["--eval-batch-size", "4", "--eval-samples", "50", "--evaluation.draws", "4", "--generation.steps", "2"]
    few += ["--evaluation.novelty_steps", "[2]", "--evaluation.temperatures", "[1]"]
    table = run(checkout, "evaluate", *chosen, *few).text
    report = json.loads((checkout / "outputs" / "evaluation.json").read_text(encoding="utf-8"))
    assert report["windows"] <= 50 and len(report["samples"]) <= 50
    names = {row["name"] for row in report["likelihood"]}
    ngrams = {"unigram", "bigram", *(f"{n}-gram Kneser-Ney" for n in (3, 4, 5, 6))}
    own = {"diffusion (bound)", "diffusion (chain rule)"}
    assert names >= own | ngrams | {"PPMd order 8, primed", "uniform"}
    assert all(name in table for name in names)
    other = ["--other-books", "other.txt"]
    (checkout / "other.txt").write_text("Nobody came. Who would? It rained, and rained again.\n" * 40, encoding="utf-8")
    table = run(checkout, "evaluate", "--preset", "fast", "--verbose", "--generation.steps", "2", *other).text
    assert all(word in table for word in ("other.txt", "sentence length", "held-out text", "12-grams", "entropy"))
    assert "missing.txt" in run(checkout, "evaluate", "--other-books", "missing.txt", code=2).stderr


@pytest.mark.long
def test_score(checkout: Path) -> None:
    (checkout / "new.txt").write_text("The old miller carried the quiet lantern.\n\nThe zebra's xylophone exploded.\n")
    text = run(checkout, "score", "new.txt", "--evaluation.draws", "2").text
    assert "[" in text and "bits per byte (chain rule)" in text and "\x1b" not in text
    command = ["score", "-", "--json", "--evaluation.draws", "2"]
    found = json.loads(run(checkout, *command, stdin="The old miller sold it.").text)
    assert "".join(word["text"] for word in found["words"]) == "The old miller sold it."


@pytest.mark.long
def test_the_self_tests(checkout: Path) -> None:
    assert "ok:" in run(checkout, "train", "--test").text
    assert "ok:" in run(checkout, "train", "--test-integration").text


def test_config_prints_what_it_reads_back(checkout: Path) -> None:
    text = run(checkout, "config", "cpu_2m", "--set", "training.seed=7").text
    (checkout / "experiment.toml").write_text(text)
    assert run(checkout, "config", "experiment.toml").text == text
    assert "training.seed" in run(checkout, "config", "--reference").text


def test_prepare_explains_what_it_takes_a_book_for(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("CHAPTER I\n\nHe sold the mare,[1] and kept the dog.\n\n[1] For nine crowns.\n")
    prepare = ("prepare", "--book", "b.txt", "--explain")
    shown = run(tmp_path, *prepare).text
    for words in (
        "headings   CHAPTER I",
        "text       He sold the mare, and kept",
        "notes      For nine crowns.",
        "1 paragraphs",
    ):
        assert words in shown
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.txt"]
    assert "3 paragraphs" in run(tmp_path, *prepare, "--keep", "notes", "--keep", "headings").text
    run(tmp_path, *prepare, "--keep", "marvels", code=2)


def test_help_comes_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from tiny_diffusion.cli import main\n"
        f"for command in {[[], *([name] for name in COMMANDS)]!r}:\n"
        "    try: main([*command, '--help'])\n"
        "    except SystemExit: print('after', *command, 'with torch' if 'torch' in sys.modules else 'light')"
    )
    said = run_program(tmp_path, "-c", code).stdout
    assert said.count("Usage") == 1 + len(COMMANDS)
    assert re.findall("(?m)^after.* (?:light|torch)$", said) == [
        "after light",
        *(f"after {name} light" for name in COMMANDS),
    ]


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
        (["prepare", "--book", "none.txt"], "no file"),
        (["prepare", "--book", "short.txt"], "too few"),
        (["generate", "--vocab-level", "9"], "vocab_level"),
        (["generate", "--checkpoint", "short.txt"], "short.txt"),
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
        (["score", "The old miller."], "echo"),
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
        run(checkout, "prepare", "--book", "b.txt", "--output", "other")
    assert words in run(checkout, *command, code=2).stderr


@pytest.mark.long
def test_output_that_cannot_be_written(checkout: Path) -> None:
    (checkout / "file").write_text("x")
    book = ["--book", "data/raw/frankenstein.txt"]
    run(checkout, "prepare", *book, "--output", "file/processed", code=2)
    run(checkout, "train", "--output", "file/out", *SMALL, code=2)
