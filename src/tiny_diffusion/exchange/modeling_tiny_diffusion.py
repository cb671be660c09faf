"""The network of tiny_diffusion for the transformers library. It needs torch and transformers only.

``tiny-diffusion export`` copies this file into the folder of a model, where ``trust_remote_code=True`` runs it.
The names of the weights are those of a checkpoint, so ``model.safetensors`` holds them as they are.

Shapes: B rows, T tokens, H heads, D model width, K head width, V vocabulary including reserved ids.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput, MaskedLMOutput

READINGS = ("masked", "causal", "dual")


class TinyDiffusionConfig(PretrainedConfig):
    """The network's shape. ``reading`` is masked, causal, or dual for both in one network.

    ``control_starts`` are the rows of the controls' table at which each control begins; empty for a model without
    controls. ``lowest`` is the first id of the causal law: ``reserved``, or one less for a network that has learnt
    ``<eos>``, which stands just below the text tokens. ``tiny_diffusion`` is what a checkpoint holds beside the
    weights; ``tiny-diffusion import`` reads it.
    """

    model_type = "tiny_diffusion"

    def __init__(
        self,
        vocab_size: int = 528,
        reserved: int = 16,
        lowest: int | None = None,
        hidden_size: int = 64,
        intermediate_size: int = 128,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 2,
        max_position_embeddings: int = 64,
        rope_base: float = 10_000.0,
        qk_norm: bool = True,
        value_residual: bool = False,
        tied: bool = True,
        reading: str = "masked",
        control_starts: tuple[int, ...] = (),
        control_rows: int = 0,
        tiny_diffusion: dict[str, Any] | None = None,
        **others: Any,
    ) -> None:
        if reading not in READINGS:
            raise ValueError(f"reading={reading!r} is not one of {', '.join(READINGS)}")
        self.vocab_size = vocab_size
        self.reserved = reserved
        self.lowest = reserved if lowest is None else lowest
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.max_position_embeddings = max_position_embeddings
        self.rope_base = rope_base
        self.qk_norm = qk_norm
        self.value_residual = value_residual
        self.tied = tied
        self.reading = reading
        self.control_starts = list(control_starts)
        self.control_rows = control_rows
        self.tiny_diffusion = tiny_diffusion or {}
        super().__init__(**{"tie_word_embeddings": False, "use_cache": False, **others})


def rms_norm(width: int) -> nn.RMSNorm:
    """Root-mean-square norm (Zhang & Sennrich 2019)."""
    return nn.RMSNorm(width, eps=torch.finfo(torch.float32).eps)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the two halves of each head of ``x`` (B, H, T, K) by position (Su et al. 2021)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Attention(nn.Module):
    """Self-attention with optional query-key norm and value residual (Zhou et al. 2024)."""

    def __init__(self, config: TinyDiffusionConfig, layer: int) -> None:
        super().__init__()
        d, self.heads = config.hidden_size, config.num_attention_heads
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.q_norm = rms_norm(d // self.heads) if config.qk_norm else nn.Identity()
        self.k_norm = rms_norm(d // self.heads) if config.qk_norm else nn.Identity()
        self.mix = nn.Parameter(torch.tensor([1.0, 0.0])) if config.value_residual and layer else None

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, seen: Tensor | None, first_value: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Map ``x`` (B, T, D); ``seen`` (B or 1, 1, T, T) allows attention where True. Also this layer's values."""
        b, t, _ = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        q, k = rotate(self.q_norm(q), cos, sin), rotate(self.k_norm(k), cos, sin)
        mixed = v if self.mix is None or first_value is None else self.mix[0] * v + self.mix[1] * first_value
        y = F.scaled_dot_product_attention(q, k, mixed, attn_mask=seen)
        return self.out(y.transpose(1, 2).flatten(2)), v


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020)."""

    def __init__(self, config: TinyDiffusionConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Block(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, config: TinyDiffusionConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = rms_norm(config.hidden_size)
        self.attention = Attention(config, layer)
        self.feed_forward_norm = rms_norm(config.hidden_size)
        self.feed_forward = FeedForward(config)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, seen: Tensor | None, first_value: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Map ``x`` (B, T, D) to the same shape. See ``Attention.forward`` for the rest."""
        y, value = self.attention(self.attention_norm(x), cos, sin, seen, first_value)
        x = x + y
        return x + self.feed_forward(self.feed_forward_norm(x)), value


