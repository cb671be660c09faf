"""Charts for ``chart.html.j2``, which draws figures where their scales say, without script or library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
        values = self._powers() if self.log else []
        if len(values) < 2:
            rough = (self.high - self.low) / 5
            power = 10 ** math.floor(math.log10(rough))
            step = next(head * power for head in (1, 2, 5, 10) if head * power >= rough * 0.999)
            values = [
                i * step for i in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
            ]
        return [(self.at(v), f"{v:.6g}") for v in values]

    def _powers(self) -> list[float]:
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        heads = (1, 2, 5) if self.high / self.low < 150 else (1,)
        values = [head * 10.0**e for e in exponents for head in heads]
        return [v for v in values if self.low * 0.999999 <= v <= self.high * 1.000001]


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
class Row:
    """A named figure with its interval; ``own`` marks the model's rows."""

    name: str
    value: float
    low: float
    high: float
    own: bool


@dataclass(frozen=True)
class RowChart:
    """Figures with intervals, one below the other, each ``step`` pixels high."""

    title: str
    alt: str
    x_label: str
    x: Scale
    rows: Sequence[Row]
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


def row_chart(title: str, alt: str, x_label: str, rows: Sequence[Row]) -> RowChart:
    """A chart of ``rows`` from the top."""
    scale = _scale([v for row in rows for v in (row.low, row.high)], NAMES, RIGHT - 36, False)
    return RowChart(title, alt, x_label, scale, rows, ROW * len(rows) + 46)


def _scale(values: Sequence[float], begin: float, end: float, log: bool) -> Scale:
    """A scale over all values with a small margin, but not below 0 if the values start there."""
    low, high = min(values), max(values)
    if log:
        low, high = low / 1.05, high * 1.05
    else:
        margin = 0.04 * (high - low) or 0.5
        low, high = low - margin if low != 0 else 0.0, high + margin
    return Scale(low, high, begin, end, log)
