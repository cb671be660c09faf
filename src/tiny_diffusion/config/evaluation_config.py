"""What is measured, and how closely: settings in groups, of which each command takes some."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from .base import LARGEST_NUMPY_SEED, Config
from .generation_config import LEAST_TEMPERATURE

SCORING = ("split", "windows", "draws", "bootstrap", "seed")  # the settings that move the held-out likelihood


class Passes(Config):
    """Forward passes over held-out text: read wherever a likelihood is measured."""

    draws: int = Field(64, ge=1)
    """Random masks per window in the likelihood bound."""
    batch_size: int = Field(32, ge=1)
    """Windows in one forward pass."""
    seed: int = Field(0, ge=0, le=LARGEST_NUMPY_SEED)
    """Seed of masks, samples and bootstrap."""


class HeldOut(Config):
    """The held-out text that is scored, and the interval of its figure."""

    split: Literal["test", "validation"] = "test"
    """Passages to score."""
    windows: int = Field(0, ge=0)
    """Largest number of windows to score; 0: all."""
    bootstrap: int = Field(1000, ge=100)
    """Resamples for the 95 % interval."""


class Marks(Config):
    """What the command ``score`` marks."""

    surprising_share: float = Field(0.1, gt=0, lt=1)
    """Share of a text's words that score marks."""


class BlindTest(Config):
    """The passages of a blind test."""

    blind_passages: int = Field(20, ge=2, multiple_of=2)
    """Passages of the blind test, half of them from the book."""
    blind_words: int = Field(60, ge=5)
    """Words in each passage of the blind test."""


class ReportSettings(Config):
    """Baselines, style, coherence, novelty and thresholds: what ``evaluate`` alone reports."""

    samples: int = Field(16, ge=1)
    """Texts to write for style and novelty."""
    sample_tokens: int = Field(256, ge=8)
    """Length of these texts in tokens; figures over sentence_gap need several sentences."""
    chain_rule: bool = True
    """Measure a diffusion model's exact left-to-right likelihood too: one forward pass per token."""
    long_context: bool = True
    """Also measure readings from left to right, counts and PPMd with all that stands to the left in the passage."""
    expert: Literal["none", "ngram"] = "none"
    """ngram: further rows mix each reading and the bound with Kneser-Ney counts, by weights of the validation text."""
    breakdown_draws: int = Field(8, ge=0)
    """Masks per window at each mask rate, and per example of each stage's format; 0: neither."""
    ngram_orders: tuple[int, ...] = Field((1, 2, 3, 4, 5, 6), min_length=1)
    """Orders of the n-gram baselines: Kneser-Ney from 3 on."""
    ppm_order: int = Field(8, ge=0, le=64)
    """Order of PPMd, primed with the training text; 0: no PPMd."""
    book_pieces: int = Field(40, ge=10)
    """Pieces of the book, of the samples' length, that show how much the book varies."""
    delta_words: int = Field(100, ge=1)
    """Number of commonest words in Burrows' Delta."""
    type_token_window: int = Field(100, ge=1)
    """Words within which distinct ones are counted."""
    rare_zipf: float = Field(3.0, ge=0, le=8)
    """A word below this frequency is rare: log10 of occurrences per 10^9 words."""
    novelty_orders: tuple[int, ...] = Field(tuple(range(2, 13)), min_length=1)
    """Lengths n of the n-grams looked up in the training text."""
    copied_sentence_words: int = Field(8, ge=1)
    """Shortest sentence that can count as copied, in words."""
    novelty_steps: tuple[Annotated[int, Field(ge=1)], ...] = (8, 32)
    """Other numbers of denoising steps at which novelty is measured; empty: none."""
    sentence_gap: int = Field(5, ge=2)
    """Distance in sentences at which likeness and the return of names are measured."""
    coherence_dim: int = Field(64, ge=2)
    """Dimensions of the sentence embedding."""
    distinct_orders: tuple[int, ...] = Field((1, 2, 3), min_length=1)
    """Orders n of distinct-n."""
    two_sample_words: int = Field(50, ge=0)
    """Words in each passage that a classifier tells from held-out passages; 0: no such test."""
    repeat_order: int = Field(4, ge=1)
    """Length of the n-grams that count as repeated within a text."""
    temperatures: tuple[Annotated[float, Field(ge=LEAST_TEMPERATURE)], ...] = (0.6, 0.8, 1.0, 1.2)
    """Temperatures of the frontier of quality and diversity; empty: none."""
    judge_order: int = Field(5, ge=1)
    """Order of the n-gram model that computes generative perplexity."""
    max_leaked_share: float = Field(0.02, ge=0, le=1)
    """Quality threshold: largest share of held-out sentences that are also in the training text."""
    max_bits_per_byte: float = Field(1.75, gt=0)
    """Quality threshold: largest bits per byte."""
    max_sentence_length_distance: float = Field(5.0, gt=0)
    """Quality threshold: largest Wasserstein distance of sentence lengths, in words."""
    max_copied_words: int = Field(15, ge=1)
    """Quality threshold: longest allowed run of words copied from the book."""

    @field_validator("ppm_order")
    @classmethod
    def _check_order(cls, value: int) -> int:
        if value == 1:
            raise ValueError("ppm_order=1 does not exist in PPMd: take 2 to 64, or 0 for no PPMd")
        return value


class EvaluationConfig(ReportSettings, BlindTest, Marks, HeldOut, Passes):
    """Held-out likelihood, baselines, style, coherence, novelty and the blind test. The groups above are its parts."""

    @model_validator(mode="after")
    def _check_expert(self) -> Self:
        if self.expert != "none" and self.split == "validation":
            raise ValueError(f"expert={self.expert} is fitted on the validation text: it needs split=test")
        return self

    @classmethod
    def default(cls) -> Self:
        """All windows of the held-out text, 64 draws, chain rule, all n-grams and PPMd, 16 texts, the frontier."""
        return cls()

    @classmethod
    def fast(cls) -> Self:
        """Under a minute for 2M parameters: 16 draws, at most 100 windows, four texts, three n-grams.

        One draw per mask rate. Left out: chain rule, long context, PPMd, two-sample test, other numbers of steps, other
        temperatures.
        """
        return cls(
            draws=16,
            windows=100,
            samples=4,
            chain_rule=False,
            long_context=False,
            breakdown_draws=1,
            ppm_order=0,
            ngram_orders=(1, 2, 5),
            novelty_steps=(),
            temperatures=(),
            two_sample_words=0,
        )

    @classmethod
    def comprehensive(cls) -> Self:
        """The default, more closely: 256 draws, 64 per mask rate, 64 texts, more step counts and temperatures."""
        return cls(
            draws=256,
            breakdown_draws=64,
            samples=64,
            novelty_steps=(4, 16, 64, 256),
            temperatures=(0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2),
        )

    @classmethod
    def memory_efficient(cls) -> Self:
        """The default in batches of four: less memory, more time. Figures differ only by chance."""
        return cls(batch_size=4)
