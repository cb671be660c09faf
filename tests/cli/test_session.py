"""Writing commands as a user meets them: sessions, files of prompts, JSON lines, animations saved and shown."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click import NoSuchOption
from click.testing import CliRunner, Result
from markupsafe import escape
from PIL import Image
from rich.console import Console
from rich.text import Text

from tiny_diffusion.checkpoint import Checkpoint, new_model, save_checkpoint
from tiny_diffusion.cli.main import app
from tiny_diffusion.cli.writing import conversation, showing
from tiny_diffusion.cli.writing.conversation import converse
from tiny_diffusion.cli.writing.session import Session
from tiny_diffusion.cli.writing.session_commands import COMMANDS
from tiny_diffusion.cli.writing.showing import Showing
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.show.lines import printable
from tiny_diffusion.writing.results import Run, Written
from tiny_diffusion.writing.writer import Writer

PLAIN = Showing(watch=False, pace=0.0)
SHORT = GenerationConfig(length=5, steps=2, precision="float32", ending="token", words="free")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, config: ProjectConfig, data: Processed) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "model.pt"
    save_checkpoint(path, Checkpoint(config, data.tokenizer, new_model(config, data.tokenizer).state_dict()))
    return str(path)


@pytest.fixture(scope="module")
def writer(checkpoint: str) -> Writer:
    return Writer.load(checkpoint, "cpu")


def talk(writer: Writer, *lines: str, showing: Showing = PLAIN, settings: GenerationConfig = SHORT) -> Session:
    """A session that hears ``lines`` and then the end of input."""
    waiting = iter(lines)

    def read() -> str:
        for line in waiting:
            return line
        raise EOFError

    session = Session(writer, settings, showing)
    converse(session, read=read)
    return session


def generate(checkpoint: str, *arguments: str, command: str = "generate", stdin: str | None = None) -> Result:
    fixed = ["--checkpoint", checkpoint, "--device", "cpu", "--steps", "3", "--generation.words", "free"]
    fixed += ["--generation.ending", "token"] if command == "generate" else []
    return CliRunner().invoke(app, [command, *arguments, *fixed], input=stdin, standalone_mode=False)


def fails(result: Result, words: str) -> None:
    assert words in str(result.exception) and not result.stdout.strip()


def test_a_line_is_gone_on_from_and_an_empty_one_ends(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    session = talk(writer, "The old", "//A", "", "never")
    first, second = session.texts
    assert first == writer.write("The old", SHORT)[0].text and second.startswith("/A")
    out = capsys.readouterr().out
    assert first in out and second in out and "/help" in out and session.settings.seed == 2


def test_again_writes_the_same_by_the_next_seed(writer: Writer) -> None:
    session = talk(writer, "The old", "/again", "/seed 0", "/again")
    seeds = [writer.write("The old", SHORT.model_copy(update={"seed": n}))[0].text for n in (0, 1, 0)]
    assert session.texts == seeds and seeds[0] != seeds[1]


def test_infill_and_again(writer: Writer) -> None:
    session = talk(writer, "/infill The ___ sold it.", "/again")
    assert len(session.texts) == 2 and all(t.startswith("The") and t.endswith(" sold it.") for t in session.texts)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("/temp 0.7", "temperature", 0.7), ("/steps 32", "steps", 32), ("/length 80", "length", 80),
        ("/sampler confidence", "sampler", "confidence"), ("/level 3", "vocab_level", 3), ("/seed 9", "seed", 9),
        ("/set generation.top_p=0.5", "top_p", 0.5), ("/set generation.gap_tokens = 7", "gap_tokens", 7),
    ],
)  # fmt: skip
def test_commands_that_change_a_setting(
    writer: Writer, capsys: pytest.CaptureFixture[str], line: str, name: str, value: object
) -> None:
    session = talk(writer, line)
    assert session.settings == SHORT.model_copy(update={name: value})
    assert f"{name} {value}" in capsys.readouterr().out
    command = line.split()[0]
    if command != "/set":  # alone, it tells the value
        assert talk(writer, command).settings == SHORT
        assert f"{name} {getattr(SHORT, name)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/tmp 0.7", "unknown command /tmp: did you mean /temp?"),
        ("/xyzzy", "unknown command /xyzzy: /help lists"),
        ("/temp hot", "generation.temperature"),
        ("/temp -1", "greater than or equal to 0.000001"),
        ("/sampler confidance", "did you mean confidence?"),
        ("/set temperature=1", "did you mean generation.temperature"),
        ("/set generation.stepps=1", "did you mean generation.steps?"),
        ("/set training.seed=1", "training.seed does nothing here"),
        ("/set", "write /set generation.key=value"),
        ("/infill", "write /infill TEMPLATE"),
        ("/infill no gap", "no gap"),
        ("/again", "nothing is written"),
        ("/save texts.txt", "nothing is written"),
        ("/watch maybe", "write /watch"),
        ("/watch on", "no terminal"),
        ("/settings all", "takes nothing after it"),
    ],
)
def test_an_error_is_a_line_and_ends_no_session(
    writer: Writer, capsys: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    session = talk(writer, line, "The old")
    said = [each for each in capsys.readouterr().out.splitlines() if each.startswith("error: ")]
    assert len(said) == 1 and words in said[0] and len(session.texts) == 1


def test_help_and_settings_list_all(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    talk(writer, "/help", "/settings")
    out = capsys.readouterr().out
    assert all(f"\n/{name}" in out and command.help in out for name, command in COMMANDS.items())
    assert all(f"generation.{name} = " in out for name in GenerationConfig.model_fields)
    assert max(map(len, out.splitlines())) <= 80


def test_quit_ends(writer: Writer) -> None:
    assert talk(writer, "/quit", "The old").texts == []


def test_save_keeps_what_was_written_and_no_other_file(
    writer: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, other = tmp_path / "texts.txt", tmp_path / "book.txt"
    other.write_text("dear")
    session = talk(writer, "The old", f"/save {path}", "A new", f"/save {path}", f"/save {other}")
    assert path.read_text(encoding="utf-8") == "\n\n".join(session.texts) + "\n" and len(session.texts) == 2
    assert other.read_text() == "dear" and f"error: {other} exists" in capsys.readouterr().out.replace("\n", "")


class Rewriter:
    """A writer that can rewrite, and one that Ctrl-C interrupts."""

    def __init__(self, writer: Writer) -> None:
        self.model, self.tokenizer, self.allowed = writer.model, writer.tokenizer, writer.allowed

    def rewriting(self, text: str, settings: GenerationConfig) -> Run:
        yield from ()
        ids = tuple(self.tokenizer.encode(text.upper()))
        return [Written(text.upper(), ids, (1.0,) * len(ids), (False,) * len(ids), settings.seed)]

    def writing(self, prompt: str, settings: GenerationConfig) -> Run:
        raise KeyboardInterrupt
        yield


def test_rewrite_where_the_writer_can(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    session = talk(Rewriter(writer), "/rewrite The old miller", "/again")  # type: ignore[arg-type]
    assert session.texts == ["THE OLD MILLER"] * 2 and session.settings.seed == 2
    assert "THE OLD MILLER" in capsys.readouterr().out


def test_ctrl_c_stops_a_text_and_not_the_session(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    session = talk(Rewriter(writer), "The old", "/rewrite a")  # type: ignore[arg-type]
    assert session.texts == ["A"] and "stopped" in capsys.readouterr().out


def test_ctrl_c_at_the_prompt_says_how_to_end(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    def keys() -> Iterator[str | type[BaseException]]:
        yield from (KeyboardInterrupt, "The old", EOFError)

    pressed = keys()

    def read() -> str:
        key = next(pressed)
        if isinstance(key, str):
            return key
        raise key

    session = Session(writer, SHORT, PLAIN)
    converse(session, read=read)
    assert len(session.texts) == 1 and "Ctrl-D ends" in capsys.readouterr().out


def test_no_history_is_kept_unless_asked(checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert generate(checkpoint, "--interactive", stdin="The old\n\n").exception is None
    assert list(tmp_path.iterdir()) == []
    assert generate(checkpoint, "--interactive", "--history", "lines", stdin="The old\n\n").exception is None
    assert (tmp_path / "lines").exists()
    fails(generate(checkpoint, "--interactive", "--history", "none/lines", stdin="\n"), "cannot keep the history")
    monkeypatch.setitem(sys.modules, "readline", None)
    fails(generate(checkpoint, "--interactive", "--history", "lines", stdin="\n"), "readline")


def screen(monkeypatch: pytest.MonkeyPatch) -> Console:
    """The command line's console, made a terminal whose output is caught."""
    console = Console(force_terminal=True, color_system="truecolor", width=80, height=24, file=io.StringIO())
    console.no_color = False
    monkeypatch.setattr(showing, "console", console)
    monkeypatch.setattr("tiny_diffusion.cli.writing.session_commands.console", console)
    return console


