"""How the weights are learnt: optimiser, schedule, batch, memory, logs."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .base import LARGEST_SEED, Config

Share = Annotated[float, Field(ge=0, le=1)]


class Optimisation(Config):
    """Every run reads these, in a study too."""

    batch_size: int = Field(32, ge=1)
    """Rows of the model's context length in one optimiser step."""
    micro_batch_size: int = Field(0, ge=0)
    """Rows in one forward pass; gradients accumulate to batch_size; 0: the whole batch."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """muon: Muon on the blocks' matrices and AdamW elsewhere; adamw: AdamW everywhere."""
    learning_rate: float = Field(1e-3, gt=0)
    """AdamW's peak learning rate."""
    muon_learning_rate: float = Field(0.02, gt=0)
    """Muon's peak learning rate."""
    weight_decay: float = Field(0.1, ge=0)
    """Decoupled weight decay on matrices."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """AdamW's first moment decay."""
    beta2: float = Field(0.95, ge=0, lt=1)
    """AdamW's second moment decay."""
    momentum: float = Field(0.95, ge=0, lt=1)
    """Muon's momentum."""
    scheduler: Literal["cosine_with_restarts", "linear", "constant"] = "linear"
    """linear: flat, then to min_lr_ratio over the last decay_share of the run; cosine_with_restarts: a cosine from the
    peak in each stage; constant."""
    decay_share: float = Field(0.5, gt=0, le=1)
    """Share of the run over which the linear schedule decays."""
    min_lr_ratio: float = Field(0.0, ge=0, le=1)
    """Learning rate at the end, as a share of the peak."""
    restart_decay: float = Field(0.7, gt=0, le=1)
    """Peak of each restart as a share of the one before (cosine_with_restarts)."""
    warmup_steps: int = Field(1000, ge=0)
    """Linear warm-up, at most 5 % of the run's steps and half of the first stage's."""
    gradient_clipping: float = Field(1.0, ge=0)
    """Largest gradient norm; 0: no clipping."""
    loss_weighting: Literal["mean", "bound"] = "mean"
    """mean: plain cross-entropy over masked tokens; bound: the schedule's weights, 1/t if it is linear, which give the
    likelihood bound."""
    control_dropout: float = Field(0.5, ge=0, le=1)
    """Share of rows trained without any control; in the others each control is left out half the time."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target spread over all text tokens."""
    mask_schedule: Literal["linear", "cosine"] = "linear"
    """Mask rate at the time t of the diffusion, in training and in samplers; linear: t; cosine: sin(pi/2 t), which
    shows high rates more often."""
    masking_strategy: Literal["uniform", "whole_word", "span", "rare_first"] = "uniform"
    """Which tokens are masked in training; all but uniform are augmentation."""
    strategy_share: float = Field(0.5, ge=0, le=1)
    """Share of rows masked by masking_strategy; the others are masked uniformly."""
    merge_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the tokenizer's merges that words lack in the last stage, so that they come in other tokens; from all
    words in its first epoch to none after three quarters (paragraphs only; not in a stage of 12 epochs or less)."""
    span_length: int = Field(3, ge=1)
    """Mean length of a span for masking_strategy=span, in tokens."""
    ema_decay: float = Field(0.99, ge=0, lt=1)
    """Decay of the averaged weights per step; 0: no averaging."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """auto: bfloat16 matrix products where the machine computes them fast, else float32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the blocks with torch.compile; auto: where it saves time (bfloat16 CPUs and CUDA, long runs)."""
    gradient_checkpointing: bool = False
    """Recompute blocks in the backward pass to save memory."""
    device: str = "auto"
    """A torch device such as cuda:1, or auto: cuda, then mps, then cpu."""
    memory_limit_gb: float = Field(0.0, ge=0)
    """Refuse a run estimated above this many GB; 0: no limit."""
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    """Seed of initial weights, order of rows and masks."""
    eval_every_epochs: int = Field(1, ge=1)
    """Validate and save after every this many epochs."""
    validation_draws: int = Field(8, ge=1)
    """Fixed masks per validation window."""
    self_training_share: float = Field(0.0, ge=0, lt=1)
    """Pseudo-data: share of the last stage's rows that the model writes itself."""
    threads: int = Field(0, ge=0)
    """CPU threads; 0: torch's own choice."""


class SingleRun(Config):
    """Settings of one run by itself. A study chooses them for its runs, or has no use for them."""

    objective: Literal["diffusion", "dual", "autoregressive"] = "diffusion"
    """Masked diffusion; next token (needs model.causal); or both in one network (needs model.dual)."""
    causal_share: tuple[Share, Share] = (0.5, 0.5)
    """Dual: share of each batch's rows that learn the next token, at the run's start and at its end."""
    teachers: tuple[str, ...] = ()
    """Checkpoints whose laws the run learns beside the text; of the same data, model.context, model.vocab_level and
    objective."""
    teacher_share: Share = 0.6
    """Share of each target that is the mean of the teachers' laws; the rest is the token of the text."""
    student_epochs: float = Field(1.6, gt=0)
    """train --student: epochs of the student's last stage for each of its members' (rounded)."""
    max_steps: int = Field(0, ge=0)
    """End after this many optimiser steps, the schedule included, even within an epoch; 0: never."""
    early_stopping_patience: int = Field(0, ge=0)
    """End a stage after this many validations without a new best, the last stage with a cool-down; 0: never."""
    cooldown_share: float = Field(0.2, ge=0, le=1)
    """After early stopping the learning rate decays for this share of the steps (or time) taken so far."""
    time_budget_minutes: float = Field(60.0, gt=0)
    """Minutes that train takes when it chooses the size itself: without a GPU, --config and --time-budget."""
    sample_every_epochs: int = Field(10, ge=0)
    """Write a sample after every this many epochs; 0: never."""
    tensorboard: bool = False
    """Write TensorBoard logs (needs the tensorboard extra)."""
    tracker: Literal["none", "wandb", "mlflow"] = "none"
    """Report the run to Weights & Biases or MLflow too, by their own library."""


class TrainingConfig(SingleRun, Optimisation):
    """Optimisation and the training loop. The groups above are its parts."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.micro_batch_size > self.batch_size:
            raise ValueError(f"micro_batch_size={self.micro_batch_size} is above batch_size={self.batch_size}")
        return self

    @classmethod
    def default(cls) -> Self:
        """Muon on matrices, mean weighting, EMA."""
        return cls()

    @classmethod
    def memory_efficient(cls) -> Self:
        """For 8 GB: batches of 32 in passes of 16, with gradient checkpointing.

        Smaller passes save little more memory, and a small GPU waits for the host between them (docs/performance.md).
        """
        return cls(micro_batch_size=16, gradient_checkpointing=True, memory_limit_gb=8.0)

    @classmethod
    def fast_debug(cls) -> Self:
        """Small batches, little warm-up, a sample after every epoch."""
        return cls(batch_size=8, warmup_steps=10, validation_draws=4, sample_every_epochs=1)
