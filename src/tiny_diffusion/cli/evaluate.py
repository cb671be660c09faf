"""``tiny-diffusion evaluate``: measure a model."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from ..config import EvaluationConfig, ProjectConfig
from .generate import CHECKPOINT_OPTION
from .options import config_flags, console, errors, resolve, say

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
    report = run(Path(checkpoint), Path(data_dir), config, device)
    report.write(target)
    show(report)
    say(f"written to {target}")


def run(checkpoint: Path, data_dir: Path, config: ProjectConfig, device: str) -> "Report":
    """Evaluate with a line that tells the step."""
    from ..checkpoint import load_checkpoint
    from ..data.artefacts import load_processed
    from ..evaluation.report import Report, evaluate
    from ..runtime import find_device, memory_errors

    with memory_errors(), errors.status("reading") as status:
        loaded, data = load_checkpoint(checkpoint), load_processed(data_dir)
        steps = evaluate(loaded, data, config.evaluation, config.generation, find_device(device))
        for event in steps:
            if isinstance(event, Report):
                return event
            status.update(event.name)
    raise AssertionError("an evaluation ends with its report")


def show(report: "Report") -> None:
    """Print the report's tables."""
    table = Table(
        "model", "bits per byte", "95 % interval", "perplexity per token", title=f"held-out {report.split} text"
    )
    for row in sorted(report.likelihood, key=lambda r: r.bits_per_byte):
        interval = f"{row.low:.3f}-{row.high:.3f}"
        table.add_row(row.name, f"{row.bits_per_byte:.3f}", interval, f"{row.perplexity:.1f}")
    console.print(table)
    rough = "; few passages: intervals are over windows, and rough" if report.rough_interval else ""
    say(
        f"{report.windows} windows of up to {report.window_tokens} tokens, {report.bytes_per_token:.2f} bytes a token, "
        f"{report.draws} draws a window{rough}; at vocabulary level 1 the model's perplexity is "
        f"{report.perplexity_at_level_1:.1f}"
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
