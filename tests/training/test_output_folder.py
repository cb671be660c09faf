"""The state of a run is written seldom enough to take little of its time."""

from tiny_diffusion.training.output_folder import SAVING_SHARE, Saving


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
