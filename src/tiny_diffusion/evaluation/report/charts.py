"""The charts of the report: what each one shows, in figures and in words."""

from collections.abc import Iterable

from ..curves import Curves
from ..likelihood.mixture import is_mixed
from ..result import Report
from ..style.style_report import StyleReport
from ..text_quality.frontier import Frontier
from ..text_quality.novelty import NoveltyReport
from .chart import Chart, Line, Point, Row, RowChart, line_chart, row_chart
from .verdict import family


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
    alt = "Bits per byte, fewer is better: " + ", ".join(f"{r.name} {r.bits_per_byte:.3f}" for r in ordered) + "."
    rows = [
        Row(r.name, r.bits_per_byte, r.low, r.high, r.name in own) for r in ordered if family(r.name) or r.name in own
    ]
    return row_chart("Bits per byte with 95 % intervals", alt, "bits per byte (fewer is better)", rows)


def mask_rate_chart(report: Report) -> Chart | None:
    """Nats per hidden token by mask rate; None if it was not measured."""
    rates = report.mask_rates
    if not rates:
        return None
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
