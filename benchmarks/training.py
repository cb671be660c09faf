"""Training speed against a plain reference on the same work: ``python benchmarks/training.py [--sizes S M L]``.

Real tokens a second (padding does not count) of optimiser steps with AdamW, each way in a process of its own (ours with
the allocator as the trainer sets it), the processes taken in turn within one run, the median of the rounds.
Utilisation: products that the way really executes, over the peak of the machine's faster products (bfloat16, else
float32) measured in the same run. Memory: by how much the process grows over what it took for the imports, at its
peak (Linux only). ModernBERT is Hugging Face's, of the same shape, from a config with random weights, and needs the
extra ``hf``. Run it with nothing else on the machine. Writes markdown; ``--json FILE`` keeps the figures.
"""

import argparse
import importlib.util
import itertools
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from plain import PlainModel, plain_loss
from torch import Tensor

from tiny_diffusion.allocator import keep_freed_memory
from tiny_diffusion.config import ModelConfig, TrainingConfig
from tiny_diffusion.data.tokenizer import BOS, EOS, MASK, NUM_RESERVED, PAD, SEP
from tiny_diffusion.model.diffusion import diffusion_loss, uniform_rate_masks
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.runtime import autocast, can_compile, fast_bfloat16, product_dtype
from tiny_diffusion.training.format_datasets import Examples, Rows, pack
from tiny_diffusion.training.optimizers import clip_gradients, make_optimizers

if importlib.util.find_spec("transformers") is not None:
    from transformers import ModernBertConfig, ModernBertForMaskedLM

CPU = torch.device("cpu")
PRODUCT = 2048  # rows and columns of the products that the peak is measured with
WARM_UP = 2  # rounds that do not count: pages are touched, code is compiled
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


def ours(size: Size, rows: Rows, *, compiled: bool = False) -> Way:
    """The project's model and loss, in the machine's fast precision."""
    keep_freed_memory()
    torch.manual_seed(0)
    model = Transformer(size.model, NUM_RESERVED + size.vocab, NUM_RESERVED)
    optimizers = make_optimizers(model, SETTINGS)
    generator = torch.Generator().manual_seed(0)
    masked, t = uniform_rate_masks(rows.ids, generator)
    masked &= rows.scorable
    attention = rows.attention(CPU)
    if compiled:
        model.compile_blocks(*rows.ids.shape)

    def step() -> None:
        with autocast(CPU, SETTINGS.precision):
            loss = diffusion_loss(model, rows.ids, masked, t, weighting="mean", attention=attention)
        (loss / masked.sum()).backward()
        clip_gradients(list(model.parameters()), SETTINGS.gradient_clipping)
        optimizers.step(1.0)

    tokens, positions = int(rows.scorable.sum()), rows.ids.numel()
    name = "ours, compiled" if compiled else "ours"
    return Way(name, step, tokens, operations(size, positions, rows.ids.shape[1], int(masked.sum())))


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


