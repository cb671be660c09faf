"""The processes that train one model together, as torchrun starts them; one alone otherwise.

Each takes its share of every batch, torch's DistributedDataParallel brings their gradients together, and all else is
the same in each of them: weights, draws, counters. So a run is what one process makes of the same batches, but for
rounding and dropout's draws. Only the first one writes.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..config import TrainingConfig
from ..errors import UserError
from ..runtime import find_device


@dataclass(frozen=True)
class Ranks:
    """This process's number among ``count``; those methods that exchange something must be called by all of them."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def rows(self, batch: int) -> int:
        """Rows of a ``batch`` that the busiest process takes."""
        return -(-batch // self.count)

    def rows_at_once(self, settings: TrainingConfig) -> int:
        """Rows of this process's passes through the model: with its whole share, those of most of them."""
        share = max(1, len(self.share(settings.batch_size)))
        return min(settings.micro_batch_size or share, share)

    def share(self, batch: int) -> Tensor:
        """Which rows of a ``batch`` this process takes."""
        return torch.arange(batch)[self.rank :: self.count]

    def own(self, *parts: int) -> tuple[int, ...]:
        """Parts of a seed for draws that are this process's own; the first one's are those of a process alone."""
        return parts if self.first else (*parts, self.rank)

    def distribute(self, objective: nn.Module) -> nn.Module:
        """``objective`` as a module whose gradients are the mean over all processes."""
        if self.count == 1:
            return objective
        torch._dynamo.config.optimize_ddp = False  # the blocks, compiled singly, would each be split in two
        return DistributedDataParallel(objective, gradient_as_bucket_view=True)

    def total(self, value: Tensor) -> Tensor:
        """``value`` added up over all processes, in place; on CUDA without waiting for it."""
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def agree(self, value: Tensor) -> Tensor:
        """The first process's ``value`` for all, in place: what a run decides by must not differ by a rounding."""
        if self.count > 1:
            dist.broadcast(value, 0)
        return value

    def wait(self) -> None:
        """Wait for all: a process that leaves takes the connection with it."""
        self.any(False)

    def any(self, asked: bool) -> bool:
        """Whether one of the processes was asked; by the hosts alone, so that no GPU is waited for."""
        return bool(self.total(torch.tensor(int(asked)))) if self.count > 1 else asked


ALONE = Ranks()


def without_exchange(objective: nn.Module) -> AbstractContextManager[None]:
    """A context in which gradients stay with their process, for all passes of a batch but the last."""
    return objective.no_sync() if isinstance(objective, DistributedDataParallel) else nullcontext()


def launched() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Take this process's place among those that torchrun started; alone without it.

    ``device`` as in ``training.device``: on CUDA each process of a machine takes a device of its own. Raises UserError
    where there are fewer, and for a device between which nothing can be exchanged. After an error the group is left as
    it is: to tear it down may be to wait for processes that wait for this one, and torchrun ends them all.
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
    dist.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo")
    yield Ranks(dist.get_rank(), count)
    gc.collect()  # what was distributed holds the group, whose threads must end before the process does
    dist.destroy_process_group()
