"""How text is drawn from the model."""

from typing import Literal, Self

from pydantic import Field

from .base import Config


class GenerationConfig(Config):
    """Sampling."""

    sampler: Literal["ancestral", "first_hitting", "confidence"] = Field(
        "ancestral",
        description="order of unmasking: at random, at random in equal shares (with as many steps as tokens the "
        "model's own law, exactly), or the surest first",
    )
    steps: int = Field(64, ge=1, description="denoising steps; more is slower and closer to one token at a time")
    temperature: float = Field(0.8, gt=0, description="below 1: safer; above 1: wilder")
    top_k: int = Field(0, ge=0, description="draw among the k likeliest tokens only; 0: among all")
    top_p: float = Field(0.95, gt=0, le=1, description="draw among the likeliest tokens that hold this probability")
    length: int = Field(100, ge=1, description="tokens to write after the prompt")
    gap_tokens: int = Field(4, ge=1, description="tokens that fill a gap when infilling")
    num_samples: int = Field(1, ge=1, description="texts to write")
    vocab_level: int = Field(5, ge=1, le=5, description="write with the tokens of this vocabulary level only")
    cache_context: bool = Field(
        False,
        description="keep keys and values of the text before a block while the block is written: faster for long "
        "texts, approximate",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 matrix products where the machine has them; logits are always float32"
    )
    seed: int = Field(0, ge=0, description="seed of the draw")
    ending: Literal["sentence", "token"] = Field(
        "sentence", description="cut a written text behind its last whole sentence, if one ends in it, or leave it"
    )
    layout: Literal["book", "free"] = Field(
        "book",
        description="book: a text without a prompt begins as a paragraph does, and other white space than a space or "
        "a blank line is drawn again (for models trained on paragraphs); free: as the model draws it",
    )
    max_copied_words: int = Field(
        0,
        ge=0,
        description="draw again what makes a longer run of words copied from the training text; 0: no such limit",
    )

    @classmethod
    def default(cls) -> Self:
        """Ancestral, temperature 0.8."""
        return cls()

    @classmethod
    def creative(cls) -> Self:
        """Temperature 1 over the whole distribution: the model as it is."""
        return cls(temperature=1.0, top_p=1.0)

    @classmethod
    def conservative(cls) -> Self:
        """Likelier words, more steps."""
        return cls(temperature=0.6, top_p=0.9, steps=128)

    @classmethod
    def fast(cls) -> Self:
        """A quarter of the steps."""
        return cls(steps=16)

    def as_drawn(self) -> Self:
        """The same draw, the texts left as the model draws them: for what measures the model or trains on it."""
        return self.model_copy(update={"ending": "token", "layout": "free", "max_copied_words": 0})
