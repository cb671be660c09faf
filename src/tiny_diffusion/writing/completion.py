"""Completing words: which tokens may follow so that a given number of tokens spells words of a list."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Tokens = tuple[int, ...]
Trie = dict[Tokens, dict[int, set[int]]]
"""For each beginning of a word, its next tokens, and how many tokens the words have that go on with each."""


@dataclass(frozen=True)
class Completions:
    """The words of a list, in its spelling, as tokens: with the space before them or without, with a capital or not."""

    words: Sequence[str]
    encode: Callable[[str], list[int]]
    _tries: dict[tuple[bool, bool], Trie] = field(default_factory=dict, repr=False)

    def trie(self, *, spaced: bool, capital: bool) -> Trie:
        """The words that begin with their space (``spaced``) and with a capital whatever the list has."""
        if (spaced, capital) not in self._tries:
            trie: defaultdict[Tokens, defaultdict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
            for word in self.words:
                tokens = tuple(self.encode(" " * spaced + (word[:1].upper() + word[1:] if capital else word)))
                for i, token in enumerate(tokens):
                    trie[tokens[:i]][token].add(len(tokens))
            self._tries[spaced, capital] = {begun: dict(following) for begun, following in trie.items()}
        return self._tries[spaced, capital]


class Completion:
    """Words in the making: one word if the list has one of so many tokens, otherwise several with their spaces."""

    def __init__(self, completions: Completions, *, spaced: bool, capital: bool) -> None:
        self._further = completions.trie(spaced=True, capital=False)
        self._trie = completions.trie(spaced=spaced, capital=capital)
        self._begun: Tokens = ()

    def tokens(self, left: int) -> set[int]:
        """The tokens that may come now when ``left`` tokens are to come, this one included."""
        following = self._trie.get(self._begun, {})
        done = len(self._begun)
        chosen = {token for token, lengths in following.items() if done + left in lengths}
        if not chosen:
            chosen = {token for token, lengths in following.items() if min(lengths) <= done + left}
            if done and done in self._trie[self._begun[:-1]][self._begun[-1]]:  # a whole word: another may follow
                chosen |= {token for token, lengths in self._further.get((), {}).items() if min(lengths) <= left}
        return chosen

    def take(self, token: int) -> None:
        """Go on with a drawn token."""
        if token in self._trie.get(self._begun, {}):
            self._begun = (*self._begun, token)
        else:
            self._trie, self._begun = self._further, (token,)
