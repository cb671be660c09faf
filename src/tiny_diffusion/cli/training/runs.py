"""``tiny-diffusion runs``: list the runs of an output folder, compare two, remove old ones."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from ...config import value_text
from ...errors import UserError
from ...wording import counted, duration
from ..console import console, print_table, say
from ..help import examples

if TYPE_CHECKING:
    from ...studies.run_list import KeptRun


@examples(
    "tiny-diffusion runs",
    "tiny-diffusion runs --compare . earlier/2026-05-01_093000",
    "tiny-diffusion runs --prune --keep 2",
)
@click.command("runs")
@click.argument("folder", default="outputs")
@click.option(
    "--compare", nargs=2, metavar="RUN RUN", help="Show the figures of two listed runs, and the settings that differ."
)
@click.option("--prune", is_flag=True, help="Remove the earlier runs that --keep or --run names, after asking.")
@click.option(
    "--keep", type=click.IntRange(min=0), help="With --prune: remove all earlier runs but this many newest ones."
)
@click.option("--run", "names", multiple=True, metavar="RUN", help="With --prune: remove this run; may be repeated.")
@click.option("--yes", is_flag=True, help="With --prune: remove without asking.")
def command(
    folder: str, compare: tuple[str, str] | None, prune: bool, keep: int | None, names: tuple[str, ...], yes: bool
) -> None:
    """List the current run in FOLDER and earlier ones, with date, size, steps, best validation and disk space.

    The run in FOLDER itself is called ".". A run that was moved aside for a later one is in earlier/, and only such
    runs can be removed.
    """
    from ...studies.run_list import find_runs, named

    if not prune and (keep is not None or names or yes):
        raise UserError("--keep, --run and --yes belong to --prune")
    if prune and (compare or (keep is None and not names)):
        raise UserError("--prune needs --keep N or --run NAME, and no --compare")
    runs = find_runs(Path(folder))
    if compare:
        show_comparison(*(named(runs, name) for name in compare))
    elif prune:
        remove(runs, keep, names, yes)
    else:
        show_runs(runs, folder)


def show_runs(runs: "list[KeptRun]", folder: str) -> None:
    """Print a table of runs per book, and their disk space."""
    if not runs:
        say(f"no runs in {folder}")
        return
    for book in dict.fromkeys(run.source for run in runs):
        table = Table(box=None, pad_edge=False, title=escape(book or "book unknown"), title_justify="left")
        table.add_column("run", overflow="fold")
        for head in ("ended", "params", "steps", "bits/byte", "disk"):
            table.add_column(head, justify="right", no_wrap=True)
        for run in (run for run in runs if run.source == book):
            table.add_row(escape(run.name), f"{run.ended:%Y-%m-%d %H:%M}", *_figures(run))
        console.print(table)
    earlier = [run for run in runs if run.earlier]
    inside = f", {disk(sum(run.size for run in earlier))} of it earlier runs, which --prune removes" if earlier else ""
    say(f"{disk(sum(run.size for run in runs))} in all{inside}")


def _figures(run: "KeptRun") -> tuple[str, str, str, str]:
    size = "-" if run.parameters is None else f"{run.parameters / 1e6:.1f}M"
    best = "-" if run.best is None else f"{run.best:.3f}"
    return size, steps(run), best, disk(run.size)


def steps(run: "KeptRun") -> str:
    """The steps of a run: all of them if it is finished, else "done of planned"."""
    if run.step is None:
        return "-"
    return f"{run.step:,}" if run.finished or run.total is None else f"{run.step:,} of {run.total:,}"


def disk(size: int) -> str:
    """Bytes as a short text."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{math.ceil(size / 1e6)} MB"


def show_comparison(first: "KeptRun", second: "KeptRun") -> None:
    """Print the figures of two runs side by side, then the settings that differ."""
    pairs = {name: (value, _compared(second)[name]) for name, value in _compared(first).items()}
    if first.config is not None and second.config is not None:
        pairs |= first.config.differences(second.config)
    rows = [(name, *("-" if v is None else value_text(v) for v in values)) for name, values in pairs.items()]
    print_table(("", first.name, second.name), rows, boxed=False)


def _compared(run: "KeptRun") -> dict[str, Any]:
    return {
        "book": run.source,
        "ended": f"{run.ended:%Y-%m-%d %H:%M}",
        "finished": run.finished,
        "parameters": None if run.parameters is None else f"{run.parameters:,}",
        "steps": steps(run),
        "time of the steps": None if run.seconds is None else duration(run.seconds),
        "best bits per byte": None if run.best is None else f"{run.best:.3f}",
        "disk": disk(run.size),
    }


def remove(runs: "list[KeptRun]", keep: int | None, names: tuple[str, ...], yes: bool) -> None:
    """Print the runs to remove, ask unless ``yes``, and remove them."""
    from ...studies.run_list import removable, remove_run

    chosen = removable(runs, keep, names)
    if not chosen:
        say("nothing to remove")
        return
    for run in chosen:
        say(f"{run.folder}  {disk(run.size)}")
    total = disk(sum(run.size for run in chosen))
    if not (yes or sys.stdin.isatty()):
        raise UserError("nobody is here to confirm: give --yes to remove them without asking")
    if not yes and not click.confirm(f"remove {'this run' if len(chosen) == 1 else 'these runs'}, {total}?"):
        say("nothing was removed")
        return
    for run in chosen:
        remove_run(run)
    say(f"removed {counted(len(chosen), 'run')}, {total}")
