"""Which tokens are hidden from the model in a training row.

Only ``uniform`` is the forward process of the likelihood; the others are augmentation. Shapes: B rows, T tokens.
"""

import torch
from torch import Generator, Tensor

from ..config import TrainingConfig
from ..data.tokenizer import BookTokenizer
from ..model.diffusion import stratified
from .rows import Rows


def draw_rates(rows: int, mask_range: tuple[float, float], full_range_share: float, generator: Generator) -> Tensor:
    """Mask rates (B,): stratified over the stage's range, but over (0, 1] for the given share of rows."""
    full = stratified(rows, generator) < full_range_share
    u = 1 - stratified(rows, generator)  # (0, 1]
    low, high = mask_range
    return torch.where(full, 1 - stratified(rows, generator), low + (high - low) * u)


def uniform_mask(t: Tensor, scorable: Tensor, generator: Generator) -> Tensor:
    """Each scorable token hidden with probability t (B,); where a row came out bare, one token of it is hidden."""
    noise = torch.rand(scorable.shape, generator=generator).masked_fill(~scorable, 2.0)
    masked = noise < t[:, None]
    lowest = torch.zeros_like(scorable).scatter(1, noise.argmin(1, keepdim=True), True)
    return torch.where(masked.any(1, keepdim=True), masked, lowest) & scorable


def whole_word_mask(t: Tensor, ids: Tensor, scorable: Tensor, word_starts: Tensor, generator: Generator) -> Tensor:
    """Whole words hidden together, each with probability t. ``word_starts`` (vocab,) tells where a word begins."""
    words = word_starts[ids].long().cumsum(1)  # (B, T): number of the word in its row
    b, length = scorable.shape
    noise = torch.rand(b, length + 1, generator=generator).gather(1, words)
    return (noise < t[:, None]) & scorable


def span_mask(t: Tensor, scorable: Tensor, span_length: int, generator: Generator) -> Tensor:
    """Spans of ``span_length`` tokens hidden until each row reaches about its rate t: start chance 1-(1-t)^(1/n)."""
    start = 1 - (1 - t).clamp(min=1e-6) ** (1 / span_length)
    starts = torch.rand(scorable.shape, generator=generator) < start[:, None]
    masked = starts.clone()
    for shift in range(1, span_length):
        masked[:, shift:] |= starts[:, :-shift]
    return masked & scorable


def rare_first_mask(t: Tensor, ids: Tensor, scorable: Tensor, rarity: Tensor, generator: Generator) -> Tensor:
    """A share t of each row hidden, rarer tokens with better odds. ``rarity`` (vocab,) is a percentile in [0, 1]."""
    noise = torch.rand(scorable.shape, generator=generator)
    key = (noise - rarity[ids]).masked_fill(~scorable, 3.0)
    rank = key.argsort(1).argsort(1)
    return (rank < (t * scorable.sum(1)).ceil().long()[:, None]) & scorable


class Masker:
    """Draws the masks of a batch by the configured strategy."""

    def __init__(
        self, config: TrainingConfig, full_range_share: float, tokenizer: BookTokenizer, vocab_size: int
    ) -> None:
        self.config = config
        self.full_range_share = full_range_share
        self.word_starts = torch.from_numpy(tokenizer.word_starts[:vocab_size].copy())
        # BPE merges come by falling frequency: a token's rank stands for its rarity.
        self.rarity = torch.arange(vocab_size) / vocab_size

    def draw(self, batch: Rows, mask_range: tuple[float, float], generator: Generator) -> tuple[Tensor, Tensor]:
        """Masks (B, T) and rates (B,) of ``batch``; ``strategy_share`` of its rows use the strategy."""
        t = draw_rates(len(batch), mask_range, self.full_range_share, generator)
        scorable = batch.scorable
        masked = uniform_mask(t, scorable, generator)
        strategy = self.config.masking_strategy
        if strategy == "uniform":
            return masked, t
        if strategy == "whole_word":
            other = whole_word_mask(t, batch.ids, scorable, self.word_starts, generator)
        elif strategy == "span":
            other = span_mask(t, scorable, self.config.span_length, generator)
        else:
            other = rare_first_mask(t, batch.ids, scorable, self.rarity, generator)
        chosen = stratified(len(batch), generator) < self.config.strategy_share
        use = chosen & other.any(1)
        return torch.where(use[:, None], other, masked), t
