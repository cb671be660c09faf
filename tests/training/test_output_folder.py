"""The output folder: one training at a time, an earlier run moved aside, the state saved seldom enough."""

import os
from pathlib import Path

import pytest

from tiny_diffusion.errors import UserError
from tiny_diffusion.training.output_folder import SAVING_SHARE, Saving, locked, move_aside, stamp_of


class Disk:
    """A clock, and a disk whose writing takes ``seconds`` of it."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds, self.writes = 0.0, seconds, 0

    def clock(self) -> float:
        return self.now

    def write(self) -> None:
        self.now += self.seconds
        self.writes += 1


def epochs(disk: Disk, seconds: float, count: int) -> None:
    """``count`` epochs of so many seconds, each of which asks for writing at its end."""
    saving = Saving(disk.write, disk.clock)
    for _ in range(count):
        disk.now += seconds
        saving.when_due()


def test_a_quick_disk_writes_at_every_epoch() -> None:
    disk = Disk(0.1)
    epochs(disk, 1.0, 50)
    assert disk.writes == 50


def test_a_slow_disk_takes_its_share_and_no_more() -> None:
    disk = Disk(8.0)
    epochs(disk, 0.5, 1000)
    spent = disk.writes * disk.seconds
    assert 0.8 * SAVING_SHARE < spent / disk.now <= SAVING_SHARE + disk.seconds / disk.now


def test_the_first_epoch_is_written() -> None:
    disk = Disk(1e6)
    epochs(disk, 0.5, 3)
    assert disk.writes == 1


def test_two_trainings_into_one_folder_are_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(UserError, match="another training"), locked(tmp_path):
        pass


def test_what_a_killed_save_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "samples").mkdir()
    stale = [".best_model.pt.a1b2c3_d", ".config.toml.abcdefgh", "checkpoints/.last.pt.zzzzzzzz"]
    stale += ["samples/.step_0000012.txt.12345678", ".result.json.q_q_q_q_"]
    ours = ["best_model.pt", ".best_model.pt.bak", ".evaluation.json.abcdefgh", "checkpoints/.last.pt.ABCDEFGH"]
    ours += [".notes.txt.abcdefgh", "samples/step_0000012.txt"]
    for name in (*stale, *ours):
        (tmp_path / name).write_text("x")
    with locked(tmp_path), pytest.raises(UserError), locked(tmp_path):
        pass
    assert not [name for name in stale if (tmp_path / name).exists()]
    assert [name for name in ours if (tmp_path / name).exists()] == ours


def test_an_earlier_run_is_moved_aside_whole(tmp_path: Path) -> None:
    assert move_aside(tmp_path) is None
    for _ in range(2):
        (tmp_path / "samples").mkdir()
        (tmp_path / "best_model.pt").write_bytes(b"weights")
        target = move_aside(tmp_path)
        assert target is not None and (target / "best_model.pt").read_bytes() == b"weights"
    assert len(list((tmp_path / "earlier").iterdir())) == 2
    assert not (tmp_path / "best_model.pt").exists()


def test_an_earlier_run_is_named_behind_those_before_it_when_the_clock_was_set_back(tmp_path: Path) -> None:
    names = []
    for ended in (2e9, 1.9e9, 1.8e9, 2.1e9):
        (tmp_path / "best_model.pt").write_bytes(b"weights")
        os.utime(tmp_path / "best_model.pt", (ended, ended))
        target = move_aside(tmp_path)
        assert target is not None
        names.append(target.name)
    assert names == [stamp_of(2e9), f"{stamp_of(2e9)}_2", f"{stamp_of(2e9)}_3", stamp_of(2.1e9)]
