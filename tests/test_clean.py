"""``clean.sh`` in a copy of a project: what goes, what stays, and what it refuses."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "clean.sh"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

RUN = ["outputs/best_model.pt", "outputs/.lock", "data/processed/meta.json"]
CACHES = [
    ".venv/bin/python",
    ".pytest_cache/x",
    ".mypy_cache/x",
    ".ruff_cache/x",
    ".hypothesis/x",
    "build/x",
    "dist/x",
    "src/tiny_diffusion.egg-info/x",
    "src/tiny_diffusion/data/__pycache__/x.pyc",
    "tests/__pycache__/x.pyc",
]
KEPT = ["data/raw/book.txt", "data/notes.txt", "src/tiny_diffusion/data/x.py", "README.md", "docs/log.md"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "a project"
    for name in RUN + CACHES + KEPT:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    shutil.copy2(SCRIPT, root / "clean.sh")
    return root


def clean(project: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(project / "clean.sh"), *arguments]
    return subprocess.run(command, cwd=cwd or project, capture_output=True, text=True, timeout=30)


def present(project: Path, names: list[str]) -> list[str]:
    return [name for name in names if (project / name).exists()]


def test_quick_clears_the_run_and_says_so(project: Path) -> None:
    done = clean(project, "quick")
    assert done.returncode == 0, done.stderr
    assert not (project / "outputs").exists() and not (project / "data/processed").exists()
    assert present(project, CACHES + KEPT) == CACHES + KEPT
    assert done.stdout.splitlines() == ["removing outputs", "removing data/processed"]


def test_all_clears_caches_too(project: Path) -> None:
    done = clean(project, "all")
    assert done.returncode == 0, done.stderr
    assert present(project, RUN + CACHES) == []
    assert present(project, KEPT) == KEPT
    assert "removing .venv" in done.stdout and "removing tests/__pycache__" in done.stdout


def test_a_second_time_has_nothing_to_do(project: Path) -> None:
    clean(project, "all")
    done = clean(project, "all")
    assert done.returncode == 0 and done.stdout.strip() == "nothing to remove"


def test_works_from_another_folder(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "outputs").mkdir(parents=True)
    assert clean(project, "quick", cwd=elsewhere).returncode == 0
    assert (elsewhere / "outputs").exists() and not (project / "outputs").exists()


@pytest.mark.parametrize("arguments", [(), ("everything",), ("quick", "all"), ("--help",), ("",), ("/",)])
def test_other_arguments_are_refused(project: Path, arguments: tuple[str, ...]) -> None:
    done = clean(project, *arguments)
    assert done.returncode == 2 and "usage" in done.stderr and done.stdout == ""
    assert present(project, RUN + CACHES + KEPT) == RUN + CACHES + KEPT


@pytest.mark.parametrize("mode", ["quick", "all"])
def test_links_are_not_followed(project: Path, tmp_path: Path, mode: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    treasure = outside / "treasure.txt"
    treasure.write_text("x")
    (outside / "__pycache__").mkdir()
    shutil.rmtree(project / "outputs")
    (project / "outputs").symlink_to(outside, target_is_directory=True)
    (project / "data/processed/link").symlink_to(outside, target_is_directory=True)
    (project / "src/linked").symlink_to(outside, target_is_directory=True)
    done = clean(project, mode)
    assert done.returncode == 0, done.stderr
    assert treasure.exists() and (outside / "__pycache__").exists()
    assert not (project / "outputs").is_symlink()


def test_a_data_folder_that_is_a_link_is_left_alone(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "disk"
    shutil.move(project / "data", outside)
    (project / "data").symlink_to(outside, target_is_directory=True)
    done = clean(project, "all")
    assert done.returncode == 0 and "left alone: data/processed" in done.stdout
    assert (outside / "processed/meta.json").exists() and (outside / "raw/book.txt").exists()


def test_raw_books_that_lie_in_a_cleared_folder_survive(project: Path) -> None:
    shutil.move(project / "data/raw", project / "outputs/raw")
    (project / "data/raw").symlink_to(project / "outputs/raw", target_is_directory=True)
    done = clean(project, "all")
    assert done.returncode == 0 and "left alone: outputs" in done.stdout
    assert (project / "data/raw/book.txt").exists()
