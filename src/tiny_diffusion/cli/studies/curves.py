"""``tiny-diffusion curves``: learning curves of several runs in one picture."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.cells import cell_len

from ...errors import UserError
from ...files import check_file
from ..console import console, print_table, say
from ..help import examples

BARS = "▁▂▃▄▅▆▇█"
WIDEST = 60


@examples(
    "tiny-diffusion curves outputs --by minutes", "tiny-diffusion curves outputs outputs/earlier/* --output curves.svg"
)
@click.command("curves")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Draw them into this .svg or .png file (needs the extra 'report').",
)
@click.option(
    "--by",
    type=click.Choice(["steps", "minutes"]),
    default="steps",
    show_default=True,
    help="The width: steps, or minutes of training without validations and pauses.",
)
def command(runs: tuple[Path, ...], output: Path | None, by: str) -> None:
    """Show how the validation of each of RUNS went, each an output folder of train, as bars in the terminal.

    All bars have the same scales: the height is bits per byte, the width steps or minutes.
    """
    from ...evaluation.curves import read_curves
    from ...studies.plots import draw_curves, new_figure

    if output is not None:
        if output.suffix not in (".svg", ".png"):
            raise UserError(f"--output {output}: give a name that ends with .svg or .png")
        new_figure()  # a missing extra is reported first
        check_file(output)
    found = {str(run): read_curves(run / "best_model.pt", minutes=by == "minutes") for run in runs}
    curves = {name: each for name, each in found.items() if each is not None and each.validation}
    if missing := [name for name in found if name not in curves]:
        raise UserError(f"{', '.join(missing)}: no training log with a validation; give the output folders of train")
    points = {name: each.validation for name, each in curves.items()}
    last = max(place for each in points.values() for place, _ in each)
    number = ",.0f" if by == "steps" else ",.1f"
    values = [bits for each in points.values() for _, bits in each]
    width = min(WIDEST, max(10, console.width - max(map(cell_len, points)) - 24))
    print_table(
        ("run", by, "best", "bits per byte"),
        [
            (name, format(each[-1][0], number), f"{min(y for _, y in each):.3f}", bars(each, last, width, values))
            for name, each in points.items()
        ],
        boxed=False,
    )
    say(f"from {min(values):.3f} ({BARS[0]}) to {max(values):.3f} ({BARS[-1]}) bits per byte over {last:{number}} {by}")
    if output is not None:
        draw_curves(curves, output, by)
        say(f"written to {output}")


def bars(points: Sequence[tuple[float, float]], last: float, width: int, values: Sequence[float]) -> str:
    """A bar per column of ``width`` up to the last point: the value at the column's place, kept until the next.

    ``last``: the place of the last column; the heights go from the least to the largest of ``values``.
    """
    low, span = min(values), (max(values) - min(values)) or 1.0
    found = ""
    for column in range(1, round(width * points[-1][0] / last) + 1):
        place = column * last / width
        value = next((y for x, y in reversed(points) if x <= place), points[0][1])
        found += BARS[round((value - low) / span * (len(BARS) - 1))]
    return found
