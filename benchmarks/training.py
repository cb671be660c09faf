"""Training speed against a plain reference on the same work: ``python benchmarks/training.py [--sizes S M L]``.

Real tokens a second (padding does not count) of optimiser steps with AdamW, all ways taken in turn within one run, the
median of the rounds. Utilisation: products that the way really executes, over the peak of bfloat16 products measured
in the same run. Run it with nothing else on the machine. Writes markdown; ``--json FILE`` keeps the figures.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from plain import PlainModel, plain_loss
from torch import Tensor

from tiny_diffusion.config import ModelConfig, TrainingConfig
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED
from tiny_diffusion.model.diffusion import diffusion_loss, uniform_rate_masks
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.runtime import autocast, fast_bfloat16
from tiny_diffusion.training.format_datasets import Rows, pack
from tiny_diffusion.training.optimizers import clip_gradients, make_optimizers

CPU = torch.device("cpu")
PADDED = 512  # what the usual code pads sentences to
SETTINGS = TrainingConfig(optimizer="adamw", learning_rate=1e-3)


@dataclass(frozen=True)
class Size:
    """A model to measure: its shape, text tokens, and rows of a step."""

    model: ModelConfig
    vocab: int
    rows: int


def shape(d: int, layers: int, heads: int, feed_forward: int, context: int) -> ModelConfig:
    """A model's shape, the rest as the defaults say."""
    return ModelConfig(d_model=d, n_layers=layers, n_heads=heads, d_ff=feed_forward, context=context)


SIZES = {
    "S": Size(shape(256, 6, 4, 704, 256), 2_048, 16),
    "M": Size(shape(512, 8, 8, 1_408, 512), 8_192, 4),
    "L": Size(ModelConfig.tiny_125m(), 25_000, 2),
}
# Mean and shape of a gamma law of tokens an example: stages I and II of Frankenstein at 2,048 tokens (17.5 and 70.4).
LENGTHS = {"sentences": (17.5, 6.0), "pairs": (70.4, 5.5)}


@dataclass
class Way:
    """One way to train: a step to time, the real tokens of a step and the products it executes."""

    name: str
    step: Callable[[], None]
    tokens: int
    operations: float


def draw_examples(workload: str, count: int, limit: int, vocab: int, generator: torch.Generator) -> list[list[int]]:
    """Examples of random ids whose lengths follow the workload's law, cut at ``limit``."""
    mean, form = LENGTHS[workload]
    law = torch.distributions.Gamma(form, form / mean)
    lengths = law.sample((count,)).round().clamp(3, limit).int().tolist()
    return [torch.randint(NUM_RESERVED, NUM_RESERVED + vocab, (n,), generator=generator).tolist() for n in lengths]


def operations(size: Size, positions: int, length: int, head_rows: float) -> float:
    """Floating-point operations of a step's products: blocks, attention over ``length``, head; x3 for backward."""
    model = size.model
    blocks = 2 * model.n_layers * (4 * model.d_model**2 + 3 * model.d_model * model.d_ff)
    attention = 4 * model.n_layers * length * model.d_model
    return 3.0 * (positions * (blocks + attention) + head_rows * 2 * model.d_model * size.vocab)


def ours(size: Size, rows: Rows) -> Way:
    """The project's model and loss, in the machine's fast precision."""
    torch.manual_seed(0)
    model = Transformer(size.model, NUM_RESERVED + size.vocab, NUM_RESERVED)
    optimizers = make_optimizers(model, SETTINGS)
    generator = torch.Generator().manual_seed(0)
    masked, t = uniform_rate_masks(rows.ids, generator)
    masked &= rows.scorable
    attention = rows.attention(CPU)

    def step() -> None:
        with autocast(CPU, SETTINGS.precision):
            loss = diffusion_loss(model, rows.ids, masked, t, weighting="mean", attention=attention)
        (loss / masked.sum()).backward()
        clip_gradients(list(model.parameters()), SETTINGS.gradient_clipping)
        optimizers.step(1.0)

    tokens, positions = int(rows.scorable.sum()), rows.ids.numel()
    return Way("ours", step, tokens, operations(size, positions, rows.ids.shape[1], int(masked.sum())))


def reference(size: Size, ids: Tensor, real: Tensor, precision: str) -> Way:
    """The plain model in float32 or under autocast."""
    torch.manual_seed(0)
    model = PlainModel(size.model, NUM_RESERVED + size.vocab, ids.shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    masked = uniform_rate_masks(ids, torch.Generator().manual_seed(0))[0] & real

    def step() -> None:
        with autocast(CPU, precision):
            loss = plain_loss(model, ids, masked, real, MASK)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return Way(f"plain, {precision}", step, int(real.sum()), operations(size, ids.numel(), ids.shape[1], ids.numel()))


def build(size: Size, workload: str) -> list[Way]:
    """All ways on one workload, our step and the reference's each with a batch of its own usual form."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    context = size.model.context
    if workload == "full rows":
        ids = torch.randint(NUM_RESERVED, NUM_RESERVED + size.vocab, (size.rows, context), generator=generator)
        rows, padded = Rows(ids, torch.ones_like(ids)), ids
        real = torch.ones_like(ids, dtype=torch.bool)
    else:
        examples = draw_examples(workload, 40 * size.rows, context, size.vocab, generator)
        rows = pack(examples, context, generator)
        rows = rows.take(torch.arange(min(size.rows, len(rows))))
        padded = torch.ones(size.rows, PADDED, dtype=torch.long)
        real = torch.zeros(size.rows, PADDED, dtype=torch.bool)
        for i, example in enumerate(examples[: size.rows]):
            padded[i, : len(example)] = torch.tensor(example)
            real[i, : len(example)] = True
    ways = [ours(size, rows), reference(size, padded, real, "float32")]
    if fast_bfloat16(CPU):
        ways.append(reference(size, padded, real, "bfloat16"))
    return ways


def measure_peak(dtype: torch.dtype, size: int = 2048, runs: int = 12) -> float:
    """Operations a second of the best of ``runs`` square products."""
    a, b = (torch.randn(size, size, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def measure(ways: list[Way], rounds: int) -> dict[str, float]:
    """Median seconds of a step of each way, the ways taken in turn; a warm-up round is not counted."""
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(rounds + 1):
        for way in ways:
            began = time.perf_counter()
            way.step()
            seconds[way.name].append(time.perf_counter() - began)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def main() -> None:
    """Measure the sizes and workloads asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--workloads", nargs="+", choices=["full rows", *LENGTHS], default=["full rows", *LENGTHS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print("| size | workload | way | tokens/s | ours is faster by | utilisation |\n|---|---|---|---|---|---|")
    found = []
    for name in arguments.sizes:
        for workload in arguments.workloads:
            ways = build(SIZES[name], workload)
            peak = measure_peak(torch.bfloat16 if fast_bfloat16(CPU) else torch.float32)
            seconds = measure(ways, arguments.rounds)
            rates = {way.name: way.tokens / seconds[way.name] for way in ways}
            for way in ways:
                share = way.operations / seconds[way.name] / peak
                ratio = rates["ours"] / rates[way.name]
                row = {"size": name, "workload": workload, "way": way.name, "tokens_per_second": rates[way.name]}
                found.append({**row, "ratio": ratio, "utilisation": share, "peak": peak})
                print(
                    f"| {name} | {workload} | {way.name} | {rates[way.name]:,.0f} | {ratio:.1f} | {share:.0%} |",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
