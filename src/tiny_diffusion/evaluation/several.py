"""Several checkpoints, such as the seeds of one run, by the same settings: mean and spread of the main figures."""

from collections.abc import Sequence

from .result import VERSION, Report, SeedFigure, SeedsReport
from .seeds import spread

NGRAMS = (2, 4, 8)
"""Lengths of copied n-grams that stand for all."""


def main_figures(report: Report) -> dict[str, float | None]:
    """The figures that seeds are compared by, under the names that tables show."""
    style, novelty, temperature = report.style, report.novelty.generated, report.generation.temperature
    point = next(p for p in report.frontier.points if p.temperature == temperature)
    return {
        **{f"bits per byte: {row.name}": row.bits_per_byte for row in report.likelihood},
        "style score (0 to 100)": style.score,
        "sentence-length distance (words)": style.lengths.wasserstein,
        "Burrows' Delta to the book": style.delta,
        **{figure.name: figure.generated for figure in report.coherence.figures},
        "longest copied run (words)": float(novelty.longest_words),
        **{f"{gram.n}-grams found in training": gram.share for gram in novelty.ngrams if gram.n in NGRAMS},
        f"n-gram perplexity of texts at temperature {temperature:g}": point.perplexity,
        f"entropy of texts at temperature {temperature:g} (nats)": point.entropy,
    }


def combine(checkpoints: Sequence[str], reports: Sequence[Report]) -> SeedsReport:
    """Set reports by the same settings side by side; a figure that one of them lacks has no mean."""
    figures = [main_figures(report) for report in reports]
    rows = []
    for name in dict.fromkeys(name for each in figures for name in each):
        values = [each.get(name) for each in figures]
        known = [value for value in values if value is not None]
        rows.append(SeedFigure(name, values, spread(known) if len(known) == len(values) else None))
    return SeedsReport(VERSION, list(checkpoints), rows, list(reports))
