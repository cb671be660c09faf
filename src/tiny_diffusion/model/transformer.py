"""The backbone: token ids in, hidden states out, logits where they are asked for.

Shapes: B batch, T tokens, M chosen positions of each row, D model width, H heads, K head width, V text vocabulary.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..config import ModelConfig
from .controls import ControlEmbedding
from .layers import (
    FeedForward,
    KeyValueCache,
    RMSNorm,
    add_with_dropout,
    attend,
    rotary_tables,
    rotate,
    spread_dropout,
    take,
    working_type,
)
from .schedule import LinearSchedule, MaskSchedule

MASK_ID, BOS_ID = 0, 2  # of the tokenizer, which the model does not import


class Attention(nn.Module):
    """Self-attention, bidirectional or causal, with optional query-key norm and value residual."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        d = config.d_model
        self.layer = layer
        self.heads = config.heads
        self.causal = config.causal
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.q_norm = RMSNorm(config.head_dim) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(config.head_dim) if config.qk_norm else nn.Identity()
        # Zhou et al. 2024 (value residual learning): lambda_own * v + lambda_first * v_of_block_0.
        self.mix = nn.Parameter(torch.tensor([1.0, 0.0])) if config.value_residual and layer else None

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        first_value: Tensor | None,
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Attend over ``x`` (B, T, D); ``mask`` is boolean (B, 1, T, T), True where attention is allowed.

        With ``positions`` (B, M) only the output there is computed. With ``cache`` its keys and values come before
        those of ``x``. Returns the output (B, T or M, D) and this block's values (B, H, T, K).
        """
        b, t, d = x.shape
        if positions is None:
            qkv = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)  # (3, B, H, T, K)
            q, k, v = qkv.unbind(0)
            q = rotate(self.q_norm(q), cos, sin)
        else:
            weight = self.qkv.weight
            q = F.linear(take(x, positions), weight[:d]).unflatten(2, (self.heads, -1)).transpose(1, 2)
            q = rotate(self.q_norm(q), cos[positions][:, None], sin[positions][:, None])
            k, v = F.linear(x, weight[d:]).view(b, t, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        k = rotate(self.k_norm(k), cos, sin)
        mixed = v
        if self.mix is not None and first_value is not None:
            mixed = (self.mix[0] * v + self.mix[1] * first_value).to(v.dtype)
        if cache is not None:
            k, mixed = cache.extend(self.layer, k, mixed)
        y = attend(q, k, mixed, mask, self.causal and q.shape[2] == k.shape[2])
        return self.out(y.transpose(1, 2).flatten(2)), v


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.d_model)
        self.attention = Attention(config, layer)
        self.feed_forward_norm = RMSNorm(config.d_model)
        self.feed_forward = FeedForward(config)
        self.dropout_rate = config.dropout

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        first_value: Tensor | None,
        dropped: Sequence[Tensor | None],
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Map (B, T, D) to (B, T, D), or to (B, M, D) at ``positions``; also returns the attention's values.

        ``dropped`` tells where dropout sets each of the two outputs to zero. See ``Attention.forward`` for the rest.
        """
        y, value = self.attention(self.attention_norm(x), cos, sin, mask, first_value, positions, cache)
        x = x if positions is None else take(x, positions)
        x = add_with_dropout(x, y, dropped[0], self.dropout_rate)
        y = self.feed_forward(self.feed_forward_norm(x))
        return add_with_dropout(x, y, dropped[1], self.dropout_rate), value


