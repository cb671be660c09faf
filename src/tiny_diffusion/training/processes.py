"""The processes that train one model together, as torchrun starts them.

Each process takes its share of every batch, their gradients are added up once per step, and everything else is the
same in all of them: weights, draws, counters. So the result is that of one process on the same batches, except for
rounding and the draws of dropout. Only the first process writes.
"""

import gc
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..config import TrainingConfig
from ..errors import UserError, WorldError
from ..runtime import find_device

PATIENCE = timedelta(minutes=10)  # how long a process waits for the others, of which one may be writing a large file


@dataclass(frozen=True)
class Ranks:
    """This process's ``rank`` among ``count``; all processes must call the methods that exchange something.

    These raise WorldError if another process has ended, or does not answer for PATIENCE.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and messages."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """What this process takes of a sequence, such as the rows of a batch."""
        return slice(self.rank, None, self.count)

    def rows(self, batch: int) -> int:
        """Rows of a ``batch`` in the largest share."""
        return -(-batch // self.count)

    def rows_at_once(self, settings: TrainingConfig) -> int:
        """Rows of one pass of this process through the model; a batch's last pass may have fewer."""
        share = max(1, len(range(settings.batch_size)[self.share]))
        return min(settings.micro_batch_size or share, share)

    @property
    def own(self) -> tuple[int, ...]:
        """Last parts of a seed for draws of this process alone; the first process draws what a single one would."""
        return () if self.first else (self.rank,)

    def total(self, *values: Tensor) -> None:
        """Add each of ``values`` up over all processes, in place; on CUDA without waiting for the result."""
        self._exchange(dist.all_reduce, values)

    def sum(self, value: float) -> float:
        """The sum of ``value`` over all processes."""
        found = torch.tensor(value, dtype=torch.float64)
        self.total(found)
        return float(found)

    def agree(self, *values: Tensor) -> None:
        """Give all processes the first one's ``values``, in place, so that no decision differs by a rounding."""
        self._exchange(dist.broadcast, values, src=0)

    def any(self, asked: bool) -> bool:
        """Whether ``asked`` holds in any process; the CPUs exchange it, so that no GPU is waited for."""
        return self.sum(asked) > 0

    def wait(self) -> None:
        """Wait for all processes: one that leaves early closes the connection of the others."""
        self.any(False)

    def _exchange(self, how: Callable[..., Any], values: tuple[Tensor, ...], **options: int) -> None:
        if self.count == 1:
            return
        try:
            with torch.no_grad():  # else torch warns that weights were exchanged without a gradient
                for running in [how(value, async_op=True, **options) for value in values]:
                    running.wait()
        except RuntimeError as error:  # what gloo and NCCL raise
            what = "another process of this run has ended, or does not answer"
            raise WorldError(f"{what}; --resume goes on from the last save") from error


ALONE = Ranks()


class CommonClock:
    """The seconds of the first process's clock; several processes see them move only when all call ``read``."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.read()

    def read(self, asked: bool = False) -> bool:
        """Set the clock of all processes; returns whether ``asked`` holds in any of them."""
        found = torch.tensor([time.monotonic() if self.ranks.first else 0.0, asked], dtype=torch.float64)
        self.ranks.total(found)
        self._now, count = found.tolist()
        return bool(count)

    def __call__(self) -> float:
        """The seconds of the last reading; a single process reads the clock now."""
        return time.monotonic() if self.ranks.count == 1 else self._now


def launched() -> int:
    """Number of processes that torchrun started; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1


def first_to_fail() -> bool:
    """Whether no other process that torchrun started has asked this before: so one error is told once."""
    if launched() == 1:
        return True
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        socket.create_connection((address, port), timeout=5).close()  # torch would tell each attempt at some length
        return dist.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=5)).add("errors", 1) == 1
    except (OSError, RuntimeError):  # torchrun is gone, or out of reach
        return True


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started; without torchrun, ALONE.

    ``device`` as in ``training.device``: on CUDA each process of a machine takes a device of its own. Raises UserError
    if there are fewer devices than processes, or if the device cannot exchange tensors. After an error the group is not
    torn down: that could wait for processes that wait for this one, and torchrun ends them all.
    """
    count = launched()
    if count == 1:
        yield ALONE
        return
    kind = find_device(device).type
    if kind == "mps":
        raise UserError(f"training.device={device} is MPS here, which torchrun's processes cannot share; use cpu")
    if kind == "cuda":
        if device not in ("auto", "cuda"):
            raise UserError(f"training.device={device}: under torchrun each process takes a device; use cuda")
        local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= there:
            raise UserError(f"this machine has {there} CUDA device(s): give torchrun --nproc-per-node {there}")
        torch.cuda.set_device(local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
    yield Ranks(dist.get_rank(), count)
    gc.collect()  # what still holds the group, whose threads must end before the process does
    dist.destroy_process_group()
