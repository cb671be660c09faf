"""The charts of the report: what each one shows, in figures and in words, and where the figures stand.

``chart.html.j2`` draws figures where the scales say, without script or library.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..curves import Curves
from ..likelihood.bound import Likelihood
from ..likelihood.mixture import is_mixed
from ..result import Report
from ..style.style_report import StyleReport
from ..text_quality.frontier import Frontier
from ..text_quality.novelty import NoveltyReport
from .verdict import family

WIDTH, HEIGHT = 360, 230  # about the width of a phone, so that letters are not scaled down
LEFT, RIGHT, TOP, BOTTOM = 46, 350, 10, 190
ROW, NAMES = 22, 150  # in a chart of rows: the height of one row, and the room for names

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Maps a figure to a place between two pixels, linearly or logarithmically."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of ``value``."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return round(self.begin + (at - low) / (high - low) * (self.end - self.begin), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Places and texts of about five round figures.

        On a log scale these are 1, 2 and 5 times powers of ten, if at least two fit.
        """
        values = []
        if self.log:
            exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            heads = (1, 2, 5) if self.high / self.low < 150 else (1,)
            powers = [head * 10.0**e for e in exponents for head in heads]
            values = [v for v in powers if self.low * 0.999999 <= v <= self.high * 1.000001]
        if len(values) < 2:
            rough = (self.high - self.low) / 5
            power = 10 ** math.floor(math.log10(rough))
            step = next(head * power for head in (1, 2, 5, 10) if head * power >= rough * 0.999)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            values = [i * step for i in range(first, last + 1)]
        return [(self.at(v), f"{v:.6g}") for v in values]


@dataclass(frozen=True)
class Line:
    """A curve; ``marks`` draws its points, ``labels`` are texts at the points."""

    name: str
    points: Sequence[Point]
    marks: bool = True
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class Chart:
    """Curves and their scales; ``alt`` says in words what the picture shows."""

    title: str
    alt: str
    x_label: str
    y_label: str
    x: Scale
    y: Scale
    lines: Sequence[Line]
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class RowChart:
    """Rows of the table of likelihoods, one below the other, each ``step`` pixels high; ``own``: the model's names."""

    title: str
    alt: str
    x_label: str
    x: Scale
    rows: Sequence[Likelihood]
    own: Collection[str]
    height: int
    step: int = ROW
    width: int = WIDTH


def line_chart(
    title: str,
    alt: str,
    x_label: str,
    y_label: str,
    lines: Sequence[Line],
    *,
    log_x: bool = False,
    log_y: bool = False,
    zero: bool = False,
) -> Chart:
    """A chart of ``lines``; ``zero`` makes the vertical axis start at 0."""
    points = [point for line in lines for point in line.points]
    x = _scale([p[0] for p in points], LEFT, RIGHT, log_x)
    y = _scale([p[1] for p in points] + [0.0] * zero, BOTTOM, TOP, log_y)
    return Chart(title, alt, x_label, y_label, x, y, lines)


def row_chart(title: str, alt: str, x_label: str, rows: Sequence[Likelihood], own: Collection[str]) -> RowChart:
    """A chart of ``rows`` from the top."""
    scale = _scale([v for row in rows for v in (row.low, row.high)], NAMES, RIGHT - 36, False)
    return RowChart(title, alt, x_label, scale, rows, own, ROW * len(rows) + 46)


def _scale(values: Sequence[float], begin: float, end: float, log: bool) -> Scale:
    """A scale over all values with a small margin, but not below 0 if the values start there."""
    low, high = min(values), max(values)
    if log:
        low, high = low / 1.05, high * 1.05
    else:
        margin = 0.04 * (high - low) or 0.5
        low, high = low - margin if low != 0 else 0.0, high + margin
    return Scale(low, high, begin, end, log)


def curves_charts(curves: Curves) -> list[Chart]:
    """Training loss, and validation if the run validated."""
    first, last = curves.training[0], curves.training[-1]
    steps, loss = "training step", "nats per scored token"
    way = "falls" if last[1] < first[1] else "rises"
    alt = f"Training loss {way} from {first[1]:.2f} to {last[1]:.2f} {loss} over {last[0]:.0f} steps."
    found = [line_chart("Training", alt, steps, loss, [Line("training loss", curves.training, marks=False)])]
    if curves.validation:
        best = min(curves.validation, key=lambda point: point[1])
        alt = f"Validation is best at step {best[0]:.0f}, with {best[1]:.3f} bits per byte."
        found.append(line_chart("Validation", alt, steps, "bits per byte", [Line("validation", curves.validation)]))
    return found


