"""Measures the sizes that a time budget may choose from, on the book itself and on this machine."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..config import ProjectConfig
from ..data.artefacts import Processed
from ..data.ngrams import KneserNey
from ..model.flops import training_flops
from ..training.memory import estimate_memory
from ..training.run_time import MEASURING, measure_pace
from ..training.teachers import teacher_shapes
from ..training.trainer import Trainer
from ..wording import duration
from .budget import Option
from .machine import Machine

SHARE = 0.02  # share of the budget for timing the steps of one size
HOPELESS = 2.0  # a size is not tried if its shortest run should take more than this multiple of the time left


def measure_option(name: str, config: ProjectConfig, data: Processed, output: Path, limit: float) -> Option:
    """Build ``config``'s run, time some of its steps, and discard it; nothing is written to ``output``.

    Blocks are compiled only if the settings say ``on``.
    """
    began = time.monotonic()
    if config.training.compile == "auto":
        config = config.override(**{"training.compile": "off"})
    trainer = Trainer(config, data, output)
    build = time.monotonic() - began
    return Option(
        name=name,
        parameters=trainer.model.config.parameters(trainer.model.vocab_size),
        context=config.model.context,
        rows=tuple(trainer.rows.rows_per_epoch),
        text_bytes=sum(len(text.encode("utf-8")) for text in data.texts("train")),
        pace=measure_pace(trainer, limit),
        build=build,
        shelf=trainer.config.curriculum.stages[0].epochs if trainer.config.curriculum.first else 0,
    )


def measure_options(
    configs: dict[str, ProjectConfig],
    data: Processed,
    output: Path,
    budget: float,
    left: Callable[[], float],
    machine: Machine,
) -> Iterator[Option | str]:
    """Yield the options of ``configs``, the smallest first, or a line of text for one that is not worth measuring.

    ``left`` returns the seconds left of ``budget``.
    """
    memory = machine.training_memory
    before: Option | None = None
    rate = 0.0
    for name, config in configs.items():
        vocab = config.vocab_size
        teachers = teacher_shapes(config.training)
        needed = estimate_memory(config, vocab, device=machine.kind, teachers=teachers).process
        if memory is not None and memory < needed:
            yield f"{name} needs more than the {memory / 1e9:.1f} GB of memory that are free"
            continue
        if before is not None:
            tokens = sum(before.rows) * before.context
            expected = training_flops(config, vocab, tokens) / rate
            if expected > HOPELESS * left():
                yield f"{name} was not tried: one epoch would take about {duration(expected)}"
                continue
        option = measure_option(name, config, data, output, min(MEASURING, SHARE * budget))
        before, rate = option, training_flops(config, vocab, option.context) / option.pace.row
        yield option


def count_bits(data: Processed, level: int, order: int) -> float:
    """Bits per byte of the validation passages under counts of ``order`` tokens in a row in the training text.

    Pairs (order 2) tell whether a model is worth its time, single tokens (order 1) whether it has learnt anything.
    """
    texts = {split: data.texts(split) for split in ("train", "validation")}
    ids = {split: [np.array(data.tokenizer.encode(text, level)) for text in texts[split]] for split in texts}
    counts = KneserNey(order, data.tokenizer.ids_of(level), ids["train"])
    nats = -sum(float(counts.log_probs(passage).sum()) for passage in ids["validation"])
    return nats / math.log(2) / sum(len(text.encode("utf-8")) for text in texts["validation"])


def in_order(names: Sequence[str]) -> dict[str, ProjectConfig]:
    """Presets by name, the fewest parameters first."""
    presets = {name: ProjectConfig.preset(name) for name in names}
    return dict(sorted(presets.items(), key=lambda item: item[1].model.parameters(item[1].vocab_size)))
