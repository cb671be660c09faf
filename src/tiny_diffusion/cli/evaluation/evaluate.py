"""``tiny-diffusion evaluate``: measure a model, or several of one kind."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from rich.text import Text

from ...config import EvaluationConfig, PipelineConfig, ProjectConfig
from ...errors import UserError
from ...files import check_file
from ..help import examples
from ..options import config_flags, duration, errors, resolve, say
from ..writing.generate import CHECKPOINT_OPTION, FILLING, FINISHING
from .blind_test import file_hash

if TYPE_CHECKING:
    from ...evaluation.blind_test.statistics import BlindReport
    from ...evaluation.curves import Curves
    from ...evaluation.likelihood.comparison import Step
    from ...evaluation.report.time_estimate import Remaining
    from ...evaluation.result import Report, SeedsReport


UNUSED = (
    "evaluation.blind_passages",
    "evaluation.blind_words",
    # The model is measured as it is, on texts whose number, length and seed are the evaluation's.
    *(f"generation.{name}" for name in ("length", "num_samples", "seed", "max_copied_words", *FILLING, *FINISHING)),
)


def _print_schema(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from ...evaluation.result import schema

        click.echo(json.dumps(schema(), indent=2))
        ctx.exit()


@examples(
    "tiny-diffusion evaluate --fast",
    "tiny-diffusion evaluate --twin outputs/twin/best_model.pt",
    "tiny-diffusion evaluate outputs/best_model.pt --other-books other.txt",
)
@click.command("evaluate")
@click.argument("checkpoints", nargs=-1, metavar="[CHECKPOINT]...")
@CHECKPOINT_OPTION
@click.option("--data-dir", default="data/processed", show_default=True, help="Folder that prepare wrote.")
@click.option("--output", default=None, help="The JSON file, the page beside it; beside the checkpoint if not given.")
@click.option(
    "--preset",
    type=click.Choice(["default", "fast", "comprehensive", "memory_efficient"]),
    default=None,
    help="How closely to measure; without it, the checkpoint's own settings.",
)
@click.option("--fast", is_flag=True, help="The same as --preset fast: under a minute for a model of 2M parameters.")
@click.option("--verbose", is_flag=True, help="Print all tables; without it the verdict and the two that matter most.")
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of evaluation.json and exit.",
)
@click.option("--twin", default=None, metavar="CHECKPOINT", help="Its autoregressive twin, to set beside it.")
@click.option("--hf", multiple=True, metavar="FOLDER", help="A Hugging Face model to set beside; may be given often.")
@click.option("--eval-batch-size", type=int, default=None, help="Windows in one forward pass.")
@click.option("--eval-samples", type=int, default=None, help="Windows scored and texts written at most.")
@click.option(
    "--other-books", multiple=True, metavar="BOOK", help="Hold the style against this book too; may be given often."
)
@click.option(
    "--blind-answers",
    default=None,
    metavar="FILE",
    help="Show what people answered in a blind-test of this checkpoint.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@config_flags("evaluation", "generation", without=UNUSED)
@click.pass_context
def command(
    ctx: click.Context,
    checkpoints: tuple[str, ...],
    checkpoint: str,
    data_dir: str,
    output: str | None,
    preset: str | None,
    fast: bool,
    verbose: bool,
    twin: str | None,
    hf: tuple[str, ...],
    eval_batch_size: int | None,
    eval_samples: int | None,
    other_books: tuple[str, ...],
    blind_answers: str | None,
    device: str,
) -> None:
    """Held-out bits per byte beside n-grams, style, coherence and copying; writes evaluation.json and report.html.

    Several CHECKPOINTs (seeds of one run) are measured by the first one's settings; mean and spread are written to
    evaluation_seeds.json and report_seeds.html beside the first.
    """
    from ...checkpoint import load_checkpoint
    from ...evaluation.curves import read_curves
    from ...evaluation.report.several import combine
    from .report_tables import show, show_seeds

    sizes: dict[str, int] = {}
    if eval_batch_size is not None:
        sizes["evaluation.batch_size"] = eval_batch_size
    if eval_samples is not None:
        sizes |= {"evaluation.windows": eval_samples, "evaluation.samples": eval_samples}
    resolve(ctx, ProjectConfig.default().override(**sizes), tuple(sizes))  # before the model is read
    if checkpoints and ctx.get_parameter_source("checkpoint") is not ParameterSource.DEFAULT:
        raise UserError("give checkpoints either as arguments or by --checkpoint, not both")
    if fast and preset not in (None, "fast"):
        raise UserError(f"--fast is --preset fast, but --preset {preset} is given too: leave one out")
    paths = [Path(name) for name in checkpoints or (checkpoint,)]
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError("a checkpoint is given twice: the spread would be too small")
    target = _target(paths, output)
    check_file(target)
    check_file(page_of(target))
    if blind_answers is not None and len(paths) > 1:
        raise UserError("--blind-answers are about one model: give one checkpoint")
    config = load_checkpoint(paths[0]).config
    preset = "fast" if fast else preset
    if preset is not None:
        chosen: EvaluationConfig = getattr(EvaluationConfig, preset)()
        config = config.override(evaluation=chosen.model_dump(mode="json"))
    config = resolve(ctx, config.override(**sizes))
    curves = read_curves(paths[0])
    beside = (None if twin is None else Path(twin), tuple(Path(folder) for folder in hf))
    blind = None if blind_answers is None else _people(Path(blind_answers), paths[0], config.evaluation.bootstrap)
    parts = target.with_suffix(".parts.json")
    reports = [run(path, Path(data_dir), config, device, *beside, other_books, blind, parts) for path in paths]
    seeds = combine([str(path) for path in paths], reports) if len(reports) > 1 else None
    page = save(target, reports[0], curves, seeds)  # before it is shown: the reader may go away (| head)
    parts.unlink(missing_ok=True)
    if seeds is None:
        show(reports[0], verbose=verbose)
    else:
        show_seeds(seeds)
    say(f"written to {target} and {page}")


def _target(paths: list[Path], output: str | None) -> Path:
    """Where the JSON goes."""
    if output is None:
        return paths[0].with_name("evaluation.json" if len(paths) == 1 else "evaluation_seeds.json")
    if Path(output).suffix == ".html":
        raise UserError(f"--output {output} is for the JSON, such as evaluation.json; the page goes beside it")
    return Path(output)


def page_of(target: Path) -> Path:
    """The page beside the JSON: report.html for evaluation.json, else by the same name."""
    own = target.stem.startswith("evaluation")
    return target.with_name(f"{target.stem.replace('evaluation', 'report', 1) if own else target.stem}.html")


def save(target: Path, report: "Report", curves: "Curves | None", seeds: "SeedsReport | None" = None) -> Path:
    """Write the JSON to ``target`` and the page beside it, whose path is returned."""
    from ...evaluation.report.page import write_html

    page = page_of(target)
    (seeds or report).write(target)
    write_html(page, report, curves, seeds)
    return page


def write(target: Path, report: "Report", curves: "Curves | None") -> None:
    """Write the JSON to ``target`` and the page beside it, and say so."""
    say(f"written to {target} and {save(target, report, curves)}")


class ProgressLine:
    """The step and the time left, told anew whenever the terminal is drawn."""

    def __init__(self) -> None:
        self.remaining: Remaining | None = None
        self._step: Step | None = None

    def step(self, step: "Step") -> None:
        """A step begins or goes on."""
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
) -> "Report":
    """Say how long it should take, and evaluate with a line that tells the step and the time left of all.

    ``parts``: the file of finished parts, which an evaluation that was cut off left, and this one goes on with.
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
        others = {name: _cleaned(name, data.pipeline) for name in other_books}
        rivals = Rivals(None if twin is None else load_checkpoint(twin), local)
        line = ProgressLine()
        place = find_device(device)
        kept = KeptParts()
        if parts is not None:
            models = [path for path in (checkpoint, twin) if path is not None]
            kept = KeptParts(parts, evaluation_key(models, data.identity, config, place.type, local))
        if kept.names:
            say(f"{checkpoint}: {len(kept.names)} finished parts are taken from {parts}")
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


def _people(answers: Path, checkpoint: Path, resamples: int) -> "BlindReport":
    """The figures of a blind test; raises UserError unless its passages were written by ``checkpoint``."""
    from ...evaluation.blind_test.statistics import report
    from ...evaluation.blind_test.store import AnswerStore

    with AnswerStore(answers) as store:
        origin = store.origin
        if origin.checkpoint_hash != file_hash(checkpoint):
            raise UserError(
                f"{answers} holds answers about another model than {checkpoint}: its passages were written by "
                f"{origin.checkpoint} on {origin.made}"
            )
        return report(store, resamples)


def _cleaned(book: str, pipeline: PipelineConfig) -> str:
    """The text of another book, cleaned as the model's own was."""
    from ...data.reading.cleaning import clean_book
    from ...data.reading.loading import read_book

    paragraphs = clean_book(
        read_book(book).text,
        strip_gutenberg=pipeline.strip_gutenberg,
        unwrap=pipeline.unwrap,
        drop_headings=pipeline.drop_headings,
    )
    return "\n\n".join(paragraphs)
