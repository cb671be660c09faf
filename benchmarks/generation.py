"""Writing speed against a plain sampler on the same shape: ``python benchmarks/generation.py [--sizes S M]``.

Texts as long as the context, at temperature 1 over the whole distribution, random weights. A step's cost is measured
on pieces of a run, taken from its middle, where half of the text stands (the causal twin runs whole); all ways in
turn, the mean over the rounds. Tokens a second follow from the steps of a whole text; the ratio is to the plain
sampler at equal steps, the twin's to one token a step. "long text": the second half of a context is written, one
token a step, the first half being earlier text. Run it with nothing else on the machine. Writes markdown; ``--json
FILE`` keeps the figures.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from plain import PlainModel
from plain_sampler import plain_sample
from torch import Tensor
from workloads import CPU, SIZES, Size

from tiny_diffusion.config import GenerationConfig
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.runtime import fast_bfloat16
from tiny_diffusion.sampling.canvas import cast_once
from tiny_diffusion.sampling.denoise import SAMPLERS, denoise
from tiny_diffusion.sampling.in_order import left_to_right

PLAIN = "plain"


@dataclass
class Way:
    """One way to write: a run that begins anew for each seed, the steps of a whole text, and how many to time."""

    name: str
    run: Callable[[int], Iterator[object]]
    steps: int
    piece: int


def draw_rows(size: Size, batch: int, masked: Tensor) -> Tensor:
    """Random ids (B, T) with MASK where ``masked`` (T,)."""
    ids = torch.randint(NUM_RESERVED, NUM_RESERVED + size.vocab, (batch, len(masked)))
    return ids.masked_fill(masked, MASK)


def plain_way(size: Size, rows: Tensor, steps: int, piece: int) -> Way:
    """The plain sampler; its steps cost the same however many there are."""
    torch.manual_seed(0)
    model = PlainModel(size.model, NUM_RESERVED + size.vocab, rows.shape[1]).eval()
    return Way(PLAIN, lambda seed: plain_sample(model, rows, steps, MASK, NUM_RESERVED, seed), steps, piece)


def our_way(name: str, model: Transformer, rows: Tensor, steps: int, piece: int, kept: int = 0, **how: object) -> Way:
    """The project's sampler on ``rows``, which half of a run of ``steps`` remains of unless a text is ``kept``."""
    settings = GenerationConfig(temperature=1.0, top_p=1.0, steps=steps if kept else steps // 2).model_copy(update=how)

    def run(seed: int) -> Iterator[object]:
        return denoise(model, rows, settings, torch.Generator().manual_seed(seed), model.text_vocab_size, kept)

    return Way(name, run, steps, min(piece, settings.steps - 1))


def twin_way(size: Size, batch: int) -> Way:
    """The causal twin, a whole text with a forward pass a token."""
    length = size.model.context
    shape = size.model.model_copy(update={"causal": True})
    model = cast_once(Transformer(shape, NUM_RESERVED + size.vocab, NUM_RESERVED).eval(), "auto")
    rows = torch.full((batch, length), MASK)
    settings = GenerationConfig(temperature=1.0, top_p=1.0)

    def run(seed: int) -> Iterator[object]:
        return left_to_right(model, rows, 0, settings, torch.Generator().manual_seed(seed), size.vocab)

    return Way("autoregressive twin", run, length, length - 1)


def build(size: Size, batch: int, steps: list[int], piece: int) -> list[Way]:
    """All ways to write ``batch`` texts, the plain one first."""
    torch.manual_seed(0)
    length = size.model.context
    model = cast_once(Transformer(size.model, NUM_RESERVED + size.vocab, NUM_RESERVED).eval(), "auto")
    rows = draw_rows(size, batch, torch.randperm(length) < length // 2)
    ways = [plain_way(size, rows, length // 2, piece)]
    for sampler in SAMPLERS:
        for count in (*steps, length):
            # Ancestral leaves out a third of so many steps, at random: more of them for a steady mean.
            longer = 4 if sampler == "ancestral" and count == length else 1
            ways.append(our_way(sampler, model, rows, count, piece * longer, sampler=sampler))
    return [*ways, twin_way(size, batch)]


def build_long(size: Size, batch: int, piece: int) -> list[Way]:
    """Ways to write the second half of a context after a first half of earlier text."""
    torch.manual_seed(0)
    half = size.model.context // 2
    model = cast_once(Transformer(size.model, NUM_RESERVED + size.vocab, NUM_RESERVED).eval(), "auto")
    rows = draw_rows(size, batch, torch.arange(size.model.context) >= half)
    how = {"sampler": "first_hitting", "kept": half}
    return [
        plain_way(size, rows, half, piece),
        our_way("long text", model, rows, half, piece, **how),
        our_way("long text, cache_context", model, rows, half, piece, cache_context=True, **how),
    ]


def measure(ways: list[Way], rounds: int) -> list[float]:
    """Mean seconds of a step of each way over a whole text, whose first step may also fill a cache."""
    firsts: list[list[float]] = [[] for _ in ways]
    others: list[list[float]] = [[] for _ in ways]
    for seed in range(rounds + 1):  # the first round warms up and does not count
        for way, first, rest in zip(ways, firsts, others, strict=True):
            run = way.run(seed)
            for i in range(1 + (way.piece if seed else 1)):
                began = time.perf_counter()
                next(run)
                if seed:
                    (rest if i else first).append(time.perf_counter() - began)
    means = [(statistics.fmean(first), statistics.fmean(rest)) for first, rest in zip(firsts, others, strict=True)]
    return [rest + (first - rest) / way.steps for way, (first, rest) in zip(ways, means, strict=True)]


def report(name: str, batch: int, length: int, ways: list[Way], seconds: list[float]) -> list[dict[str, object]]:
    """Print a line a way and return the figures; ``length`` tokens make a text, one a step for the plain way."""
    found: list[dict[str, object]] = []
    for way, each in zip(ways, seconds, strict=True):
        steps = length if way.name == PLAIN else way.steps
        rate, ratio = batch * length / (steps * each), seconds[0] / each
        print(
            f"| {name} | {batch} | {way.name} | {steps} | {1000 * each:,.1f} | {rate:,.1f} | {ratio:.2f} |", flush=True
        )
        row = {"size": name, "batch": batch, "way": way.name, "steps": steps, "seconds_per_step": each}
        found.append({**row, "tokens_per_second": rate, "ratio": ratio})
    return found


def main() -> None:
    """Measure the sizes and batches asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=["S", "M"], default=["S", "M"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--steps", nargs="+", type=int, default=[16, 64], help="beside one token a step")
    parser.add_argument("--piece", type=int, default=6, help="steps to time in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    precision = "bfloat16" if fast_bfloat16(CPU) else "float32"
    print(f"products of ours in {precision}, of plain in float32; {torch.get_num_threads()} thread(s)\n")
    print("| size | batch | way | steps | ms a step | tokens/s | faster than plain by |\n|---|---|---|---|---|---|---|")
    found = []
    for name in arguments.sizes:
        size = SIZES[name]
        for batch in arguments.batches:
            ways = build(size, batch, arguments.steps, arguments.piece)
            found += report(name, batch, size.model.context, ways, measure(ways, arguments.rounds))
            ways = build_long(size, batch, arguments.piece)
            found += report(name, batch, size.model.context // 2, ways, measure(ways, arguments.rounds))
    if arguments.json:
        kept = {"precision": precision, "threads": torch.get_num_threads(), "rows": found}
        arguments.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
