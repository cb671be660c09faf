"""How text is drawn from the model."""

from typing import Literal, Self

from pydantic import Field

from .base import LARGEST_SEED, Config

Sampler = Literal[
    "ancestral",
    "first_hitting",
    "confidence",
    "margin",
    "entropy",
    "entropy_bounded",
    "threshold",
    "remasking",
    "planner",
]


LEAST_TEMPERATURE = 1e-6
"""Chooses the likeliest token already; logits divided by much less leave the range of float32 (3.4e38)."""
MOST = 1e6
"""Of the settings that multiply or divide logits, for the same reason."""


class GenerationConfig(Config):
    """Sampling."""

    sampler: Sampler = Field(
        "entropy",
        description="order of unmasking: at random; at random in equal shares (with as many steps as tokens the "
        "model's own law, exactly); the likeliest drawn token, the widest margin or the lowest entropy first; as many "
        "a step as a bound on their entropy, or a threshold of probability, lets pass; or with tokens taken back, at "
        "random or where the model doubts them",
    )
    steps: int = Field(
        512,
        ge=1,
        description="denoising steps at most; fewer settle several tokens at once, faster and worse (entropy_bounded "
        "and threshold take as many as they need; ancestral, remasking and planner take all, however short the text)",
    )
    entropy_bound: float = Field(
        2.0, ge=0, description="entropy_bounded: nats that a step's tokens may hold beside the largest; 0: one a step"
    )
    threshold: float = Field(
        0.9, gt=0, description="threshold: probability from which a token settles; above 1: one a step"
    )
    remasking: float = Field(
        0.1,
        ge=0,
        le=1,
        description="remasking: highest chance a step to take a settled token back; 0: ancestral",
    )
    planning: float = Field(
        1.0, ge=0, description="planner: how readily settled tokens give way; 0: never; 1: like those drawn just now"
    )
    block: int = Field(
        0, ge=0, description="masked tokens that are filled before the next so many, left to right; 0: all at once"
    )
    temperature: float = Field(
        0.9,
        ge=LEAST_TEMPERATURE,
        le=MOST,
        description="randomness of each draw: below 1 safer, above 1 wilder; at least 0.000001",
    )
    top_k: int = Field(0, ge=0, description="draw among the k likeliest tokens only; 0: among all")
    top_p: float = Field(1.0, ge=1e-6, le=1, description="draw among the likeliest tokens that hold this probability")
    min_p: float = Field(
        0.0,
        ge=0,
        le=1,
        description="draw among tokens that have this share of the likeliest one's chance; 0: all",
    )
    repetition_penalty: float = Field(
        1.0, ge=1, le=MOST, description="divides the logits of tokens that stand nearby already; 1: none"
    )
    repetition_window: int = Field(
        64, ge=1, description="how many tokens away, on either side, a repetition is penalised"
    )
    length: int = Field(100, ge=1, description="tokens to write after the prompt")
    gap_sampler: Sampler = Field(
        "entropy", description="the sampler for gaps, when infilling, as sampler is for all other writing"
    )
    gap_tokens: int = Field(4, ge=1, description="tokens that fill a blank (___) when infilling")
    gap_candidates: int = Field(
        16, ge=1, description="fillings tried at once for a gap of so many words, a sentence, or words that must appear"
    )
    gap_rounds: int = Field(8, ge=1, description="times that so many fillings are tried before infilling gives up")
    rewrite_strength: float = Field(
        0.4, gt=0, le=1, description="share of the text's tokens that rewriting masks and writes anew"
    )
    num_samples: int = Field(1, ge=1, description="texts to write")
    vocab_level: int = Field(5, ge=1, le=5, description="write with the tokens of this vocabulary level only")
    cache_context: bool = Field(
        False,
        description="compute keys and values of the text before the new tokens, and of each finished block, once: "
        "faster for long texts, approximate",
    )
    sentence_length: Literal["any", "short", "medium", "long"] = Field(
        "any", description="write in sentences of this length (models trained with model.controls)"
    )
    dialogue: Literal["any", "none", "some", "much"] = Field(
        "any", description="write so much speech (models trained with model.controls)"
    )
    difficulty: Literal["any", "easy", "medium", "hard"] = Field(
        "any", description="write sentences of this difficulty (models trained with model.controls)"
    )
    stage: Literal["any", "sentences", "pairs", "paragraphs"] = Field(
        "any", description="write as the curriculum's stage of this format reads (models trained with model.controls)"
    )
    guidance: float = Field(
        2.0,
        ge=0,
        le=MOST,
        description="how strongly the controls pull: 1 as learnt, 0 not at all; all but 1 double the time",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 matrix products where the machine has them; logits are always float32"
    )
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="seed of the draw")
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
        """The surest places first, a token a step, a little below the model's own temperature."""
        return cls()

    @classmethod
    def creative(cls) -> Self:
        """The model as it is: places at random, its whole law, in gaps too."""
        return cls(sampler="ancestral", gap_sampler="ancestral", steps=64, temperature=1.0)

    @classmethod
    def conservative(cls) -> Self:
        """Likelier words."""
        return cls(temperature=0.8)

    @classmethod
    def fast(cls) -> Self:
        """Sixteen steps, at random places, in gaps too: they are the best at so few."""
        return cls(sampler="ancestral", gap_sampler="ancestral", steps=16, temperature=0.8, top_p=0.95)

    def as_drawn(self) -> Self:
        """The same draw, the texts left as the model draws them: for what measures the model or trains on it."""
        return self.model_copy(update={"ending": "token", "layout": "free", "max_copied_words": 0})
