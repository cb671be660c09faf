"""The help of each command, its examples, and what is said about a command or an option that does not exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tiny_diffusion.cli.main import COMMANDS, app, main
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.config.reference import describe

ROOT = Path(__file__).parents[2]
SHORT_HELP_LINES = 52  # of the longest short help: two screens of 24 lines and a little


def shown(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, arguments, prog_name="tiny-diffusion")
    assert result.exit_code == 0, result.output
    return result.output


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The error line of a wrong command line."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_help_fits_the_screen_and_begins_with_examples(name: str) -> None:
    text = shown(name, "--help")
    lines = text.splitlines()
    assert len(lines) <= SHORT_HELP_LINES and max(map(len, lines)) <= 80
    assert shown(name, "-h") == text
    assert not re.search(r"\S {2,}\S", text.split("Examples:")[0])  # no margin of the source amid a paragraph
    assert text.index("Examples:") < text.index("Options:")
    assert not re.search(r"--(generation|training|model|evaluation|curriculum|pipeline)\.", text.split("Options:")[1])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_all_lists_every_option(name: str) -> None:
    command = app.get_command(click.Context(app), name)
    assert command is not None
    flags = {flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")}
    if "--help-all" not in flags:
        assert not any("." in flag for flag in flags)
        return
    text = shown(name, "--help-all")
    assert max(map(len, text.splitlines())) <= 80
    assert flags <= set(re.findall(r"--[\w.-]+", text))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_are_commands_that_exist(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("letter.txt").touch()  # files that an example names are opened
    examples = re.findall(r"^    (.*tiny-diffusion .*)$", shown(name, "--help"), re.MULTILINE)
    assert examples
    command = app.get_command(click.Context(app), name)
    assert command is not None
    for example in examples:
        words = shlex.split(example.split("|")[-1].split(">")[0])
        assert words[:2] == ["tiny-diffusion", name]
        # Checks each option and its value, but runs nothing.
        command.make_context(name, words[2:], parent=click.Context(app, **app.context_settings))


def test_without_a_command_the_help_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys)
    assert text.startswith("Usage: tiny-diffusion [OPTIONS] COMMAND") and "error:" not in text
    assert re.search(r"^  prepare +Read a book", text, re.MULTILINE)


def test_a_mistyped_command_or_option_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "evla") == "error: No such command 'evla': did you mean evaluate?\n"
    assert "did you mean train?" in said(capsys, "trian")
    assert "tiny-diffusion --help lists them" in said(capsys, "xyz")
    assert "--prompt" in said(capsys, "generate", "--promt", "x")
    assert "--generation.temperature" in said(capsys, "generate", "--generation.temprature", "1")


def test_the_reference_shows_every_key_whole_at_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown("config", "--reference")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line and line[0] != " "] == [row.key for row in describe(ProjectConfig)]
    part = shown("config", "--reference", "learning_rate")
    keys = [line for line in part.splitlines() if line and line[0] != " "]
    assert keys == ["training.learning_rate", "training.muon_learning_rate"]
    assert "    float > 0; default 0.001" in part.splitlines()
    assert "no setting has 'zzz'" in said(capsys, "config", "--reference", "zzz")


@pytest.mark.parametrize("script", ["train", "generate", "evaluate", "prepare_data"])
def test_a_script_of_a_checkout_says_how_to_install_what_is_missing(script: str) -> None:
    # -S leaves out the installed packages, -E the paths of the environment.
    command = [sys.executable, "-S", "-E", str(ROOT / "scripts" / f"{script}.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "-m pip install -e" in done.stderr and str(ROOT) in done.stderr


def test_a_closed_standard_input_reads_as_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # what a shell's "<&-" leaves
    with pytest.raises(SystemExit):
        main(["--version"])
    assert sys.stdin is not None and sys.stdin.buffer.read() == b""
    sys.stdin.close()
