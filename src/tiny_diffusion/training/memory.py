"""How much memory a training run takes, by arithmetic alone.

With P parameters, B rows of T tokens in a forward pass (with BOS for a dual model), L layers, width d, feed-forward
width f, V token ids:

* parameters: 4 P bytes (float32); gradients: 4 P; averaged weights: 4 P (kept even if ``ema_decay`` is 0)
* optimizer: AdamW keeps 8 bytes per parameter, Muon 4 bytes per parameter of the blocks' matrices
* a block keeps for its backward pass, per token, in bfloat16: STREAM_COPIES d values of float32 (what the norms read)
  and WIDTH_COPIES d + FEED_FORWARD_COPIES f of bfloat16 (the norms' outputs, queries, keys and values before and after
  rotation, attention's output; the gate with its input and output); in float32 all of these in float32; with
  normalised queries and keys QK_NORM_COPIES d more
* activations: what is kept from the forward to the backward pass: L of these blocks, or with gradient checkpointing L
  block inputs (d float32 each); with dropout one byte for each of the two d of every block and of the embedding; in
  bfloat16 a copy of the blocks' matrices. Two moments come on top. One is the head's: OUTSIDE_COPIES d float32 per
  token, the gradient of the output table, and LOGIT_COPIES times V float32 for each of HEAD_ROWS positions. The other
  is a block's backward pass: BACKWARD_BLOCKS for its gradients, or CHECKPOINT_BLOCKS if it is recomputed. On CUDA the
  two share their memory; on a CPU's heap they add up. A CPU in bfloat16 also keeps, up to EXPLICIT_TOKENS, the
  attention weights of every block, B H T^2 values, and SCORE_COPIES of one block's scores. All of this is multiplied
  by OVERHEAD, which is what the allocator wastes.
* teachers: 4 bytes for each of their parameters. They read before the model does, and keep a state of float32 for each
  token; of a piece of HEAD_ROWS positions LAW_COPIES times V float32 come on top
* total, the peak: parameters + optimizer + EMA + teachers + the larger of two moments: the start of the backward pass
  (activations, and the gradients so far: all of them if gradients accumulate over several passes, else those of the
  output table; each of several processes has its share of the rows) and the optimiser's step (gradients, and
  MUON_COPIES of the matrices that Muon updates together); and WORKSPACE, which is what the kernels take for
  themselves

The constants are fitted to ``benchmarks/memory.py``: on a CPU to the growth of the process, on CUDA to what the
allocator hands out. The interpreter and torch (RUNTIME_BYTES) are in ``process`` only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ..allocator import SCRATCH, check_address_space
from ..config import ModelConfig, ProjectConfig
from ..errors import UserError
from ..model.layers import EXPLICIT_TOKENS
from ..model.loss import HEAD_ROWS
from .optimizers import MUON_VALUES

Device = Literal["cpu", "cuda"]

FLOAT32 = 4
BFLOAT16 = 2
ADAMW_STATES = 2
MUON_STATES = 1
STREAM_COPIES = 2
WIDTH_COPIES = 9
QK_NORM_COPIES = 2
OUTSIDE_COPIES: dict[Device, int] = {"cpu": 7, "cuda": 3}
BACKWARD_BLOCKS = 1
CHECKPOINT_BLOCKS: dict[Device, int] = {"cpu": 4, "cuda": 1}
FEED_FORWARD_COPIES = 3
LOGIT_COPIES = 3
LAW_COPIES = 3
MUON_COPIES = 5
SCORE_COPIES = 3
OVERHEAD: dict[Device, float] = {"cpu": 1.12, "cuda": 1.0}
WORKSPACE: dict[Device, int] = {"cpu": 60_000_000, "cuda": 10_000_000}
RUNTIME_BYTES: dict[Device, int] = {"cpu": 350_000_000, "cuda": 600_000_000}
GB = 1_000_000_000


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by use; ``total`` is the peak, not the sum (see above), and ``process`` with the interpreter and torch."""

    parameters: int
    gradients: int
    optimizer: int
    ema: int
    activations: int
    teachers: int
    total: int
    process: int