class TinyDiffusionModel(PreTrainedModel):
    """The backbone, and logits over all ids; those that are in no law are minus infinity."""

    config_class = TinyDiffusionConfig
    base_model_prefix = ""
    _supports_sdpa = True

    def __init__(self, config: TinyDiffusionConfig) -> None:
        super().__init__(config)
        d = config.hidden_size
        self.embedding = nn.Embedding(config.vocab_size, d)
        self.controls = None
        if config.control_rows:
            self.controls = nn.ModuleDict({"table": nn.Embedding(config.control_rows, d)})
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = rms_norm(d)
        self.head = None if config.tied else nn.Linear(d, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of the tokens' vectors."""
        return self.embedding

    def hidden(self, input_ids: Tensor, attention_mask: Tensor | None, controls: Tensor | None, causal: bool) -> Tensor:
        """Hidden states (B, T, D) of ``input_ids`` (B, T).

        ``attention_mask`` (B, T) is 0 for padding. ``controls`` (B, 1 or T, number of controls) are levels of the
        learnt controls, 0 for any.

        Raises:
            ValueError: too many tokens, or controls for a model that has learnt none.
        """
        t, most = input_ids.shape[1], self.config.max_position_embeddings
        if t > most:
            raise ValueError(f"{t} tokens are more than the model's context of {most}")
        x = self.embedding(input_ids)
        if controls is not None:
            if self.controls is None:
                raise ValueError("this model has no learnt controls")
            starts = torch.tensor(self.config.control_starts, device=controls.device)
            # Row 0 is that of "any" and holds zeros.
            x = x + self.controls["table"](torch.where(controls > 0, controls + starts, 0)).sum(-2)
        half = self.config.hidden_size // self.config.num_attention_heads // 2
        frequencies = self.config.rope_base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
        angles = torch.outer(torch.arange(t, device=x.device, dtype=torch.float32), frequencies)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        first_value = None
        seen = self._seen(input_ids, attention_mask, causal)
        for block in self.blocks:
            x, value = block(x, cos, sin, seen, first_value)
            first_value = value if first_value is None else first_value
        return self.norm(x)

    def _seen(self, input_ids: Tensor, attention_mask: Tensor | None, causal: bool) -> Tensor | None:
        """Where attention is allowed, (B or 1, 1, T, T); every place sees itself, padding too."""
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        seen = (places <= places[:, None])[None, None] if causal else None
        if attention_mask is not None:
            text = attention_mask[:, None, None, :].bool()
            seen = (text if seen is None else seen & text) | (places == places[:, None])
        return seen

    def logits(self, hidden: Tensor, lowest: int) -> Tensor:
        """Logits (B, T, V) of the ids from ``lowest`` on, from hidden states (B, T, D)."""
        table = self.embedding.weight if self.head is None else self.head.weight
        return F.pad(F.linear(hidden, table[lowest:]), (lowest, 0), value=-torch.inf)

    def loss(self, logits: Tensor, labels: Tensor, lowest: int) -> Tensor:
        """Mean cross-entropy in nats of ``labels`` (B, T); ids below ``lowest``, and -100, do not count."""
        wanted = labels.masked_fill(labels < lowest, -100)
        return F.cross_entropy(logits.flatten(0, 1), wanted.flatten())


class TinyDiffusionForMaskedLM(TinyDiffusionModel):
    """The masked reading: the law of each token, given all others on both sides.

    A dual network predicts a token from the state one place before it. So its rows begin with ``<bos>``, as its
    tokenizer writes them, and its logits are shifted to the place of their token; the first place has none, and gets
    zeros.
    """

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        controls: Tensor | None = None,
        **_: Any,
    ) -> MaskedLMOutput:
        """Logits (B, T, V), and the mean cross-entropy in nats of ``labels`` (B, T)."""
        if self.config.reading == "causal":
            raise ValueError("this model reads from left to right only: load it with AutoModelForCausalLM")
        hidden = self.hidden(input_ids, attention_mask, controls, causal=False)
        if self.config.reading == "dual":
            hidden = F.pad(hidden[:, :-1], (0, 0, 1, 0))
        lowest = self.config.reserved
        logits = self.logits(hidden, lowest)
        return MaskedLMOutput(loss=None if labels is None else self.loss(logits, labels, lowest), logits=logits)


class TinyDiffusionForCausalLM(TinyDiffusionModel, GenerationMixin):
    """The causal reading: the law of the next token. Rows begin with ``<bos>``, as the tokenizer writes them.

    ``generate`` goes on beyond the context by reading ``<bos>`` and the last tokens, and stops at ``<eos>`` if the
    network has learnt it. Otherwise no token ends a text: give ``max_new_tokens``.
    """

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        controls: Tensor | None = None,
        **_: Any,
    ) -> CausalLMOutput:
        """Logits (B, T, V) of the token after each place, and the mean cross-entropy in nats of ``labels`` (B, T)."""
        if self.config.reading == "masked":
            raise ValueError("this model has no causal reading: load it with AutoModelForMaskedLM")
        lowest = self.config.lowest
        logits = self.logits(self.hidden(input_ids, attention_mask, controls, causal=True), lowest)
        loss = None if labels is None else self.loss(logits[:, :-1], labels[:, 1:], lowest)
        return CausalLMOutput(loss=loss, logits=logits)

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, controls: Tensor | None = None, **_: Any
    ) -> dict[str, Any]:
        """The whole row, or ``<bos>`` and the last tokens that fit into the context."""
        most = self.config.max_position_embeddings
        if input_ids.shape[1] > most:
            first = torch.full_like(input_ids[:, :1], self.config.bos_token_id)
            input_ids = input_ids[:, 1 - most :]
            if attention_mask is not None:  # a row that is padded at the left may have its own <bos> still
                again = (input_ids != first).all(1, keepdim=True).to(attention_mask.dtype)
                attention_mask = torch.cat((again, attention_mask[:, 1 - most :]), dim=1)
            input_ids = torch.cat((first, input_ids), dim=1)
        return {"input_ids": input_ids, "attention_mask": attention_mask, "controls": controls}
