"""``report.html``: the report as one page, without script, outside pictures or network access."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...files import write_text
from ..curves import Curves
from ..result import Report, SeedsReport
from ..style.style_report import DELTA
from ..text_quality.novelty import MARKED
from . import charts
from .verdict import details, headline, not_measured, people, plainly, warning

FIRST = 3  # samples shown before the figures; the others come at the end

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,  # the page contains texts from books and models
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(report: Report, curves: Curves | None, seeds: SeedsReport | None = None) -> str:
    """The page of ``report``, which is the first of ``seeds`` if there are several.

    ``curves`` is None if there is no training log.
    """
    reports = [report] if seeds is None else seeds.reports
    copied = report.novelty.copied if report.novelty else []
    if len(copied) != len(report.samples):  # reports of older versions lack it
        copied = [[] for _ in report.samples]
    return PAGES.get_template("report.html.j2").render(
        report=report,
        seeds=seeds,
        headline=headline(reports),
        plainly=plainly(report),
        details=details(report),
        not_measured=not_measured,
        samples=[pieces(text, runs) for text, runs in zip(report.samples, copied, strict=True)],
        first=FIRST,
        marked=MARKED,
        any_copied=any(copied),
        floor=_floor(report),
        warnings=list(filter(None, dict.fromkeys(map(warning, reports)))),
        ordered=sorted(report.likelihood, key=lambda row: row.bits_per_byte),
        copying={} if report.novelty is None else report.novelty.columns,
        curves=curves,
        charts=charts,
        people=people,
        delta_part=DELTA,
        groups={"evaluation": report.evaluation.model_dump(), "generation": report.generation.model_dump()},
    )


def _floor(report: Report) -> float | None:
    """Share of the held-out text's runs of MARKED words that occur in the training text; None if not measured."""
    if report.novelty is None:
        return None
    return next((gram.share for gram in report.novelty.held_out.ngrams if gram.n == MARKED), None)


def pieces(text: str, stretches: list[tuple[int, int]]) -> list[tuple[str, bool]]:
    """Split ``text`` into parts, in order, each with whether it is one of ``stretches``."""
    found, end = [], 0
    for start, after in stretches:
        found += [(text[end:start], False), (text[start:after], True)]
        end = after
    return [*found, (text[end:], False)]


def write_html(path: Path, report: Report, curves: Curves | None, seeds: SeedsReport | None = None) -> None:
    """Write the page, completely or not at all."""
    write_text(path, render(report, curves, seeds))
