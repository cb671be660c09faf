"""The loss curves of the fast ways and of a plain one, side by side: ``python benchmarks/same_curve.py``.

One small model without dropout, from the same weights on the same rows and masks of Python's language reference: the
plain model of ``plain.py`` in float32; the same with its weights moved by a millionth (what rounding grows to, the
noise); ours; ours compiled; and ours in bfloat16 where the machine is fast in it (``--bfloat16``: anywhere).
Prints the mean loss of each tenth.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from plain import PlainModel, plain_loss
from torch import Tensor, nn

from tiny_diffusion.config import ModelConfig, PipelineConfig
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.data.pipeline import prepare
from tiny_diffusion.data.reading.example import write_reference_text
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED
from tiny_diffusion.model.loss import diffusion_loss
from tiny_diffusion.model.schedule import LinearSchedule, uniform_time_masks
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.runtime import autocast, can_compile, fast_bfloat16, generator_for

CPU = torch.device("cpu")
SHAPE = ModelConfig(d_model=128, n_layers=3, n_heads=2, d_ff=352, context=128, vocab_level=2, dropout=0.0)
ROWS = 16
TENTHS = 10


def read_rows() -> tuple[Tensor, int]:
    """Rows of the language reference (R, context), and the number of ids."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in prepare(write_reference_text(folder / "book.txt"), folder / "processed", PipelineConfig()):
            pass
        data = load_processed(folder / "processed")
    ids = torch.tensor(data.tokenizer.encode("\n\n".join(data.texts("train")), SHAPE.vocab_level))
    rows = ids[: len(ids) // SHAPE.context * SHAPE.context].view(-1, SHAPE.context)
    return rows, NUM_RESERVED + data.tokenizer.level_size(SHAPE.vocab_level)


def copy_weights(plain: PlainModel, model: Transformer) -> None:
    """Give ``model`` the plain model's weights."""
    pairs = [(model.embedding.weight, plain.embedding.weight), (model.norm.weight, plain.norm.weight)]
    for block, old in zip(model.blocks, plain.blocks, strict=True):
        pairs += [
            (block.attention.qkv.weight, torch.cat((old.q.weight, old.k.weight, old.v.weight))),
            (block.attention.out.weight, old.o.weight),
            (block.feed_forward.gate_up.weight, torch.cat((old.gate.weight, old.up.weight))),
            (block.feed_forward.down.weight, old.down.weight),
        ]
    with torch.no_grad():
        for new, value in pairs:
            new.copy_(value)


def train(
    model: nn.Module, loss_of: Callable[[Tensor, Tensor, Tensor], Tensor], rows: Tensor, steps: int
) -> list[float]:
    """Losses of ``steps`` steps of AdamW; rows and masks are the same for every model."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    found = []
    for step in range(steps):
        generator = generator_for(step)
        ids = rows[torch.randint(len(rows), (ROWS,), generator=generator)]
        masked, t = uniform_time_masks(ids, LinearSchedule(), generator)
        loss = loss_of(ids, masked, t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    return found


def plain_curve(rows: Tensor, vocab: int, steps: int, nudge: float) -> list[float]:
    """The plain model in float32, its weights scaled by 1 + ``nudge``."""
    torch.manual_seed(0)
    model = PlainModel(SHAPE, vocab, SHAPE.context)
    with torch.no_grad():
        torch._foreach_mul_(list(model.parameters()), 1 + nudge)
    real = torch.ones(ROWS, SHAPE.context, dtype=torch.bool)

    # Our head has no reserved ids to choose: neither has the plain one that it is held against.
    def loss_of(ids: Tensor, masked: Tensor, t: Tensor) -> Tensor:
        return plain_loss(model, ids, masked, real, MASK, NUM_RESERVED)

    return train(model, loss_of, rows, steps)


def our_curve(rows: Tensor, vocab: int, steps: int, *, compiled: bool, precision: str) -> list[float]:
    """Ours, from the plain model's weights."""
    torch.manual_seed(0)
    plain = PlainModel(SHAPE, vocab, SHAPE.context)
    model = Transformer(SHAPE, vocab, NUM_RESERVED)
    copy_weights(plain, model)
    if compiled:
        model.compile_blocks(ROWS, SHAPE.context)

    def loss_of(ids: Tensor, masked: Tensor, t: Tensor) -> Tensor:
        with autocast(CPU, precision):
            return diffusion_loss(model, ids, masked, t, weighting="mean") / masked.sum()

    return train(model, loss_of, rows, steps)


def main() -> None:
    """Train each way and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--bfloat16", action="store_true", help="in bfloat16 too, even where it is emulated")
    arguments = parser.parse_args()
    rows, vocab = read_rows()
    nudges = {"plain": 0.0, "plain, nudged": 1e-6}
    curves = {name: plain_curve(rows, vocab, arguments.steps, nudge) for name, nudge in nudges.items()}
    curves["ours"] = our_curve(rows, vocab, arguments.steps, compiled=False, precision="float32")
    if can_compile(CPU):
        curves["ours, compiled"] = our_curve(rows, vocab, arguments.steps, compiled=True, precision="float32")
    if arguments.bfloat16 or fast_bfloat16(CPU):
        curves["ours, bfloat16"] = our_curve(rows, vocab, arguments.steps, compiled=False, precision="bfloat16")
    length = arguments.steps // TENTHS
    print("| way |", " | ".join(f"to {(i + 1) * length}" for i in range(TENTHS)), "|")
    print("|---" * (TENTHS + 1) + "|")
    for name, losses in curves.items():
        means = [sum(losses[i * length : (i + 1) * length]) / length for i in range(TENTHS)]
        print(f"| {name} |", " | ".join(f"{mean:.3f}" for mean in means), "|", flush=True)


if __name__ == "__main__":
    main()