def estimate_memory(
    project: ProjectConfig,
    vocab_size: int,
    *,
    device: str = "cpu",
    bfloat16: bool | None = None,
    processes: int = 1,
    teachers: Sequence[ModelConfig] = (),
) -> MemoryEstimate:
    """Memory of training ``project`` with ``vocab_size`` token ids on ``device``; any but CUDA is counted as a CPU.

    If several ``processes`` share a batch, the estimate is for the one with most rows. ``bfloat16`` says what
    ``training.precision="auto"`` means on this machine; None counts a CPU as float32. ``teachers``: the shapes of
    ``training.teachers``.
    """
    model, training = project.model, project.training
    kind: Device = "cuda" if device == "cuda" else "cpu"
    count = model.parameters(vocab_size)
    by_muon = block_matrices(model) if training.optimizer == "muon" else 0
    by_adamw = count - by_muon
    parameters = gradients = FLOAT32 * count
    optimizer = FLOAT32 * (ADAMW_STATES * by_adamw + MUON_STATES * by_muon)
    ema = FLOAT32 * count
    precision = training.precision
    half = precision == "bfloat16" or (precision == "auto" and (kind == "cuda" if bfloat16 is None else bfloat16))
    share = -(-training.batch_size // processes)
    rows = min(training.micro_batch_size or share, share)
    activations = _activations(project, rows, vocab_size, kind, half)
    early_gradients = gradients if rows < share else FLOAT32 * vocab_size * model.d_model
    turned = FLOAT32 * MUON_COPIES * min(by_muon, MUON_VALUES)
    taught = FLOAT32 * sum(shape.parameters(vocab_size) for shape in teachers)
    reading = _reading(teachers, rows, kind, half) + (gradients if rows < share else 0)
    learning = activations + early_gradients + _lesson(teachers, rows, vocab_size, kind)
    peak = max(reading, learning, gradients + turned) + WORKSPACE[kind]
    total = parameters + optimizer + ema + taught + peak
    return MemoryEstimate(
        parameters, gradients, optimizer, ema, activations, taught, total, total + RUNTIME_BYTES[kind]
    )


def check_memory(
    project: ProjectConfig,
    vocab_size: int,
    *,
    device: str = "cpu",
    processes: int = 1,
    teachers: Sequence[ModelConfig] = (),
) -> None:
    """Check the estimate before any of it is taken.

    Raises:
        UserError: it is above ``training.memory_limit_gb``; the message says what to lower.
        WorldError: a limit of the process leaves a run on a CPU too little (``check_address_space``).
    """
    training, limit = project.training, project.training.memory_limit_gb
    estimate = estimate_memory(project, vocab_size, device=device, processes=processes, teachers=teachers)
    if device == "cpu":
        _check_limit(estimate.total)
    needed = estimate.process / GB
    if limit == 0 or needed <= limit:
        return
    advice = "" if training.gradient_checkpointing else ", or set training.gradient_checkpointing=true"
    raise UserError(
        f"training.memory_limit_gb={limit:g} is below the estimated {needed:.1f} GB with training.batch_size="
        f"{training.batch_size} and training.micro_batch_size={training.micro_batch_size}: "
        f"lower training.micro_batch_size{advice}, or take a smaller model"
    )


@cache  # a second run of this size takes what the first one has freed
def _check_limit(needed: int) -> None:
    """Raise WorldError where a limit of this process leaves less than ``needed`` bytes beside SCRATCH."""
    check_address_space(needed + SCRATCH, "this run and torch's kernels and threads")


def block_matrices(model: ModelConfig) -> int:
    """Number of parameters in the blocks' matrices."""
    return model.n_layers * (4 * model.d_model**2 + 3 * model.d_model * model.d_ff)


def _row(model: ModelConfig) -> int:
    """Tokens of a row; a dual model's holds BOS beside the context."""
    return model.context + model.dual


def _block(model: ModelConfig, half: bool) -> int:
    """Bytes per token that a block keeps for its backward pass, without attention weights."""
    copies = WIDTH_COPIES + QK_NORM_COPIES * model.qk_norm
    values = copies * model.d_model + FEED_FORWARD_COPIES * model.d_ff
    return FLOAT32 * STREAM_COPIES * model.d_model + (BFLOAT16 if half else FLOAT32) * values


def _reading(teachers: Sequence[ModelConfig], rows: int, device: Device, half: bool) -> int:
    """Bytes that the largest of the ``teachers`` takes while it reads ``rows`` rows, of which nothing is kept."""
    found = 0
    for model in teachers:
        token = _block(model, half) + OUTSIDE_COPIES[device] * FLOAT32 * model.d_model
        if half and device == "cpu" and _row(model) <= EXPLICIT_TOKENS:
            token += SCORE_COPIES * model.heads * _row(model) * BFLOAT16
        found = max(found, rows * _row(model) * token)
    return round(OVERHEAD[device] * found)


def _lesson(teachers: Sequence[ModelConfig], rows: int, vocab_size: int, device: Device) -> int:
    """Bytes of what the ``teachers`` say about ``rows`` rows: a state per token and teacher, and a piece's laws."""
    if not teachers:
        return 0
    tokens = rows * max(map(_row, teachers))
    states = tokens * FLOAT32 * sum(model.d_model for model in teachers)
    laws = min(tokens, HEAD_ROWS[device]) * vocab_size * FLOAT32 * LAW_COPIES
    return round(OVERHEAD[device] * (states + laws))


def _activations(project: ProjectConfig, rows: int, vocab_size: int, device: Device, half: bool) -> int:
    """Bytes kept for the backward pass of ``rows`` rows, with the head's logits."""
    model, training = project.model, project.training
    tokens = rows * _row(model)
    block = _block(model, half)
    again = CHECKPOINT_BLOCKS[device] if training.gradient_checkpointing else BACKWARD_BLOCKS
    kept = model.n_layers * (FLOAT32 * model.d_model if training.gradient_checkpointing else block)
    if half and device == "cpu" and _row(model) <= EXPLICIT_TOKENS:
        layers = again if training.gradient_checkpointing else model.n_layers
        kept += (layers + SCORE_COPIES) * model.heads * _row(model) * BFLOAT16
    if model.dropout > 0:
        kept += (2 * model.n_layers + 1) * model.d_model
    casts = BFLOAT16 * block_matrices(model) if half else 0
    logits = min(tokens, HEAD_ROWS[device]) * vocab_size * FLOAT32 * LOGIT_COPIES
    table = FLOAT32 * vocab_size * model.d_model
    head = tokens * OUTSIDE_COPIES[device] * FLOAT32 * model.d_model + logits + table
    backward = tokens * again * block
    moment = max(head, backward) if device == "cuda" else head + backward
    return round(OVERHEAD[device] * (tokens * kept + casts + moment))
