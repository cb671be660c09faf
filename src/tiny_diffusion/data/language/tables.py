"""The word lists of each language, from ``tables.toml``: adding a language means adding its lists there."""

import tomllib
from pathlib import Path
from typing import Any

_TABLES: dict[str, Any] = tomllib.loads(Path(__file__).with_name("tables.toml").read_text(encoding="utf-8"))


def word_lists(name: str) -> dict[str, frozenset[str]]:
    """The case-folded words of table ``name``, by two-letter language code."""
    return {language: frozenset(words.casefold().split()) for language, words in _TABLES[name].items()}


def connectives() -> dict[str, dict[str, list[str]]]:
    """Connectives by two-letter language code and by role; they may be phrases."""
    return {
        language: {role: phrases.replace("\n", "").split("|") for role, phrases in roles.items()}
        for language, roles in _TABLES["connectives"].items()
    }


def heading_pattern(name: str) -> str:
    """A regular expression: "keywords", "scenes", "ordinals", "named", "publisher", "months" or "contents"."""
    pattern: str = _TABLES["headings"][name]
    return pattern.replace("\n", "")
