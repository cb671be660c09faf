"""Counts beside the network: at each place the product of its law and that of the n-grams of the training text.

p(w) is proportional to network(w)^a * counts(w)^b: log-linear interpolation (Klakow 1998).

Shapes: B rows, T tokens, N places, V text vocabulary.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, Self

import torch
from torch import Tensor

from ..config import GenerationConfig
from ..data.ngrams import KneserNey, count_tokens
from ..data.tokenizer import BOS, MASK, NUM_RESERVED, BookTokenizer
from ..errors import UserError
from ..model.autoregressive import next_token_logits
from ..model.product import Exponents, Laws, fit_exponents
from ..model.transformer import Transformer
from ..runtime import autocast, generator_for
from .canvas import Mean, Predictor, mean_law

Sight = Literal["past", "left", "right", "both"]
"""What the counts see of a place: all before it in the causal reading; in the masked one, the settled tokens beside it
on one side or on both. The first place of a text, or one between two hidden ones, has none."""

ORDER = 5  # at 1,024 tokens, orders 4 to 6 are within 0.001 bits per byte of each other in a mixture
WINDOWS = 32  # of the validation text, to fit two numbers for each sight
PLACES = 150  # of each sight of the masked reading
KEPT = 4096  # laws that are not computed again
FIT = 0x5E  # purpose of random draws, see ``runtime.seed_for``


class Counts:
    """The n-grams of a training text beside the mean of ``networks``; each sight has exponents, fitted on ``windows``.

    windows: 1-D ids of validation text, each of which fits in the context.
    """

    def __init__(self, networks: Sequence[Transformer], ngrams: KneserNey, windows: Sequence[Tensor]) -> None:
        self.networks, self.ngrams, self.windows = networks, ngrams, windows
        self.device = networks[0].device
        self._law = lru_cache(KEPT)(self._fresh_law)

    @classmethod
    def of(
        cls,
        networks: Sequence[Transformer],
        tokenizer: BookTokenizer,
        training: Sequence[str],
        validation: Sequence[str],
    ) -> Self:
        """The counts of the ``training`` texts, fitted on the ``validation`` texts. Raises UserError without either."""
        level, context = networks[0].config.vocab_level, networks[0].config.context
        ngrams = count_tokens(training, tokenizer, level, ORDER)
        texts = [torch.tensor(tokenizer.encode(text, level)) for text in validation]
        windows = [window for text in texts for window in text.split(context)]
        if not windows:
            raise UserError("generation.expert=ngram needs validation text, and this prepared book has none")
        return cls(networks, ngrams, [windows[i] for i in spread(len(windows), WINDOWS)])

    @torch.inference_mode()
    def times(self, logits: Tensor, ids: Tensor, where: Tensor, *, causal: bool) -> Tensor:
        """Logits (N, V) of the product, from the network's own for the places ``where`` (B, T) of ``ids`` (B, T)."""
        exponents, rows = self.past if causal else self.masked, ids.tolist()
        product = logits.log_softmax(-1)
        for number, (row, place) in enumerate(where.nonzero().tolist()):
            if (found := self.law(rows[row], place, causal=causal)) is not None and found.sight in exponents:
                own, counted = exponents[found.sight]
                product[number] = own * product[number] + counted * found.log_probs.to(product.device)
        return product

    def law(self, ids: Sequence[int], place: int, *, causal: bool) -> "Law | None":
        """What the counts say about a place of a row; None if they see nothing of it."""
        reach = self.ngrams.order - 1
        left = settled(reversed(ids[max(0, place - reach) : place]))[::-1]
        right = () if causal else settled(ids[place + 1 : place + 1 + reach])
        if not (left or right):
            return None
        sight: Sight = "past" if causal else "both" if left and right else "left" if left else "right"
        return Law(sight, self._law(left, right))

    @cached_property
    def past(self) -> Mapping[Sight, Exponents]:
        """The exponents of the causal reading."""
        with torch.inference_mode(False):
            return {"past": fit_exponents(list(self._past_laws()))}

    @cached_property
    def masked(self) -> Mapping[Sight, Exponents]:
        """The exponents of the masked reading, for each sight that some place has."""
        with torch.inference_mode(False):
            return {sight: fit_exponents([laws]) for sight, laws in self._masked_laws().items()}

    @torch.no_grad()
    def _past_laws(self) -> Iterator[Laws]:
        for window in self.windows:
            with autocast(self.device, "auto"):
                rows = window[None].to(self.device)
                own = mean_law([next_token_logits(each, rows, BOS)[0] for each in self.networks]).cpu()
            counted = torch.from_numpy(self.ngrams.laws(window.numpy() - NUM_RESERVED)).log().float()
            yield Laws(torch.stack((own, counted))[:, 1:], window[1:] - NUM_RESERVED)  # of the first they see nothing

    @torch.no_grad()
    def _masked_laws(self) -> dict[Sight, Laws]:
        """Places of each sight in windows of which a random share is hidden."""
        reader = Mean([Predictor(each, GenerationConfig()) for each in self.networks])
        pairs: dict[Sight, list[Tensor]] = {"left": [], "right": [], "both": []}
        targets: dict[Sight, list[int]] = {sight: [] for sight in pairs}
        for number, window in enumerate(self.windows):
            generator = generator_for(0, FIT, number)
            where = torch.rand(len(window), generator=generator) < torch.rand(1, generator=generator)
            where[torch.randint(len(window), (1,), generator=generator)] = True
            ids = window.masked_fill(where, MASK)[None].to(self.device)
            logits = reader.logits(ids, where[None].to(ids.device)).cpu()
            for own, place in zip(logits, where.nonzero().flatten().tolist(), strict=True):
                found = self.law(ids[0].tolist(), place, causal=False)
                if found is not None and len(pairs[found.sight]) < PLACES:
                    pairs[found.sight].append(torch.stack((own, found.log_probs)))
                    targets[found.sight].append(int(window[place]) - NUM_RESERVED)
        return {s: Laws(torch.stack(p, 1), torch.tensor(targets[s])) for s, p in pairs.items() if p}

    def _fresh_law(self, left: tuple[int, ...], right: tuple[int, ...]) -> Tensor:
        law = self.ngrams.law_between(left, right) if right else self.ngrams.next_law(left)
        return torch.from_numpy(law).log().float()


@dataclass(frozen=True)
class Law:
    """Log-probabilities (V,) by counts, and what they are given."""

    sight: Sight
    log_probs: Tensor


def spread(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers below ``count``, evenly spread."""
    return [i * count // min(count, most) for i in range(min(count, most))]


def settled(ids: Iterable[int]) -> tuple[int, ...]:
    """The text tokens that ``ids`` begin with, numbered as the n-grams number them."""
    found = []
    for token in ids:
        if token < NUM_RESERVED:
            break
        found.append(token - NUM_RESERVED)
    return tuple(found)
