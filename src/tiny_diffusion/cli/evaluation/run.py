"""An evaluation in the terminal: its time, its progress, and the files that it leaves."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from ...config import PipelineConfig, ProjectConfig
from ...wording import duration
from ..console import errors, say, warn

if TYPE_CHECKING:
    from ...evaluation.blind_test.statistics import BlindReport
    from ...evaluation.curves import Curves
    from ...evaluation.likelihood.comparison import Step
    from ...evaluation.report.time_estimate import Remaining
    from ...evaluation.result import Report, SeedsReport


class ProgressLine:
    """The current step and the time left, computed whenever the terminal is drawn."""

    def __init__(self) -> None:
        self.remaining: Remaining | None = None
        self._step: Step | None = None

    def step(self, step: "Step") -> None:
        """Note that a step begins or goes on."""
        if self.remaining is not None and (self._step is None or self._step.name != step.name):
            self.remaining.begin(step.name, time.perf_counter())
        self._step = step

    def __rich__(self) -> Text:
        step = self._step
        if step is None:
            return Text("")
        done = f": {step.done:,} of {step.total:,}" if step.total else ""
        if self.remaining is None:
            return Text(step.name + done)
        left = self.remaining.left(step.done, step.total, time.perf_counter())
        return Text(f"{step.name}{done}; {duration(left)} left in all")


def run(
    checkpoint: Path,
    data_dir: Path,
    config: ProjectConfig,
    device: str,
    twin: Path | None = None,
    local: tuple[Path, ...] = (),
    other_books: tuple[str, ...] = (),
    blind: "BlindReport | None" = None,
    parts: Path | None = None,
    members: tuple[Path, ...] = (),
) -> "Report":
    """Say how long the evaluation should take, and evaluate with a line that shows the step and the time left.

    Args:
        checkpoint: the model to measure.
        data_dir: the folder of its prepared book.
        config: what to measure, and how texts are drawn.
        device: where to run, such as ``auto``.
        twin: the checkpoint of its autoregressive twin.
        local: folders of Hugging Face models to measure too.
        other_books: books whose style is measured too.
        blind: the figures of a blind test.
        parts: the file of finished parts; an interrupted evaluation leaves it, and the next one continues it.
        members: checkpoints whose laws are averaged with the model's, in further rows.
    """
    from ...checkpoint import load_checkpoint
    from ...data.artefacts import load_processed
    from ...evaluation.kept import KeptParts, evaluation_key
    from ...evaluation.likelihood.comparison import Rivals
    from ...evaluation.report.evaluate import Report, evaluate
    from ...evaluation.report.time_estimate import Expected, Remaining
    from ...runtime import find_device, memory_errors

    with memory_errors(), errors.status("reading") as status:
        loaded, data = load_checkpoint(checkpoint), load_processed(data_dir)
        if data.outdated is not None:
            warn(data.outdated)
        others = {name: cleaned(name, data.pipeline) for name in other_books}
        rivals = Rivals(None if twin is None else load_checkpoint(twin), local, tuple(map(load_checkpoint, members)))
        line = ProgressLine()
        place = find_device(device)
        kept = KeptParts()
        if parts is not None:
            models = [path for path in (checkpoint, twin, *members) if path is not None]
            kept = KeptParts(parts, evaluation_key(models, data.identity, config, place.type, local))
        if kept.names:
            say(f"{checkpoint}: {len(kept.names)} finished parts are read from {parts}")
        how = (config.evaluation, config.generation, place, rivals, others, blind, kept)
        for event in evaluate(loaded, data, *how):
            if isinstance(event, Report):
                return event
            if isinstance(event, Expected):
                say(f"evaluating {checkpoint}: about {duration(event.seconds)} on this machine")
                line.remaining = Remaining(event)
            else:
                line.step(event)
                status.update(line)
    raise AssertionError("an evaluation ends with its report")


def cleaned(book: str, pipeline: PipelineConfig) -> str:
    """The text of another book, cleaned like the model's own; raises UserError if nothing is left."""
    from ...data.pipeline import clean
    from ...data.reading.loading import read_book

    return "\n\n".join(clean(read_book(book), pipeline).paragraphs)


def page_of(target: Path) -> Path:
    """The page beside the JSON: report.html for evaluation.json, else the same name with .html."""
    own = target.stem.startswith("evaluation")
    return target.with_name(f"{target.stem.replace('evaluation', 'report', 1) if own else target.stem}.html")


def save(target: Path, report: "Report", curves: "Curves | None", seeds: "SeedsReport | None" = None) -> Path:
    """Write the JSON to ``target`` and the page beside it; return the page's path."""
    from ...evaluation.report.page import write_html

    page = page_of(target)
    (seeds or report).write(target)
    write_html(page, report, curves, seeds)
    return page