def modern_bert(size: Size, ids: Tensor, real: Tensor, precision: str) -> Way:
    """Hugging Face's ModernBERT with its own loss, attention over the whole length in every layer as in the others."""
    torch.manual_seed(0)
    model = ModernBertForMaskedLM(
        ModernBertConfig(
            vocab_size=NUM_RESERVED + size.vocab,
            hidden_size=size.model.d_model,
            num_hidden_layers=size.model.n_layers,
            num_attention_heads=size.model.n_heads,
            intermediate_size=size.model.d_ff,
            max_position_embeddings=max(PADDED, size.model.context),
            global_attn_every_n_layers=1,
            embedding_dropout=size.model.dropout,
            mlp_dropout=size.model.dropout,
            pad_token_id=PAD,
            bos_token_id=BOS,
            cls_token_id=BOS,
            eos_token_id=EOS,
            sep_token_id=SEP,
            attn_implementation="sdpa",
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    masked = uniform_rate_masks(ids, torch.Generator().manual_seed(0))[0] & real
    inputs = {"input_ids": ids.masked_fill(masked, MASK), "attention_mask": real.long()}
    labels = ids.masked_fill(~masked, -100)

    def step() -> None:
        with autocast(CPU, precision):
            loss = model(**inputs, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    work = operations(size, ids.numel(), ids.shape[1], ids.numel())
    work += 6.0 * ids.numel() * size.model.d_model**2  # its head has a layer of its own
    return Way(f"ModernBERT, {precision}", step, int(real.sum()), work)


def build(size: Size, workload: str) -> dict[str, Callable[[], Way]]:
    """All ways on one workload, yet to be made; our step and the reference's each with a batch of its usual form."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    context = size.model.context
    if workload == "full rows":
        ids = torch.randint(NUM_RESERVED, NUM_RESERVED + size.vocab, (size.rows, context), generator=generator)
        rows, padded = Rows(ids, torch.ones_like(ids)), ids
        real = torch.ones_like(ids, dtype=torch.bool)
    else:
        examples = draw_examples(workload, 40 * size.rows, context, size.vocab, generator)
        packed = pack(Examples.of(examples), context, generator)
        rows = packed.take(torch.arange(min(size.rows, len(packed))))
        padded = torch.ones(size.rows, PADDED, dtype=torch.long)
        real = torch.zeros(size.rows, PADDED, dtype=torch.bool)
        for i, example in enumerate(examples[: size.rows]):
            padded[i, : len(example)] = torch.tensor(example)
            real[i, : len(example)] = True
    ways = {"ours": partial(ours, size, rows)}
    if can_compile(CPU):
        ways["ours, compiled"] = partial(ours, size, rows, compiled=True)
    for precision in ("float32", "bfloat16") if fast_bfloat16(CPU) else ("float32",):
        ways[f"plain, {precision}"] = partial(reference, size, padded, real, precision)
        if importlib.util.find_spec("transformers") is not None:
            ways[f"ModernBERT, {precision}"] = partial(modern_bert, size, padded, real, precision)
    return ways


class Process:
    """A way in a process of its own, whose memory is its own and whose allocator is as its users would have it."""

    def __init__(self, size: str, workload: str, way: str) -> None:
        self.pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self.name, self.tokens, self.operations = self.pool.submit(_make, size, workload, way).result()

    def step(self) -> float:
        """Seconds of one step."""
        return self.pool.submit(_step).result()

    def close(self) -> float:
        """End the process; bytes by which it grew at its peak."""
        memory = self.pool.submit(_memory).result()
        self.pool.shutdown()
        return memory


# The way of this process and what it took before that; set by ``_make``.
_state: dict[str, Any] = {}


def _status(name: str) -> int:
    """Bytes that the system gives under ``name`` for this process; 0 where it does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return 1024 * int(next(row for row in status.read_text().splitlines() if row.startswith(name)).split()[1])


def _make(size: str, workload: str, way: str) -> tuple[str, int, float]:
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    _state["before"] = _status("VmRSS")
    made = _state["way"] = build(SIZES[size], workload)[way]()
    return made.name, made.tokens, made.operations


def _step() -> float:
    began = time.perf_counter()
    _state["way"].step()
    return time.perf_counter() - began


def _memory() -> float:
    return _status("VmHWM") - _state["before"] if _state["before"] else float("nan")


def product_seconds(dtype: torch.dtype) -> float:
    """Seconds of the best of a few square products of PRODUCT rows."""
    a, b = (torch.randn(PRODUCT, PRODUCT, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def measure(ways: list[Process], rounds: int) -> tuple[list[float], float]:
    """Median seconds of a step of each way, the ways taken in turn after two rounds not counted; the products' peak.

    The peak, operations a second, is taken in every round: on a machine with neighbours a single moment tells little.
    """
    seconds: list[list[float]] = [[] for _ in ways]
    products = []
    for _ in range(rounds + WARM_UP):
        for way, found in zip(ways, seconds, strict=True):
            found.append(way.step())
        products.append(product_seconds(product_dtype(CPU, SETTINGS.precision)))
    return [statistics.median(found[WARM_UP:]) for found in seconds], 2 * PRODUCT**3 / min(products)


def main() -> None:
    """Measure the sizes and workloads asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--workloads", nargs="+", choices=["full rows", *LENGTHS], default=["full rows", *LENGTHS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print("| size | workload | way | tokens/s | ours is faster by | utilisation | memory |")
    print("|---|---|---|---|---|---|---|")
    found = []
    for name, workload in itertools.product(arguments.sizes, arguments.workloads):
        ways = [Process(name, workload, way) for way in build(SIZES[name], workload)]
        seconds, peak = measure(ways, arguments.rounds)
        for way, each in zip(ways, seconds, strict=True):
            rate, memory = way.tokens / each, way.close() / 1e9
            ratio, share = ways[0].tokens / seconds[0] / rate, way.operations / each / peak
            row = {"size": name, "workload": workload, "way": way.name, "tokens_per_second": rate}
            found.append({**row, "ratio": ratio, "utilisation": share, "peak": peak, "memory": memory})
            cells = (name, workload, way.name, f"{rate:,.0f}", f"{ratio:.1f}", f"{share:.0%}", f"{memory:.2f} GB")
            print("|", " | ".join(cells), "|", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
