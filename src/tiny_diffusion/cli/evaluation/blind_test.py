"""``tiny-diffusion blind-test``: can people tell the model's text from the book's?"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ...config import BlindTest, Controls, Drawing, HeldOut, Order, Passes, ProjectConfig, Reading, keys_of
from ...errors import UserError
from ...files import check_file, fingerprint
from ..console import errors, say
from ..help import examples
from ..options import CHECKPOINT, DATA_DIR, DEVICE, DRAW_PRESET
from ..settings import config_flags, resolve, short_flag
from .blind_report import show_report
from .blind_session import ask_all, show_score

if TYPE_CHECKING:
    from ...evaluation.blind_test.store import AnswerStore


@examples("tiny-diffusion blind-test --rater anna", "tiny-diffusion blind-test --report")
@click.command("blind-test")
@click.option("--rater", default=None, metavar="NAME", help="Who answers; the same name continues where it stopped.")
@CHECKPOINT
@DATA_DIR
@click.option("--answers", default="outputs/blind_test.sqlite", show_default=True, help="File of passages and answers.")
@click.option("--rate/--no-rate", default=None, help="Rate style, fluency and sense too, 1 to 5. Default: no.")
@click.option(
    "--report", "only_report", is_flag=True, help="Print the figures of all who have finished, and ask nothing."
)
@click.option("--json", "as_json", is_flag=True, help="Print those figures as JSON.")
@short_flag("--passages", "evaluation.blind_passages")
@short_flag("--words", "evaluation.blind_words")
@short_flag("--seed", "evaluation.seed")
@DRAW_PRESET
@DEVICE
@config_flags(Drawing, Order, Reading, Controls, also=keys_of(BlindTest, Passes, HeldOut))
@click.pass_context
def command(
    ctx: click.Context,
    rater: str | None,
    checkpoint: str,
    data_dir: str,
    answers: str,
    rate: bool | None,
    only_report: bool,
    as_json: bool,
    preset: str | None,
    device: str,
) -> None:
    """Show passages of the book and of a model in random order, and ask which is which, one key per answer.

    The first call makes the passages, from the test split and by the checkpoint, and keeps them with the answers. So
    all raters see the same passages, and later calls need no model.
    """
    from ...evaluation.blind_test.answers_file import begun
    from ...evaluation.blind_test.store import AnswerStore, checked_name

    changes = {} if preset is None else {"generation": preset}
    config = resolve(ctx, ProjectConfig.default())  # wrong flags are refused before anything is read
    if only_report or as_json:
        from ...evaluation.blind_test.statistics import report

        with AnswerStore(Path(answers)) as store:
            found = report(store, config.evaluation.bootstrap)
        if as_json:
            click.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        else:
            show_report(found)
        return
    if rater is None:
        raise UserError("give --rater NAME to answer, or --report for the figures")
    name = checked_name(rater)
    path = Path(answers)
    check_file(path)
    store = AnswerStore(path) if begun(path) else make(ctx, path, checkpoint, data_dir, changes, device)
    with store:
        check_unchanged(ctx, store, checkpoint, data_dir, changes)
        run(store, name, rate)


def make(
    ctx: click.Context, path: Path, checkpoint: str, data_dir: str, changes: dict[str, str], device: str
) -> "AnswerStore":
    """Begin a test: passages of the test split, and as many written by the checkpoint."""
    from rich.progress import track

    from ...checkpoint import load_checkpoint
    from ...data.artefacts import load_processed
    from ...evaluation.blind_test.beginning import begin_test
    from ...evaluation.blind_test.store import AnswerStore
    from ...runtime import find_device

    loaded, data = load_checkpoint(Path(checkpoint)), load_processed(Path(data_dir))
    config = resolve(ctx, loaded.config.override(**changes))
    model, half = loaded.build(find_device(device)), config.evaluation.blind_passages // 2
    written = begin_test(path, Path(checkpoint), loaded, model, data, config)
    for _ in track(written, "writing passages", total=half, console=errors, transient=True):
        pass
    return AnswerStore(path)


def check_unchanged(
    ctx: click.Context, store: "AnswerStore", checkpoint: str, data_dir: str, changes: dict[str, str]
) -> None:
    """Raise UserError if a given flag asks for other passages than the test has."""
    from ...data.artefacts import load_processed
    from ...evaluation.blind_test.records import kept_settings

    def given(name: str) -> bool:
        return ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE

    origin = store.origin
    base = ProjectConfig.default().override(**origin.settings)
    has, wanted = kept_settings(base), kept_settings(resolve(ctx, base.override(**changes)))
    differing = [f"{key} {has[key]}, not {wanted[key]}" for key in has if has[key] != wanted[key]]
    if given("checkpoint") and not Path(checkpoint).exists():
        raise UserError(
            f"no file at {checkpoint}: the passages are in the answers file, so leave --checkpoint out to continue"
        )
    if given("checkpoint") and fingerprint(Path(checkpoint)) != origin.checkpoint_hash:
        differing.append(f"another checkpoint than {checkpoint} (then at {origin.checkpoint})")
    if given("data_dir") and load_processed(Path(data_dir)).identity != origin.data:
        differing.append(f"another book or preparation than {data_dir} ({origin.book})")
    if differing:
        raise UserError(
            f"the passages in {store.path} were made with {'; '.join(differing)}: leave that out to continue, "
            "or name another file with --answers to begin another test"
        )


def run(store: "AnswerStore", rater: str, rate: bool | None) -> None:
    """Let a rater answer what is left, then show the score."""
    store.join(rater, rate)
    question = store.next_question(rater)
    if question is not None:
        settings, origin = store.origin.settings, store.origin
        say(f"{question.total} passages of {settings['evaluation.blind_words']} words each, of two kinds:")
        say(f"some from {origin.book}, some written by a model ({Path(origin.checkpoint).name}, {origin.made})")
        say("one key per answer; u takes the last one back; q stops, and you can continue any time", style="dim")
        if not ask_all(store, rater):
            left = next(p for p in store.progress() if p.rater == rater)
            say(f"\n{left.done} of {left.total} passages done; the answers are kept in {store.path}")
            return
    show_score(store, rater)
    say(f"all raters: tiny-diffusion blind-test --report --answers {store.path}")
