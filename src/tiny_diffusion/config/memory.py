"""How much memory a training run takes, by arithmetic alone.

With P parameters, B rows of T tokens in a forward pass, L layers, width d, feed-forward width f, V token ids:

* parameters: 4 P bytes (float32); gradients: 4 P; averaged weights: 4 P (kept even where ``ema_decay`` is 0)
* optimizer: AdamW keeps 8 bytes a parameter, Muon 4 bytes a parameter of the blocks' matrices
* a block keeps for its backward pass, per token, in bfloat16: STREAM_COPIES d values of float32 (what the norms read)
  and WIDTH_COPIES d + FEED_FORWARD_COPIES f of bfloat16 (the norms' outputs, queries, keys and values before and after
  rotation, attention's output; the gate with its input and output); in float32 all of these in float32; with
  normalised queries and keys QK_NORM_COPIES d more
* activations: what stays from the forward to the backward pass, L such blocks, or with gradient checkpointing L block
  inputs (d float32 each); with dropout a byte for each of the two d of every block and of the embedding; in bfloat16 a
  copy of the blocks' matrices. Then two moments: the head's, with OUTSIDE_COPIES d float32 per token, the gradient of
  the output table and the logits of HEAD_ROWS positions, LOGIT_COPIES times V float32; and a block's way back, with
  BACKWARD_BLOCKS for the gradients under way, or CHECKPOINT_BLOCKS where it is made anew. CUDA's allocator gives the
  memory of the one to the other; on a CPU's heap they add up. On a CPU in bfloat16, up to EXPLICIT_TOKENS, the
  attention's weights of every block, B H T^2 values, and SCORE_COPIES of one block's scores. All of it times OVERHEAD,
  what the allocator wastes.
* total, the peak: parameters + optimizer + EMA + the larger of two moments: the start of the backward pass
  (activations, and the gradients so far: all of them if gradients accumulate over several passes, else the
  output table's; of several processes each has its share of the rows, buckets for all gradients, and while it
  accumulates the gradients themselves beside them) and the optimiser's step (gradients, and MUON_COPIES of the
  matrices that Muon turns at the same time); and WORKSPACE, what the kernels take for themselves

The constants are fitted to ``benchmarks/memory.py``: on a CPU to the growth of the process, on CUDA to what its
allocator gives out.
The interpreter and torch themselves (RUNTIME_BYTES) are not in the estimate; ``fits`` adds them.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from tiny_diffusion.errors import UserError

from .model_config import ModelConfig
from .training_config import TrainingConfig

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
# Positions whose logits exist at the same time: few enough for a CPU's cache, many enough to keep CUDA busy.
HEAD_ROWS = {"cpu": 256, "cuda": 4096}
# Values of the matrices that Muon turns at the same time, and the copies that it makes of them.
MUON_VALUES = 4_000_000
MUON_COPIES = 5
# Up to so many tokens a CPU in bfloat16 keeps the matrix of attention's scores; beyond, it costs too much memory.
EXPLICIT_TOKENS = 512
SCORE_COPIES = 3
OVERHEAD: dict[Device, float] = {"cpu": 1.12, "cuda": 1.0}
WORKSPACE: dict[Device, int] = {"cpu": 60_000_000, "cuda": 10_000_000}
RUNTIME_BYTES: dict[Device, int] = {"cpu": 350_000_000, "cuda": 600_000_000}
GB = 1_000_000_000


class RunSettings(Protocol):
    """What a run's memory depends on; a ``ProjectConfig`` has it."""

    @property
    def model(self) -> ModelConfig:
        """The model's shape."""

    @property
    def training(self) -> TrainingConfig:
        """Batch, precision, optimizer."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by use; ``total`` is the peak, not the sum (see the module's text)."""

    parameters: int
    gradients: int
    optimizer: int
    ema: int
    activations: int
    total: int


