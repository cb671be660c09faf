"""A checkpoint rebuilds everything, and nothing that is not one is believed."""

import errno
import os
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch

from tiny_diffusion.checkpoint import Checkpoint, load_checkpoint, load_plain, new_model, save_checkpoint, save_plain
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError, WorldError


@pytest.fixture
def saved(tmp_path: Path, config: ProjectConfig, data: Processed) -> tuple[Path, Checkpoint]:
    torch.manual_seed(1)
    weights = new_model(config, data.tokenizer).state_dict()
    checkpoint = Checkpoint(config, data.tokenizer, weights, {"data": data.identity})
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    return tmp_path / "model.pt", checkpoint


def test_round_trip(saved: tuple[Path, Checkpoint]) -> None:
    path, checkpoint = saved
    loaded = load_checkpoint(path)
    assert loaded.config == checkpoint.config
    assert loaded.tokenizer.to_json() == checkpoint.tokenizer.to_json()
    assert loaded.meta == checkpoint.meta
    model = loaded.build(torch.device("cpu"))
    assert all(torch.equal(v, checkpoint.weights[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_checkpoint_cut_short_is_refused(saved: tuple[Path, Checkpoint], share: float) -> None:
    path, _ = saved
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError):
        load_checkpoint(path)


def test_an_unknown_version_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    save_plain(tmp_path / "a.pt", {"format": "tiny_diffusion", "version": 99, "weights": {}})
    with pytest.raises(UserError, match="version 99"):
        load_checkpoint(tmp_path / "a.pt")
    save_plain(tmp_path / "b.pt", {"something": 1})
    with pytest.raises(UserError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "b.pt")
    with pytest.raises(UserError, match="no checkpoint"):
        load_checkpoint(tmp_path / "c.pt")


class Evil:
    """Unpickling this would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


def test_code_in_a_pickle_does_not_run(tmp_path: Path) -> None:
    torch.save({"format": "tiny_diffusion", "version": 1, "weights": Evil(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="refused"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("size", ["model.d_model", "model.n_layers", "weights", "context"])
def test_absurd_sizes_are_refused_before_memory_is_taken(saved: tuple[Path, Checkpoint], size: str) -> None:
    path, _ = saved
    content = load_plain(path)
    key = size.removeprefix("model.")
    if size == "weights":  # a view that repeats one value
        content["weights"]["embedding.weight"] = torch.zeros(1).expand(10**9, 10**6)
    else:
        content["config"]["model"][key] = 10**12
    save_plain(path, content)
    with pytest.raises(UserError, match="not of the size" if key != "context" else "model.context"):
        load_checkpoint(path)


def test_a_checkpoint_that_is_a_zip_bomb_is_refused(saved: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    with zipfile.ZipFile(saved[0]) as whole, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        for member in whole.infolist():
            padding = bytes(10_000_000) if member.filename.endswith("/data/0") else b""
            bomb.writestr(member.filename, whole.read(member) + padding)
    with pytest.raises(UserError, match="zip bomb"):
        load_checkpoint(tmp_path / "bomb.pt")


def test_a_full_disk_keeps_the_old_file(saved: tuple[Path, Checkpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    path, checkpoint = saved
    before = path.read_bytes()

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorldError, match="No space"):
        save_checkpoint(path, checkpoint)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_saving_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    weights = {"weights": torch.ones(2_000_000)}
    tracemalloc.start()
    save_plain(tmp_path / "large.pt", weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert torch.equal(load_plain(tmp_path / "large.pt")["weights"], weights["weights"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("size", [10, 2_000_000])
def test_a_disk_that_fills_while_writing_is_told_by_its_own_name(
    saved: tuple[Path, Checkpoint], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path, _ = saved
    before = path.read_bytes()
    real = {".part": "/dev/full"}
    monkeypatch.setattr(Path, "open", lambda file, mode: open(real.get(file.suffix, file), mode))
    with pytest.raises(WorldError, match=r"model\.pt: No space left on device; the file before is kept"):
        save_plain(path, {"weights": torch.ones(size)})
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]


def test_killed_in_the_middle_of_saving_the_old_file_still_loads(saved: tuple[Path, Checkpoint]) -> None:
    path, checkpoint = saved
    program = (
        "import sys, itertools\n"
        "from pathlib import Path\n"
        "from tiny_diffusion.checkpoint import load_checkpoint, save_checkpoint\n"
        "path = Path(sys.argv[1])\n"
        "checkpoint = load_checkpoint(path)\n"
        "print('ready', flush=True)\n"
        "for _ in itertools.count():\n"
        "    save_checkpoint(path, checkpoint)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    time.sleep(0.2)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert load_checkpoint(path).meta == checkpoint.meta
