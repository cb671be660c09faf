"""How text is drawn from the model: settings in groups, of which each command takes some; the learnt controls."""

from typing import Literal, Self, get_args

from pydantic import Field

from .base import LARGEST_SEED, Config

Sampler = Literal["ancestral", "first_hitting", "confidence", "margin", "entropy"]

LEAST_TEMPERATURE = 1e-6
"""Always draws the likeliest token. Logits divided by much less leave the range of float32 (3.4e38)."""
MOST = 1e6
"""Largest factor or divisor of logits: beyond it they leave the range of float32."""


class Drawing(Config):
    """How each token is drawn, wherever tokens are written."""

    steps: int = Field(512, ge=1)
    """Most denoising steps; fewer settle several tokens at once, which is faster and worse. ancestral takes all
    of them, however short the text."""
    choice_noise: float = Field(0.0, ge=0, le=MOST)
    """confidence: Gumbel noise on the choice of places, which ends with the last step (4.5 in the paper); 0: none."""
    block: int = Field(0, ge=0)
    """Fill this many masked tokens before the next ones, left to right; 0: all at once."""
    temperature: float = Field(0.9, ge=LEAST_TEMPERATURE, le=MOST)
    """Randomness of each draw: below 1 safer, above 1 wilder; at least 0.000001."""
    top_k: int = Field(0, ge=0)
    """Draw among the k likeliest tokens only; 0: among all."""
    top_p: float = Field(1.0, ge=1e-6, le=1)
    """Draw among the likeliest tokens that together hold this probability."""
    min_p: float = Field(0.0, ge=0, le=1)
    """Draw among tokens with at least this share of the likeliest one's probability; 0: all."""
    repetition_penalty: float = Field(1.0, ge=1, le=MOST)
    """Divides the logits of tokens that occur nearby already; 1: none."""
    repetition_window: int = Field(64, ge=1)
    """Distance, in tokens on either side, within which a repetition is penalised."""
    expert: Literal["none", "ngram"] = "none"
    """ngram: the law of each token is a product of the network's and that of the training text's n-grams, weighted by
    the validation text. It helps most after a short training; it needs the prepared book."""
    vocab_level: int = Field(5, ge=1, le=5)
    """Write with the tokens of this vocabulary level only."""
    cache_context: bool = False
    """Compute keys and values of the text before the new tokens, and of each finished block, once: faster for long
    texts, approximate."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 matrix products where the machine has them; logits are always float32."""


class Order(Config):
    """The order in which tokens are unmasked, outside gaps."""

    sampler: Sampler = "entropy"
    """Order of unmasking. ancestral: at random. first_hitting: at random in equal shares (with as many steps as tokens
    exactly the model's own law). confidence, margin, entropy: first the likeliest drawn token, the widest margin or the
    lowest entropy."""


class Reading(Config):
    """Which reading of the network writes a continuation, and how it chooses among drafts."""

    reading: Literal["auto", "masked", "causal", "drafts"] = "auto"
    """masked: diffusion, in the order of the sampler. causal: from left to right, several times as fast; drafts: by
    diffusion, of which the causal reading chooses one (both need a model with the causal reading; drafts needs both).
    auto: causal if the model can, but masked if the sampler, the steps or another setting of diffusion is changed."""
    drafts: int = Field(8, ge=2)
    """Texts that reading=drafts writes at once in order to choose one, block by block."""
    pick: Literal["draw", "best"] = "best"
    """Which draft is taken. draw: one at random, in proportion to its probability by the causal reading, divided by
    that with which it was drawn; best: the likeliest by the causal reading."""


class Continuation(Config):
    """The length of a text that is written from a prompt or from nothing, and how it begins and ends."""

    length: int = Field(100, ge=1)
    """Tokens to write after the prompt."""
    ending: Literal["sentence", "token"] = "sentence"
    """sentence: the text ends with a whole sentence after 0.8 to 1.1 times as many tokens as asked for; token: it stops
    after as many."""
    layout: Literal["book", "free"] = "book"
    """book: a text begins like a paragraph (its prompt too, if the model has learnt marks), white space and punctuation
    stand between words as they do in the book, and “ ” and their like come in pairs; free: as the model draws it."""


