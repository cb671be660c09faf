"""``tiny-diffusion evaluate``: measure a model."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from ..config import EvaluationConfig, ProjectConfig
from .generate import CHECKPOINT_OPTION
from .options import Pace, config_flags, console, errors, resolve, say

if TYPE_CHECKING:
    from ..evaluation.report import Report


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
    device: str,
) -> None:
    """Held-out bits per byte beside n-gram models, style, and copying; writes evaluation.json and prints a table."""
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
    report = run(Path(checkpoint), Path(data_dir), config, device, *beside)
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
) -> "Report":
    """Evaluate with a line that tells the step, and for a long one the time left."""
    from ..checkpoint import load_checkpoint
    from ..data.artefacts import load_processed
    from ..evaluation.comparison import Rivals
    from ..evaluation.report import Report, evaluate
    from ..runtime import find_device, memory_errors

    with memory_errors(), errors.status("reading") as status:
        loaded, data = load_checkpoint(checkpoint), load_processed(data_dir)
        rivals = Rivals(None if twin is None else load_checkpoint(twin), local)
        pace = Pace()
        for event in evaluate(loaded, data, config.evaluation, config.generation, find_device(device), rivals):
            if isinstance(event, Report):
                return event
            status.update(f"{escape(event.name)}{pace.tell(event.name, event.done, event.total)}")
    raise AssertionError("an evaluation ends with its report")


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
    novelty = report.novelty
    say(
        f"longest run copied from the book: {novelty.longest_copied_words} words "
        f"(held-out text itself: {novelty.held_out_longest_copied_words}): {novelty.longest_copied_text!r}",
    )
    styles = Table("style", "generated", "book", title="style")
    generated, reference = report.style["generated"], report.style["reference"]
    assert isinstance(generated, dict) and isinstance(reference, dict)
    for key, value in generated.items():
        cells = [
            ("-" if v is None else f"{v:.3f}" if isinstance(v, float) else f"{v}") for v in (value, reference[key])
        ]
        styles.add_row(key.replace("_", " "), *cells)
    console.print(styles)
