"""Floating-point operations of training runs."""

from ..config import ProjectConfig


def training_flops(config: ProjectConfig, vocab_size: int, tokens: float) -> float:
    """About 6 operations a parameter and token for training on ``tokens`` tokens, and the attention's products."""
    model = config.model
    per_token = 6 * model.parameters(vocab_size) + 12 * model.n_layers * model.context * model.d_model
    return float(tokens * per_token)


def run_flops(config: ProjectConfig, vocab_size: int, total_steps: int) -> float:
    """Operations of so many optimiser steps on full rows."""
    return training_flops(config, vocab_size, total_steps * config.training.batch_size * config.model.context)


def critical_flops(unique_tokens: int) -> float:
    """Compute above which diffusion should beat its twin on so many unique tokens: 2.12e15 U^2.174, U in millions.

    Fitted on far larger text (Prabhudesai et al. 2025): at the size of one book it is an extrapolation.
    """
    return float(2.12e15 * (unique_tokens / 1e6) ** 2.174)
