"""The tables of an evaluation in the terminal."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...show.lines import printable
from ..console import console, print_table, say
from .blind_report import show_report

if TYPE_CHECKING:
    from ...evaluation.result import Report, SeedsReport
    from ...evaluation.style.style_report import StyleReport
    from ...evaluation.text_quality.coherence import CoherenceReport
    from ...evaluation.text_quality.frontier import Frontier
    from ...evaluation.text_quality.novelty import NoveltyReport

WIDTH = 80  # columns of a sample at most, however wide the terminal is
_SENTENCE_END = re.compile(r"[.!?][\"'”’)]*\s+(?=\S)")


def show(report: "Report", *, verbose: bool = False) -> None:
    """Print the verdict, the likelihoods, the thresholds and some text; with ``verbose`` all other tables too."""
    from ...evaluation.report.verdict import details, headline, not_measured, people, plainly, warning

    leak = warning(report)
    if leak is not None:
        say(f"WARNING: {leak}", style="bold red")
    say(headline([report]), style="bold")
    say(plainly(report))
    if verbose:
        for line in details(report):
            say(line)
    else:
        for name, why in report.missing.items():
            say(f"not measured: {name} ({why})", style="yellow")
    _show_likelihood(report)
    if report.long_context:
        _show_long_context(report)
    if verbose:
        _show_conditions(report)
    checks = [(t.name, f"{t.value:.4g}", f"{t.limit:g}", "yes" if t.met else "no") for t in report.thresholds]
    print_table(("figure", "measured", "at most", "met"), checks, "thresholds")
    for part, show_part in PARTS.items():
        found = getattr(report, part)
        if found is None:
            say(f"{part}: not measured ({not_measured(report, part)})", style="yellow")
        elif verbose:
            show_part(found)
    if report.blind is not None:
        say(people(report.blind))
        show_report(report.blind)
    if report.samples:
        say("The model writes, freely as it is measured (generate writes known words only):")
        text = report.samples[0]
        start = _SENTENCE_END.search(text)
        words = printable(" ".join((text[start.end() :] if start else text).split()))
        for line in textwrap.wrap(words, min(console.width, WIDTH) - 2, max_lines=3, placeholder=" ..."):
            say(f"  {line}", style="italic")


def _show_likelihood(report: "Report") -> None:
    likelihood = sorted(report.likelihood, key=lambda row: row.bits_per_byte)
    rows = []
    for row in likelihood:
        perplexities = (f"{row.perplexity:.1f}", f"{row.perplexity_level_1:.1f}")
        rows.append((row.name, f"{row.bits_per_byte:.3f}", f"{row.low:.3f}-{row.high:.3f}", *perplexities))
    head = ("model", "bits/byte", "interval", "perplexity", "level 1")
    title = f"held-out {report.split} text: fewer bits are better; intervals of 95 %"
    print_table(head, rows, title, bold=likelihood.index(report.likelihood[0]))
    if report.books:
        found = [(row.name, *(f"{bits:.3f}" for bits in row.books), f"{row.bits_per_byte:.3f}") for row in likelihood]
        print_table(("model", *report.books, "in all"), found, "bits per byte of each book")


def _show_long_context(report: "Report") -> None:
    ordered = sorted(report.long_context, key=lambda row: row.bits_per_byte)
    rows = [(row.name, f"{row.bits_per_byte:.3f}", f"{row.low:.3f}-{row.high:.3f}") for row in ordered]
    title = "the same text, with all that stands to the left in its passage"
    print_table(("model", "bits/byte", "95 % interval"), rows, title)


def _show_conditions(report: "Report") -> None:
    """Say how the likelihood was measured, and show it by difficulty, mask rate and format."""
    rough = "; few passages: intervals are over windows, and rough" if report.rough_interval else ""
    say(
        f"{report.windows} windows of up to {report.window_tokens} tokens, "
        f"{report.bytes_per_token:.2f} bytes per token, {report.draws} draws per window{rough}; "
        f"level 1: perplexity per token of {report.level_1_bytes_per_token:.2f} bytes"
    )
    if report.likelihood[0].thirds:
        easy, middle, hard = report.likelihood[0].thirds
        say(f"bits per byte by difficulty of the text: easy {easy:.3f}, middle {middle:.3f}, hard {hard:.3f}")
    if report.mask_rates:
        curve = ", ".join(f"{r.nats_per_token:.2f} at {r.rate:.1f}" for r in report.mask_rates)
        say(f"nats per hidden token by mask rate: {curve}")
    if report.formats:
        say("bits per byte by format: " + ", ".join(f"{f.format} {f.bits_per_byte:.3f}" for f in report.formats))


def _cell(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value}" if isinstance(value, int) else f"{value:.{digits}f}"


def _show_style(style: "StyleReport") -> None:
    from ...evaluation.style.style_report import DELTA

    rows = [
        (p.name, f"{p.distance:.2f}", f"{p.own:.2f}", f"{p.score:.0f}", f"{style.held_out_parts[p.name]:.0f}")
        for p in style.parts
    ]
    rows.append(("all", "", "", f"{style.score:.0f}", f"{style.held_out_score:.0f}"))
    print_table(("part", "distance", "book's own", "score", "held-out text"), rows, "style, 0 to 100")
    both = [
        (key.replace("_", " "), _cell(v), _cell(getattr(style.held_out, key)))
        for key, v in vars(style.generated).items()
    ]
    print_table(("figure", "generated", "held-out text"), both)
    if not style.other_books:
        return
    own = (f"{style.held_out_score:.0f}", f"{style.held_out_parts[DELTA]:.0f}")
    generated = next(part.score for part in style.parts if part.name == DELTA)
    others = [
        ("this book, held out", *own, f"{style.delta:.2f}", f"{style.held_out_delta:.2f}"),
        ("generated", f"{style.score:.0f}", f"{generated:.0f}", "", ""),
    ]
    for book in style.other_books:
        deltas = (f"{book.delta_to_generated:.2f}", f"{book.delta_to_held_out:.2f}")
        others.append((Path(book.name).name, f"{book.score:.0f}", f"{book.parts[DELTA]:.0f}", *deltas))
    head = ("text", "score", "by Delta", "Delta to generated", "to held-out text")
    print_table(head, others, "the scale of style: other books, 0 to 100")


def _show_coherence(coherence: "CoherenceReport") -> None:
    rows = [(f.name, _cell(f.generated), _cell(f.held_out), _cell(f.spread)) for f in coherence.figures]
    print_table(("figure", "generated", "held-out text", "its spread"), rows, "coherence")
    loop = coherence.loop
    if loop.words:
        say(f"longest loop: {loop.words} words repeat every {loop.period}: {loop.phrase!r}")


def _show_novelty(novelty: "NoveltyReport") -> None:
    copying = novelty.columns.values()
    rows = [("longest run (words)", *(each.longest_words for each in copying))]
    for i, gram in enumerate(novelty.held_out.ngrams):
        rows.append((f"{gram.n}-grams", *(_cell(each.ngrams[i].share) for each in copying)))
    rows.append(("whole sentences", *(_cell(each.copied_sentence_share) for each in copying)))
    print_table(("found in the training text", *novelty.columns), rows, "novelty")
    nearest = novelty.nearest
    if nearest is not None:
        texts = [printable(" ".join(text.split())) for text in (nearest.sample_text, nearest.training_text)]
        print_table(("most copied sample", "training text"), [texts], f"longest copied run: {nearest.words} words")


def _show_frontier(frontier: "Frontier") -> None:
    rows = []
    for point in (*frontier.points, frontier.held_out):
        name = "held-out text" if point.temperature is None else f"{point.temperature:g}"
        perplexities = (_cell(point.perplexity, 1), _cell(point.fresh_perplexity, 1))
        rows.append((name, *perplexities, _cell(point.entropy, 2), _cell(point.distinct_2)))
    head = ("temperature", "perplexity (n-gram)", "(fresh judge)", "entropy (nats)", "distinct-2")
    print_table(head, rows, "generative perplexity")


# How each part that is measured on the model's texts is shown.
PARTS: dict[str, Callable[[Any], None]] = {
    "style": _show_style,
    "coherence": _show_coherence,
    "novelty": _show_novelty,
    "frontier": _show_frontier,
}


def show_seeds(seeds: "SeedsReport") -> None:
    """Print the common verdict on several checkpoints, and the mean and spread of their figures."""
    from ...evaluation.report.verdict import headline, warning

    for leak in dict.fromkeys(filter(None, map(warning, seeds.reports))):
        say(f"WARNING: {leak}", style="bold red")
    say(headline(seeds.reports), style="bold")
    for number, path in enumerate(seeds.checkpoints, 1):
        say(f"{number}: {path}")
    rows = []
    for row in seeds.figures:
        spread = (None, None) if row.spread is None else (row.spread.mean, row.spread.deviation)
        rows.append((row.name, *map(_cell, (*spread, *row.values))))
    numbers = [str(number) for number, _ in enumerate(seeds.checkpoints, 1)]
    print_table(("figure", "mean", "±", *numbers), rows, f"{len(numbers)} checkpoints")
