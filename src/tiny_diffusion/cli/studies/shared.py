"""What the studies' commands share: flags of grids, a study that is open, its list of runs, and their progress."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from ...config import EvaluationConfig, ProjectConfig
from ...config.evaluation_config import SCORING
from ...config.reference import describe
from ...errors import UserError
from ...files import check_folder
from ..options import OVERRIDES, console, duration, errors, resolve, say
from ..stopping import EXIT_INTERRUPTED, STOPPING, graceful_stop

if TYPE_CHECKING:
    from ...data.artefacts import Processed
    from ...studies.plan import Lengths, Plan
    from ...studies.runs import Run, Store
    from ...studies.tables import Section
    from ...studies.tables import Table as StudyTable

STUDY_CONFIG = click.option(
    "--config",
    "config_name",
    default="cpu_2m",
    show_default=True,
    metavar="NAME|FILE",
    help="A preset (cpu_2m cpu_10m cpu_30m ...) or a .toml, .yaml or .py file.",
)
DATA_DIR = click.option("--data-dir", default="data/processed", show_default=True, help="Folder that prepare wrote.")
OUTPUT = click.option("--output", default="outputs/studies", show_default=True, help="Folder of results and kept runs.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="List the runs, what is kept already, and the time; then stop.")


def study_flag(flag: str, key: str) -> Callable[[Any], Any]:
    """A short flag for a setting of the study; lists are given as ``5,10,20``."""
    row = next(row for row in describe(ProjectConfig) if row.key == key)

    def collect(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            parts = [_number(part.strip()) for part in value.split(",")]
            given = json.dumps(parts) if row.type.startswith("list") else value
            ctx.meta.setdefault(OVERRIDES, []).append(f"{key}={given}")

    name = key.replace(".", "__")
    text = f"{row.description}  [default: {row.default.strip('[]').replace(' ', '') or 'none'}]"
    kind = row.type.replace("list of ", "") + (",..." if row.type.startswith("list") else "")
    return click.option(flag, name, expose_value=False, callback=collect, metavar=f"<{kind}>", help=text)


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


# Evaluation settings that a study reads: those of its test figure.
READ = (*SCORING, "batch_size")
# Settings that a study sets itself, or that do nothing in it.
UNREAD = (
    "model.causal",
    "training.objective",
    "training.early_stopping_patience",
    "training.max_steps",
    "training.sample_every_epochs",
    "training.tensorboard",
    *(f"evaluation.{name}" for name in EvaluationConfig.model_fields if name not in READ),
)
SWEPT = ("model.dropout", "training.weight_decay", "training.eval_every_epochs")


def study_config(
    ctx: click.Context, base: ProjectConfig, data: "Processed", unread: tuple[str, ...] = (*UNREAD, "curriculum")
) -> ProjectConfig:
    """``base`` with the command line's changes, on this data; raises UserError for settings that would do nothing."""
    for item in ctx.meta.get(OVERRIDES, []):
        key = item.partition("=")[0]
        if key in unread or key.split(".")[0] in unread:
            raise UserError(f"{key} does nothing here: this study sets it itself, or does not need it")
    config = resolve(ctx, base).override(pipeline=data.pipeline.model_dump(mode="json"))
    if config.training.objective != "diffusion":
        raise UserError(f"training.objective={config.training.objective}: a study begins with the diffusion model")
    return config


@dataclass(frozen=True)
class OpenStudy:
    """A study on one prepared book: its settings, its kept runs, and what is known of runs before they are made."""

    config: ProjectConfig
    data: "Processed"
    store: "Store"
    lengths: "Lengths"

    def follow(self, plan: "Plan", dry_run: bool) -> bool:
        """Do the plan's runs; with ``dry_run`` only list them, and tell False: there are no results to show."""
        if dry_run:
            show_plan(plan, self.store, self.lengths)
        else:
            follow_study(plan, self.store, self.lengths)
        return not dry_run

    def publish(
        self, name: str, folder: str, runs: "Sequence[Run]", summary: Any, sections: "Sequence[Section]"
    ) -> None:
        """Print the results, write them into ``folder``, as JSON and as markdown, and say where."""
        from ...studies.tables import write_study

        for section in sections:
            show_table(section.table)
            for line in section.lines:
                say(line)
        text = "\n".join(section.markdown() for section in sections)
        for path in write_study(Path(folder), name, self.config, self.data, self.store, runs, summary, text):
            say(f"written to {path}")


def open_study(
    ctx: click.Context,
    base: ProjectConfig,
    data_dir: str,
    output: str,
    unread: tuple[str, ...] = (*UNREAD, "curriculum"),
) -> OpenStudy:
    """Open the study of ``base`` with the command line's changes; raises UserError as ``study_config`` does."""
    from ...data.artefacts import load_processed
    from ...studies.plan import Lengths
    from ...studies.runs import Store

    check_folder(Path(output))
    data = load_processed(Path(data_dir))
    config = study_config(ctx, base, data, unread)
    return OpenStudy(config, data, Store(Path(output) / "runs", data, config.evaluation), Lengths(data))


def show_table(table: "StudyTable") -> None:
    """Print a study's table."""
    shown = Table(*table.head, title=escape(table.title))
    for row in table.rows:
        shown.add_row(*(escape(cell) for cell in row))
    console.print(shown)


def show_plan(plan: "Plan", store: "Store", lengths: "Lengths") -> None:
    """List the runs of a study with their compute, their time, and whether they are kept already."""
    from ...studies.plan import distinct, speed

    runs = distinct(plan(store.find), store)
    rate = speed(runs, store)
    table = Table("run", "steps", "FLOPs", "time", title="runs")
    left = 0.0
    for run in runs:
        work = lengths.work(run, store)
        kept = store.find(run) is not None
        left += 0.0 if kept else work / rate
        cells = (f"{lengths.steps(run.config):,}", f"{work:.1e}", "kept" if kept else duration(work / rate))
        table.add_row(escape(run.label), *cells)
    console.print(table)
    say(f"{len(runs)} runs, about {duration(left)} left to do")


def follow_study(plan: "Plan", store: "Store", lengths: "Lengths") -> None:
    """Do a study's runs under a progress bar; raises click's Exit after Ctrl-C, with everything saved."""
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
            say("stopped; what is done is kept, and the same command goes on from here", to=errors)
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None


def _progress(events: Any, store: "Store", lengths: "Lengths") -> Iterator[tuple[float, float, str]]:
    """Work done and in all, in FLOPs, and a line on the run and the study; prints a line for each run that ends."""
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
            worked += (
                work / event.total
            )  # only what was done here: neither kept steps nor the rest of a run ended early
            done = before + work * event.step / event.total
            left = duration((total - done) * (time.perf_counter() - began) / worked)
            state = f"{metrics.loss:.2f} nats {metrics.tokens_per_second:,.0f} tok/s {left} left"
            yield done, total, f"{state}, {title}"
        elif isinstance(event, Scoring):
            yield before + work, total, f"scoring {title}"
        elif isinstance(event, RunDone):
            best, test = event.result.best, event.result.test.bits_per_byte
            say(f"{title}: validation {best.bits_per_byte:.3f} at epoch {best.epoch}, test {test:.3f}", to=errors)
