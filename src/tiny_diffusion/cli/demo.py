"""``tiny-diffusion demo``: the whole road on a text that every Python carries."""

import time
from pathlib import Path

import click

from ..config import ProjectConfig
from .budget import Budget
from .help import examples
from .options import OVERRIDES, config_flags, console, resolve

TRAINING_SECONDS = 240.0  # on a slower machine the run gets shorter, on a faster one longer
PROMPT = "The following"
TEMPLATE = "The value of the ____ is an object of the same type."


@examples("tiny-diffusion demo", "tiny-diffusion demo --folder outputs/try")
@click.command("demo")
@click.option("--folder", default="outputs/demo", show_default=True, help="Folder for everything that the demo makes.")
@config_flags("model", "training", "curriculum", "generation", "evaluation")
@click.pass_context
def command(ctx: click.Context, folder: str) -> None:
    """Prepare Python's own language reference, train for a few minutes, write, fill a gap, and measure."""
    from ..checkpoint import load_checkpoint
    from ..data.example import write_reference_text
    from ..evaluation.curves import read_curves
    from ..runtime import find_device
    from ..sampling.writer import Writer
    from . import evaluate, prepare, report_tables, train

    config = resolve(ctx, ProjectConfig.preset("demo"))
    root = Path(folder)
    book = write_reference_text(root / "python_reference.txt")
    console.rule("prepare")
    prepare.run(str(book), root / "processed", config, force=False)
    console.rule("train")
    budget = Budget(TRAINING_SECONDS, time.monotonic(), "demo", ctx.meta.get(OVERRIDES, []))
    train.train(config, root / "processed", root / "run", resume=False, dry_run=False, budget=budget)
    console.rule("evaluate")
    path = root / "run" / "best_model.pt"
    report = evaluate.run(path, root / "processed", config, config.training.device)
    evaluate.write(root / "run" / "evaluation.json", report, read_curves(path))
    checkpoint = load_checkpoint(path)
    training = root / "processed" if config.generation.max_copied_words else None
    writer = Writer.of(checkpoint, find_device(config.training.device), training)
    console.rule("written by the model")
    click.echo(writer.write(PROMPT, config.generation)[0].text)
    console.rule("a gap filled by the model")
    click.echo(TEMPLATE)
    click.echo(writer.infill(TEMPLATE, config.generation)[0].text)
    console.rule("how good is it?")
    report_tables.show(report)
