"""``tiny-diffusion doctor``: the machine, what torch uses of it, what each preset takes, and what is wrong."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...wording import counted, duration
from ..console import errors, print_table, say
from ..help import examples

if TYPE_CHECKING:
    from ...data.artefacts import Processed
    from ...studies.doctor import Need, Problem
    from ...studies.machine import Machine, Peaks


@examples("tiny-diffusion doctor", "tiny-diffusion doctor --reproduce")
@click.command("doctor")
@click.option(
    "--data-dir", default="data/processed", show_default=True, help="Prepared book for which the times are estimated."
)
@click.option("--output", default="outputs", show_default=True, help="Folder whose disk is checked.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--reproduce", is_flag=True, help="Check instead that runs are equal to the bit here, in half a minute.")
def command(data_dir: str, output: str, as_json: bool, reproduce: bool) -> None:
    """Print what this machine can do, what each preset would take here, and what is wrong.

    Without a prepared book the times are for a book of 100,000 tokens. Takes about half a minute.
    """
    if reproduce:
        _reproduce()
        return
    import torch

    from ...data.artefacts import load_processed
    from ...data.folder import read_meta
    from ...runtime import memory_errors
    from ...studies.doctor import NOMINAL_TOKENS, presets_here, problems
    from ...studies.machine import look, measure_peaks

    machine = look(Path(output))
    prepared = read_meta(Path(data_dir)) is not None
    with errors.status("measuring products and copies") as status, tempfile.TemporaryDirectory() as folder:
        peaks = measure_peaks(torch.device(machine.device))
        data = load_processed(Path(data_dir)).without_shelf() if prepared else _stand_in(Path(folder))
        needs = []
        with memory_errors():
            for need in presets_here(machine, data, None if prepared else NOMINAL_TOKENS, Path(folder)):
                needs.append(need)
                status.update(f"measured {need.preset}")
    wrong = problems(machine, peaks, needs)
    book = data.source if prepared else f"a book of {NOMINAL_TOKENS:,} tokens"
    if as_json:
        content = {
            "machine": asdict(machine),
            "peaks": asdict(peaks),
            "book": book,
            "presets": [asdict(need) for need in needs],
            "problems": [asdict(problem) for problem in wrong],
        }
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    _show(machine, peaks, book, needs, wrong)


def _reproduce() -> None:
    """Print which runs are equal to the bit; raises WorldError if one is not that has to be."""
    from ...errors import WorldError
    from ...studies.reproduce import NOT_PROMISED, compare_runs

    broken = []
    with errors.status("training a small model several times"), tempfile.TemporaryDirectory() as folder:
        for found in compare_runs(_stand_in(Path(folder), 60_000), Path(folder)):
            say(f"{found.what}: {'equal to the bit' if found.equal else 'differs'}")
            broken += [found.what] if found.promised and not found.equal else []
    say(f"not promised to be equal: {NOT_PROMISED}")
    if broken:
        raise WorldError(f"not equal to the bit, as it should be: {', '.join(broken)}")


def _stand_in(folder: Path, characters: int | None = None) -> "Processed":
    """A prepared text that every Python carries, or its first ``characters``, for timing steps."""
    from ...config import PipelineConfig
    from ...data.artefacts import load_processed
    from ...data.pipeline import prepare
    from ...data.reading.example import write_reference_text

    book = write_reference_text(folder / "book.txt", characters)
    for _ in prepare(book, folder / "processed", PipelineConfig.fast_processing()):
        pass
    return load_processed(folder / "processed")


def _show(machine: "Machine", peaks: "Peaks", book: str, needs: "list[Need]", wrong: "list[Problem]") -> None:
    """Print it for a person."""

    def gb(count: int | None) -> str:
        return "?" if count is None else f"{count / 1e9:.1f} GB"

    say(
        f"{machine.processor}, {counted(machine.cores, 'core')}, {counted(machine.threads, 'thread')}; {machine.system}"
    )
    say(f"memory {gb(machine.memory)}, free {gb(machine.memory_free)}; free on the disk {gb(machine.disk_free)}")
    if machine.gpu:
        say(f"GPU {machine.gpu}, {gb(machine.gpu_memory)}, free {gb(machine.gpu_memory_free)}")
    say(
        f"torch {machine.torch} on {machine.device}; bfloat16 in hardware: {_yes(machine.bfloat16)}; torch.compile "
        f"works: {_yes(machine.compiles)}; float32 products: {machine.matmul_precision} precision"
    )
    if machine.variables:
        say("environment: " + " ".join(f"{name}={value}" for name, value in machine.variables.items()))
    bfloat16 = f"{peaks.bfloat16 / 1e9:,.0f}" + ("" if machine.bfloat16 else " (emulated)")
    say(
        f"measured: products {peaks.float32 / 1e9:,.0f} GFLOP/s in float32, {bfloat16} in bfloat16; "
        f"memory {peaks.bandwidth / 1e9:.1f} GB/s"
    )
    rows = []
    for need in needs:
        how = "timed here" if need.measured else "estimated"
        rows.append((need.preset, f"{need.parameters / 1e6:.1f}M", gb(need.memory), duration(need.seconds), how))
    print_table(("preset", "parameters", "memory", "time", ""), rows, f"training on {book}")
    if not wrong:
        say("nothing is wrong", style="green")
    for problem in wrong:
        say(f"{problem.what}: {problem.remedy}", style="yellow")


def _yes(value: bool) -> str:
    return "yes" if value else "no"
