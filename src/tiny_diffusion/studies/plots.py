"""Draws the crossover and learning curves; needs the extra ``report``."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..evaluation.curves import Curves
from ..files import atomic_write
from .compare import SizeResult

WIDTH, HEIGHT = 9.0, 3.6  # inches


def new_figure() -> Any:
    """An empty matplotlib figure; raises UserError if matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        needed = "plots need an extra: pip install 'tiny-diffusion[report]'"
        raise UserError(f"{needed}; without --output, or with --no-plot, nothing is drawn") from error
    return Figure(figsize=(WIDTH, HEIGHT), layout="constrained")


def draw_compare(results: Sequence[SizeResult], target: Path) -> None:
    """Draw validation bits per byte against epochs and against FLOPs, into an SVG or PNG file.

    Bars are one standard deviation over seeds; the dotted line is the twin at its best, the grey line the formula.
    """
    figure = new_figure()
    axes = figure.subplots(1, 2, sharey=True)
    for number, result in enumerate(results):
        for curve, name, style in ((result.diffusion, "diffusion", "o-"), (result.twin, "twin", "s--")):
            bits = [p.validation.mean for p in curve]
            bars = [p.validation.deviation or 0.0 for p in curve]
            for axis, x in ((axes[0], [p.epochs for p in curve]), (axes[1], [p.flops for p in curve])):
                axis.errorbar(
                    x, bits, bars, fmt=style, color=f"C{number}", capsize=3, markersize=4, label=f"{result.size} {name}"
                )
        best = min(p.validation.mean for p in result.twin)
        for axis in axes:
            axis.axhline(best, color=f"C{number}", linestyle=":", linewidth=1)
        axes[1].axvline(result.critical_flops, color="0.6", linewidth=1)
    axes[1].annotate(
        "formula", (results[0].critical_flops, 1), xycoords=("data", "axes fraction"), color="0.4", va="bottom"
    )
    for axis, name in zip(axes, ("epochs", "training FLOPs"), strict=True):
        axis.set(xscale="log", xlabel=name)
    ticks = sorted({p.epochs for result in results for p in result.diffusion})  # the twin's best may lie close to one
    axes[0].set_xticks(ticks, [str(t) for t in ticks])
    axes[0].minorticks_off()
    axes[1].tick_params(axis="x", which="minor", labelbottom=False)
    axes[0].set_ylabel("validation bits per byte")
    axes[0].legend(fontsize=8)
    _save(figure, target)


def draw_curves(runs: Mapping[str, Curves], target: Path, by: str = "steps") -> None:
    """Draw training loss and validation of ``runs``, which all have both, into an SVG or PNG file.

    by: what their places are, steps or minutes.
    """
    figure = new_figure()
    axes = figure.subplots(1, 2)
    for name, curves in runs.items():
        axes[0].plot(*zip(*curves.training, strict=True), linewidth=1)
        axes[1].plot(*zip(*curves.validation, strict=True), "o-", markersize=3, label=name)
    for axis, title in zip(axes, ("training, nats per scored token", "validation, bits per byte"), strict=True):
        axis.set(xlabel=by, title=title)
    axes[1].legend(fontsize=8)
    _save(figure, target)


def _save(figure: Any, target: Path) -> None:
    """Save without a date and with ids from a fixed salt, so that the same study gives the same bytes."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    kind = target.suffix.removeprefix(".")
    with rc_context({"svg.hashsalt": "tiny-diffusion"}):
        figure.savefig(buffer, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else None)
    with atomic_write(target) as file:
        file.write(buffer.getbuffer())
