"""``tiny-diffusion score``: how surprising a text is to a model, word by word."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, Progress, TimeRemainingColumn
from rich.text import Text

from ...config import Marks, Passes, PipelineConfig, ProjectConfig, keys_of
from ...errors import UserError
from ...wording import counted, duration
from ..console import console, errors, print_table, print_text, say
from ..help import examples
from ..options import CHECKPOINT, DEVICE
from ..settings import config_flags, resolve
from .run import cleaned

if TYPE_CHECKING:
    from ...evaluation.likelihood.surprisal import Surprisal

LONG = 20.0  # seconds; a longer scoring announces its time
TOP = 10  # words in the table of the most surprising words


@examples("tiny-diffusion score chapter.txt", 'echo "He opened the door." | tiny-diffusion score - --json')
@click.command("score")
@click.argument("file")
@CHECKPOINT
@click.option("--json", "as_json", is_flag=True, help="Print all figures and words as JSON.")
@DEVICE
@config_flags(Passes, Marks, also=(*keys_of(PipelineConfig), "training.precision"))
@click.pass_context
def command(ctx: click.Context, file: str, checkpoint: str, as_json: bool, device: str) -> None:
    """Print the bits per byte of FILE under a model, and the text with surprising words in colour or [brackets].

    FILE is read and cleaned like a book; - reads the standard input, which is not cleaned.
    """
    from ...checkpoint import load_checkpoint
    from ...evaluation.likelihood.surprisal import Scored, score_text
    from ...runtime import autocast, find_device, memory_errors

    resolve(ctx, ProjectConfig.default())  # wrong flags are refused before the model is read
    if " " in file and not Path(file).exists():
        raise UserError(f'no file at {file}: to score a text itself, echo "The text." | tiny-diffusion score -')
    loaded = load_checkpoint(Path(checkpoint))
    config = resolve(ctx, loaded.config)
    text = read(file, config)
    place = find_device(device)
    model, level = loaded.build(place), config.model.vocab_level
    with memory_errors(), autocast(place, config.training.precision), _progress() as bar:
        began, task, told = time.perf_counter(), bar.add_task("scoring", total=None), False
        for event in score_text(model, loaded.tokenizer, text, level, config.evaluation):
            if not isinstance(event, Scored):
                result = event
                continue
            expected = (time.perf_counter() - began) / event.done * event.total
            if not told and expected > LONG:
                say(f"about {duration(expected)} for {len(text):,} characters", to=errors)
            told = True
            bar.update(task, completed=event.done, total=event.total)
    if as_json:
        print_text(json.dumps(asdict(result), ensure_ascii=False))
    else:
        show(result)


def read(file: str, config: ProjectConfig) -> str:
    """The text of a file, cleaned like a book, or the standard input, not cleaned."""
    from ...data.reading.encoding import decode

    if file == "-":
        text, _ = decode(sys.stdin.buffer.read(), "the standard input")
        return text.replace("\r\n", "\n").strip()
    text = cleaned(file, config.pipeline)
    if not text:
        raise UserError(f"{file}: cleaning leaves nothing of the text; pipe it in (-) to score it without cleaning")
    return text


def show(result: "Surprisal") -> None:
    """Print the marked text, the most surprising words, and the figures."""
    if console.is_terminal:
        console.print(coloured(result), soft_wrap=True)
    else:
        print_text(bracketed(result))
    top = sorted(result.words, key=lambda word: -word.bits)[:TOP]
    print_table(("surprising word", "bits"), [(word.text.strip(), f"{word.bits:.1f}") for word in top])
    exact = "exact" if result.bound_bits_per_byte is None else "chain rule"
    bound = "" if result.bound_bits_per_byte is None else f", {result.bound_bits_per_byte:.3f} (bound)"
    mean = sum(w.bits for w in result.words) / len(result.words)
    say(
        f"{result.bits_per_byte:.3f} bits per byte ({exact}){bound}; {result.bytes:,} bytes, {result.tokens:,} tokens "
        f"in {counted(result.windows, 'window')} of up to {result.window_tokens}, {mean:.1f} bits per word"
    )


def bracketed(result: "Surprisal") -> str:
    """The text with surprising words in square brackets."""
    return "".join(_marked(w.text) if w.surprising else w.text for w in result.words)


def _marked(text: str) -> str:
    word = text.lstrip()
    return f"{text[: len(text) - len(word)]}[{word}]"


def coloured(result: "Surprisal") -> Text:
    """The text in colours: red for surprising words, yellow for words above twice the mean of the others."""
    rest = [w.bits for w in result.words if not w.surprising]
    high = 2 * sum(rest) / max(1, len(rest))
    found = Text()
    for word in result.words:
        found.append(word.text, "bold red" if word.surprising else "yellow" if word.bits > high else "")
    return found


def _progress() -> Progress:
    shown = ("{task.description}", BarColumn(), "{task.percentage:.0f} %", TimeRemainingColumn())
    return Progress(*shown, console=errors, transient=True, disable=not errors.is_terminal)
