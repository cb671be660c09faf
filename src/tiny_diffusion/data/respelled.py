"""The last stage's text in other tokens: in its first epochs words lack some of the tokenizer's merges.

A word that always comes in the same tokens is learnt by heart as a whole; in other tokens it is learnt by its parts
too. This is BPE-dropout (Provilkov et al. 2020), but for one thing: there each word draws anew which merges it lacks,
here it draws one of CHOICES sets, so that an epoch is spelled in a moment.
"""

import sys
from collections.abc import Sequence
from functools import cache, partial

import numpy as np
from tokenizers.models import BPE

from .sections import Section, encode_sections
from .tokenizer import BookTokenizer

CHOICES = 8  # sets of merges that a word may lack


class Respelled:
    """The same sections in other tokens, each time in others."""

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

    def stream(self, chance: float, seed: int) -> tuple[list[int], list[int]]:
        """As ``encode_sections`` gives them, but each word lacks merges with this ``chance``."""
        numbers = np.random.default_rng(seed)

        def encode(text: str) -> list[int]:
            words = self.words(text)
            lacks = numbers.random(len(words)) < chance
            which = np.where(lacks, numbers.integers(1, 1 + CHOICES, len(words)), 0).tolist()
            return [i for word, speller in zip(words, which, strict=True) for i in self.spell[speller](word)]

        return encode_sections(self.found, encode, ends=self.ends)

    def _words(self, text: str) -> tuple[str, ...]:
        """The words of ``text`` as the tokenizer cuts it, spelled as its model reads them."""
        return tuple(sys.intern(word) for word, _ in self.cut.pre_tokenize_str(text))


def _spelled(model: BPE, word: str) -> list[int]:
    return [token.id for token in model.tokenize(word)]
