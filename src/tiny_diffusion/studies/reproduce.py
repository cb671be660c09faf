"""Whether runs are equal to the bit on this machine: again, stopped and resumed, and with another number of threads."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from ..config import ProjectConfig
from ..data.artefacts import Processed
from ..training.trainer import Trainer

STEPS = 12
NOT_PROMISED = (
    "another processor, another version of torch, another number of threads or processes, torch.compile, and a GPU; "
    "there runs agree but for rounding, and texts may differ"
)


@dataclass(frozen=True)
class Comparison:
    """Whether a run was ``equal`` to the first one, to the bit; ``promised``: whether it has to be."""

    what: str
    equal: bool
    promised: bool


def compare_runs(data: Processed, folder: Path) -> Iterator[Comparison]:
    """Train a small model on ``data`` several times, on the CPU, and compare losses and weights with the first run."""
    first = _run(data, folder / "first")
    yield Comparison("the same run again", _run(data, folder / "again") == first, True)
    yield Comparison("a run that was stopped and resumed", _run(data, folder / "parts", stop=STEPS // 2) == first, True)
    yield Comparison("a run on two threads", _run(data, folder / "threads", threads=2) == first, False)


def _run(data: Processed, output: Path, *, threads: int = 1, stop: int = 0) -> list[float | bytes]:
    """Losses of a run, and its last weights; it is stopped and resumed after ``stop`` steps, if any."""
    before = torch.get_num_threads()
    settings = {"training.device": "cpu", "training.threads": threads, "training.max_steps": STEPS}
    config = ProjectConfig.smoke().override(**settings, **{"training.sample_every_epochs": 0})
    config = config.override(pipeline=data.pipeline)
    found: list[float | bytes] = []
    try:
        if stop:
            trainer = Trainer(config, data, output)
            events = trainer.run()
            found += [event.loss for event in islice(events, stop) if hasattr(event, "loss")]
            trainer.stop_requested = True
            found += [event.loss for event in events if hasattr(event, "loss")]
        trainer = Trainer(config, data, output, resume=bool(stop))
        found += [event.loss for event in trainer.run() if hasattr(event, "loss")]
    finally:
        torch.set_num_threads(before)
    weights = trainer.model.state_dict().values()
    return [*found, *(weight.contiguous().numpy().tobytes() for weight in weights)]