def estimate_memory(
    project: RunSettings,
    vocab_size: int,
    *,
    device: Device = "cpu",
    bfloat16: bool | None = None,
    processes: int = 1,
) -> MemoryEstimate:
    """Memory of training ``project`` with ``vocab_size`` token ids on a kind of device, in bytes.

    ``processes`` share a batch: the estimate is of the one with most rows. ``bfloat16`` says what
    ``training.precision="auto"`` means on this machine; unknown, a CPU counts as float32.
    """
    model, training = project.model, project.training
    count = model.parameters(vocab_size)
    by_muon = block_matrices(model) if training.optimizer == "muon" else 0
    by_adamw = count - by_muon
    parameters = gradients = FLOAT32 * count
    optimizer = FLOAT32 * (ADAMW_STATES * by_adamw + MUON_STATES * by_muon)
    ema = FLOAT32 * count
    precision = training.precision
    half = precision == "bfloat16" or (precision == "auto" and (device == "cuda" if bfloat16 is None else bfloat16))
    share = -(-training.batch_size // processes)
    rows = min(training.micro_batch_size or share, share)
    activations = _activations(project, rows, vocab_size, device, half)
    early_gradients = gradients if rows < share else FLOAT32 * vocab_size * model.d_model
    if processes > 1:
        early_gradients = gradients * (2 if rows < share else 1)
    turned = FLOAT32 * MUON_COPIES * min(by_muon, MUON_VALUES)
    peak = max(activations + early_gradients, gradients + turned) + WORKSPACE[device]
    return MemoryEstimate(parameters, gradients, optimizer, ema, activations, parameters + optimizer + ema + peak)


def fits(
    project: RunSettings, vocab_size: int, available_bytes: int, *, device: Device = "cpu", processes: int = 1
) -> bool:
    """Whether the run, with the interpreter and torch, stays within ``available_bytes``."""
    total = estimate_memory(project, vocab_size, device=device, processes=processes).total
    return total + RUNTIME_BYTES[device] <= available_bytes


def check_memory(project: RunSettings, vocab_size: int, *, device: Device = "cpu", processes: int = 1) -> None:
    """Refuse a run that is estimated above ``training.memory_limit_gb`` (0: no limit).

    Raises:
        UserError: the run is too large; the line says which settings to lower.
    """
    limit = project.training.memory_limit_gb
    if limit == 0 or fits(project, vocab_size, int(limit * GB), device=device, processes=processes):
        return
    training = project.training
    estimate = estimate_memory(project, vocab_size, device=device, processes=processes)
    needed = (estimate.total + RUNTIME_BYTES[device]) / GB
    advice = "" if training.gradient_checkpointing else ", or set training.gradient_checkpointing=true"
    raise UserError(
        f"training.memory_limit_gb={limit:g} is below the estimated {needed:.1f} GB with training.batch_size="
        f"{training.batch_size} and training.micro_batch_size={training.micro_batch_size}: "
        f"lower training.micro_batch_size{advice}, or take a smaller model"
    )


def block_matrices(model: ModelConfig) -> int:
    """Number of parameters in the blocks' matrices."""
    return model.n_layers * (4 * model.d_model**2 + 3 * model.d_model * model.d_ff)


def _activations(project: RunSettings, rows: int, vocab_size: int, device: Device, half: bool) -> int:
    """Bytes kept for the backward pass of ``rows`` rows, with the head's logits."""
    model, training = project.model, project.training
    tokens = rows * model.context
    width = BFLOAT16 if half else FLOAT32
    copies = WIDTH_COPIES + QK_NORM_COPIES * model.qk_norm
    block = FLOAT32 * STREAM_COPIES * model.d_model
    block += width * (copies * model.d_model + FEED_FORWARD_COPIES * model.d_ff)
    again = CHECKPOINT_BLOCKS[device] if training.gradient_checkpointing else BACKWARD_BLOCKS
    kept = model.n_layers * (FLOAT32 * model.d_model if training.gradient_checkpointing else block)
    if half and device == "cpu" and model.context <= EXPLICIT_TOKENS:
        layers = again if training.gradient_checkpointing else model.n_layers
        kept += (layers + SCORE_COPIES) * model.heads * model.context * BFLOAT16
    if model.dropout > 0:
        kept += (2 * model.n_layers + 1) * model.d_model
    casts = BFLOAT16 * block_matrices(model) if half else 0
    logits = min(tokens, HEAD_ROWS[device]) * vocab_size * FLOAT32 * LOGIT_COPIES
    table = FLOAT32 * vocab_size * model.d_model
    head = tokens * OUTSIDE_COPIES[device] * FLOAT32 * model.d_model + logits + table
    backward = tokens * again * block
    moment = max(head, backward) if device == "cuda" else head + backward
    return round(OVERHEAD[device] * (tokens * kept + casts + moment))
