"""The demo's last screen: text, a filled gap, the likelihood with bars, the verdict, and the next commands."""

import re
import shlex
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from ...show.lines import printable
from ..console import console, errors, program

if TYPE_CHECKING:
    from ...config import GenerationConfig, ProjectConfig
    from ...data.artefacts import Processed
    from ...evaluation.likelihood.bound import Likelihood
    from ...evaluation.result import Report
    from ...writing.writer import Writer

ROWS, COLUMNS = 24, 80
NAMES = {"bigram": "pairs of words (bigram)", "unigram": "single words (unigram)", "uniform": "pure chance (uniform)"}
HIDDEN = 2  # words in the gap
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_PLAIN = re.compile(r"[^\W\d_a-zß-ÿ](?:[^\W\d_]|[ ,;:'’-])+[.!?]")  # a capital, then words and the plainest marks


@dataclass(frozen=True)
class Places:
    """Folders of the prepared book and of the run; ``named``: whether other commands must be told where they are."""

    processed: Path
    run: Path
    named: bool = True

    @classmethod
    def within(cls, folder: Path) -> "Places":
        """Both in one folder of the demo's own."""
        return cls(folder / "processed", folder / "run")

    @property
    def checkpoint(self) -> Path:
        """The model that the demo trains."""
        return self.run / "best_model.pt"


@dataclass(frozen=True)
class Hidden:
    """A sentence with some words hidden: the text before them, the words, and the text after them."""

    before: str
    words: str
    after: str


def show(report: "Report", data: "Processed", places: Places, config: "ProjectConfig") -> None:
    """Print the screen, with blank lines between its parts if there is room for them."""
    from ...checkpoint import load_checkpoint
    from ...evaluation.report.verdict import plainly
    from ...runtime import find_device
    from ...writing.writer import Writer

    training = places.processed if config.generation.max_copied_words else None
    writer = Writer.of(load_checkpoint(places.checkpoint), find_device(config.training.device), training)
    settings = config.generation.model_copy(update={"num_samples": 1})
    with errors.status("writing"):
        text, gap = _text(writer, settings), _gap(data, writer, settings)
    parts = [
        [Text(f"What the model writes after reading {report.source}:"), *text],
        gap,
        _table(report),
        [Text(line, style="bold") for line in textwrap.wrap(plainly(report), COLUMNS)],
        _next(places),
    ]
    parts = [part for part in parts if part]
    roomy = sum(map(len, parts)) + len(parts) < ROWS  # the shell's prompt takes a row
    for number, part in enumerate(parts):
        if number and roomy:
            console.print()
        for line in part:
            console.print(line, soft_wrap=True)


def hide_words(data: "Processed") -> Hidden | None:
    """A short, plain held-out sentence with two hidden words; None if there is no such sentence.

    Among the sentences that fit, the one whose hidden long word is the commonest in the training text is chosen: a
    word that the model can know.
    """
    from ...data.language.words import split_words
    from ...data.sentences import sentences_of

    counts = Counter(word for text in data.texts("train") for word in split_words(text))
    found: list[tuple[int, Hidden]] = []
    for sentence in sentences_of([p for p in data.passages if p.split == "test"], data.language):
        text = " ".join(sentence.text.split())
        if not 30 <= len(text) <= COLUMNS - 2 or not _PLAIN.fullmatch(text):
            continue
        words = list(_WORD.finditer(text))
        for first, last in zip(words[1:-2], words[2:-1], strict=False):
            if last.start() == first.end() + 1 and len(last.group()) > 4:
                count = counts["".join(split_words(last.group()))]
                hidden = Hidden(text[: first.start()], text[first.start() : last.end()], text[last.end() :])
                found.append((count, hidden))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _text(writer: "Writer", settings: "GenerationConfig") -> list[Text]:
    """The first three lines of a text from nothing, as ``generate`` writes it."""
    from ...writing.results import Refused

    try:
        text = writer.write("", settings)[0].text
    except Refused as refused:
        text = f"(no text: {refused})"
    lines = textwrap.wrap(printable(" ".join(text.split())), COLUMNS - 2, max_lines=3, placeholder=" ...")
    return [Text(f"  {line}") for line in lines]