def test_watch_shows_each_text_and_prints_it(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    console = screen(monkeypatch)
    session = talk(writer, "/watch", "/set generation.num_samples=2", "The old", "/watch off", "A")
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert session.showing.watch is False and len(session.texts) == 4
    for step in (0, 1, 2):
        assert f"text 1 of 2   step {step} of 2" in out and f"text 2 of 2   step {step} of 2" in out
    last = out.rpartition("to come\x1b[0m\n")[2]  # behind the legend, the text that is not watched
    assert out.index("text 1 of 2") < out.index("text 2 of 2") and last.strip() and "\x1b" not in last


@pytest.mark.parametrize("where", [["generate", "--prompt", "The old"], ["infill", "The ___ sold it."]])
def test_watch_in_a_pipe_or_without_colour_changes_nothing(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch, where: list[str]
) -> None:
    plain = generate(checkpoint, *where[1:], command=where[0]).stdout
    assert generate(checkpoint, *where[1:], "--watch", "--pace", "0", command=where[0]).stdout == plain
    console = screen(monkeypatch)
    console.no_color = True
    generate(checkpoint, *where[1:], "--watch", "--pace", "0", command=where[0])
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert plain.startswith("The") and "\x1b" not in plain + shown and shown.split() == printable(plain).split()


@pytest.mark.parametrize("watch", ["off", "on"])
def test_a_terminal_breaks_lines_at_words(writer: Writer, monkeypatch: pytest.MonkeyPatch, watch: str) -> None:
    console = screen(monkeypatch)
    session = talk(writer, f"/watch {watch}", "/set generation.length=60", "The old")
    shown = Text.from_ansi(console.file.getvalue()).plain  # type: ignore[attr-defined]
    shown = shown[shown.rindex("The old") :].partition("confidence")[0]
    assert max(map(len, shown.splitlines())) <= 80 < len(session.texts[0])
    assert shown.split() == printable(session.texts[0]).split()  # no word is in two pieces


def test_a_file_of_prompts_as_json_lines(checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_bytes("\ufeffThe old\r\n\r\n  A néw\n".encode())
    options = ["--prompts-file", str(tmp_path / "prompts.txt"), "--length", "6", "--num-samples", "2"]
    rows = [json.loads(line) for line in generate(checkpoint, *options, "--jsonl", "--seed", "4").stdout.splitlines()]
    assert [(row["prompt"], row["sample"]) for row in rows] == [
        ("The old", 1), ("The old", 2), ("  A néw", 1), ("  A néw", 2),
    ]  # fmt: skip
    for row in rows:
        assert row["text"].startswith(row["prompt"]) and row["text"] == "".join(t["text"] for t in row["tokens"])
        assert (row["seed"], row["sampler"]) == (4, GenerationConfig().sampler)
        assert 3 <= row["steps"] <= 5  # three, and where white space that no book has was drawn again
        written = [token for token in row["tokens"] if not token["given"]]
        assert sum(len(token["ids"]) for token in written) == 6 and all(0 < t["confidence"] <= 1 for t in written)
    alone = generate(checkpoint, "--prompt", "The old", *options[2:], "--seed", "4").stdout
    assert alone == f"{rows[0]['text']}\n\n{rows[1]['text']}\n"
    piped = generate(checkpoint, "--prompts-file", "-", *options[2:], "--seed", "4", stdin="The old\n").stdout
    assert piped == alone


def test_infill_as_json_lines(checkpoint: str) -> None:
    [line] = generate(checkpoint, "The ___ sold it.", "--jsonl", command="infill").stdout.splitlines()
    row = json.loads(line)
    assert row["template"] == "The ___ sold it." and row["text"].endswith(" sold it.")
    assert [token["given"] for token in row["tokens"]].count(False) > 0
    assert row["sampler"] == GenerationConfig().gap_sampler
    options = ["--jsonl", "--generation.gap_sampler", "margin"]
    assert (
        json.loads(generate(checkpoint, "The ___ sold it.", *options, command="infill").stdout)["sampler"] == "margin"
    )
    refused = generate(checkpoint, "The ___ sold it.", "--generation.sampler", "margin", command="infill")
    assert isinstance(refused.exception, NoSuchOption)
    assert "--generation.gap_sampler" in refused.exception.format_message()


@pytest.mark.parametrize("where", [["generate", "--prompt", "The old"], ["infill", "The ___ sold it."]])
def test_animations_are_saved(checkpoint: str, tmp_path: Path, where: list[str]) -> None:
    files = ["--gif", str(tmp_path / "new" / "out.gif"), "--html", str(tmp_path / "out.html")]
    length = ["--length", "10"] if where[0] == "generate" else []
    told = generate(checkpoint, *where[1:], *length, *files, command=where[0]).stdout.strip()
    with Image.open(tmp_path / "new" / "out.gif") as image:
        assert image.n_frames == 4  # type: ignore[attr-defined]  # the beginning and three steps
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    text = generate(checkpoint, *where[1:], *length, command=where[0]).stdout.strip()
    assert text and told.endswith(text)  # what is said of the files stands before it in old versions of click
    assert f"{escape(text)}</p>" in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prompt", "A", "--interactive"], "--prompt and --interactive do not go together"),
        (["--prompt", "A", "--prompts-file", "long.txt"], "--prompt and --prompts-file"),
        (["--prompts-file", "none.txt"], "No such file"),
        (["--prompts-file", "empty.txt"], "holds no prompt"),
        (["--prompts-file", "latin.txt"], "not UTF-8 at byte 3"),
        (["--gif", "x.txt"], "--gif x.txt: the file's name should end in .gif"),
        (["--html", "x.gif"], "--html x.gif: the file's name should end in .html"),
        (["--prompts-file", "long.txt", "--html", "x.html"], "--html saves what is written from one prompt"),
        (["--interactive", "--gif", "x.gif"], "--gif saves what is written from one prompt"),
        (["--interactive", "--jsonl"], "/save"),
        (["--history", "x"], "--interactive"),
        (["--gif", "x.gif", "--pace", "0"], "raise --pace"),
        (["--html", "."], "is a directory"),
        (["--html", "empty.txt/out.html"], "cannot make the folder empty.txt"),
        (["--pace", "-1"], "not in the range x>=0"),
    ],
)
def test_flags_that_do_not_go_are_one_line(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("\n \n")
    Path("latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    Path("long.txt").write_text("A\n" + "word " * 400)
    fails(generate(checkpoint, *options), words)


def test_a_session_reads_from_a_terminal_with_a_sign(monkeypatch: pytest.MonkeyPatch, writer: Writer) -> None:
    asked: list[str] = []

    def ask(sign: str) -> str:
        asked.append(sign)
        return ""

    monkeypatch.setattr("builtins.input", ask)
    for terminal in (True, False):
        monkeypatch.setattr(conversation.sys.stdin, "isatty", lambda terminal=terminal: terminal)
        converse(Session(writer, SHORT, PLAIN))
    assert asked == ["> ", ""]


def test_what_is_seen_coming_out_of_the_noise_is_read_masked(config: ProjectConfig, data: Processed) -> None:
    def writer(**changes: str) -> Writer:
        changed = config.override(**changes)
        return Writer(new_model(changed, data.tokenizer), data.tokenizer)

    watched, dual = Showing(watch=True, pace=0.0), writer(**{"training.objective": "dual"})
    assert watched.shown(SHORT, dual).reading == "masked"
    assert watched.shown(SHORT.model_copy(update={"reading": "drafts"}), dual).reading == "drafts"
    assert PLAIN.shown(SHORT, dual).reading == watched.shown(SHORT, writer()).reading == "auto"
    assert Session(dual, SHORT, watched).in_use.reading == "masked"
