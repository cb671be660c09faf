"""Names: capitalised words within sentences, and whether the following sentences take them up again."""

import re
from collections import Counter
from collections.abc import Collection, Iterable

from ...data.language.words import LONG_LETTER_RUN
from .prose import Prose

# After these marks a capital begins a sentence within the sentence: quotations, colons, dashes.
_OPENS = re.compile(r"[\"“”„«»‹›‘「『([:.!?…—–-]\s*$")


def common_words(sentences: Iterable[str]) -> frozenset[str]:
    """The words that the training ``sentences`` write in lower case more often than not: they are no names."""
    lower: Counter[str] = Counter()
    upper: Counter[str] = Counter()
    for sentence in sentences:
        lower.update(word for word in LONG_LETTER_RUN.findall(sentence) if word.islower())
        upper.update(_capitals(sentence))
    return frozenset(word for word, count in lower.items() if count > upper[word])


def names_in(sentence: str, common: Collection[str]) -> frozenset[str]:
    """Capitalised words that neither begin the sentence or a quotation in it nor are ``common`` words."""
    return frozenset(word for word in _capitals(sentence) if word not in common)


def _capitals(sentence: str) -> list[str]:
    """Capitalised words in lower case, except those at a beginning."""
    found = []
    for i, match in enumerate(LONG_LETTER_RUN.finditer(sentence)):
        word = match.group()
        if i > 0 and word[0].isupper() and not _OPENS.search(sentence, max(0, match.start() - 4), match.start()):
            found.append(word.casefold())
    return found


def carry_over(prose: Prose, common: Collection[str], reach: int) -> float | None:
    """Share of names that one of the next ``reach`` sentences of the text takes up; None without a name to follow.

    A name counts once per sentence. Names in the last sentence of a text do not count, since nothing follows it. A name
    is taken up by the same word with a capital, anywhere in a sentence.
    """
    found = [names_in(sentence, common) for sentence in prose.sentences]
    seen = [{w.casefold() for w in LONG_LETTER_RUN.findall(s) if w[0].isupper()} for s in prose.sentences]
    carried = total = 0
    for first, end in prose.runs.tolist():
        for i in range(first, end - 1):
            after = set().union(*seen[i + 1 : min(i + 1 + reach, end)])
            total += len(found[i])
            carried += len(found[i] & after)
    return carried / total if total else None