def likelihood_chart(report: Report) -> RowChart:
    """Bits per byte of all rows with intervals, best first."""
    ordered = sorted(report.likelihood, key=lambda row: row.bits_per_byte)
    own = {report.likelihood[0].name}
    own |= {r.name for r in ordered if r.name.startswith("diffusion (") or is_mixed(r.name)}
    rows = [r for r in ordered if family(r.name) or r.name in own]
    alt = "Bits per byte, fewer is better: " + ", ".join(f"{r.name} {r.bits_per_byte:.3f}" for r in ordered) + "."
    return row_chart("Bits per byte with 95 % intervals", alt, "bits per byte (fewer is better)", rows, own)


def mask_rate_chart(report: Report) -> Chart:
    """Nats per hidden token by mask rate."""
    rates = report.mask_rates
    ends = [f"{end.nats_per_token:.2f} at rate {end.rate:.1f}" for end in (rates[0], rates[-1])]
    alt = f"Nats per hidden token: {ends[0]}, {ends[1]}."
    points = [(r.rate, r.nats_per_token) for r in rates]
    return line_chart("By mask rate", alt, "share of tokens hidden", "nats per hidden token", [Line("model", points)])


def lengths_chart(style: StyleReport) -> Chart:
    """Histograms of sentence lengths: generated, held-out, and the whole training text."""
    bins = style.lengths.histogram
    width = bins[1].least - bins[0].least

    def outline(shares: Iterable[float]) -> list[Point]:
        steps = zip(bins, shares, strict=True)
        return [(x, share) for row, share in steps for x in (float(row.least), float(row.least + width))]

    lines = [
        Line("generated", outline(row.generated for row in bins), marks=False),
        Line("held-out text", outline(row.held_out for row in bins), marks=False),
        Line("training text", outline(row.book for row in bins), marks=False),
    ]
    generated, held = style.generated, style.held_out
    alt = (
        f"Generated sentences have {generated.sentence_length_mean:.1f} words on average, "
        f"those of the held-out text {held.sentence_length_mean:.1f}."
    )
    label = f"words in a sentence ({bins[-1].least} and more in the last bin)"
    return line_chart("Sentence lengths", alt, label, "share of sentences", lines, zero=True)


def zipf_chart(style: StyleReport) -> Chart:
    """Frequency by rank, both on a logarithmic scale."""
    rows = style.zipf
    lines = [
        Line("generated", [(r.rank, r.generated) for r in rows if r.generated is not None]),
        Line("held-out text", [(r.rank, r.held_out) for r in rows if r.held_out is not None]),
    ]
    slopes = [s.zipf_slope for s in (style.generated, style.held_out)]
    told = ["unknown" if slope is None else f"{slope:.2f}" for slope in slopes]
    alt = f"Word frequency falls with rank: slope {told[0]} in the generated text, {told[1]} in the held-out text."
    return line_chart(
        "Word frequency (Zipf)", alt, "rank of the word", "share of all words", lines, log_x=True, log_y=True
    )


def novelty_chart(novelty: NoveltyReport) -> Chart | None:
    """Share of n-grams found in the training text; None if no text is long enough for any."""
    sides = {"generated": novelty.generated, "held-out text": novelty.held_out}
    lines = [
        Line(name, [(gram.n, gram.share) for gram in copying.ngrams if gram.share is not None])
        for name, copying in sides.items()
    ]
    lines = [line for line in lines if line.points]
    if not lines:
        return None
    told = "; ".join(
        f"{line.name} " + ", ".join(f"{share:.3f} for n = {n:g}" for n, share in line.points[:4]) for line in lines
    )
    alt = f"Share of n-grams found in the training text: {told}."
    return line_chart("Found in the training text", alt, "n, in words", "share of n-grams", lines, zero=True)


def frontier_chart(frontier: Frontier) -> Chart | None:
    """Perplexity against entropy by temperature, and the held-out text's point; None without any figure."""
    held = frontier.held_out
    found = [
        (p.entropy, p.perplexity, f"{p.temperature:g}")
        for p in frontier.points
        if p.entropy is not None and p.perplexity is not None
    ]
    if not found or held.entropy is None or held.perplexity is None:
        return None
    points, labels = [(x, y) for x, y, _ in found], [label for _, _, label in found]
    alt = (
        f"Held-out text: perplexity {held.perplexity:.0f} at entropy {held.entropy:.2f}; model by temperature: "
        + ", ".join(f"{label}: {y:.0f} at {x:.2f}" for x, y, label in found)
        + "."
    )
    lines = [
        Line("generated, by temperature", points, labels=labels),
        Line("held-out text", [(held.entropy, held.perplexity)]),
    ]
    return line_chart(
        "Frontier", alt, "entropy of a text's tokens (nats)", "perplexity under n-grams", lines, log_y=True
    )
