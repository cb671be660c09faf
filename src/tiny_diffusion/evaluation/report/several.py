"""Several checkpoints, such as the seeds of one run, under the same settings: mean and spread of the main figures."""

from collections.abc import Sequence

from ..result import VERSION, Report, SeedFigure, SeedsReport
from ..seeds import spread

NGRAMS = (2, 4, 8)
"""Lengths of copied n-grams that are compared between seeds."""


def main_figures(report: Report) -> dict[str, float | None]:
    """The figures that are compared between seeds, by the names that tables show, without those not measured."""
    temperature = report.generation.temperature
    figures: dict[str, float | None] = {f"bits per byte: {row.name}": row.bits_per_byte for row in report.likelihood}
    if report.style is not None:
        figures["style score (0 to 100)"] = report.style.score
        figures["sentence-length distance (words)"] = report.style.lengths.wasserstein
        figures["Burrows' Delta to the book"] = report.style.delta
    if report.coherence is not None:
        figures |= {figure.name: figure.generated for figure in report.coherence.figures}
    if report.novelty is not None:
        novelty = report.novelty.generated
        figures["longest copied run (words)"] = float(novelty.longest_words)
        figures |= {f"{gram.n}-grams found in training": gram.share for gram in novelty.ngrams if gram.n in NGRAMS}
    if report.frontier is not None:
        point = next(p for p in report.frontier.points if p.temperature == temperature)
        figures[f"n-gram perplexity of texts at temperature {temperature:g}"] = point.perplexity
        figures[f"fresh judge's perplexity at temperature {temperature:g}"] = point.fresh_perplexity
        figures[f"entropy of texts at temperature {temperature:g} (nats)"] = point.entropy
    if report.two_sample is not None:
        figures["two-sample accuracy"] = report.two_sample.accuracy
    return figures


def combine(checkpoints: Sequence[str], reports: Sequence[Report]) -> SeedsReport:
    """Combine reports made with the same settings; a figure that one of them lacks has no mean."""
    figures = [main_figures(report) for report in reports]
    rows = []
    for name in dict.fromkeys(name for each in figures for name in each):
        values = [each.get(name) for each in figures]
        known = [value for value in values if value is not None]
        rows.append(SeedFigure(name, values, spread(known) if len(known) == len(values) else None))
    return SeedsReport(VERSION, list(checkpoints), rows, list(reports))
