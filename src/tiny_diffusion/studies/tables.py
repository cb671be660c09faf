"""Results of studies as tables of text, for the terminal and for markdown, and as files."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from ..config import ProjectConfig
from ..data.artefacts import Processed
from ..evaluation.seeds import seeds_note
from ..files import write_text
from .ablation import AblationRow
from .compare import Crossing, SizeResult
from .plan import Lookup
from .runs import Run, RunResult, Store
from .twin import Setting

VERSION = 1  # of the JSON of a study


@dataclass(frozen=True)
class Table:
    """A title, column heads, and rows of text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As a pipe table under its title."""
        lines = [self.head, ("---",) * len(self.head), *self.rows]
        return f"**{self.title}**\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def twin_table(title: str, runs: Sequence[Run], find: Lookup) -> Table:
    """Each twin with its settings, best epoch, compute taken, and both bits per byte; best validation first."""
    done = [(run.config, result) for run in runs if (result := find(run)) is not None]
    done.sort(key=lambda pair: pair[1].best.bits_per_byte)
    head = ("epochs", "drop", "decay", "seed", "best", "FLOPs", "valid.", "test")
    return Table(title, head, tuple(_twin_row(config, result) for config, result in done))


def _twin_row(config: ProjectConfig, result: RunResult) -> tuple[str, ...]:
    test = f"{result.test.bits_per_byte:.3f} [{result.test.low:.3f}, {result.test.high:.3f}]"
    equal = " (equal compute)" if config.training.max_steps else ""
    return (
        f"{config.curriculum.epochs}{equal}",
        f"{config.model.dropout:g}",
        f"{config.training.weight_decay:g}",
        str(config.training.seed),
        str(result.best.epoch),
        f"{result.flops:.1e}",
        f"{result.best.bits_per_byte:.3f}",
        test,
    )


def edge_lines(config: ProjectConfig, setting: Setting) -> list[str]:
    """A warning where the sweep's winner is the largest value tried: a larger one may be better still."""
    tried = {
        "study.twin_dropouts": (setting.dropout, config.study.twin_dropouts),
        "study.twin_weight_decays": (setting.weight_decay, config.study.twin_weight_decays),
        "study.twin_epochs": (setting.epochs, config.study.twin_epochs),
    }
    return [
        f"{key}: the largest value tried, {value:g}, won; the twin may be better with a larger one"
        for key, (value, values) in tried.items()
        if value == max(values)
    ]


def ablation_table(rows: Sequence[AblationRow]) -> Table:
    """One line a schedule."""
    title = f"curriculum at equal compute: {rows[0].steps:,} steps, {rows[0].flops:.1e} FLOPs a run"
    head = ("schedule", "tokens", "valid. bpb", "test bpb", "test minus described")
    cells = [
        (
            row.schedule,
            f"{row.tokens / 1e6:.2f}M",
            str(row.validation),
            str(row.test),
            "" if row.against is None else str(row.against),
        )
        for row in rows
    ]
    return Table(title, head, tuple(cells))


def compare_table(result: SizeResult) -> Table:
    """Validation and test of both by epochs."""
    diffusion = {p.epochs: p for p in result.diffusion}
    twin = {p.epochs: p for p in result.twin}
    rows = []
    for epochs in sorted(diffusion.keys() | twin.keys()):
        both = [points.get(epochs) for points in (diffusion, twin)]
        flops = next(p.flops for p in both if p is not None)
        figures = [str(p.validation) if p else "-" for p in both] + [str(p.test) if p else "-" for p in both]
        rows.append((str(epochs), f"{flops:.1e}", *figures))
    title = f"{result.size}: {result.parameters / 1e6:.2f}M parameters, bits per byte"
    head = ("epochs", "FLOPs", "diffusion valid.", "twin valid.", "diffusion test", "twin test")
    return Table(title, head, tuple(rows))


def compare_lines(config: ProjectConfig, result: SizeResult) -> list[str]:
    """The crossover, measured and by the formula, and how sure it is."""
    last, best = result.diffusion[-1], min(result.twin, key=lambda p: p.validation.mean)
    kept = f"dropout {result.setting.dropout:g}, weight decay {result.setting.weight_decay:g}"
    return [
        f"measured crossover against the twin at its best ({best.epochs} epochs, {kept}): "
        + _crossing(result.best, result),
        f"measured crossover against the twin at the same epochs: {_crossing(result.equal, result)}",
        f"formula: {result.critical_flops:.1e} FLOPs for {result.unique_tokens / 1e6:.3f}M unique tokens "
        "(an extrapolation at this size)",
        f"diffusion at {last.epochs} epochs minus the twin at its best: {result.difference} bits per byte of "
        f"test text, lower in {result.difference.lower} of {result.difference.seeds} seeds",
        seeds_note(result.difference.seeds),
        *edge_lines(config, result.setting),
    ]


def _crossing(found: Crossing | None, result: SizeResult) -> str:
    if found is None:
        return f"none within the grid (up to {result.diffusion[-1].epochs} epochs)"
    ratio = f"{found.flops / result.critical_flops:,.1f} times the formula's"
    if found.at_first:
        return f"already below at the first grid point, {found.epochs:g} epochs, {found.flops:.1e} FLOPs"
    return f"first below at about {found.epochs:.1f} epochs, {found.flops:.1e} FLOPs, {ratio}"


def write_study(
    folder: Path,
    name: str,
    config: ProjectConfig,
    data: Processed,
    store: Store,
    runs: Sequence[Run],
    summary: Any,
    text: str,
) -> list[Path]:
    """Write ``name.json`` (data identity, settings, all runs, summary) and ``name.md`` into ``folder``."""
    listed = [
        {"label": run.label, "key": store.key(run), "seed": run.config.training.seed} | asdict(result)
        for run in runs
        if (result := store.find(run)) is not None
    ]
    record = {
        "version": VERSION,
        "study": name,
        "source": data.source,
        "data": data.identity,
        "config": config.to_dict(),
        "summary": summary,
        "runs": listed,
    }
    paths = [folder / f"{name}.json", folder / f"{name}.md"]
    write_text(paths[0], json.dumps(record, indent=1, default=_plain) + "\n")
    write_text(paths[1], text)
    return paths


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    assert isinstance(value, Path), f"{type(value).__name__} in a study's JSON"
    return str(value)
