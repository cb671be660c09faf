"""``tiny-diffusion evaluate``: measure a model, or several of one kind."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ...config import (
    Controls,
    Drawing,
    EvaluationConfig,
    HeldOut,
    Order,
    Passes,
    ProjectConfig,
    Reading,
    ReportSettings,
)
from ...config.overrides import group_presets
from ...errors import UserError
from ...files import check_file, fingerprint
from ...training.output_folder import best_models
from ..console import say
from ..help import examples
from ..options import CHECKPOINT, DATA_DIR, DEVICE
from ..settings import config_flags, resolve, short_flag
from .run import page_of, run, save

if TYPE_CHECKING:
    from ...evaluation.blind_test.statistics import BlindReport


def _print_schema(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from ...evaluation.result import schema

        click.echo(json.dumps(schema(), indent=2))
        ctx.exit()


@examples(
    "tiny-diffusion evaluate --fast",
    "tiny-diffusion evaluate --twin outputs/twin/best_model.pt",
    "tiny-diffusion evaluate outputs/best_model.pt --other-books other.txt",
    "tiny-diffusion evaluate s0/best_model.pt --member s1/best_model.pt",
)
@click.command("evaluate")
@click.argument("checkpoints", nargs=-1, metavar="[CHECKPOINT]...")
@CHECKPOINT
@DATA_DIR
@click.option("--output", default=None, help="The JSON file; the page goes beside it. Default: beside the checkpoint.")
@click.option(
    "--preset",
    type=click.Choice(group_presets(EvaluationConfig)),
    help="How closely to measure; without it, the checkpoint's own settings.",
)
@click.option("--fast", is_flag=True, help="The same as --preset fast: under a minute for 2M parameters.")
@click.option("--verbose", is_flag=True, help="Print all tables, not only the verdict and the two main ones.")
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of evaluation.json and exit.",
)
@click.option("--twin", default=None, metavar="CHECKPOINT", help="The model's autoregressive twin, for comparison.")
@click.option(
    "--member", "members", multiple=True, metavar="PATH", help="Average its laws with the model's; may repeat."
)
@click.option("--hf", multiple=True, metavar="FOLDER", help="A Hugging Face model to compare; may repeat.")
@short_flag("--eval-batch-size", "evaluation.batch_size")
@short_flag(
    "--eval-samples",
    "evaluation.windows",
    "evaluation.samples",
    help="Largest number of windows to score, and of texts to write",
)
@click.option(
    "--other-books", multiple=True, metavar="BOOK", help="Another book to compare the style with; may be repeated."
)
@click.option(
    "--blind-answers", default=None, metavar="FILE", help="Report the answers of a blind-test of this checkpoint."
)
@DEVICE
# The model is measured as it is, on texts whose number, length and seed belong to the evaluation.
@config_flags(ReportSettings, HeldOut, Passes, Drawing, Order, Reading, Controls)
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
    members: tuple[str, ...],
    hf: tuple[str, ...],
    other_books: tuple[str, ...],
    blind_answers: str | None,
    device: str,
) -> None:
    """Measure held-out bits per byte, style, coherence and copying, and write evaluation.json and report.html.

    N-gram models and PPMd are measured on the same text. Several CHECKPOINTs (seeds of one run) are measured with the
    first one's settings; their mean and spread go to evaluation_seeds.json and report_seeds.html beside the first.
    The folder of train --seeds is its student or first model, with the others as --member.
    """
    from ...checkpoint import load_checkpoint
    from ...evaluation.curves import read_curves
    from ...evaluation.report.several import combine
    from .report_tables import show, show_seeds

    resolve(ctx, ProjectConfig.default())  # wrong flags are refused before the model is read
    if checkpoints and ctx.get_parameter_source("checkpoint") is not ParameterSource.DEFAULT:
        raise UserError("give checkpoints either as arguments or by --checkpoint, not both")
    if fast and preset not in (None, "fast"):
        raise UserError(f"--fast is --preset fast, but --preset {preset} is given too: leave one out")
    paths = [Path(name) for name in checkpoints or (checkpoint,)]
    target = _target(paths, output)
    others = tuple(model for name in members for model in best_models(Path(name)))
    if len(paths) == 1:
        first, *rest = best_models(paths[0])
        paths, others = [first], (*rest, *others)
    everything = {path.resolve() for path in (*paths, *others)}
    if len(everything) < len(paths) + len(others):
        raise UserError("a checkpoint is given twice: the spread would be too small, and the mean lopsided")
    if others and len(paths) > 1:
        raise UserError("--member belongs to one model: give one checkpoint, and the others as --member")
    check_file(target)
    check_file(page_of(target))
    if blind_answers is not None and len(paths) > 1:
        raise UserError("--blind-answers belongs to one model: give one checkpoint")
    config = load_checkpoint(paths[0]).config
    preset = "fast" if fast else preset
    if preset is not None:
        config = config.override(evaluation=preset)
    config = resolve(ctx, config)
    curves = read_curves(paths[0])
    blind = None if blind_answers is None else _people(Path(blind_answers), paths[0], config.evaluation.bootstrap)
    parts = target.with_suffix(".parts.json")
    how = (None if twin is None else Path(twin), tuple(map(Path, hf)), other_books, blind, parts, others)
    reports = [run(path, Path(data_dir), config, device, *how) for path in paths]
    seeds = combine([str(path) for path in paths], reports) if len(reports) > 1 else None
    page = save(target, reports[0], curves, seeds)  # before printing: the reader may go away (| head)
    parts.unlink(missing_ok=True)
    if seeds is None:
        show(reports[0], verbose=verbose)
    else:
        show_seeds(seeds)
    say(f"written to {target} and {page}")


def _target(paths: list[Path], output: str | None) -> Path:
    """Where the JSON goes."""
    if output is None:
        folder = paths[0] if paths[0].is_dir() else paths[0].parent
        return folder / ("evaluation.json" if len(paths) == 1 else "evaluation_seeds.json")
    if Path(output).suffix == ".html":
        raise UserError(f"--output {output} is for the JSON, such as evaluation.json; the page goes beside it")
    return Path(output)


def _people(answers: Path, checkpoint: Path, resamples: int) -> "BlindReport":
    """The figures of a blind test; raises UserError unless its passages were written by ``checkpoint``."""
    from ...evaluation.blind_test.statistics import report
    from ...evaluation.blind_test.store import AnswerStore

    with AnswerStore(answers) as store:
        origin = store.origin
        if origin.checkpoint_hash != fingerprint(checkpoint):
            raise UserError(
                f"{answers} holds answers about another model than {checkpoint}: its passages were written by "
                f"{origin.checkpoint} on {origin.made}"
            )
        return report(store, resamples)
