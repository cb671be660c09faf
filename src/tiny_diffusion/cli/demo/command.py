"""``tiny-diffusion demo``: all steps on one book, and at the end one screen of results."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...config import (
    CurriculumConfig,
    EvaluationConfig,
    GenerationConfig,
    ModelConfig,
    PipelineConfig,
    ProjectConfig,
    TrainingConfig,
)
from ...errors import UserError, WorldError
from ...wording import duration
from ..console import console, say
from ..help import examples
from ..options import OUTPUTS, PREPARED
from ..settings import changes, config_flags, resolve
from ..training.budget import Budget

if TYPE_CHECKING:
    from ...data.artefacts import Processed
    from ...evaluation.result import Report
    from .screen import Places

TRAINING_SECONDS = 300.0  # a slower machine takes fewer steps in this time, a faster one more
PATIENCE = 5.0  # seconds within which Project Gutenberg must begin to answer
GUTENBERG_BOOK, TITLE = "gutenberg:84", "Frankenstein"
FOLDER = f"{OUTPUTS}/demo"


@examples("tiny-diffusion demo", "tiny-diffusion demo --book mybook.epub", "tiny-diffusion demo --keep")
@click.command("demo")
@click.option(
    "--book", help="The book, in any form that prepare reads.  [default: Frankenstein, or Python's reference]"
)
@click.option("--folder", default=FOLDER, show_default=True, help="Folder for all files of the demo.")
@click.option(
    "--keep",
    is_flag=True,
    help=f"Leave book and model in {PREPARED} and {OUTPUTS}, where all commands look for them. A run that is there is "
    "moved aside.",
)
@config_flags(ModelConfig, TrainingConfig, CurriculumConfig, GenerationConfig, EvaluationConfig, PipelineConfig)
@click.pass_context
def command(ctx: click.Context, book: str | None, folder: str, keep: bool) -> None:
    """Prepare a book, train for a few minutes, write, fill a gap, measure, and show the results on one screen.

    Without --book it takes Frankenstein from Project Gutenberg, or Python's own language reference if the network does
    not answer within five seconds. The same command continues a stopped demo.
    """
    from ...data.artefacts import load_processed
    from .. import prepare
    from .screen import Places, show

    config = resolve(ctx, ProjectConfig.preset("demo"))
    if keep and folder != FOLDER:
        raise UserError(f"--keep leaves files in {PREPARED} and {OUTPUTS}, --folder in {folder}: give one of the two")
    places = Places(Path(PREPARED), Path(OUTPUTS), named=False) if keep else Places.within(Path(folder))
    source, title = find_book(book, Path(folder))
    say(f"book: {title}")
    say(f"preparing {places.processed}")
    prepare.run(source, places.processed, config, force=False)
    data = load_processed(places.processed)
    _train(config, data, places, changes(ctx))
    report = _evaluate(config, places)
    show(report, data, places, config)


def find_book(given: str | None, folder: Path) -> tuple[str, str]:
    """The source of the book, and a line about it: the given one, else Frankenstein, else Python's reference."""
    from ...data.reading.example import write_reference_text
    from ...data.reading.loading import OutOfReach, read_book
    from ...files import write_text

    if given is not None:
        return given, given
    kept = folder / "frankenstein.txt"
    if kept.exists():
        return str(kept), f"{TITLE}, fetched before ({kept})"
    try:
        text = read_book(GUTENBERG_BOOK, PATIENCE).text
        if TITLE.lower() not in text.lower():
            raise OutOfReach(GUTENBERG_BOOK, "the network gave another page")  # one that asks for a log-in, say
    except OutOfReach as error:
        path = write_reference_text(folder / "python_reference.txt")
        return str(path), f"Python's reference (no {TITLE}: {error.reason})"
    write_text(kept, text)
    return str(kept), f"{TITLE}, from Project Gutenberg"


def _train(config: ProjectConfig, data: "Processed", places: "Places", overrides: list[str]) -> None:
    """Train, or continue a training that was stopped."""
    from ...training.run_state import unfinished
    from ..training import job

    config = config.override(pipeline=data.pipeline)
    resume = unfinished(places.run / "checkpoints" / "last.pt", config, data)
    # A stopped run knows how much time it has left.
    budget = None if resume else Budget(TRAINING_SECONDS, time.monotonic(), "demo", overrides)
    say("training continues where it was stopped" if resume else f"training for about {duration(TRAINING_SECONDS)}")
    again = "the same command"
    console.quiet = True  # bars and warnings still show
    try:
        job.run(job.Job(config, data, places.processed, places.run, resume, budget=budget, again=again))
    finally:
        console.quiet = False


def _evaluate(config: ProjectConfig, places: "Places") -> "Report":
    """Evaluate and write the report; raises WorldError if the model has learnt nothing."""
    from ...evaluation.curves import read_curves
    from ...evaluation.report.verdict import learnt_nothing
    from ..evaluation import run as evaluation

    report = evaluation.run(places.checkpoint, places.processed, config, config.training.device)
    evaluation.save(places.run / "evaluation.json", report, read_curves(places.checkpoint))
    if learnt_nothing(report):
        raise WorldError(
            f"the model has learnt nothing: it needs {report.likelihood[0].bits_per_byte:.3f} bits per byte, "
            "no fewer than a count of single words. It took too few training steps: start the demo again while "
            f"nothing else keeps the machine busy (figures: {places.run / 'report.html'})"
        )
    return report
