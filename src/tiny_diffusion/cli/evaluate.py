"""``tiny-diffusion evaluate``: measure a model."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from ..config import EvaluationConfig, PipelineConfig, ProjectConfig
from .generate import CHECKPOINT_OPTION
from .options import Pace, config_flags, console, errors, resolve, say

if TYPE_CHECKING:
    from ..evaluation.coherence import CoherenceReport
    from ..evaluation.frontier import Frontier
    from ..evaluation.novelty import NoveltyReport
    from ..evaluation.report import Report
    from ..evaluation.style import StyleReport


@click.command("evaluate")
@CHECKPOINT_OPTION
@click.option("--data-dir", default="data/processed", show_default=True, help="Folder that prepare wrote.")
@click.option("--output", default=None, help="Where evaluation.json goes; beside the checkpoint if not given.")
@click.option(
    "--preset",
    type=click.Choice(["default", "fast", "comprehensive", "memory_efficient"]),
    default=None,
    help="How closely to measure; without it, the checkpoint's own settings.",
)
@click.option("--twin", default=None, metavar="CHECKPOINT", help="Its autoregressive twin, to set beside it.")
@click.option("--hf", multiple=True, metavar="FOLDER", help="A Hugging Face model to set beside; may be given often.")
@click.option("--eval-batch-size", type=int, default=None, help="The same as --evaluation.batch_size.")
@click.option("--eval-samples", type=int, default=None, help="Windows scored and texts written at most.")
@click.option(
    "--other-books", multiple=True, metavar="BOOK", help="Hold the style against this book too; may be given often."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@config_flags("evaluation", "generation", without=("evaluation.blind_passages", "evaluation.blind_words"))
@click.pass_context
def command(
    ctx: click.Context,
    checkpoint: str,
    data_dir: str,
    output: str | None,
    preset: str | None,
    twin: str | None,
    hf: tuple[str, ...],
    eval_batch_size: int | None,
    eval_samples: int | None,
    other_books: tuple[str, ...],
    device: str,
) -> None:
    """Held-out bits per byte beside n-grams, style, coherence and copying; writes evaluation.json, prints tables."""
    from ..checkpoint import load_checkpoint

    resolve(ctx, ProjectConfig.default())  # wrong flags are refused before the model is read
    config = load_checkpoint(Path(checkpoint)).config
    if preset is not None:
        chosen: EvaluationConfig = getattr(EvaluationConfig, preset)()
        config = config.override(evaluation=chosen.model_dump(mode="json"))
    if eval_batch_size is not None:
        config = config.override(**{"evaluation.batch_size": eval_batch_size})
    if eval_samples is not None:
        config = config.override(**{"evaluation.windows": eval_samples, "evaluation.samples": eval_samples})
    config = resolve(ctx, config)
    target = Path(output) if output else Path(checkpoint).with_name("evaluation.json")
    beside = (None if twin is None else Path(twin), tuple(Path(folder) for folder in hf))
    report = run(Path(checkpoint), Path(data_dir), config, device, *beside, other_books)
    report.write(target)
    show(report)
    say(f"written to {target}")


def run(
    checkpoint: Path,
    data_dir: Path,
    config: ProjectConfig,
    device: str,
    twin: Path | None = None,
    local: tuple[Path, ...] = (),
    other_books: tuple[str, ...] = (),
) -> "Report":
    """Evaluate with a line that tells the step, and for a long one the time left."""
    from ..checkpoint import load_checkpoint
    from ..data.artefacts import load_processed
    from ..evaluation.comparison import Rivals
    from ..evaluation.report import Report, evaluate
    from ..runtime import find_device, memory_errors

    with memory_errors(), errors.status("reading") as status:
        loaded, data = load_checkpoint(checkpoint), load_processed(data_dir)
        others = {name: _cleaned(name, data.pipeline) for name in other_books}
        rivals = Rivals(None if twin is None else load_checkpoint(twin), local)
        pace = Pace()
        for event in evaluate(loaded, data, config.evaluation, config.generation, find_device(device), rivals, others):
            if isinstance(event, Report):
                return event
            status.update(f"{escape(event.name)}{pace.tell(event.name, event.done, event.total)}")
    raise AssertionError("an evaluation ends with its report")


def _cleaned(book: str, pipeline: PipelineConfig) -> str:
    """The text of another book, cleaned as the model's own was."""
    from ..data.cleaning import clean_book
    from ..data.loading import read_book

    paragraphs = clean_book(
        read_book(book).text,
        strip_gutenberg=pipeline.strip_gutenberg,
        unwrap=pipeline.unwrap,
        drop_headings=pipeline.drop_headings,
    )
    return "\n\n".join(paragraphs)


