"""An open study: its settings, its list of runs, their progress, and its results."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from ...config import HeldOut, ModelConfig, Optimisation, Passes, ProjectConfig, StudyConfig, keys_of
from ...files import check_folder
from ...wording import counted, duration
from ..console import errors, print_table, say
from ..settings import config_flags, resolve
from ..stopping import EXIT_INTERRUPTED, STOPPING, graceful_stop

if TYPE_CHECKING:
    from ...data.artefacts import Processed
    from ...studies.plan import Lengths, Plan
    from ...studies.runs import Run, Store
    from ...studies.tables import Table

OUTPUT = click.option("--output", default="outputs/studies", show_default=True, help="Folder of results and kept runs.")
DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="List the runs, which of them are kept already, and the time; then stop."
)
# Flags of what compare and ablation read; they set what the network reads themselves.
SETTINGS = config_flags(
    ModelConfig, Optimisation, Passes, HeldOut, sets=("model.causal", "model.dual"), also=keys_of(StudyConfig)
)


def study_config(ctx: click.Context, base: ProjectConfig, data: "Processed") -> ProjectConfig:
    """``base`` with the command line's changes, on this data, as pure diffusion: a study compares objectives."""
    return resolve(ctx, base).override(pipeline=data.pipeline, **{"training.objective": "diffusion"})


class OpenStudy:
    """A study on one prepared book: its settings, its kept runs, and the expected length of the others."""

    def __init__(self, ctx: click.Context, base: ProjectConfig, data_dir: str, output: str) -> None:
        """Study ``base`` with the command line's changes; raises UserError if data or settings are wrong."""
        from ...data.artefacts import load_processed
        from ...studies.plan import Lengths
        from ...studies.runs import Store

        check_folder(Path(output))
        self.data = load_processed(Path(data_dir))
        self.config = study_config(ctx, base, self.data)
        if self.data.shelf.passages:
            say("studies compare ways to learn one book: the shelf is left out")
        self.store = Store(Path(output) / "runs", self.data, self.config.evaluation)
        self.lengths = Lengths(self.data)

    def follow(self, plan: "Plan", dry_run: bool) -> bool:
        """Do the plan's runs, or with ``dry_run`` only list them; return whether there are results to show."""
        (show_plan if dry_run else follow_study)(plan, self.store, self.lengths)
        return not dry_run

    def publish(self, name: str, folder: str, runs: "Sequence[Run]", summary: Any, tables: "Sequence[Table]") -> None:
        """Print the results, write them to ``folder`` as JSON and as markdown, and say where."""
        from ...studies.tables import write_study

        for table in tables:
            print_table(table.head, table.rows, table.title)
            for line in table.lines:
                say(line)
        text = "\n".join(table.markdown() for table in tables)
        for path in write_study(Path(folder), name, self.config, self.data, self.store, runs, summary, text):
            say(f"written to {path}")


def show_plan(plan: "Plan", store: "Store", lengths: "Lengths") -> None:
    """List the runs of a study with their compute and their time; kept runs are marked."""
    from ...studies.plan import distinct, speed

    runs = distinct(plan(store.find), store)
    rate = speed(runs, store)
    rows, left = [], 0.0
    for run in runs:
        work = lengths.work(run, store)
        kept = store.find(run) is not None
        left += 0.0 if kept else work / rate
        cells = (f"{lengths.steps(run.config):,}", f"{work:.1e}", "kept" if kept else duration(work / rate))
        rows.append((run.label, *cells))
    print_table(("run", "steps", "FLOPs", "time"), rows, "runs")
    say(f"{counted(len(runs), 'run')}, about {duration(left)} left to do")


def follow_study(plan: "Plan", store: "Store", lengths: "Lengths") -> None:
    """Do a study's runs under a progress bar; after Ctrl-C everything is saved and click's Exit is raised."""
    from ...runtime import memory_errors
    from ...studies.plan import execute
    from ...studies.runs import Interrupted

    columns = (BarColumn(bar_width=12), TextColumn("{task.percentage:>3.0f}% {task.description}"))
    progress = Progress(*columns, console=errors, refresh_per_second=4)
    with memory_errors(), progress, graceful_stop(store, lambda: say(STOPPING.format(part="micro-batch"), to=errors)):
        task = progress.add_task("reading", total=None)
        try:
            for done, total, state in _progress(execute(plan, store), store, lengths):
                progress.update(task, completed=done, total=total, description=escape(state[: errors.width - 20]))
        except Interrupted:
            progress.stop()
            say("stopped; finished work is kept, and the same command continues", to=errors)
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None


def _progress(events: Any, store: "Store", lengths: "Lengths") -> Iterator[tuple[float, float, str]]:
    """Work done and total work, in FLOPs, and a line on the run and the study; prints a line for each finished run."""
    from ...studies.plan import RunDone, RunStarted
    from ...studies.runs import Scoring
    from ...training.events import RunningMetrics, StepDone

    metrics, title, before, total, work, worked = RunningMetrics(), "", 0.0, 1.0, 0.0, 0.0
    began = time.perf_counter()
    for event in events:
        if isinstance(event, RunStarted):
            metrics, title = RunningMetrics(), f"{event.index}/{len(event.runs)} {event.run.label}"
            works = [(lengths.work(run, store), store.find(run) is not None) for run in event.runs]
            before, total = sum(w for w, kept in works if kept), sum(w for w, _ in works)
            work = lengths.work(event.run, store)
            yield before, total, title
        elif isinstance(event, StepDone):
            metrics.add(event)
            worked += work / event.total  # of this command only: no kept steps, and no rest of a run that ended early
            done = before + work * event.step / event.total
            left = duration((total - done) * (time.perf_counter() - began) / worked)
            state = f"{metrics.loss:.2f} nats {metrics.tokens_per_second:,.0f} tok/s {left} left"
            yield done, total, f"{state}, {title}"
        elif isinstance(event, Scoring):
            yield before + work, total, f"scoring {title}"
        elif isinstance(event, RunDone):
            best, test = event.result.best, event.result.test.bits_per_byte
            say(f"{title}: validation {best.bits_per_byte:.3f} at epoch {best.epoch}, test {test:.3f}", to=errors)
