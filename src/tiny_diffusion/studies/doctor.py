"""What each preset would need on this machine, and problems of the machine with their remedies."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..config import ProjectConfig
from ..config.project import PRESETS
from ..data.artefacts import Processed
from ..model.flops import training_flops
from ..training.memory import estimate_memory
from .machine import Machine, Peaks
from .measure import in_order, measure_option

NOMINAL_TOKENS = 100_000
SECONDS = 2.0  # of steps for each preset that is measured
AFFORDABLE = 8.0  # a preset is measured only if that should take fewer seconds
PROBE_ROWS = 8  # rows that measuring a preset processes at least, roughly
DISK_NEEDED = 2_000_000_000
BUSY = 0.5  # load per core by others above which figures are too low
BINDING = ("OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
TINY = ("smoke", "debug")  # for trying things out: not worth a line


@dataclass(frozen=True)
class Need:
    """What a preset needs: peak memory in bytes, seconds for the whole run, and whether its own steps were timed."""

    preset: str
    parameters: int
    memory: int
    seconds: float
    measured: bool


@dataclass(frozen=True)
class Problem:
    """What is wrong, and what to do."""

    what: str
    remedy: str


def presets_here(machine: Machine, data: Processed, tokens: int | None, output: Path) -> Iterator[Need]:
    """Memory and time of each preset, the smallest first.

    Steps are timed on the rows of ``data`` as long as that is quick; larger presets are estimated from the rate of the
    last one measured. ``tokens``: the size of the book for which the time is estimated; None means the rows of ``data``
    itself.
    """
    rate = 0.0
    shares: tuple[float, ...] = ()
    names = [name for name in PRESETS if name not in TINY]
    for name, config in in_order(names).items():
        vocab, training = config.vocab_size, config.training
        memory = estimate_memory(config, vocab, device=machine.kind, bfloat16=machine.bfloat16).process
        epochs = [stage.epochs for stage in config.curriculum.stages]
        row = training_flops(config, vocab, config.model.context)
        fits = machine.training_memory is None or memory < machine.training_memory
        if not rate or (fits and PROBE_ROWS * row / rate < AFFORDABLE):
            option = measure_option(name, config, data, output, SECONDS)
            rate = row * training.batch_size / option.pace.step(training.batch_size)
            shares = tuple(rows / option.rows[-1] for rows in option.rows)
            scale = 1.0 if tokens is None else tokens / (option.rows[-1] * config.model.context)
            every = training.eval_every_epochs, training.sample_every_epochs
            seconds = scale * option.pace.run(epochs, option.rows, training.batch_size, *every)
            yield Need(name, option.parameters, memory, seconds, True)
        else:
            # The stages' shares of the text are taken from the last preset that was measured.
            passes = sum(count * share for count, share in zip(epochs, shares, strict=True))
            seconds = training_flops(config, vocab, passes * (tokens or _tokens(config, data))) / rate
            yield Need(name, config.model.parameters(vocab), memory, seconds, False)


def _tokens(config: ProjectConfig, data: Processed) -> int:
    return sum(len(data.tokenizer.encode(text, config.model.vocab_level)) for text in data.texts("train"))


def problems(machine: Machine, peaks: Peaks, needs: list[Need]) -> list[Problem]:
    """What slows or stops training here."""
    return [Problem(what, remedy) for wrong, what, remedy in _checks(machine, peaks, needs) if wrong]


def _checks(machine: Machine, peaks: Peaks, needs: list[Need]) -> Iterator[tuple[bool, str, str]]:
    threads, asked = machine.threads, machine.variables.get("OMP_NUM_THREADS")
    because = "" if asked is None else f" (OMP_NUM_THREADS={asked})"
    yield (
        not machine.compiles,
        "no C++ compiler (or on CUDA, no Triton) is found, so torch.compile cannot work",
        "install one (g++ or clang); training works without it, but more slowly",
    )
    yield (
        threads > machine.cores,
        f"torch uses {threads} threads on {machine.cores} cores",
        f"give --training.threads {machine.cores}, or set OMP_NUM_THREADS={machine.cores}",
    )
    yield (
        threads < machine.cores and machine.gpu is None,
        f"torch uses {threads} of {machine.cores} cores{because}",
        f"give --training.threads {machine.cores}, unless the other cores are meant for something else",
    )
    for name, value in machine.variables.items():
        spins = name == "OMP_WAIT_POLICY" and value.lower() == "active"
        yield (
            spins,
            f"{name}={value} lets waiting threads spin, which is slow beside other programs",
            f"unset {name}",
        )
        bound = name in BINDING and value.lower() not in ("false", "none")
        many = name == "OPENBLAS_NUM_THREADS" and value.isdigit() and int(value) > machine.cores
        yield many, f"{name}={value} is above the {machine.cores} cores, which slows preparing", f"unset {name}"
        yield bound, f"{name}={value} ties threads to cores, which is slow beside other jobs", f"unset {name}"
    yield (
        not machine.bfloat16,
        f"no bfloat16 in hardware ({peaks.bfloat16 / 1e9:.1f} GFLOP/s, float32 {peaks.float32 / 1e9:.0f})",
        "leave --training.precision at auto, which takes float32 here; bfloat16 would be far slower",
    )
    if machine.load is not None:
        others = machine.load / machine.cores
        yield (
            others > BUSY,
            f"other processes are busy: load {machine.load:.1f} on {machine.cores} cores",
            "the speeds above are too low and the times too long; close programs that you do not need, and look again",
        )
    yield (
        machine.disk_free < DISK_NEEDED,
        f"only {machine.disk_free / 1e9:.1f} GB are free on the disk",
        "free some space: a full-size run keeps about 2 GB of checkpoints",
    )
    free = machine.gpu_memory_free if machine.gpu else machine.memory_free
    large = [need.preset for need in needs if free is not None and need.memory > free]
    yield (
        bool(large),
        f"too little free memory ({(free or 0) / 1e9:.1f} GB) for {', '.join(large)}",
        "use a smaller preset, or lower --training.micro_batch_size with --training.gradient_checkpointing true",
    )
