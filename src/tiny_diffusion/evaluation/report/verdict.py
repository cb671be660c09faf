"""The verdict in words: whether the model beats its rivals, and how far that can be trusted."""

from collections import Counter
from collections.abc import Sequence

from ...data.shelf import other_books
from ..blind_test.statistics import BlindReport
from ..likelihood.bound import Likelihood
from ..likelihood.comparison import NGRAM_NAMES
from ..likelihood.mixture import BOUND, PRODUCT, TIMES_COUNTS, is_mixed
from ..result import Report
from ..text_quality.samples import WRITING
from ..text_quality.two_sample import TwoSample

NGRAMS, PPM, TWIN = "the n-grams", "PPMd", "its autoregressive twin"
WORDS = {"loses": "loses to", "level": "is level with", "beats": "beats"}


def family(name: str) -> str | None:
    """What the rival of this row is called in a sentence; None for the model's own rows, mixtures, and chance."""
    if name.startswith("diffusion (") or is_mixed(name) or name == "uniform":
        return None
    if name in NGRAM_NAMES.values() or name.endswith("Kneser-Ney"):
        return NGRAMS
    if name.startswith("PPMd"):
        return PPM
    return TWIN if name == "autoregressive twin" else name


def rivals(report: Report) -> dict[str, Likelihood]:
    """The best row of each family that the model was compared with."""
    found: dict[str, Likelihood] = {}
    for row in sorted(report.likelihood[1:], key=lambda row: row.bits_per_byte):
        name = family(row.name)
        if name is not None:
            found.setdefault(name, row)
    return found


def outcome(row: Likelihood) -> str:
    """Whether the model "beats" a row, "loses" to it, or is "level": the paired 95 % interval leaves it open."""
    against = row.against_model
    assert against is not None, "only the model's own row has no difference"
    return "beats" if against.low > 0 else "loses" if against.high < 0 else "level"


def headline(reports: Sequence[Report]) -> str:
    """One sentence: whom the model beats, is level with and loses to; for several checkpoints, how often."""
    found: dict[str, list[str]] = {}
    shelf = dict.fromkeys(book for each in reports for book in each.shelf)
    first = f", which has learnt from {other_books(list(shelf))} first," if shelf else ""
    for each in reports:
        for name, row in rivals(each).items():
            found.setdefault(name, []).append(outcome(row))
    if not found:
        return "The model was compared with nothing but chance, so nothing can be said about how good it is."
    agreed = all(len(set(outcomes)) == 1 and len(outcomes) == len(reports) for outcomes in found.values())
    parts = []
    for word, said in WORDS.items():
        names = []
        for name, outcomes in found.items():
            count = Counter(outcomes)[word]
            if count:
                names.append(name if agreed else f"{name} ({count} of {len(outcomes)} checkpoints)")
        if names:
            parts.append(f"{said} {_join(names)}")
    every = f", with each of {len(reports)} checkpoints" if agreed and len(reports) > 1 else ""
    return f"On this held-out text the model{first} {_join(parts, ', and ')}{every}."


def learnt_nothing(report: Report) -> bool:
    """Whether a count of single words predicts the text as well as the model, if that was measured."""
    unigram = _named(report, NGRAM_NAMES[1])
    return unigram is not None and report.likelihood[0].bits_per_byte >= unigram.bits_per_byte


def plainly(report: Report) -> str:
    """The verdict for a reader who knows no measure: what the model has learnt, and what is still better."""
    if report.leaking:
        return "Test sentences occur in the training text, so nothing can be said about how good the model is."
    if learnt_nothing(report):
        return "The model has learnt nothing: new pages surprise it more than they surprise a count of single words."
    best = rivals(report).get(NGRAMS)
    if best is None:
        return "No word counts were measured beside the model, so nothing can be said about how good it is."
    if outcome(best) == "level":
        return "The model predicts new pages of the book as well as the best table of word counts does."
    share = f"{abs(report.likelihood[0].bits_per_byte / best.bits_per_byte - 1):.0%}".replace("%", " %")
    if outcome(best) == "beats":
        return (
            f"The model has learnt more than counting words can teach: new pages of the book surprise it {share} less "
            "than the best table of word counts."
        )
    bigram = _named(report, NGRAM_NAMES[2])
    knows = "which words the book uses and which of them go together"
    if bigram is not None and outcome(bigram) == "loses":
        knows = "which words the book uses and little of their order"
    return (
        f"The model has learnt {knows}. The best table of word counts is still ahead: new pages surprise the model "
        f"{share} more. Longer training helps; --generation.expert ngram writes with such a table beside the model."
    )


def _named(report: Report, name: str) -> Likelihood | None:
    return next((row for row in report.likelihood[1:] if row.name == name), None)


