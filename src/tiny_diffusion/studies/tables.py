"""Results of studies as tables of text, for the terminal and for markdown, and as files."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from ..config import ProjectConfig
from ..data.artefacts import Processed
from ..evaluation.seeds import Paired, seeds_note
from ..files import write_text
from .ablation import AblationRow
from .compare import Crossing, SizeResult
from .plan import Lookup
from .runs import Run, RunResult, Store
from .twin import Setting, TwinOverSeeds

VERSION = 2  # of the JSON of a study


@dataclass(frozen=True)
class Table:
    """A title, column heads, rows of text, and remarks."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    lines: Sequence[str] = ()

    def markdown(self) -> str:
        """The table as a pipe table under its title, then a list of the remarks."""
        cells = [self.head, ("---",) * len(self.head), *self.rows]
        table = "".join(f"| {' | '.join(row)} |\n" for row in cells)
        return f"**{self.title}**\n\n{table}\n" + "".join(f"- {line}\n" for line in self.lines)


def twin_table(title: str, runs: Sequence[Run], find: Lookup, lines: Sequence[str] = ()) -> Table:
    """Each twin with its settings, best epoch, compute, and both bits per byte; best validation first."""
    done = [(run.config, result) for run in runs if (result := find(run)) is not None]
    done.sort(key=lambda pair: pair[1].best.bits_per_byte)
    head = ("epochs", "drop", "decay", "seed", "best", "FLOPs", "valid.", "test")
    return Table(title, head, [_twin_row(config, result) for config, result in done], lines)


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


def twin_seeds_table(config: ProjectConfig, rows: Sequence[TwinOverSeeds]) -> Table:
    """One row for each length of the twin that was trained on all seeds, and how far the figures can be trusted."""
    title = f"the twin over {rows[0].test.seeds} seeds, bits per byte"
    head = ("twin", "epochs", "valid.", "95 %", "test", "95 %", "test minus winner")
    cells = [
        (
            row.name,
            str(row.epochs),
            str(row.validation),
            row.validation.interval,
            str(row.test),
            row.test.interval,
            "" if row.against is None else str(row.against),
        )
        for row in rows
    ]
    chosen = f"the winner was chosen by the validation of seed {config.training.seed} alone, which flatters that figure"
    return Table(title, head, cells, [seeds_note(config.study.seeds), *([chosen] if config.study.seeds > 1 else [])])


def edge_lines(config: ProjectConfig, setting: Setting) -> list[str]:
    """Warnings if the sweep's winner is at the edge of the grid: beyond it the twin may be better still.

    Nothing is below 0, and a grid of one value was not meant to be swept.
    """
    tried = {
        "study.twin_dropouts": (setting.dropout, config.study.twin_dropouts),
        "study.twin_weight_decays": (setting.weight_decay, config.study.twin_weight_decays),
        "study.twin_epochs": (setting.epochs, config.study.twin_epochs),
    }
    lines = []
    for key, (value, values) in tried.items():
        if len(values) > 1 and value == max(values):
            lines.append(f"{key}: the largest value tried, {value:g}, won; the twin may be better with a larger one")
        elif len(values) > 1 and value == min(values) > 0:
            lines.append(f"{key}: the smallest value tried, {value:g}, won; the twin may be better with a smaller one")
    return lines


def ablation_table(rows: Sequence[AblationRow]) -> Table:
    """One row per schedule."""
    title = f"curriculum at equal compute: {rows[0].steps:,} steps, {rows[0].flops:.1e} FLOPs per run"
    first = next(row.schedule for row in rows if row.against is None)
    head = ("schedule", "tokens", "valid. bpb", "test bpb", f"test minus {first}", "lower in")
    cells = [
        (
            row.schedule,
            f"{row.tokens / 1e6:.2f}M",
            str(row.validation),
            str(row.test),
            "" if row.against is None else str(row.against),
            "" if row.against is None else f"{row.against.lower} of {row.against.seeds}",
        )
        for row in rows
    ]
    return Table(title, head, cells, [seeds_note(rows[0].validation.seeds)])


