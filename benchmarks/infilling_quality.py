"""Gaps in held-out text, filled: ``python benchmarks/infilling_quality.py --checkpoint FILE --data-dir FOLDER``.

Gaps of 1, 3 and 10 words and of a sentence, cut from the test passages by a seed (see ``gaps``), each in the middle
of a window of the model's context; the same for all. Three tables with 95 % intervals by bootstrap over gaps:

* Bits per byte of the true filling among all fillings of as many tokens. Diffusion: the left-to-right chain rule over
  the gap's tokens, exact, given both sides, alone and with counts (``generation.expert``), or given the left side with
  the right one masked. The autoregressive twin
  (``--twin``): given the left side in the window, or as much of it as its context holds. Kneser-Ney (order 5, fitted
  on the training text): given the left side, or both: p(left filling right) over its sum for all fillings of as many
  tokens, exactly (``evaluation/two_sided.py``). All are distributions that sum to one.
* Words. Each fills the gap with as many tokens as the true filling has; words are compared in their places, folded and
  without punctuation (``split_words``), and for a sentence as a bag, by F1. Diffusion by each sampler and number of
  steps, at the temperature and nucleus of ``generation`` (the mean of two draws), and greedily (``top_k`` 1); ``left
  to right`` settles the first masked token (``generation.block`` 1). The twin goes on from the left side, all that
  its context holds; Kneser-Ney by a beam of 16, scored by the exact law. Control: the commonest word in each place,
  and for a sentence the commonest words. An asterisk: the paired interval of the difference to the first row leaves
  zero out. "twin ppl": perplexity a token, under the twin, of filling and up to 16 tokens behind it, all kinds of gap
  together. "distinct-2": distinct word pairs over all pairs of the fillings. "agree": the measure of one draw with the
  other taken for the truth, mean over kinds: 100 is no variety.
* Words as the command ``infill`` fills them in, for 1 and 3 words: by its search, without knowing the number of tokens.

``--only likelihood``, ``words`` or ``infill`` makes one table. Writes markdown; ``--json FILE`` keeps the figures.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gap_rivals import Counts, Diffusion, Twin
from gap_ways import Score, Way, infill_ways, likelihood_ways, word_ways
from gaps import KINDS, Gap, cut_gaps
from trained import keep, model_parser, read_model

from tiny_diffusion.checkpoint import load_checkpoint
from tiny_diffusion.config import EvaluationConfig
from tiny_diffusion.data.language.words import split_words
from tiny_diffusion.data.tokenizer import BookTokenizer
from tiny_diffusion.evaluation.likelihood.comparison import check_twin
from tiny_diffusion.evaluation.text_quality.coherence import distinct
from tiny_diffusion.sampling.denoise import SAMPLERS

EVALUATION = EvaluationConfig()
SEARCHED = ("1 word", "3 words")  # kinds that are filled as the command fills them; the others take long
Pairs = list[tuple[float, float]]  # numerator and denominator of each gap


@dataclass(frozen=True)
class Figure:
    """A cell: ``value`` with its interval, and the difference to the first row's. ``table`` "judge": nats a token."""

    table: str
    way: str
    kind: str
    value: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float

    def __str__(self) -> str:
        apart = "*" * (self.difference_low > 0 or self.difference_high < 0)
        value, low, high = self.value, self.low, self.high
        if self.table == "likelihood":
            return f"{value:.2f} ({low:.2f}-{high:.2f}){apart}"
        if self.table == "judge":
            value, low, high = (math.exp(nats) for nats in (value, low, high))
        return f"{value:.1f} ({low:.0f}-{high:.0f}){apart}"


def measured(table: str, way: str, kind: str, pairs: Pairs, first: Pairs, resamples: int) -> Figure:
    """Sum of numerators over sum of denominators, with paired bootstrap intervals over the gaps."""
    picks = np.random.default_rng(EVALUATION.seed).integers(0, len(pairs), (resamples, len(pairs)))
    (value, draws), (base, others) = (_ratios(np.array(each), picks) for each in (pairs, first))
    low, high = np.quantile(draws, (0.025, 0.975))
    least, most = np.quantile(draws - others, (0.025, 0.975))
    numbers = (value, low, high, value - base, least, most)
    return Figure(table, way, kind, *map(float, numbers))


def _ratios(pairs: np.ndarray, picks: np.ndarray) -> tuple[float, np.ndarray]:
    top, bottom = pairs.T
    return top.sum() / bottom.sum(), top[picks].sum(1) / bottom[picks].sum(1)


def agreement(kind: str, found: str, true: str) -> tuple[float, float]:
    """Percent of words in their places, or F1 of a sentence's words, as numerator and denominator."""
    a, b = split_words(found), split_words(true)
    if kind == "sentence":
        return 200.0 * (Counter(a) & Counter(b)).total(), float(len(a) + len(b))
    return 100.0 * sum(x == y for x, y in zip(a, b, strict=False)), float(len(b))


