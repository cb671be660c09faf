"""What a wheel and a source archive hold: all that the program reads, and nothing of the tests."""

import re
from pathlib import Path

import pytest

wheel = pytest.importorskip("hatchling.builders.wheel")
sdist = pytest.importorskip("hatchling.builders.sdist")
ROOT = Path(__file__).parents[1]


def held(builder: type) -> set[str]:
    return {Path(file.distribution_path).as_posix() for file in builder(str(ROOT)).recurse_included_files()}


def test_the_wheel_holds_the_package() -> None:
    source = ROOT / "src"
    wanted = {path.relative_to(source).as_posix() for path in (source / "tiny_diffusion").rglob("*") if path.is_file()}
    wanted = {name for name in wanted if "__pycache__" not in name}
    assert held(wheel.WheelBuilder) == wanted
    assert "tiny_diffusion/py.typed" in wanted and any(name.endswith(".html.j2") for name in wanted)


def test_the_locked_versions_are_the_tested_ones() -> None:
    def versions(file: str) -> dict[str, str]:
        pairs = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}

    locked, tested = versions("requirements.lock"), versions("constraints.txt")
    assert {name: locked[name] for name in tested if name in locked} == {n: v for n, v in tested.items() if n in locked}
    assert {"torch", "numpy", "pydantic", "tokenizers"} <= locked.keys() & tested.keys()


def test_the_source_archive_holds_no_tests() -> None:
    found = held(sdist.SdistBuilder)
    # hatchling itself adds README, licence and pyproject.toml, some versions only while they build.
    assert {"src/tiny_diffusion/py.typed", "CHANGELOG.md"} <= found
    assert {name.partition("/")[0] for name in found if "/" in name} == {"src"}
