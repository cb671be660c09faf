"""What the benchmarks of speed work on: the sizes S, M and L, and batches of full rows, sentences and pairs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tiny_diffusion.config import ModelConfig
from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.training.rows import Examples, Rows, pack

CPU = torch.device("cpu")
PADDED = 512  # what the usual code pads sentences to
FULL_ROWS = "full rows"


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


@dataclass(frozen=True)
class Batches:
    """One workload in its two forms: rows as the project packs them; (B, T) ids padded, and which of them are real."""

    packed: Rows
    padded: Tensor
    real: Tensor


def draw_examples(workload: str, count: int, limit: int, vocab: int, generator: torch.Generator) -> list[list[int]]:
    """Examples of random ids whose lengths follow the workload's law, cut at ``limit``."""
    mean, form = LENGTHS[workload]
    law = torch.distributions.Gamma(form, form / mean)
    lengths = law.sample((count,)).round().clamp(3, limit).int().tolist()
    return [torch.randint(NUM_RESERVED, NUM_RESERVED + vocab, (n,), generator=generator).tolist() for n in lengths]


def draw_batches(size: Size, workload: str) -> Batches:
    """A step's batch of the workload, the same at every call."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    context = size.model.context
    if workload == FULL_ROWS:
        ids = torch.randint(NUM_RESERVED, NUM_RESERVED + size.vocab, (size.rows, context), generator=generator)
        return Batches(Rows(ids, torch.ones_like(ids)), ids, torch.ones_like(ids, dtype=torch.bool))
    examples = draw_examples(workload, 40 * size.rows, context, size.vocab, generator)
    packed = pack(Examples.of(examples), context, generator)
    padded = torch.ones(size.rows, PADDED, dtype=torch.long)
    real = torch.zeros(size.rows, PADDED, dtype=torch.bool)
    for i, example in enumerate(examples[: size.rows]):
        padded[i, : len(example)] = torch.tensor(example)
        real[i, : len(example)] = True
    return Batches(packed.take(torch.arange(min(size.rows, len(packed)))), padded, real)
