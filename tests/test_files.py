"""Files are written whole or not at all, also through links, pipes and devices, and folders are locked."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tiny_diffusion.errors import UserError, WorldError
from tiny_diffusion.files import atomic_write, check_file, locked, write_text, write_together


def test_a_link_stays_a_link_and_a_file_keeps_its_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "folder" / "real.txt", tmp_path / "link.txt"
    write_text(real, "old")
    assert stat.S_IMODE(real.stat().st_mode) == 0o644
    real.chmod(0o600)
    link.symlink_to("folder/real.txt")
    check_file(link)
    write_text(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and stat.S_IMODE(real.stat().st_mode) == 0o600
    assert [path.name for path in real.parent.iterdir()] == ["real.txt"]
    (tmp_path / "lost").symlink_to("nowhere/at_all.txt")
    write_text(tmp_path / "lost", "found")
    assert (tmp_path / "nowhere" / "at_all.txt").read_text() == "found"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_and_a_device_are_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_file(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "through")
    assert os.read(reader, 20) == b"through" and pipe.is_fifo()
    os.close(reader)
    for device in filter(os.path.exists, ("/dev/null", "/dev/stdout")):
        check_file(Path(device))
    if Path("/dev/full").exists():
        with pytest.raises(WorldError, match="cannot write /dev/full: No space left"):
            write_text(Path("/dev/full"), "x")
        assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("number", range(1, 4))
def test_each_write_that_fails_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write_text(tmp_path / "file", "old")
    step = ("mkstemp", "fsync", "replace")[number - 1]

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    where = {"mkstemp": "tempfile.mkstemp", "fsync": "os.fsync", "replace": "pathlib.Path.replace"}[step]
    monkeypatch.setattr(where, full)
    with pytest.raises(WorldError, match="No space left"), atomic_write(tmp_path / "file") as file:
        file.write(b"new")
    assert (tmp_path / "file").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


KILLED = """
import os, sys
from pathlib import Path
from tiny_diffusion.files import atomic_write
with atomic_write(Path(sys.argv[1])):
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs locks of POSIX")
def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    target = tmp_path / "found.txt"
    subprocess.run([sys.executable, "-c", KILLED, str(target)])
    (left,) = tmp_path.iterdir()
    ours = [".other.txt.abcdefgh.part", ".found.txt.abcdefgh", ".found.txt.part", ".found.txt.template"]
    for name in ours:
        (tmp_path / name).write_text("ours")
    with atomic_write(target) as file:
        assert not left.exists()
        file.write(b"first")
        write_text(target, "second")  # the file that is still open is not taken for a leftover
    assert target.read_text() == "first" and {path.name for path in tmp_path.iterdir()} == {*ours, "found.txt"}


def test_many_may_write_one_file_at_once(tmp_path: Path) -> None:
    target = tmp_path / "found.txt"
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: write_text(target, f"{number} " * 1000), range(200)))
    assert len(set(target.read_text().split())) == 1 and [*tmp_path.iterdir()] == [target]


def test_a_locked_folder_is_refused_and_leftovers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    for name in (".kept.txt.abcdefgh", "part/.gone.pt.abcdefgh"):
        (tmp_path / name).write_text("half")
    with locked(tmp_path, "training", {"part": ["*.pt"]}):
        assert not (tmp_path / "part" / ".gone.pt.abcdefgh").exists() and (tmp_path / ".kept.txt.abcdefgh").exists()
        with pytest.raises(UserError, match="another training is writing"), locked(tmp_path, "training", {}):
            pass
    with locked(tmp_path, "prepare", {}):
        pass


@pytest.mark.parametrize("moved", range(3))
def test_files_that_belong_together_are_all_old_or_all_new_or_lack_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    def contents(text: str) -> dict[str, bytes]:
        return {name: text.encode() for name in ("first", "part/second", "third")}

    def found() -> dict[str, str]:
        return {name: (tmp_path / name).read_text() for name in contents("") if (tmp_path / name).exists()}

    write_together(tmp_path, contents("old"))
    with pytest.raises(TypeError):
        write_together(tmp_path, contents("new") | {"third": None})  # type: ignore[dict-item]
    assert set(found().values()) == {"old"} and len(found()) == 3
    move, left = Path.replace, iter(range(moved))

    def killed(path: Path, target: Path) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        move(path, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", killed)
        write_together(tmp_path, contents("new"))
    assert "first" not in found() and list(found().values()).count("new") == moved
    (tmp_path / "part" / ".second.a1b2c3d4").write_text("of a killed writer")
    write_together(tmp_path, contents("new"))
    assert set(found().values()) == {"new"} and len([*tmp_path.rglob(".*")]) == 0


def test_a_folder_without_room_for_its_lock_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("filelock.FileLock.acquire", full)
    with pytest.raises(WorldError, match="No space left"), locked(tmp_path, "work", {}):
        pass
