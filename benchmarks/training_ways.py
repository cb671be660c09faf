"""The ways to train that ``training.py`` compares: the project's, a plain reference, and Hugging Face's ModernBERT."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from plain import PlainModel, plain_loss
from torch import Tensor
from workloads import CPU, PADDED, Size, draw_batches

from tiny_diffusion.allocator import keep_freed_memory
from tiny_diffusion.config import TrainingConfig
from tiny_diffusion.data.tokenizer import BOS, END, MASK, NUM_RESERVED, PAD, SEP
from tiny_diffusion.model.loss import diffusion_loss
from tiny_diffusion.model.schedule import LinearSchedule, uniform_time_masks
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.runtime import autocast, can_compile, fast_bfloat16
from tiny_diffusion.training.optimizers import clip_gradients, make_optimizers
from tiny_diffusion.training.rows import Rows

if importlib.util.find_spec("transformers") is not None:
    from transformers import ModernBertConfig, ModernBertForMaskedLM

SETTINGS = TrainingConfig(optimizer="adamw", learning_rate=1e-3)


@dataclass
class Way:
    """One way to train: a step to time, the real tokens of a step and the products it executes."""

    name: str
    step: Callable[[], None]
    tokens: int
    operations: float


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
    masked, t = uniform_time_masks(rows.ids, model.schedule, generator)
    masked &= rows.scorable
    if compiled:
        model.compile_blocks(*rows.ids.shape)

    def step() -> None:
        with autocast(CPU, SETTINGS.precision):
            loss = diffusion_loss(model, rows.ids, masked, t, weighting="mean", documents=rows.documents)
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
    masked = uniform_time_masks(ids, LinearSchedule(), torch.Generator().manual_seed(0))[0] & real

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
            num_attention_heads=size.model.heads,
            intermediate_size=size.model.d_ff,
            max_position_embeddings=max(PADDED, size.model.context),
            global_attn_every_n_layers=1,
            embedding_dropout=size.model.dropout,
            mlp_dropout=size.model.dropout,
            pad_token_id=PAD,
            bos_token_id=BOS,
            cls_token_id=BOS,
            eos_token_id=END,
            sep_token_id=SEP,
            attn_implementation="sdpa",
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    masked = uniform_time_masks(ids, LinearSchedule(), torch.Generator().manual_seed(0))[0] & real
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
    batches = draw_batches(size, workload)
    ways = {"ours": partial(ours, size, batches.packed)}
    if can_compile(CPU):
        ways["ours, compiled"] = partial(ours, size, batches.packed, compiled=True)
    for precision in ("float32", "bfloat16") if fast_bfloat16(CPU) else ("float32",):
        ways[f"plain, {precision}"] = partial(reference, size, batches.padded, batches.real, precision)
        if importlib.util.find_spec("transformers") is not None:
            ways[f"ModernBERT, {precision}"] = partial(modern_bert, size, batches.padded, batches.real, precision)
    return ways
