"""What ``train`` says beside its progress: memory that is short, what a run starts from, how one goes on."""

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ..options import errors, say

if TYPE_CHECKING:
    from ...checkpoint import Checkpoint
    from ...data.artefacts import Processed
    from ...training.trainer import Trainer


def command_to_go_on(data_dir: Path, output: Path) -> str:
    """The command that takes up the run in ``output``; its settings, and the time it has left, lie there."""
    return shlex.join(["tiny-diffusion", "train", "--resume", "--data-dir", str(data_dir), "--output", str(output)])


def how_to_extend(trainer: "Trainer") -> str:
    """What to give ``--resume`` so that a finished run goes on."""
    p, most = trainer.progress, trainer.config.training.max_steps
    if 0 < most <= p.step:
        return f"to go on, give --resume more steps, such as --training.max_steps {2 * most}"
    stage = len(trainer.config.curriculum.stages) - 1
    epochs = trainer.config.curriculum.stages[stage].epochs
    return f"to go on, give --resume more epochs, such as --set curriculum.stages[{stage}].epochs={2 * epochs}"


def describe_start(start: "Checkpoint", data: "Processed") -> None:
    """Print what the run starts from, and a warning where the checkpoint may know text that is held out here."""
    bits = start.meta.get("validation_bits_per_byte", math.nan)
    say(f"starting from a checkpoint at step {start.meta.get('step', 0):,}, {bits:.3f} bits per byte on validation")
    if start.meta.get("data") != data.identity:
        warning = "it was trained on other data, which may hold text that is held out here: figures may be too good"
        say(warning, style="yellow", to=errors)


def free_memory(device: str) -> int | None:
    """Bytes free where ``training.device`` is; None where that is not to be found out."""
    import torch

    from ...runtime import find_device
    from ...studies.machine import read_memory

    found = find_device(device)
    return torch.cuda.mem_get_info(found)[0] if found.type == "cuda" else read_memory()[1]


def warn_of_memory(trainer: "Trainer", needed: int, free: int | None) -> None:
    """Say that ``needed`` bytes in each process are more than were ``free``, and what to lower."""
    if trainer.device.type != "cuda":
        needed *= trainer.ranks.count
    if free is None or needed <= free:
        return
    settings = trainer.config.training
    rows = trainer.ranks.rows_at_once(settings)
    ways = [f"--training.micro_batch_size {rows // 2}"] if rows > 1 else []
    ways += [] if settings.gradient_checkpointing else ["--training.gradient_checkpointing true"]
    say(
        f"this run needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free: it may crawl, or be ended by the "
        f"system; give {', '.join([*ways, 'or a smaller --config'])}",
        style="yellow",
        to=errors,
    )