def compare_table(config: ProjectConfig, result: SizeResult) -> Table:
    """Validation and test figures of both by epochs, and the remarks of ``compare_lines``."""
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
    return Table(title, head, rows, compare_lines(config, result))


def compare_lines(config: ProjectConfig, result: SizeResult) -> list[str]:
    """Where the curves cross, measured and by the formula, and which model is better at the end and at its best."""
    last, best, twin = result.diffusion[-1], result.best_diffusion, result.best_twin
    after = {p.epochs: p for p in result.twin}
    kept = f"dropout {result.setting.dropout:g}, weight decay {result.setting.weight_decay:g}"
    against = [(p.epochs, p.validation.mean - twin.validation.mean) for p in result.diffusion]
    equal = [(p.epochs, p.validation.mean - after[p.epochs].validation.mean) for p in result.diffusion]
    at_end = result.differences[last.epochs]
    return [
        f"crossover by validation, against the twin at its best ({twin.epochs} epochs, {kept}): "
        + _crossing(result.best, against, result.critical_flops),
        "crossover by validation, against the twin after as many epochs: "
        + _crossing(result.equal, equal, result.critical_flops),
        f"formula: {result.critical_flops:.1e} FLOPs for {result.unique_tokens / 1e6:.3f}M unique tokens "
        "(an extrapolation at this size)",
        f"at the end of the grid, {last.epochs} epochs each, test text: diffusion {last.test}, twin "
        f"{after[last.epochs].test}; {_better(at_end)}",
        f"each at its best by validation, test text: diffusion {best.test} ({best.epochs} epochs), twin {twin.test} "
        f"({twin.epochs} epochs); the twin at its best {_beaten(result.at_best)}: {_better(result.at_best)}",
        seeds_note(at_end.seeds),
        *edge_lines(config, result.setting),
    ]


def _sign(difference: Paired) -> int:
    """-1 if diffusion is better, 1 if the twin is, 0 if the interval (or a tie on one seed) leaves it open."""
    low, high = (difference.mean if end is None else end for end in (difference.low, difference.high))
    return -1 if high < 0 else 1 if low > 0 else 0


def _better(difference: Paired) -> str:
    said = {-1: "diffusion is better", 1: "the twin is better", 0: "which is better is left open"}[_sign(difference)]
    if difference.seeds == 1:
        return f"{said} on this seed, diffusion minus twin {difference}"
    return f"{said}, diffusion minus twin {difference}, lower in {difference.lower} of {difference.seeds} seeds"


def _beaten(difference: Paired) -> str:
    said = {-1: "is beaten", 1: "is not beaten", 0: "is neither beaten nor sure to win"}[_sign(difference)]
    return said + (" on this seed" if difference.seeds == 1 else "")


def _crossing(found: Crossing | None, gaps: Sequence[tuple[int, float]], critical_flops: float) -> str:
    """Describe a crossing. ``gaps``: diffusion minus twin at each length of the grid."""
    if found is None:
        epochs, gap = min(gaps, key=lambda pair: pair[1])
        grid = f"{gaps[0][0]} to {gaps[-1][0]} epochs" if len(gaps) > 1 else f"{gaps[0][0]} epochs"
        nearest = f"nearest after {epochs}, {gap:+.3f} bits per byte"
        return f"none; diffusion is below at no length of the grid ({grid}), and {nearest}"
    later = "and stays below" if found.back is None else f"but not below any more at {found.back:g} epochs"
    if found.at_first:
        first = f"the grid's first point, {found.epochs:g} epochs, {found.flops:.1e} FLOPs"
        return f"none seen; diffusion is below at {first} already, {later}"
    ratio = f"{found.flops / critical_flops:,.1f} times the formula's"
    return f"first below at about {found.epochs:.1f} epochs, {found.flops:.1e} FLOPs, {ratio}, {later}"


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
