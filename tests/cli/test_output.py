"""Output for people: sentences break at words, tables and lists fit 80 columns, the report begins with samples."""

import io
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from unicodedata import category

import pytest
import torch
from rich.cells import cell_len
from rich.console import Console

from tiny_diffusion.checkpoint import Checkpoint, new_model
from tiny_diffusion.cli import console as consoles
from tiny_diffusion.cli import main
from tiny_diffusion.cli.evaluation import report_tables
from tiny_diffusion.cli.options import command_line
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.reading import loading
from tiny_diffusion.data.reading.loading import OutOfReach, read_book
from tiny_diffusion.evaluation.report.evaluate import evaluate
from tiny_diffusion.evaluation.report.page import render
from tiny_diffusion.evaluation.result import Report

ROOT = Path(__file__).parents[2]
LONG = "a sentence of several words that is longer than the terminal is wide, with :book: in it"


@pytest.fixture(scope="module")
def report(config: ProjectConfig, data: Processed) -> Report:
    """Of an untrained model, with all tables but the slow ones."""
    torch.manual_seed(0)
    few = {"draws": 2, "windows": 8, "samples": 5, "sample_tokens": 40, "chain_rule": False, "breakdown_draws": 1}
    more = {"book_pieces": 10, "bootstrap": 100, "novelty_steps": [1, 2, 4], "temperatures": [0.5], "ppm_order": 2}
    small = config.override(evaluation=few | more, generation={"steps": 3})
    checkpoint = Checkpoint(
        small, data.tokenizer, new_model(small, data.tokenizer).state_dict(), {"data": data.identity}
    )
    *_, found = evaluate(checkpoint, data, small.evaluation, small.generation, torch.device("cpu"))
    assert isinstance(found, Report)
    return found


def terminal(width: int = 40) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, highlight=False, emoji=False, color_system=None
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_sentences_break_at_words_on_a_terminal_and_nowhere_in_a_pipe() -> None:
    screen = terminal()
    consoles.say(LONG, to=screen)
    lines = written(screen).splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= 40 and " ".join(line.strip() for line in lines) == LONG
    pipe = Console(file=io.StringIO(), force_terminal=False, width=40, highlight=False, emoji=False)
    consoles.say(LONG, to=pipe)
    assert written(pipe) == LONG + "\n"


def test_a_command_to_copy_is_one_line_and_names_only_unusual_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tiny-diffusion"])
    usual = command_line("evaluate", "--fast", checkpoint="outputs/best_model.pt", data_dir=Path("data/processed"))
    assert shlex.split(usual)[1:] == ["evaluate", "--fast"]
    elsewhere = command_line("train", "--resume", data_dir="my books/one", output="a folder with a long name")
    assert shlex.split(elsewhere)[3:] == ["--data-dir", "my books/one", "--output", "a folder with a long name"]
    screen = terminal()
    consoles.say(elsewhere, to=screen, whole=True)
    assert written(screen) == elsewhere + "\n"


def test_an_error_breaks_at_words_too(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal()
    monkeypatch.setattr(consoles, "errors", screen)
    with pytest.raises(SystemExit) as ended:
        main(["generate", "--checkpoint", "a checkpoint that lies nowhere at all on this machine"])
    assert ended.value.code == 2
    lines = written(screen).splitlines()
    assert lines[0].startswith("error: ") and len(lines) > 1 and max(map(len, lines)) <= 40
    assert "a checkpoint that lies nowhere at all on this machine" in " ".join(line.strip() for line in lines)


def test_what_is_said_beside_a_spinner_goes_through_the_spinners_console(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, beside = terminal(), terminal()
    monkeypatch.setattr(consoles, "errors", beside)
    consoles.say("said", to=screen)
    assert written(beside) == "said\n" and written(screen) == ""
    screen.quiet = True
    consoles.say("hushed", to=screen)
    assert "hushed" not in written(beside) + written(screen)


def test_the_program_is_named_as_this_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bin", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tiny-diffusion").touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "tiny-diffusion")])
    assert consoles.program() == "tiny-diffusion"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "other" / "tiny-diffusion")])
    assert consoles.program() == "other/tiny-diffusion"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "pkg" / "__main__.py")])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    assert consoles.program() == "bin/python -m tiny_diffusion"


