"""A model of known law for tests of writing: at each place of a row one token, with a set probability."""

import torch
from torch import Tensor

from tiny_diffusion.config import ModelConfig
from tiny_diffusion.data.tokenizer import NUM_RESERVED, BookTokenizer
from tiny_diffusion.model.layers import KeyValueCache
from tiny_diffusion.model.transformer import Transformer


class Copyist(Transformer):
    """At place i of a row token ``text[i]`` (repeated as needed) with probability ``grip``, the rest evenly spread.

    ``read`` keeps the ids of every pass.
    """

    def __init__(
        self, text: list[int], tokenizer: BookTokenizer, grip: float, *, context: int = 64, causal: bool = False
    ) -> None:
        shape = ModelConfig(d_model=8, n_layers=1, n_heads=1, d_ff=8, context=context, causal=causal)
        super().__init__(shape, tokenizer.vocab_size, NUM_RESERVED)
        self.text = torch.tensor([text[i % len(text)] for i in range(2 * context)]) - NUM_RESERVED
        self.grip = grip
        self.read: list[Tensor] = []

    def hidden(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
        controls: None = None,
    ) -> Tensor:
        self.read.append(ids)
        start = cache.length if cache is not None else 0
        # A causal row has BOS at its front, and its state at place i tells token i of the text.
        places = start + (positions if positions is not None else torch.arange(ids.shape[1]).expand(ids.shape))
        logits = torch.full((*places.shape, self.text_vocab_size), (1 - self.grip) / (self.text_vocab_size - 1))
        return logits.scatter_(2, self.text[places][..., None], self.grip).log()

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden
