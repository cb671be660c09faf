"""N-grams over token ids: interpolated modified Kneser-Ney (Chen and Goodman 1999).

Conventions that change the numbers:

* A sequence and a scored window start afresh: there is no BOS token, so the token at position i < order - 1 is
  predicted from its i predecessors alone.
* The token at position i is scored by the Kneser-Ney model of order min(order, i + 1). The top level of that model uses
  raw counts; only the levels below it use continuation counts. A window starts in the middle of a text, so what
  precedes a prefix context is unknown, unlike the novel context of a back-off.
* A continuation count is the number of distinct left neighbours; the start of a sequence counts as one. So every n-gram
  that occurred has a continuation count of at least one.
* The lowest level interpolates with the uniform distribution over ``vocab_size``: no id has probability zero.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .tokenizer import NUM_RESERVED, BookTokenizer

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

UNIGRAM_ADDEND = 0.5
FALLBACK_DISCOUNT = 0.75


@dataclass(frozen=True)
class Table:
    """Interpolation terms of one level: p(w|h) = mass[gram(h, w)] + weight[context(h)] * p(w|shorter h).

    Both arrays end with an entry for "never seen" (mass 0, weight 1), which index -1 reaches.
    """

    mass: FloatArray
    weight: FloatArray


@dataclass(frozen=True)
class Level:
    """The n-grams of one length: ``keys[g]`` = context id * vocab_size + last id, sorted; g is the n-gram's id."""

    keys: IntArray
    raw: Table
    continuation: Table | None


