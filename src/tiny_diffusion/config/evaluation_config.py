"""What is measured, and how closely."""

from typing import Self

from pydantic import Field, field_validator

from .base import LARGEST_NUMPY_SEED, Config
from .generation_config import LEAST_TEMPERATURE

SCORING = ("split", "windows", "draws", "bootstrap", "seed")  # the settings that move the held-out likelihood


class EvaluationConfig(Config):
    """Held-out likelihood, baselines, style, coherence, novelty and the blind test."""

    draws: int = Field(64, ge=1, description="masks for each window in the likelihood bound")
    batch_size: int = Field(32, ge=1, description="windows in one forward pass")
    windows: int = Field(0, ge=0, description="score at most so many test windows; 0: all")
    samples: int = Field(16, ge=1, description="texts to write for style and novelty")
    sample_tokens: int = Field(
        256, ge=8, description="length of those texts, in tokens; figures of sentences apart need several sentences"
    )
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
    book_pieces: int = Field(
        40, ge=10, description="pieces of the book, made like the samples, that tell how much it differs from itself"
    )
    delta_words: int = Field(100, ge=1, description="commonest words, and word pairs, that Burrows' Delta counts")
    type_token_window: int = Field(100, ge=1, description="words within which distinct ones are counted")
    rare_zipf: float = Field(
        3.0, ge=0, le=8, description="a word is rare below this frequency: log10 of occurrences in 10^9 words"
    )
    novelty_orders: tuple[int, ...] = Field(
        tuple(range(2, 13)), min_length=1, description="lengths n of the n-grams looked up in the training text"
    )
    copied_sentence_words: int = Field(8, ge=1, description="shortest sentence that can count as copied, in words")
    novelty_steps: tuple[int, ...] = Field(
        (8, 32), description="denoising steps at which novelty is measured too; empty: none"
    )
    sentence_gap: int = Field(5, ge=2, description="sentences apart, for likeness at a distance and names carried over")
    coherence_dim: int = Field(64, ge=2, description="dimensions of the sentence embedding")
    distinct_orders: tuple[int, ...] = Field((1, 2, 3), min_length=1, description="orders n of distinct-n")
    repeat_order: int = Field(4, ge=1, description="length of the n-grams that count as repeated within a text")
    temperatures: tuple[float, ...] = Field(
        (0.6, 0.8, 1.0, 1.2), description="temperatures of the frontier of quality and diversity; empty: none"
    )
    judge_order: int = Field(5, ge=1, description="order of the n-gram model behind generative perplexity")
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
    seed: int = Field(0, ge=0, le=LARGEST_NUMPY_SEED, description="seed of masks, samples and bootstrap")

    @field_validator("temperatures")
    @classmethod
    def _check_temperatures(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(temperature < LEAST_TEMPERATURE for temperature in value):
            raise ValueError(f"should hold temperatures of {LEAST_TEMPERATURE:g} or more")
        return value

    @field_validator("novelty_steps")
    @classmethod
    def _check_steps(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(steps < 1 for steps in value):
            raise ValueError("should hold numbers of steps of 1 or more")
        return value

    @field_validator("ppm_order")
    @classmethod
    def _check_order(cls, value: int) -> int:
        if value == 1:
            raise ValueError("ppm_order=1 is none that PPMd has; take 2 to 64, or 0 for none")
        return value

    @classmethod
    def default(cls) -> Self:
        """All windows of the held-out text, 64 draws, chain rule, all n-grams and PPMd, 16 texts, the frontier."""
        return cls()

    @classmethod
    def fast(cls) -> Self:
        """Under a minute for 2M parameters: 16 draws, at most 100 windows, four texts, three n-grams.

        No chain rule, PPMd, numbers of steps, or temperatures but the usual one; one draw a mask rate.
        """
        return cls(
            draws=16,
            windows=100,
            samples=4,
            chain_rule=False,
            breakdown_draws=1,
            ppm_order=0,
            ngram_orders=(1, 2, 5),
            novelty_steps=(),
            temperatures=(),
        )

    @classmethod
    def comprehensive(cls) -> Self:
        """All of the default, closer: 256 draws, 64 a mask rate, 64 texts, more numbers of steps and temperatures."""
        return cls(
            draws=256,
            breakdown_draws=64,
            samples=64,
            novelty_steps=(4, 16, 64, 256),
            temperatures=(0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2),
        )

    @classmethod
    def memory_efficient(cls) -> Self:
        """All of the default in batches of four: less memory, more time; figures differ by chance alone."""
        return cls(batch_size=4)
