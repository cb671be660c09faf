"""Counts connectives and subordinators, from which the difficulty scores are made."""

import re
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from .tables import connectives, word_lists

ROLES = ("claim", "evidence", "contrast")
"""What a connective introduces: a consequence or conclusion; a cause or example; an objection or condition."""

_CONNECTIVES = connectives()
_SUBORDINATORS = word_lists("subordinators")


def has_connectives(language: str) -> bool:
    """Whether there is a table of connectives for the two-letter ``language``."""
    return language in _CONNECTIVES


@lru_cache(maxsize=16)
def _role_table(language: str) -> tuple[re.Pattern[str], dict[str, int]]:
    """A matcher of whole connectives, longest first, and the column of each."""
    table = _CONNECTIVES[language]
    column = {_plain(word): ROLES.index(role) for role, words in table.items() for word in words}
    longest = sorted(column, key=lambda word: (-len(word), word))
    # Elided words (``qu'``) end at their apostrophe.
    closed = (re.escape(word) if word.endswith("'") else re.escape(word) + r"\b" for word in longest)
    return re.compile(rf"\b(?:{'|'.join(closed)})"), column


def _plain(text: str) -> str:
    return text.casefold().replace("’", "'")


def count_roles(texts: Iterable[str], language: str) -> np.ndarray:
    """Count the connectives of each role per text: int array [texts, len(ROLES)]; all zeros without a table."""
    if language not in _CONNECTIVES:
        return np.zeros((sum(1 for _ in texts), len(ROLES)), dtype=np.int64)
    pattern, column = _role_table(language)
    rows = []
    for text in texts:
        row = [0] * len(ROLES)
        for word in pattern.findall(_plain(text)):
            row[column[word]] += 1
        rows.append(row)
    return np.array(rows, dtype=np.int64).reshape(-1, len(ROLES))


def subordinators(language: str) -> frozenset[str]:
    """Single words that open a subordinate clause, case-folded; empty without a table."""
    return _SUBORDINATORS.get(language, frozenset())