class Transformer(nn.Module):
    """Embedding, blocks, final norm and a head over text tokens only.

    The head leaves out the ``reserved`` first ids, so reserved tokens such as MASK and PAD can be neither predicted nor
    sampled; a dual model learns END beside the text, see ``lowest``. ``vocab_size`` counts reserved ids and text
    tokens. ``schedule`` is the noise that the model is trained on, linear if None; the network does not use it, but
    losses and samplers find it here.
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self, config: ModelConfig, vocab_size: int, reserved: int, schedule: MaskSchedule | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.schedule = schedule or LinearSchedule()
        self.vocab_size = vocab_size
        self.reserved = reserved
        # How many places a masked reading's state stands before the token that it predicts, and the first id of the
        # law that is learnt: a dual model learns END too, just below the text tokens.
        self.shift = int(config.dual)
        self.lowest = reserved - self.shift
        self.gradient_checkpointing = False
        self.compiled_shape: tuple[int, int] | None = None
        self.unproven_rows = 0  # of a pass by compiled blocks that were not yet compared with the plain ones
        self.marks = False  # whether it has learnt the marks of what begins, see the tokenizer
        self.embedding = nn.Embedding(vocab_size, config.d_model)
        self.controls = ControlEmbedding(config.d_model) if config.controls else None
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.norm = RMSNorm(config.d_model)
        self.head = None if config.tie_embeddings else nn.Linear(config.d_model, vocab_size, bias=False)
        # The input of a dual model begins with BOS, before the text.
        cos, sin = rotary_tables(config.context + self.shift, config.head_dim, config.rope_base)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """Draw normal weights; the two matrices that write to the residual stream shrink with depth (GPT-2)."""
        std = self.config.init_std
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2 or name.startswith("controls."):
                continue
            residual = name.endswith(("attention.out.weight", "feed_forward.down.weight"))
            nn.init.normal_(parameter, std=std / (2 * self.config.n_layers) ** 0.5 if residual else std)

    @property
    def text_vocab_size(self) -> int:
        """Number of text tokens V: the width of the logits."""
        return self.vocab_size - self.reserved

    def hidden(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
        controls: Tensor | None = None,
        causal: bool | None = None,
    ) -> Tensor:
        """Hidden states (B, T, D) of ``ids`` (B, T); ``mask`` (B, 1, T, T) allows attention where True.

        With ``positions`` (B, M) the result is (B, M, D): the last block computes queries and feed-forward only there.
        ``ids`` follow the tokens in ``cache`` and attend to them. ``controls`` (B, 1 or T, K) are levels of the learnt
        controls, see ``ControlEmbedding``; None means any. ``causal`` chooses the reading of a dual model; None means
        the masked one. Raises ValueError if all tokens together exceed the context, if a causal reading gets positions,
        if the model has no such reading, or if a model without controls gets controls.
        """
        causal = self.config.causal if causal is None else causal
        if causal != self.config.causal and not self.config.dual:
            raise ValueError(f"causal={causal}, but this model reads with causal={self.config.causal} only")
        t, start = ids.shape[1], cache.length if cache is not None else 0
        if start + t > len(self.cos):
            raise ValueError(f"{start + t} tokens are more than the model's context of {len(self.cos)}")
        if causal and positions is not None:
            raise ValueError("a causal model gives the states of all its tokens")
        if causal and (mask is not None or start or self.config.dual):
            seen = torch.ones(t, start + t, dtype=torch.bool, device=ids.device).tril(start)
            mask = seen if mask is None else mask & seen
        x = self.embedding(ids)
        if controls is not None:
            if self.controls is None:
                raise ValueError("this model has no learnt controls")
            x = x + self.controls(controls)
        cos, sin = (table[start : start + t].to(working_type(x)) for table in (self.cos, self.sin))
        dropped: list[Tensor | None] = [None] * (2 * len(self.blocks))
        if self.training and self.config.dropout:
            x, dropped[:] = spread_dropout(x, len(dropped), self.config.dropout)
        first_value: Tensor | None = None
        whole = self.training and positions is None and cache is None
        for i, (block, *drops) in enumerate(zip(self.blocks, dropped[::2], dropped[1::2], strict=True)):
            # Each other shape would need a compilation of its own.
            call = block if whole and tuple(ids.shape) == self.compiled_shape else block.forward
            if self.gradient_checkpointing and self.training:
                x, value = checkpoint(call, x, cos, sin, mask, first_value, drops, use_reentrant=False)
            else:
                wanted = positions if i + 1 == len(self.blocks) else None
                x, value = call(x, cos, sin, mask, first_value, drops, wanted, cache)
            first_value = value if first_value is None else first_value
        return self.norm(x)

    def input_of(self, ids: Tensor) -> Tensor:
        """The input whose i-th state predicts token i of ``ids`` (B, T): ``ids``, behind BOS for a dual model."""
        return F.pad(ids, (self.shift, 0), value=BOS_ID)

    def compile_blocks(self, rows: int, length: int) -> None:
        """Run the blocks through ``torch.compile`` for ids of (rows, length) from now on; others run as before."""
        self.compiled_shape, self.unproven_rows = (rows, length), rows
        for block in self.blocks:
            block.compile(dynamic=False)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) over text tokens from hidden states (..., D)."""
        return F.linear(hidden, self.output[self.reserved :])

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.embedding.weight.device

    @property
    def output(self) -> Tensor:
        """Rows of the head (reserved + V, D), one per id; those of reserved ids are not used."""
        return self.embedding.weight if self.head is None else self.head.weight

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (B, T, V) at every position."""
        return self.logits(self.hidden(ids, mask))
