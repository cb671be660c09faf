"""The documents keep their word: lengths, links, and commands whose names and options exist."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tiny_diffusion.cli.main import COMMANDS, app
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.config.project import PRESETS
from tiny_diffusion.errors import UserError

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TAUGHT = [page for page in PAGES if page.name == "README.md" or page.parent.name == "guide"]
MOST_LINES = {"README.md": 130, "architecture.md": 200}
GUIDE_LINES = 150
# What the design promises, to the letter.
PROMISED = """\
python scripts/train.py --test                 # the architecture works, within 10 s
python scripts/train.py --test-integration     # the whole pipeline on a small text, within 30 s
./clean.sh quick
python scripts/prepare_data.py --book data/raw/frankenstein.txt --output data/processed
python scripts/train.py --debug --data-dir data/processed
python scripts/train.py --data-dir data/processed
python scripts/train.py --config memory_efficient --data-dir data/processed
python scripts/generate.py --checkpoint outputs/best_model.pt --prompt "The origin of"
python scripts/generate.py --checkpoint outputs/best_model.pt --interactive
python scripts/generate.py --checkpoint outputs/best_model.pt --vocab-level 3 --prompt "Science"
python scripts/evaluate.py --checkpoint outputs/best_model.pt --data-dir data/processed
python scripts/evaluate.py --checkpoint outputs/best_model.pt --data-dir data/processed --eval-batch-size 4 --eval-samples 50
"""  # noqa: E501
SCRIPTS = {"prepare_data.py": "prepare", "train.py": "train", "generate.py": "generate", "evaluate.py": "evaluate"}


def anchor(heading: str) -> str:
    """The anchor that a heading gets on a page."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken_links(page: Path) -> list[str]:
    """Relative links of a page whose file, or whose heading, is not there."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            found.append(f"{page.name}: {target}")
        elif heading and heading not in map(anchor, re.findall(r"(?m)^#+ (.*)$", file.read_text(encoding="utf-8"))):
            found.append(f"{page.name}: {target}")
    return found


def commands(page: Path) -> list[list[str]]:
    """The words of each command of this program that a page shows, in a block or in a table's cell."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    shown = [line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    shown += re.findall(r"`((?:tiny-diffusion|python scripts/)[^`]*)`", text)
    found = []
    for line in shown:
        words = shlex.split(line, comments=True)
        words = words[words.index("|") + 1 :] if "|" in words else words
        words = words[: words.index(">")] if ">" in words else words
        script = next((SCRIPTS[Path(w).name] for w in words if w.startswith("scripts/")), None)
        if script is not None:
            after = next(i for i, w in enumerate(words) if w.startswith("scripts/"))
            found.append([script, *words[after + 1 :]])
        elif words[:1] == ["tiny-diffusion"] and len(words) > 1 and "COMMAND" not in words:
            found.append(words[1:])
    return found


def refused(words: list[str]) -> str:
    """Why a command's words are refused; empty where they are fine. Nothing runs."""
    name, *rest = words
    if name.startswith("-"):
        return "" if CliRunner().invoke(app, [name]).exit_code == 0 else f"{name} is no option"
    if name not in COMMANDS:
        return f"{name} is no command"
    command = app.get_command(click.Context(app), name)
    assert command is not None
    with click.Context(command, **app.context_settings) as context:  # a command keeps the help flags it first met
        try:
            given, _, _ = command.make_parser(context).parse_args(list(rest))
            ProjectConfig.default().override_from_args(given.get("settings", []))
        except (click.UsageError, UserError) as error:
            return str(error)
    preset = given.get("config_name")
    return "" if preset is None or preset in PRESETS or "." in preset else f"{preset} is no preset"


def test_pages_are_short() -> None:
    for page in PAGES:
        most = GUIDE_LINES if page.parent.name == "guide" else MOST_LINES.get(page.name)
        assert most is None or len(page.read_text(encoding="utf-8").splitlines()) <= most, page.name


def test_links_lead_somewhere() -> None:
    assert [link for page in PAGES for link in broken_links(page)] == []


def test_files_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = {path for path in re.findall(r"`([\w./]+/[\w./]*)`", text) if "NAME" not in path}
    homes = (ROOT, ROOT / "src" / "tiny_diffusion")
    assert len(named) > 40
    assert [path for path in sorted(named) if not any((home / path).exists() for home in homes)] == []


def test_the_readme_lists_the_promised_commands() -> None:
    assert f"```bash\n{PROMISED}```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_commands_that_pages_show_exist() -> None:
    shown = [(page.name, words) for page in TAUGHT for words in commands(page)]
    assert len(shown) > 80
    assert [(page, words, refused(words)) for page, words in shown if refused(words)] == []


def test_every_command_is_taught() -> None:
    taught = {words[0] for page in TAUGHT for words in commands(page)}
    assert set(COMMANDS) - taught - {"demo"} == set()  # the demo is taught as ``make demo``


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "no command"),
        (["train", "--tim-budget", "1h"], "No such option"),
        (["train", "--config", "cpu_3m"], "no preset"),
        (["train", "--set", "model.d_modle=64"], "d_modle"),
        (["train", "--time-budget", "1h"], ""),
    ],
)
def test_wrong_commands_are_seen(words: list[str], said: str) -> None:
    assert said in refused(words) and bool(said) == bool(refused(words))
