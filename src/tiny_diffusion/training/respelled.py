"""The last stage's text in other tokens: in its first epochs words lack some of the tokenizer's merges.

A word that always comes in the same tokens is learnt by heart as a whole; in other tokens it is learnt by its parts
too. This is BPE-dropout (Provilkov et al. 2020), but for one thing: there each word draws anew which merges it lacks,
here it draws one of CHOICES sets, so that an epoch is spelled in a moment. The last quarter of the stage has the tokens
in which the model will write.

Shapes: N tokens of a stream, P pieces.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch
from tokenizers.models import BPE
from torch import Tensor

from ..config import ProjectConfig
from ..data.sections import Section, encode_sections
from ..data.tokenizer import NUM_RESERVED, BookTokenizer
from .rows import Examples, Layout

CHOICES = 8  # sets of merges that a word may lack
FADES = 0.75  # share of the stage after which no word lacks any


class Respelled:
    """Streams of the same sections in other tokens, and where their pieces are in the stream with all merges."""

    def __init__(
        self, found: Sequence[Section], tokenizer: BookTokenizer, level: int, ends: bool, share: float, seed: int
    ) -> None:
        """``found``: the sections of the stage; ``ends`` as for ``encode_sections``; ``share``: of merges to lack."""
        self.found, self.ends = found, ends
        numbers, full = np.random.default_rng(seed), tokenizer.encoder(level)
        lacking = [tokenizer.thinned(level, share, numbers) for _ in range(CHOICES)]
        self.cut = full.pre_tokenizer
        self.spell = [cache(partial(_spelled, each.model)) for each in (full, *lacking)]
        self.words = cache(self._words)
        # A mark counts as a byte: both streams have the same marks at the same places of the text.
        sizes = [max(1, len(tokenizer.token_bytes(i))) for i in range(NUM_RESERVED + tokenizer.level_size(level))]
        self.sizes = torch.tensor(sizes)

    def stream(self, chance: float, seed: int) -> tuple[Tensor, Tensor]:
        """Ids (N,), and the mark of what begins with each token (N,); each word lacks merges with this ``chance``."""
        numbers = np.random.default_rng(seed)

        def encode(text: str) -> list[int]:
            words = self.words(text)
            lacks = numbers.random(len(words)) < chance
            which = np.where(lacks, numbers.integers(1, 1 + CHOICES, len(words)), 0).tolist()
            return [i for word, speller in zip(words, which, strict=True) for i in self.spell[speller](word)]

        ids, openings = encode_sections(self.found, encode, ends=self.ends)
        return torch.tensor(ids, dtype=torch.int32), torch.tensor(openings)

    def _words(self, text: str) -> tuple[str, ...]:
        """The words of ``text`` as the tokenizer cuts it, spelled as its model reads them."""
        return tuple(sys.intern(word) for word, _ in self.cut.pre_tokenize_str(text))

    def in_full(self, rows: Layout, encoded: Examples) -> Layout:
        """``rows``, with pieces of the same text in the tokens of all merges for those of a respelled stream.

        ``encoded``: the last stage with all merges, whose ids hold all stages; a respelled stream follows them in
        ``rows.stream``, and behind it may stand what the model itself wrote. Other pieces stay as they are.
        """
        (begin, stop), end = encoded.bounds.tolist(), len(encoded.ids)
        full = self._bytes_before(rows.stream[begin:stop])
        here = self._bytes_before(rows.stream[end:])
        inside = (rows.starts >= end) & (here[(rows.starts - end).clamp(min=0)] < full[-1])
        first = (rows.starts - end)[inside]
        starts = torch.searchsorted(full, here[first], right=True) - 1
        ends = torch.searchsorted(full, here[first + rows.lengths[inside]])
        lengths = (ends - starts).clamp(min=1)
        return replace(
            rows,
            starts=rows.starts.masked_scatter(inside, begin + starts),
            lengths=rows.lengths.masked_scatter(inside, lengths),
        )

    def _bytes_before(self, ids: Tensor) -> Tensor:
        """Bytes before each of ``ids`` (N,), and all of them (N + 1,)."""
        return torch.cat([torch.zeros(1, dtype=torch.long), self.sizes[ids.long()].cumsum(0)])


def _spelled(model: BPE, word: str) -> list[int]:
    return [token.id for token in model.tokenize(word)]


def chance_of(config: ProjectConfig, stage: int, epoch: int) -> float:
    """Chance that a word of an epoch lacks merges: in the last stage, falling evenly from 1 to 0."""
    stages = config.curriculum.stages
    if config.training.merge_dropout == 0 or stage < len(stages) - 1:
        return 0.0
    return max(0.0, 1 - epoch / (FADES * stages[stage].epochs))