def test_a_server_that_does_not_answer_in_time_is_out_of_reach_and_one_that_does_may_take_its_time() -> None:
    asked, free = Event(), Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/slow.txt":
                asked.set()
                free.wait(10)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"Some text.")

        def log_message(self, *given: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Slow) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            assert read_book(f"{address}/quick.txt", 5.0).text == "Some text."
            with pytest.raises(OutOfReach) as refused:
                read_book(f"{address}/slow.txt", 0.2)
            assert asked.is_set() and refused.value.reason in ("timed out", "no answer within 0.2 seconds")
        finally:
            free.set()
            server.shutdown()


def test_looking_up_a_name_counts_as_waiting_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    free = Event()
    monkeypatch.setattr(loading.urllib.request, "urlopen", lambda request, timeout: free.wait(10))
    with pytest.raises(OutOfReach, match=r"no answer within 0\.1 seconds"):
        read_book("https://example.org/b.txt", 0.1)
    free.set()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(("given", "asked"), [([], "demo"), (["BOOK=my book.txt"], 'demo --book "my book.txt"')])
def test_make_passes_a_book_on(given: list[str], asked: str) -> None:
    done = subprocess.run(["make", "-n", "demo", *given], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith(f"tiny-diffusion {asked}")


def test_prepare_shows_three_easiest_and_hardest_sentences_each_on_a_line(
    prepared: Path,
    config: ProjectConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    settings = ["--pipeline.vocab_size", str(config.pipeline.vocab_size)]

    def show(*more: str) -> list[str]:
        with pytest.raises(SystemExit) as ended:
            main(["prepare", "--book", str(prepared.parent / "book.txt"), "--output", str(tmp_path), *settings, *more])
        assert ended.value.code == 0
        return capfd.readouterr().out.splitlines()

    lines = show()
    assert len(lines) < 24 and max(map(len, lines[:-1])) <= 80  # the last names this program by its path
    first, second = (lines.index(f"{kind} sentences:") for kind in ("easiest", "hardest"))
    assert second - first == 4 and len(lines[second + 1 :]) >= 3
    assert any(line.endswith("…") for line in lines)
    assert len(show("--verbose")) > len(lines) + 14


def test_the_tables_of_an_evaluation_fit_80_columns(
    report: Report, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    hostile = replace(report, samples=["It ends. Then \x1b[2J\x07 comes.", *report.samples[1:]])
    report_tables.show(hostile, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    tables = [line for line in lines if line[:1] in "┏┃┡│└"]
    assert len(tables) > 50 and max(map(cell_len, tables)) <= 80
    assert not any(category(sign) == "Cc" for line in lines for sign in line)  # a model may write what a terminal obeys


def test_the_page_begins_with_samples_in_which_copied_words_are_underlined(report: Report) -> None:
    assert report.novelty is not None
    text = report.samples[0]
    marked = replace(report, novelty=replace(report.novelty, copied=[[(3, 12)], *report.novelty.copied[1:]]))
    page = render(marked, None)
    assert page.index("<h2>Samples") < page.index("<h2>Likelihood") < page.index("<h2>More samples")
    assert "5 or more words in a row that also occur in the training text" in page and "(there are none)" not in page
    inside = re.search(r"<blockquote>(.*?)</blockquote>", page, re.S)
    assert inside is not None and inside[1].count("<u>") == 1
    plain = re.sub(r"</?u>", "", inside[1])
    start = inside[1].index("<u>")
    assert start >= 3 and len(plain) >= len(text) and "text-decoration: underline" in page
    none = replace(report, novelty=replace(report.novelty, copied=[[] for _ in report.samples]))
    assert "(there are none)" in render(none, None)


def test_a_table_that_is_cut_at_the_edge_of_a_phone_shows_it(report: Report) -> None:
    style = re.search(r"\.table \{([^}]*)\}", render(report, None))
    assert style is not None and "overflow-x: auto" in style[1] and "var(--shade)" in style[1]
