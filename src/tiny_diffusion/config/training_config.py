"""How the weights are learnt: optimiser, schedule, batch, memory, logs."""

from typing import Literal, Self

from pydantic import Field, model_validator

from .base import LARGEST_SEED, Config


class TrainingConfig(Config):
    """Optimisation and the training loop."""

    objective: Literal["diffusion", "dual", "autoregressive"] = Field(
        "diffusion",
        description="masked diffusion; or next token (needs model.causal); or both in one network (needs model.dual)",
    )
    causal_share: tuple[float, float] = Field(
        (0.5, 0.5),
        description="dual: share of each batch's rows that learn the next token, at the run's start and at its end",
    )
    batch_size: int = Field(32, ge=1, description="rows of the model's context length in one optimiser step")
    micro_batch_size: int = Field(
        0,
        ge=0,
        description="rows in one forward pass, gradients accumulate to batch_size; 0: the whole batch",
    )
    optimizer: Literal["muon", "adamw"] = Field(
        "muon", description="muon: Muon on the blocks' matrices and AdamW elsewhere; adamw: AdamW everywhere"
    )
    learning_rate: float = Field(1e-3, gt=0, description="AdamW's peak learning rate")
    muon_learning_rate: float = Field(0.02, gt=0, description="Muon's peak learning rate")
    weight_decay: float = Field(0.1, ge=0, description="decoupled weight decay on matrices")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's first moment decay")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW's second moment decay")
    momentum: float = Field(0.95, ge=0, lt=1, description="Muon's momentum")
    scheduler: Literal["cosine_with_restarts", "linear", "constant"] = Field(
        "linear",
        description="linear: flat, then to min_lr_ratio over the last decay_share of the run; "
        "cosine_with_restarts: a cosine from the peak in each stage; constant",
    )
    decay_share: float = Field(0.5, gt=0, le=1, description="share of the run over which 'linear' decays")
    min_lr_ratio: float = Field(0.0, ge=0, le=1, description="learning rate at the end, as a share of the peak")
    restart_decay: float = Field(
        0.7,
        gt=0,
        le=1,
        description="peak of each restart as a share of the one before (cosine_with_restarts)",
    )
    warmup_steps: int = Field(1000, ge=0, description="linear warm-up, at most 5 % of the run's steps")
    gradient_clipping: float = Field(1.0, ge=0, description="largest gradient norm; 0: no clipping")
    loss_weighting: Literal["mean", "bound"] = Field(
        "mean",
        description="mean: plain cross-entropy over masked tokens; bound: the schedule's weights, 1/t if it is linear, "
        "which give the likelihood bound",
    )
    control_dropout: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of rows trained without any control; in the others each control is left out half the time",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all text tokens")
    mask_schedule: Literal["linear", "cosine"] = Field(
        "linear",
        description="how the mask rate grows with the time t, in training and in samplers: linear: t; cosine: "
        "sin(pi/2 t), with high rates more often",
    )
    masking_strategy: Literal["uniform", "whole_word", "span", "rare_first"] = Field(
        "uniform", description="which tokens are masked in training; those but uniform are augmentation"
    )
    strategy_share: float = Field(0.5, ge=0, le=1, description="share of rows masked by a strategy but uniform")
    span_length: int = Field(3, ge=1, description="mean length of a span for masking_strategy=span, in tokens")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="decay a step of the averaged weights; 0: no averaging")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="bfloat16 matrix products where the machine has them fast, else float32"
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="torch.compile for the blocks; auto: where it was seen to pay (bfloat16 CPUs and CUDA, long runs)",
    )
    gradient_checkpointing: bool = Field(False, description="recompute blocks in the backward pass to save memory")
    device: str = Field("auto", description="auto (cuda, then mps, then cpu), or a torch device such as cuda:1")
    memory_limit_gb: float = Field(0.0, ge=0, description="refuse a run estimated above this many GB; 0: no limit")
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="seed of weights, order and masks")
    max_steps: int = Field(
        0, ge=0, description="end after so many optimiser steps, schedule included, even within an epoch; 0: all epochs"
    )
    eval_every_epochs: int = Field(1, ge=1, description="validate and save every so many epochs")
    validation_draws: int = Field(8, ge=1, description="fixed masks for each validation window")
    early_stopping_patience: int = Field(
        0,
        ge=0,
        description="end a stage after so many validations without a new best, the last one with a cool-down; 0: never",
    )
    cooldown_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="after early stopping the learning rate decays for this share of the steps (or time) taken so far",
    )
    time_budget_minutes: float = Field(
        60.0,
        gt=0,
        description="minutes that train takes where it chooses the size itself (no GPU, no --config) and no "
        "--time-budget is given",
    )
    sample_every_epochs: int = Field(10, ge=0, description="write a sample every so many epochs; 0: never")
    tensorboard: bool = Field(False, description="write TensorBoard logs (needs the tensorboard extra)")
    self_training_share: float = Field(
        0.0, ge=0, lt=1, description="pseudo-data: share of the last stage's rows that the model wrote itself"
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0: torch's own choice")

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

        Smaller passes save little more, and the host needs as long for each of them as a small GPU (docs/performance).
        """
        return cls(micro_batch_size=16, gradient_checkpointing=True, memory_limit_gb=8.0)

    @classmethod
    def fast_debug(cls) -> Self:
        """Small batches, little warm-up, a sample every epoch."""
        return cls(batch_size=8, warmup_steps=10, validation_draws=4, sample_every_epochs=1)
