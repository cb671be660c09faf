"""The network's shape."""

from typing import Self

from pydantic import Field, model_validator

from .base import Config
from .generation_config import CONTROL_ROWS

HEAD_SIZE = 64  # width of a head when the number of heads follows from ``d_model``


class ModelConfig(Config):
    """Architecture: a bidirectional (or causal) transformer with RoPE, RMSNorm and SwiGLU."""

    d_model: int = Field(768, ge=8)
    """Width of the residual stream."""
    n_layers: int = Field(12, ge=1)
    """Number of transformer blocks."""
    n_heads: int = Field(0, ge=0)
    """Attention heads; 0: d_model / 64, rounded so that all heads have one even size."""
    d_ff: int = Field(2816, ge=8)
    """Width of the SwiGLU feed-forward layer."""
    context: int = Field(512, ge=8, le=1_000_000)
    """Longest sequence, in tokens."""
    vocab_level: int = Field(5, ge=1, le=5)
    """Vocabulary level the model reads and writes: 1-4 hold 512 to 4,096 tokens, 5 all."""
    dropout: float = Field(0.1, ge=0, le=0.99)
    """Dropout on each block's two outputs and on the embedding."""
    rope_base: float = Field(10_000.0, gt=1)
    """Base of the rotary frequencies."""
    qk_norm: bool = False
    """Normalise queries and keys (steadier with large learning rates)."""
    value_residual: bool = False
    """Mix the first block's values into those of each later block."""
    tie_embeddings: bool = True
    """One matrix for the embedding and the output head."""
    causal: bool = False
    """Causal mask: the autoregressive twin instead of diffusion."""
    dual: bool = False
    """Two readings in one network, masked and causal, both of which predict the next token."""
    controls: bool = False
    """Learn controls of sentence length, dialogue, difficulty and stage, for generation."""
    init_std: float = Field(0.02, gt=0)
    """Standard deviation of the initial weights."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.d_model % 2:
            raise ValueError(
                f"d_model={self.d_model} is odd and cannot be divided into heads of an even size: take an even one"
            )
        if self.n_heads and (self.d_model % self.n_heads or (self.d_model // self.n_heads) % 2):
            raise ValueError(
                f"n_heads={self.n_heads} does not divide d_model={self.d_model} into an even head size; "
                f"d_model must be a multiple of {2 * self.n_heads}, or n_heads=0, which follows d_model"
            )
        if self.causal and self.dual:
            raise ValueError("dual=true has a causal reading already: take causal=false with it")
        if self.causal and self.controls:
            raise ValueError("controls=true is for diffusion; an autoregressive model (causal=true) learns none")
        return self

    @property
    def heads(self) -> int:
        """Number of attention heads: ``n_heads`` if set, else the number that follows from ``d_model``."""
        if self.n_heads:
            return self.n_heads
        sizes = [size for size in range(2, self.d_model + 1, 2) if self.d_model % size == 0]
        nearest = min(sizes, key=lambda size: max(size / HEAD_SIZE, HEAD_SIZE / size))
        return self.d_model // nearest

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.d_model // self.heads

    def parameters(self, vocab_size: int) -> int:
        """Number of trainable parameters with a vocabulary of ``vocab_size`` ids."""
        d, f = self.d_model, self.d_ff
        block = 4 * d * d + 3 * d * f + 2 * d + (2 * self.head_dim if self.qk_norm else 0)
        mixing = 2 * (self.n_layers - 1) if self.value_residual else 0
        tables = 1 if self.tie_embeddings else 2
        rows = tables * vocab_size + (CONTROL_ROWS if self.controls else 0)
        return rows * d + self.n_layers * block + d + mixing

    @classmethod
    def tiny_125m(cls) -> Self:
        """The description's full size: 125.4M parameters at 25,000 tokens."""
        return cls()

    @classmethod
    def memory_efficient_125m(cls) -> Self:
        """Deeper and narrower at the same size, for smaller activations: 16 layers of 704, 256 tokens."""
        return cls(d_model=704, n_layers=16, d_ff=2176, context=256)

    @classmethod
    def experimental_125m(cls) -> Self:
        """Normalised queries and keys, value residuals and more depth: 18 layers of 640."""
        return cls(d_model=640, n_layers=18, d_ff=2304, qk_norm=True, value_residual=True)

    @classmethod
    def cpu_1m(cls) -> Self:
        """About 1M parameters: for minutes on a CPU."""
        return cls(d_model=128, n_layers=4, d_ff=352, context=128, vocab_level=2, qk_norm=True, controls=True)

    @classmethod
    def cpu_2m(cls) -> Self:
        """About 2M parameters: the recommended size for one book on a CPU."""
        return cls(d_model=192, n_layers=4, d_ff=512, context=128, vocab_level=2, qk_norm=True, controls=True)

    @classmethod
    def cpu_5m(cls) -> Self:
        """About 5M parameters: a little better on one book than 2M, and slower."""
        return cls(
            d_model=256, n_layers=6, d_ff=704, context=128, vocab_level=2, dropout=0.15, qk_norm=True, controls=True
        )

    @classmethod
    def cpu_10m(cls) -> Self:
        """About 10M parameters; with less dropout the model memorises one book (docs/results.md)."""
        return cls(
            d_model=384, n_layers=6, d_ff=896, context=256, vocab_level=3, dropout=0.25, qk_norm=True, controls=True
        )

    @classmethod
    def cpu_30m(cls) -> Self:
        """About 30M parameters."""
        return cls(d_model=512, n_layers=9, d_ff=1344, context=256, vocab_level=3, qk_norm=True, controls=True)

    @classmethod
    def smoke(cls) -> Self:
        """A few thousand parameters, for tests and ``--debug`` on a CPU."""
        return cls(d_model=64, n_layers=2, n_heads=2, d_ff=128, context=64, vocab_level=1, qk_norm=True)