def print_row(cells: Sequence[object]) -> None:
    """A line of the table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_likelihoods(gaps: dict[str, list[Gap]], ways: Iterator[tuple[str, Score]], resamples: int) -> list[Figure]:
    """The first table, and its figures."""
    first: dict[str, Pairs] = {}
    found: list[Figure] = []
    print_row(["bits per byte of the true filling", *(f"{kind} ({len(gaps[kind])})" for kind in KINDS)])
    print_row(["---"] * (1 + len(KINDS)))
    for name, nats in ways:
        row = []
        for kind in KINDS:
            pairs = [(n / math.log(2), float(gap.bytes)) for n, gap in zip(nats(gaps[kind]), gaps[kind], strict=True)]
            row.append(measured("likelihood", name, kind, pairs, first.setdefault(kind, pairs), resamples))
        found += row
        print_row([name, *row])
    print()
    return found


def print_words(
    table: str,
    gaps: dict[str, list[Gap]],
    ways: Iterator[Way],
    tokenizer: BookTokenizer,
    twin: Twin | None,
    resamples: int,
) -> list[Figure]:
    """A table of words filled into ``gaps``, and its figures."""
    first: dict[str, Pairs] = {}
    found: list[Figure] = []
    print_row([f"{table}, %", *(f"{kind} ({len(gaps[kind])})" for kind in gaps), "twin ppl", "distinct-2", "agree"])
    print_row(["---"] * (4 + len(gaps)))
    for way in ways:
        row, alike, judged, words = [], [], [], []
        for kind in gaps:
            fillings = [way.fill(gaps[kind], kind, draw) for draw in range(way.draws)]
            texts = [[tokenizer.decode(ids) for ids in drawn] for drawn in fillings]
            scored = np.array([[agreement(kind, t, g.text) for t, g in zip(d, gaps[kind], strict=True)] for d in texts])
            pairs = [tuple(pair) for pair in scored.sum(0)]
            row.append(measured(table, way.name, kind, pairs, first.setdefault(kind, pairs), resamples))
            words += [split_words(text) for text in texts[0]]
            if way.draws > 1:
                same = np.array([agreement(kind, a, b) for a, b in zip(*texts, strict=True)]).sum(0)
                alike.append(same[0] / same[1])
            if twin is not None:
                judged += [tuple(pair) for pair in np.sum([twin.judge(gaps[kind], d) for d in fillings], axis=0)]
        if judged:
            row.append(measured("judge", way.name, "all", judged, first.setdefault("all", judged), resamples))
        found += row
        pairs_of_words = distinct(words, 2)
        variety = ["-" if pairs_of_words is None else f"{pairs_of_words:.3f}"]
        variety.append(f"{np.mean(alike):.0f}" if alike else "-")
        print_row([way.name, *row, *["-"] * (not judged), *variety])
    print()
    return found


def main() -> None:
    """Cut gaps, fill and score them, and print three tables."""
    parser = model_parser(__doc__)
    parser.add_argument("--twin", type=Path)
    parser.add_argument("--gaps", type=int, default=200, help="of each kind at most")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--only", choices=["likelihood", "words", "infill"])
    parser.add_argument("--samplers", nargs="+", choices=list(SAMPLERS), default=list(SAMPLERS))
    parser.add_argument("--steps", nargs="*", type=int, default=[4], help="beside the default's")
    parser.add_argument("--order", type=int, default=EVALUATION.judge_order, help="of Kneser-Ney")
    parser.add_argument("--seed", type=int, default=0, help="of the gaps")
    arguments = parser.parse_args()
    checkpoint, data, device = read_model(arguments)
    level, context = checkpoint.config.model.vocab_level, checkpoint.config.model.context
    tokenizer, twin = checkpoint.tokenizer, None
    if arguments.twin is not None:
        other = load_checkpoint(arguments.twin)
        check_twin(other, checkpoint, data)
        twin = Twin(other.build(device).eval())
    diffusion = Diffusion(checkpoint.build(device), tokenizer, data.training_text)
    counts = Counts(data.texts("train"), tokenizer, level, arguments.order)
    texts = data.texts(arguments.split)
    gaps = cut_gaps(texts, tokenizer, level, context, arguments.gaps, data.language, arguments.seed)
    figures: list[Figure] = []
    with torch.no_grad():
        if arguments.only in (None, "likelihood"):
            figures += print_likelihoods(gaps, likelihood_ways(diffusion, counts, twin), EVALUATION.bootstrap)
        if arguments.only in (None, "words"):
            ways = word_ways(diffusion, counts, twin, arguments.samplers, arguments.steps)
            figures += print_words("words", gaps, ways, tokenizer, twin, EVALUATION.bootstrap)
        if arguments.only in (None, "infill"):
            searched = {kind: gaps[kind] for kind in SEARCHED}
            ways = infill_ways(diffusion, arguments.samplers)
            figures += print_words("infill", searched, ways, tokenizer, twin, EVALUATION.bootstrap)
    keep(figures, arguments.json)


if __name__ == "__main__":
    main()