class Gaps(Config):
    """How gaps of a given text are filled."""

    gap_sampler: Sampler = "entropy"
    """Order of unmasking in gaps; sampler is for all other writing."""
    gap_tokens: int = Field(4, ge=1)
    """Tokens that fill a blank (___) when infilling."""
    gap_candidates: int = Field(16, ge=1)
    """Fillings tried at once for a gap of a number of words, of a sentence, or with words that must appear."""
    gap_rounds: int = Field(8, ge=1)
    """Rounds of such fillings before infilling gives up."""


class Rewriting(Config):
    """How a given text is written anew."""

    rewrite_strength: float = Field(0.4, gt=0, le=1)
    """Share of the text's tokens that rewriting masks and writes anew."""


class Texts(Config):
    """Which texts are written: their number, their seed, and how much of the book they may repeat."""

    num_samples: int = Field(1, ge=1)
    """Number of texts to write."""
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    """Seed of the random draws."""
    words: Literal["known", "book", "free"] = "known"
    """known: only words of the book or in common use in its language are written, of names and numbers those of the
    book; book: only words of the book; free: any. But for free, a word follows itself only if it does in the book."""
    max_copied_words: int = Field(0, ge=0)
    """Most words in a row that may be copied from the training text; 0: no limit."""


class Controls(Config):
    """Wishes about the text. Only models trained with ``model.controls`` follow them."""

    sentence_length: Literal["any", "short", "medium", "long"] = "any"
    """Length of the sentences (for models trained with model.controls)."""
    dialogue: Literal["any", "none", "some", "much"] = "any"
    """Amount of speech (for models trained with model.controls)."""
    difficulty: Literal["any", "easy", "medium", "hard"] = "any"
    """Difficulty of the sentences (for models trained with model.controls)."""
    stage: Literal["any", "sentences", "pairs", "paragraphs"] = "any"
    """Write like this stage of the curriculum (for models trained with model.controls)."""
    guidance: float = Field(2.0, ge=0, le=MOST)
    """Strength of the controls: 1 as learnt, 0 none; any value but 1 doubles the time."""


# Levels of each control from least to most. The setting's first value, ``any``, is no level.
CONTROLS: dict[str, tuple[str, ...]] = {
    name: get_args(field.annotation)[1:] for name, field in Controls.model_fields.items() if name != "guidance"
}
CONTROL_ROWS = 1 + sum(map(len, CONTROLS.values()))  # of the learnt table: one for ``any``, which stays zero


class GenerationConfig(Texts, Controls, Rewriting, Gaps, Continuation, Drawing, Reading, Order):
    """Sampling. The groups above are its parts, and its keys stay flat: ``generation.gap_tokens``."""

    @classmethod
    def default(cls) -> Self:
        """The surest places first, one token per step, a little below the model's own temperature."""
        return cls()

    @classmethod
    def creative(cls) -> Self:
        """The model as it is: random places and its whole law, in gaps too."""
        return cls(sampler="ancestral", gap_sampler="ancestral", steps=64, temperature=1.0)

    @classmethod
    def conservative(cls) -> Self:
        """Likelier words, and never the least likely ones: smoother to read, less varied (docs/sampling.md)."""
        return cls(temperature=0.8, top_p=0.9)

    @classmethod
    def fast(cls) -> Self:
        """Sixteen steps at random places, in gaps too: the best order for so few steps."""
        return cls(sampler="ancestral", gap_sampler="ancestral", steps=16, temperature=0.8, top_p=0.95)

    def as_drawn(self) -> Self:
        """The same draw with the texts left as drawn, for measuring the model or training on its texts."""
        return self.model_copy(update={"ending": "token", "layout": "free", "words": "free", "max_copied_words": 0})

    def uncontrolled(self) -> Self:
        """The same draw without controls, for a model in training, which has not learnt all levels yet."""
        return self.model_copy(update=dict.fromkeys(CONTROLS, "any"))