def estimate_discounts(counts: IntArray) -> tuple[float, float, float]:
    """Return the discounts (D1, D2, D3+) of n-grams that occur once, twice, and three times or more.

    ``counts`` has one positive entry for each distinct n-gram. If the modified estimate does not exist, all three are
    one absolute discount: n1 / (n1 + 2 n2), or 0.75 if n1 or n2 is zero.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == c)) for c in (1, 2, 3, 4))
    # Without singletons or pairs the leave-one-out estimate is 0/0, 0 or 1. A discount of 0 would give unseen
    # ids no probability, and one of 1 would erase singletons; 0.75 is the usual value for text.
    if n1 == 0 or n2 == 0:
        return (FALLBACK_DISCOUNT,) * 3
    y = n1 / (n1 + 2 * n2)
    # n3 = 0 leaves D3+ undefined, and n4 = 0 makes it 3, which would erase the n-grams seen three times.
    if n3 == 0 or n4 == 0:
        return (y,) * 3
    discounts = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    # Counts-of-counts that do not fall (small vocabularies) can make D2 or D3+ negative: no mass to share.
    if min(discounts) <= 0:
        return (y,) * 3
    return discounts


def _kneser_ney_table(counts: IntArray, contexts: IntArray, num_contexts: int) -> Table:
    """Turn ``counts`` [grams], whose context ids are ``contexts`` [grams], into discounted interpolation terms."""
    discount = np.asarray((0.0, *estimate_discounts(counts)))[np.minimum(counts, 3)]
    total = np.bincount(contexts, weights=counts, minlength=num_contexts)
    freed = np.bincount(contexts, weights=discount, minlength=num_contexts)
    # A context seen only at the end of a sequence predicts nothing: all weight goes to the shorter context.
    weight = np.divide(freed, total, out=np.ones(num_contexts), where=total > 0)
    return Table(np.append((counts - discount) / total[contexts], 0.0), np.append(weight, 1.0))


def _unigram_table(counts: IntArray, vocab_size: int) -> Table:
    """Add ``UNIGRAM_ADDEND`` to the count of each id, written as an interpolation with the uniform distribution."""
    total = counts.sum() + UNIGRAM_ADDEND * vocab_size
    return Table(np.append(counts / total, 0.0), np.array([UNIGRAM_ADDEND * vocab_size / total, 1.0]))


class KneserNey:
    """Interpolated modified Kneser-Ney of a given order over the ids 0 .. vocab_size - 1.

    Order 1 is a plain unigram: counts plus one half, which is an interpolation with the uniform distribution.
    """

    def __init__(self, order: int, vocab_size: int, sequences: Sequence[np.ndarray]) -> None:
        """Count the n-grams of ``sequences`` (each 1-D ids below ``vocab_size``), none across two of them.

        Raises UserError if there is no token at all.
        """
        self.order = order
        self.vocab_size = vocab_size
        arrays = [np.asarray(sequence, np.int64) for sequence in sequences]
        tokens = np.concatenate([np.empty(0, np.int64), *arrays])
        if tokens.size == 0:
            raise UserError("cannot fit an n-gram model: the training sequences hold no token")
        position = np.concatenate([np.arange(len(array)) for array in arrays])
        context = np.zeros(len(tokens), np.int64)
        found: list[tuple[IntArray, IntArray, IntArray]] = []
        for length in range(1, self.order + 1):
            valid = position >= length - 1
            keys, grams, counts = np.unique(
                context[valid] * self.vocab_size + tokens[valid], return_inverse=True, return_counts=True
            )
            ids = np.full(len(tokens), -1, np.int64)
            ids[valid] = grams
            found.append((keys, counts.astype(np.int64), ids))
            context = np.concatenate(([-1], ids[:-1]))
        self.levels = [self._level(found, length, position) for length in range(1, self.order + 1)]
        """The n-grams of one token, of two, and so on up to the order."""

    def log_probs(self, window: np.ndarray) -> FloatArray:
        """Return log p(token | its predecessors in the window), in nats, for one or more windows (..., T) of a length.

        A window starts afresh.
        """
        probability = np.full(window.shape, 1.0 / self.vocab_size)
        for start, (level, context, grams) in enumerate(self._walk(window)):
            raw = (..., slice(start, None if level.continuation is None else start + 1))
            if level.continuation is not None:
                rest = (..., slice(start + 1, None))
                table = level.continuation
                probability[rest] = table.mass[grams[rest]] + table.weight[context[rest]] * probability[rest]
            probability[raw] = level.raw.mass[grams[raw]] + level.raw.weight[context[raw]] * probability[raw]
        return np.log(probability)

    def laws(self, window: np.ndarray, first: int = 0) -> FloatArray:
        """Return p(id | predecessors of a place in the window) for every id, shape [len(window) - first, vocab_size].

        As ``log_probs``, for all ids instead of the true one, and for the places from ``first`` on.
        """
        found = np.full((len(window) - first, self.vocab_size), 1.0 / self.vocab_size)
        for start, (level, context, _) in enumerate(self._walk(window)):
            ends = np.searchsorted(level.keys, np.stack((context, context + 1)) * self.vocab_size)
            for at in range(max(start, first), len(window)):
                table = level.raw if level.continuation is None or at == start else level.continuation
                law = found[at - first]
                law *= table.weight[context[at]]
                if context[at] >= 0:
                    grams = slice(*ends[:, at])
                    law[level.keys[grams] % self.vocab_size] += table.mass[grams]
        return found

    def next_law(self, before: Sequence[int]) -> FloatArray:
        """Return p(id | the ids ``before`` it) for every id, shape [vocab_size]. What is before them is unknown."""
        window = np.array([*before[max(0, len(before) - self.order + 1) :], 0])
        return self.laws(window, len(window) - 1)[0]

    def law_between(self, before: Sequence[int], behind: Sequence[int]) -> FloatArray:
        """Return p(id | the ids on both sides) for every id, shape [vocab_size].

        It is p(before, id, behind), divided by its sum over all ids; of each side the n-grams see their
        order less one. An id that was never seen next to either neighbour changes the text behind it in one way only:
        how much weight it passes on to the first token there. So one such id stands for all of them.
        """
        reach = self.order - 1
        left, right = before[max(0, len(before) - reach) :], behind[:reach]
        nats = -np.log(self.next_law(left))
        if len(right) and reach:
            nats -= self._log_probs_behind(left, right)
        law = np.exp(nats.min() - nats)
        return law / law.sum()

    def _log_probs_behind(self, left: Sequence[int], right: Sequence[int]) -> FloatArray:
        """Return log p(right | left, id) for every id, shape [vocab_size]."""
        ids, pair = np.arange(self.vocab_size), self.levels[1]
        context = self.find(self.levels[0].keys, np.zeros_like(ids), ids)  # the id alone, before another token
        seen = self.find(pair.keys, context, np.full_like(ids, right[0])) >= 0
        if len(left):
            seen |= self.find(pair.keys, np.full_like(ids, context[left[-1]]), ids) >= 0
        table = pair.raw if pair.continuation is None or not len(left) else pair.continuation
        weight = np.log(table.weight[context])
        chosen = np.append(ids[seen], ids[~seen][:1])
        rows = np.empty((len(chosen), len(left) + 1 + len(right)), np.int64)
        rows[:, : len(left)], rows[:, len(left)], rows[:, len(left) + 1 :] = left, chosen, right
        scored = self.log_probs(rows)[:, len(left) + 1 :].sum(1)
        found = np.full(self.vocab_size, scored[-1]) + weight - weight[chosen[-1]]
        found[chosen] = scored
        return found

    def matched(self, window: np.ndarray) -> IntArray:
        """Return for each token how many tokens before it form the longest context that a token followed in training.

        Shape [len(window)], values 0 .. order - 1. The window starts afresh.
        """
        longest = np.zeros(len(window), np.int64)
        for start, (level, context, _) in enumerate(self._walk(window)):
            longest[level.raw.weight[context] < 1] = start  # a context that nothing followed passes all weight on
        return longest

    def _walk(self, tokens: np.ndarray) -> Iterator[tuple[Level, IntArray, IntArray]]:
        """Yield each level with the ids (..., T) of context and n-gram at each token, -1 where never seen."""
        context = np.zeros(tokens.shape, np.int64)
        for level in self.levels:
            grams = self.find(level.keys, context, tokens)
            yield level, context, grams
            context = np.concatenate((np.full_like(grams[..., :1], -1), grams[..., :-1]), axis=-1)

    def _level(self, found: list[tuple[IntArray, IntArray, IntArray]], length: int, position: IntArray) -> Level:
        """Build the tables of one length from ``found``: the keys, counts and per-position ids of each length."""
        keys, counts, ids = found[length - 1]
        contexts = keys // self.vocab_size
        num_contexts = 1 if length == 1 else len(found[length - 2][0])
        if length == 1:
            raw = _unigram_table(counts, self.vocab_size)
        else:
            raw = _kneser_ney_table(counts, contexts, num_contexts)
        if length == self.order:
            return Level(keys, raw, None)
        longer = found[length][2]
        present = longer >= 0
        suffix = np.empty(len(found[length][0]), np.int64)
        suffix[longer[present]] = ids[present]
        neighbours = np.bincount(suffix, minlength=len(keys))
        neighbours[np.unique(ids[position == length - 1])] += 1
        return Level(keys, raw, _kneser_ney_table(neighbours, contexts, num_contexts))

    def find(self, keys: IntArray, contexts: IntArray, tokens: np.ndarray) -> IntArray:
        """Return the n-gram ids of (context, token) pairs, -1 where never seen."""
        wanted = contexts * self.vocab_size + tokens
        # If the order exceeds the length of every training sequence, a level has no n-gram.
        if len(keys) == 0:
            return np.full(tokens.shape, -1, np.int64)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where((contexts >= 0) & (keys[place] == wanted), place, -1)


def count_tokens(texts: Sequence[str], tokenizer: BookTokenizer, level: int, order: int) -> KneserNey:
    """A model of the text tokens of ``texts`` at a vocabulary level: ids less ``NUM_RESERVED``."""
    rows = [np.array(tokenizer.encode(text, level)) - NUM_RESERVED for text in texts]
    return KneserNey(order, tokenizer.level_size(level), rows)
