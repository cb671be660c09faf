"""What ``train`` says before and after a run: its size, time and memory, its start, and how to continue it."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ...config import ProjectConfig, value_text
from ...wording import counted, duration
from ..console import errors, say, warn
from ..options import command_line

if TYPE_CHECKING:
    from ...checkpoint import Checkpoint
    from ...data.artefacts import Processed
    from ...training.run_time import Pace
    from ...training.trainer import Trainer


def describe_run(trainer: "Trainer", free: int | None, seconds_left: float | None = None) -> "Pace":
    """Print the model, the memory and the time that the run takes, and a preset that fits if it takes over a day.

    ``free``: bytes that were free before the trainer was built. ``seconds_left``: after which the run ends, however
    many steps it has taken. Returns the measured pace.
    """
    from ...data.shelf import other_books
    from ...model.flops import critical_flops, run_flops
    from ...runtime import fast_bfloat16
    from ...training.memory import estimate_memory
    from ...training.run_time import DAY, expected_seconds, measure_pace, preset_within
    from ...training.teachers import teacher_shapes

    config = trainer.config
    total, embedding = trainer.model.config.parameters(trainer.model.vocab_size), trainer.model.embedding.weight.numel()
    memory = estimate_memory(
        config,
        trainer.model.vocab_size,
        device=trainer.device.type,
        bfloat16=fast_bfloat16(trainer.device),
        processes=trainer.ranks.count,
        teachers=teacher_shapes(config.training),
    )
    count = trainer.ranks.count
    each = "" if count == 1 else f"{memory.total * count / 1e9:.2f} GB in {count} processes, in each "
    say(
        f"{total / 1e6:.2f}M parameters ({embedding / total:.0%} in the embedding), {trainer.model.vocab_size:,} ids, "
        f"{config.model.n_layers} layers of {config.model.d_model}, {config.model.context} tokens, on {trainer.device}"
    )
    warn_of_memory(trainer, memory.total, free)
    compiling = "compiling the blocks (about a minute, once), " if trainer.compiled else ""
    with errors.status(f"{compiling}timing a few steps"):
        pace = measure_pace(trainer)
    seconds = expected_seconds(trainer, pace)
    step = pace.step(config.training.batch_size)
    flops = run_flops(config, trainer.model.vocab_size, trainer.total_steps)
    unique = int(trainer.rows.encoded[-1].lengths.sum())
    shelf = int(trainer.rows.encoded[0].lengths.sum()) if config.curriculum.first else 0
    kept = memory.parameters + memory.ema + memory.optimizer + memory.teachers
    weights = "weights, average, optimizer" + (", teachers" if memory.teachers else "")
    if shelf:
        epochs = config.curriculum.stages[0].epochs
        say(
            f"first {counted(epochs, 'epoch')} of {other_books(trainer.data.shelf.books)}, {shelf / 1e6:.3f}M tokens, "
            f"{trainer.stage_steps[0] / trainer.total_steps:.0%} of the run; then the book"
        )
    length = f"{trainer.course.end:,} steps of {step:.2g} s, about {duration(seconds)} with validation and saving"
    if seconds_left is not None:
        length = f"steps of {step:.2g} s until the time is up in {duration(seconds_left)}"
    say(
        f"{length} ({pace.steps} steps timed); at the peak {each}"
        f"{memory.total / 1e9:.2f} GB ({kept / 1e9:.2f} {weights}; "
        f"{memory.activations / 1e9:.2f} activations); "
        f"{flops:.1e} FLOPs, {flops / critical_flops(unique + shelf):,.1f} times the critical compute "
        f"for {(unique + shelf) / 1e6:.3f}M tokens (an extrapolation at this size)"
    )
    if seconds > DAY and seconds_left is None:
        epochs = config.curriculum.stages[0].epochs
        fits = preset_within(unique, shelf * epochs, flops / trainer.total_steps / step)
        hint = f"--config {fits} would end within a day" if fits else "no preset would end within a day"
        warn(f"this run cannot finish within a day on this machine; {hint}")
    return pace


def command_to_continue(data_dir: Path, output: Path, *more: str) -> str:
    """The command, with ``more`` flags, that continues the run in ``output``: it holds its settings and its time."""
    return command_line("train", "--resume", *more, data_dir=data_dir, output=output)


def say_what_next(checkpoint: Path, data_dir: Path) -> None:
    """Print the commands that show what was learnt."""
    measured = command_line("evaluate", "--fast", checkpoint=checkpoint, data_dir=data_dir)
    say(f"to see how good it is: {measured}", whole=True)
    say(f"to see it write: {command_line('generate', '--watch', checkpoint=checkpoint)}", whole=True)


def verdict(bits: float, data: "Processed", level: int) -> str:
    """A sentence that compares the best validation with counts of words, and of words in a row, on the same text."""
    from ...sampling.counts import ORDER
    from ...studies.measure import count_bits

    words, pairs, runs = (count_bits(data, level, order) for order in (1, 2, ORDER))
    best = min(pairs, runs)
    better = "it predicts the validation text better than counts of"
    if bits < best:
        return f"{better} up to five word pieces in a row, which reach {best:.3f}"
    if bits < pairs:
        return (
            f"{better} word pairs, which reach {pairs:.3f}, but not better than those of up to five word pieces in a "
            f"row, {best:.3f}: train longer, or write with both by --generation.expert ngram"
        )
    if bits < words:
        return (
            f"{better} single words, which reach {words:.3f}, but not better than counts of word pairs, {pairs:.3f}: "
            "train longer"
        )
    return f"it has learnt nothing yet: counts of single words reach {words:.3f} on the validation text; train longer"


def how_to_extend(trainer: "Trainer") -> str:
    """What to give with ``--resume`` so that a finished run continues."""
    p, most = trainer.progress, trainer.config.training.max_steps
    if 0 < most <= p.step:
        return f"to continue, give --resume more steps, such as --training.max_steps {2 * most}"
    curriculum = trainer.config.curriculum
    last, epochs = len(curriculum.stages) - 1, curriculum.stages[-1].epochs
    return f"to continue, give --resume more epochs, such as --set {curriculum.epochs_key(last)}={2 * epochs}"


def describe_settings(config: ProjectConfig, preset: str, base: ProjectConfig) -> None:
    """Print the settings in which a run differs from ``base``, the preset or the file called ``preset``."""
    changed = {key: now for key, (now, _) in config.differences(base).items()}
    say(f"settings of {preset}" + (", but" if changed else ""))
    for key, value in changed.items():
        say(f"  {key} = {value_text(value)}")


def describe_start(start: "Checkpoint", data: "Processed") -> None:
    """Print what the run starts from, and a warning if the checkpoint may know text that is held out here."""
    from ...data.shelf import other_books

    bits = start.meta.get("validation_bits_per_byte", math.nan)
    say(f"starting from a checkpoint at step {start.meta.get('step', 0):,}, {bits:.3f} bits per byte on validation")
    if start.shelf:
        again = "no shelf is read again unless you give curriculum.shelf_epochs"
        say(f"it has learnt from {other_books(start.shelf)}; {again}")
    if start.book_identity != data.book_identity:
        warn("it was trained on other data, which may hold text that is held out here: figures may be too good")


def free_memory(device: str) -> int | None:
    """Bytes free on ``training.device``; None if unknown."""
    import torch

    from ...runtime import find_device
    from ...studies.machine import read_memory

    found = find_device(device)
    return torch.cuda.mem_get_info(found)[0] if found.type == "cuda" else read_memory()[1]


def warn_of_memory(trainer: "Trainer", needed: int, free: int | None) -> None:
    """Warn if ``needed`` bytes in each process are more than were ``free``, and say what to lower."""
    if trainer.device.type != "cuda":
        needed *= int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # of this machine
    if free is None or needed <= free:
        return
    settings = trainer.config.training
    rows = trainer.ranks.rows_at_once(settings)
    ways = [f"--training.micro_batch_size {rows // 2}"] if rows > 1 else []
    ways += [] if settings.gradient_checkpointing else ["--training.gradient_checkpointing true"]
    warn(
        f"this run needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free: it may crawl, or the system may end "
        f"it; give {', '.join([*ways, 'or a smaller --config'])}"
    )