def show(report: "Report") -> None:
    """Print the report's tables."""
    from ..evaluation.report import LEAK_THRESHOLD

    title = f"held-out {report.split} text"
    table = Table("model", "bits/byte", "95 % interval", "perplexity", "level 1", title=title)
    for row in sorted(report.likelihood, key=lambda r: r.bits_per_byte):
        interval = f"{row.low:.3f}-{row.high:.3f}"
        perplexities = (f"{row.perplexity:.1f}", f"{row.perplexity_level_1:.1f}")
        table.add_row(row.name, f"{row.bits_per_byte:.3f}", interval, *perplexities)
    console.print(table)
    rough = "; few passages: intervals are over windows, and rough" if report.rough_interval else ""
    say(
        f"{report.windows} windows of up to {report.window_tokens} tokens, {report.bytes_per_token:.2f} bytes a token, "
        f"{report.draws} draws a window{rough}; level 1: as perplexity of a token of "
        f"{report.level_1_bytes_per_token:.2f} bytes"
    )
    if report.likelihood[0].thirds:
        easy, middle, hard = report.likelihood[0].thirds
        say(f"bits per byte by difficulty of the text: easy {easy:.3f}, middle {middle:.3f}, hard {hard:.3f}")
    if report.mask_rates:
        curve = ", ".join(f"{r.nats_per_token:.2f} at {r.rate:.1f}" for r in report.mask_rates)
        say(f"nats a hidden token by mask rate: {curve}")
    if report.formats:
        say("bits per byte by format: " + ", ".join(f"{f.format} {f.bits_per_byte:.3f}" for f in report.formats))
    if report.leaks.share > next(t.limit for t in report.thresholds if t.name == LEAK_THRESHOLD):
        say(
            f"WARNING: {report.leaks.found} of {report.leaks.checked} held-out sentences stand in the training text, "
            f"such as {report.leaks.example!r}: no figure here is to be trusted",
            style="bold red",
        )
    checks = Table("figure", "measured", "at most", "met", title="thresholds")
    for threshold in report.thresholds:
        checks.add_row(
            threshold.name, f"{threshold.value:.2f}", f"{threshold.limit:g}", "yes" if threshold.met else "no"
        )
    console.print(checks)
    _show_style(report.style)
    _show_coherence(report.coherence)
    _show_novelty(report.novelty)
    _show_frontier(report.frontier)


def _cell(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _show_style(style: "StyleReport") -> None:
    table = Table("part", "distance", "book's own", "score", "held-out text", title="style, 0 to 100")
    for part in style.parts:
        held = style.held_out_parts[part.name]
        table.add_row(part.name, f"{part.distance:.2f}", f"{part.own:.2f}", f"{part.score:.0f}", f"{held:.0f}")
    table.add_row("all", "", "", f"{style.score:.0f}", f"{style.held_out_score:.0f}")
    console.print(table)
    figures = Table("figure", "generated", "held-out text")
    for key, value in vars(style.generated).items():
        cells = [f"{v}" if isinstance(v, int) else _cell(v) for v in (value, getattr(style.held_out, key))]
        figures.add_row(key.replace("_", " "), *cells)
    console.print(figures)
    if not style.other_books:
        return
    others = Table("other book", "score", "Delta to generated", "to held-out text", title="other books")
    others.add_row("(this book)", "", f"{style.delta:.2f}", f"{style.held_out_delta:.2f}")
    for book in style.other_books:
        deltas = (f"{book.delta_to_generated:.2f}", f"{book.delta_to_held_out:.2f}")
        others.add_row(escape(Path(book.name).name), f"{book.score:.0f}", *deltas)
    console.print(others)


def _show_coherence(coherence: "CoherenceReport") -> None:
    table = Table("figure", "generated", "held-out text", "its spread", title="coherence")
    for figure in coherence.figures:
        table.add_row(figure.name, _cell(figure.generated), _cell(figure.held_out), _cell(figure.spread))
    console.print(table)
    loop = coherence.loop
    if loop.words:
        say(f"longest loop: {loop.words} words go round in {loop.period}: {loop.phrase!r}")


def _show_novelty(novelty: "NoveltyReport") -> None:
    written = [(f"{row.steps} steps", row.copying) for row in novelty.by_steps] or [("generated", novelty.generated)]
    columns = [*written, ("held-out text", novelty.held_out)]
    table = Table("found in the training text", *[name for name, _ in columns], title="novelty")
    table.add_row("longest run (words)", *[str(copying.longest_words) for _, copying in columns])
    for i, gram in enumerate(novelty.held_out.ngrams):
        table.add_row(f"{gram.n}-grams", *[_cell(copying.ngrams[i].share) for _, copying in columns])
    table.add_row("whole sentences", *[_cell(copying.copied_sentence_share) for _, copying in columns])
    console.print(table)
    nearest = novelty.nearest
    if nearest is not None:
        side = Table("most copied sample", "training text", title=f"longest copied run: {nearest.words} words")
        side.add_row(*[escape(" ".join(t.split())) for t in (nearest.sample_text, nearest.training_text)])
        console.print(side)


def _show_frontier(frontier: "Frontier") -> None:
    table = Table("temperature", "perplexity (n-gram)", "entropy (nats)", "distinct-2", title="generative perplexity")
    for point in (*frontier.points, frontier.held_out):
        name = "held-out text" if point.temperature is None else f"{point.temperature:g}"
        table.add_row(name, _cell(point.perplexity, 1), _cell(point.entropy, 2), _cell(point.distinct_2))
    console.print(table)