def details(report: Report) -> list[str]:
    """A sentence for each rival, then what was not measured, what people answered, and what weakens the figures."""
    own, lines = report.likelihood[0], []
    for name, row in rivals(report).items():
        against = row.against_model
        assert against is not None
        best = f" (best: {row.name})" if name == NGRAMS else ""
        more = "fewer" if against.bits_per_byte > 0 else "more"
        ends = sorted((abs(against.low), abs(against.high)))
        interval = f"{ends[0]:.3f} to {ends[1]:.3f} {more}"
        if outcome(row) == "level":
            interval = f"{-against.high:+.3f} to {-against.low:+.3f}, which leaves it open"
        lines.append(
            f"{name[0].upper()}{name[1:]}{best}: {row.bits_per_byte:.3f} bits per byte; the model needs "
            f"{own.bits_per_byte:.3f}, {abs(against.bits_per_byte):.3f} {more} (95 % interval {interval})."
        )
    missing = [
        f"{name} ({how})"
        for name, how, wanted in (
            (TWIN, "give --twin", own.name != "autoregressive twin"),
            (PPM, "evaluation.ppm_order=0", True),
        )
        if wanted and name not in rivals(report)
    ]
    if missing:
        lines.append(f"Not measured: {_join(missing)}.")
    lines += [f"Not measured: {name} ({why})." for name, why in report.missing.items()]
    chain = next((row for row in report.likelihood if row.name == "diffusion (chain rule)"), None)
    if chain is not None:
        exact = f"{chain.bits_per_byte:.3f} bits per byte"
        bound = _named(report, BOUND)
        if bound is None:
            lines.append(
                f"The model's figure is an upper bound over all orders; its exact figure, left to right, is {exact}."
            )
        else:
            lines.append(
                "The model's figure is exact, by its causal reading, which sees the text to the left only. Its masked "
                f"reading needs {exact} from left to right (exact), and {bound.bits_per_byte:.3f} over all orders "
                "(an upper bound)."
            )
    for name, weights in report.counts.items():
        shown = ", ".join(f"{weight:.2f}" for weight in weights)
        what = "the weight of the counts after 0, 1 and more tokens that they know is"
        if name.endswith(TIMES_COUNTS) or PRODUCT in name:
            sides = ", with text to the left, to the right and on both sides," if name.startswith(BOUND) else ""
            what = f"the exponents of {'networks' if PRODUCT in name else 'network'}"
            what += f"{' and counts' if name.endswith(TIMES_COUNTS) else ''}{sides} are"
        lines.append(f"{name}: {what} {shown}.")
    if report.shelf:
        lines.append(
            f"The networks have learnt from {other_books(report.shelf)} first ({', '.join(report.shelf)}), n-grams and "
            "PPMd from the book alone: these figures are no figures of a model of one book."
        )
    if report.two_sample is not None:
        lines.append(told_apart(report.two_sample))
    if report.blind is not None:
        lines.append(people(report.blind))
    if report.rough_interval:
        lines.append("The held-out text has few passages, so intervals are over windows and only rough.")
    return lines


def not_measured(report: Report, part: str) -> str:
    """Why a part of the report is missing: its own reason, or that of the texts it is measured on."""
    return report.missing.get(part) or report.missing.get(WRITING, "unknown")


def told_apart(test: TwoSample) -> str:
    """A sentence on the two-sample test: how well a classifier tells the model from the book."""
    said = "so it tells them apart" if test.low > 0.5 else "which may be guessing"
    return (
        f"Two-sample test: a classifier tells {test.generated} passages of the model from {test.held_out} held-out "
        f"ones, of {test.words} words each, in {test.accuracy:.0%} (95 % interval {test.low:.0%} to {test.high:.0%}; "
        f"guessing gives 50%), {said}."
    )


def people(blind: BlindReport) -> str:
    """A sentence on the blind test: how well people tell the book from the model, and whether that is guessing."""
    score = blind.overall
    if score is None:
        return "Blind test: nobody has finished yet."
    raters = sum(p.done == p.total for p in blind.progress)
    who = "One rater" if raters == 1 else f"{raters} raters"
    low, high = score.interval
    interval = f"95 % interval {low:.0%} to {high:.0%}"
    if blind.resampled_accuracy is not None:
        low, high = blind.resampled_accuracy
        interval += f", over other raters and passages too {low:.0%} to {high:.0%}"
    said = {True: "people tell it from the book", False: "people take it for the book", None: "that may be guessing"}
    return (
        f"Blind test: {who} told book and model apart in {score.right} of {score.answers} answers, "
        f"{score.accuracy:.0%} ({interval}): {said[blind.told_apart]}."
    )


def warning(report: Report) -> str | None:
    """The warning shown first if held-out sentences occur in the training text."""
    leaks = report.leaks
    if not report.leaking:
        return None
    return (
        f"{leaks.found} of {leaks.checked} held-out sentences occur in the training text, such as "
        f"{leaks.example!r}: do not trust any figure here."
    )


def _join(parts: Sequence[str], last: str = " and ") -> str:
    """Words in a row, with ``last`` before the last one."""
    return last.join(filter(None, (", ".join(parts[:-1]), parts[-1])))