def _gap(data: "Processed", writer: "Writer", settings: "GenerationConfig") -> list[Text]:
    """A held-out sentence with a gap that the model filled, and the author's own words."""
    from ...writing.results import Refused

    hidden = hide_words(data)
    if hidden is None:
        return []
    try:
        whole = writer.infill(f"{hidden.before}{{{HIDDEN} words}}{hidden.after}", settings)[0].text
    except Refused as refused:
        return [Text(f"A gap that it could not fill: {refused}"[:COLUMNS])]
    filled = printable(" ".join(whole[len(hidden.before) : len(whole) - len(hidden.after)].split()))
    marked = Text(filled, style="bold green") if console.is_terminal and not console.no_color else Text(f"[{filled}]")
    line = Text.assemble("  ", hidden.before, marked, hidden.after)
    line.truncate(COLUMNS, overflow="ellipsis")
    return [
        Text("How it fills a gap in a sentence of the book that it has never seen:"),
        line,
        Text(f"  (the author wrote: {hidden.words})", style="dim"),
    ]


def _table(report: "Report") -> list[Text]:
    """The model and its baselines, best first, each with a bar."""
    rows = sorted(_rows(report), key=lambda pair: pair[1].bits_per_byte)
    wide = max(len(name) for name, _ in rows)
    room = COLUMNS - wide - len("  0.000 ")
    unit = room / max(row.bits_per_byte for _, row in rows)
    lines = [Text("How much new pages surprise it and others (bits per byte; shorter is better):")]
    for name, row in rows:
        own = row is report.likelihood[0]
        bar = "█" * max(1, round(row.bits_per_byte * unit))
        text = Text(f"{name:{wide}}  {row.bits_per_byte:.3f} ", style="bold" if own else "")
        lines.append(text.append(bar, style="green" if own else "dim"))
    return lines


def _rows(report: "Report") -> list[tuple[str, "Likelihood"]]:
    """The rows to show, at most six, with their names for this screen."""
    from ...evaluation.report.verdict import NGRAMS, PPM, rivals

    measured, best = {row.name: row for row in report.likelihood[1:]}, rivals(report)
    found = [("this model", report.likelihood[0])]
    ngrams = best.get(NGRAMS)
    if ngrams is not None and ngrams.name not in NAMES:
        found.append((f"word counts ({ngrams.name.split()[0]})", ngrams))
    if PPM in best:
        found.append(("a file packer (PPMd)", best[PPM]))
    return found + [(name, measured[key]) for key, name in NAMES.items() if key in measured]


def _next(places: Places) -> list[Text]:
    """The path of the report, and three commands to try next."""
    here = program()
    model = [f"--checkpoint {shlex.quote(str(places.checkpoint))}"] if places.named else []
    book = [f"--data-dir {shlex.quote(str(places.processed))}"] if places.named else []
    commands = (
        (f"{here} generate", "--interactive", *model),
        (f"{here} infill", '"It was {2 words} that I saw."', *model),
        (f"{here} train", "--time-budget 30m", *book),
    )
    lines = textwrap.wrap(
        f"All figures: {places.run / 'report.html'}. Next, type one of these:",
        COLUMNS,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for command in commands:
        lines += _continued(command)
    return [Text(line) for line in lines]


def _continued(parts: tuple[str, ...]) -> list[str]:
    """A command's parts on as many lines as needed, joined so that a shell reads one command."""
    lines = [parts[0]]
    for number, part in enumerate(parts[1:], start=2):
        room = COLUMNS if number == len(parts) else COLUMNS - len(" \\")
        if len(lines[-1]) + 1 + len(part) <= room:
            lines[-1] += f" {part}"
        else:
            lines[-1] += " \\"
            lines.append(f"  {part}")
    return lines
