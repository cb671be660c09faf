"""What is measured, and how closely."""

from typing import Self

from pydantic import Field, field_validator

from .base import Config


class EvaluationConfig(Config):
    """Held-out likelihood, baselines, style, novelty and the blind test."""

    draws: int = Field(64, ge=1, description="masks for each window in the likelihood bound")
    batch_size: int = Field(32, ge=1, description="windows in one forward pass")
    windows: int = Field(0, ge=0, description="score at most so many test windows; 0: all")
    samples: int = Field(16, ge=1, description="texts to write for style and novelty")
    sample_tokens: int = Field(100, ge=8, description="length of those texts, in tokens")
    bootstrap: int = Field(1000, ge=100, description="resamples behind the 95 % interval")
    chain_rule: bool = Field(
        True, description="the exact left-to-right likelihood of a diffusion model too: a forward pass a token"
    )
    breakdown_draws: int = Field(
        8,
        ge=0,
        description="masks a window at each mask rate, and an example of the stages' formats; 0: neither",
    )
    ngram_orders: tuple[int, ...] = Field(
        (1, 2, 3, 4, 5, 6), min_length=1, description="orders of the n-gram baselines: Kneser-Ney from 3 on"
    )
    ppm_order: int = Field(8, ge=0, le=64, description="order of PPMd, primed with the training text; 0: none")
    split: str = Field("test", pattern="^(test|validation)$", description="passages to score: test or validation")
    max_leaked_share: float = Field(
        0.02,
        ge=0,
        le=1,
        description="quality threshold: held-out sentences found in training at most, as a share",
    )
    surprising_share: float = Field(0.1, gt=0, lt=1, description="share of a text's words that score marks")
    max_bits_per_byte: float = Field(1.75, gt=0, description="quality threshold: bits per byte at most")
    max_sentence_length_distance: float = Field(
        5.0, gt=0, description="quality threshold: Wasserstein distance of sentence lengths at most, in words"
    )
    max_copied_words: int = Field(15, ge=1, description="quality threshold: longest run copied from the book, in words")
    blind_passages: int = Field(
        20, ge=2, multiple_of=2, description="passages of the blind test, half of them the book's"
    )
    blind_words: int = Field(60, ge=5, description="words in each passage of the blind test")
    seed: int = Field(0, ge=0, description="seed of masks, samples and bootstrap")

    @field_validator("ppm_order")
    @classmethod
    def _check_order(cls, value: int) -> int:
        if value == 1:
            raise ValueError("ppm_order=1 is none that PPMd has; take 2 to 64, or 0 for none")
        return value

    @classmethod
    def default(cls) -> Self:
        """All test windows, 64 draws."""
        return cls()

    @classmethod
    def fast(cls) -> Self:
        """Sixteen draws over at most 100 windows, four texts; no chain rule, no compressor, fewer n-grams."""
        return cls(
            draws=16, windows=100, samples=4, chain_rule=False, breakdown_draws=2, ppm_order=0, ngram_orders=(1, 2, 5)
        )

    @classmethod
    def comprehensive(cls) -> Self:
        """256 draws, 64 texts."""
        return cls(draws=256, breakdown_draws=64, samples=64)

    @classmethod
    def memory_efficient(cls) -> Self:
        """Small batches."""
        return cls(batch_size=4)
