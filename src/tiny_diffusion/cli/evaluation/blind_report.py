"""The figures of a blind test, as tables."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..console import print_table, say

if TYPE_CHECKING:
    from ...evaluation.blind_test.statistics import BlindReport


def show_report(found: "BlindReport") -> None:
    """Print the tables of a report."""
    origin = found.origin
    say(f"{origin.book} against {Path(origin.checkpoint).name}, passages of {origin.made}")
    if found.scores:
        rows = []
        for s in found.scores:
            interval = f"{s.interval[0]:.0%} to {s.interval[1]:.0%}"
            shares = (f"{s.accuracy:.0%}", interval, f"{s.fooled:.0%}", f"{s.doubted:.0%}")
            rows.append((s.rater, f"{s.right} of {s.answers}", *shares))
        head = ("rater", "right", "accuracy", "95 % interval", "model taken for book", "book taken for model")
        print_table(head, rows, "who can tell the book from the model")
        say("intervals: Wilson; guessing is 50 %")
    if found.resampled_accuracy is not None:
        low, high = found.resampled_accuracy
        say(f"all raters, also over other raters and passages (bootstrap): {low:.0%} to {high:.0%}")
    if found.differences:
        ratings = []
        for d in found.differences:
            means = (f"{d.real:.2f}", f"{d.generated:.2f}", f"{d.difference:+.2f}")
            ratings.append((d.aspect, d.raters, *means, f"{d.interval[0]:+.2f} to {d.interval[1]:+.2f}"))
        head = ("aspect", "raters", "book", "model", "book minus model", "95 % interval")
        print_table(head, ratings, "ratings, 1 to 5")
    if found.agreement:
        alphas = [(a.question, a.raters, "undefined" if a.alpha is None else f"{a.alpha:.2f}") for a in found.agreement]
        print_table(("question", "raters", "alpha"), alphas, "Krippendorff's alpha")
        say("agreement between raters: 1 is perfect, 0 is chance")
    for p in found.progress:
        if p.done < p.total:
            say(f"{p.rater}: {p.done} of {p.total} passages, not finished, not counted")
    if not found.scores:
        say("nobody has finished yet")
