"""Made-up prose, which stands around what a test of cleaning is about."""

import random
import textwrap

from tiny_diffusion.data.reading.cleaning import clean_book

WORDS = "orchard ladder winter saddle narrow river upon under carried behind morning letters candle sister".split()


def prose(count: int, seed: int = 1, width: int = 70) -> list[str]:
    """Paragraphs of forty words, wrapped."""
    chance = random.Random(seed)
    made = (" ".join(chance.choices(WORDS, k=40)).capitalize() + "." for _ in range(count))
    return [textwrap.fill(paragraph, width) for paragraph in made]


PROSE = prose(20)
FLAT = [" ".join(paragraph.split()) for paragraph in PROSE]


def book(*parts: str, gap: str = "\n\n") -> str:
    """``parts`` with prose before and after them."""
    return gap.join([*PROSE[:10], *parts, *PROSE[10:]])


def added(text: str, **settings: bool) -> list[str]:
    """The paragraphs that are not of the prose around them."""
    return [p for p in clean_book(text, **settings).paragraphs if p not in FLAT]


def counts(text: str) -> dict[str, int]:
    """How many pieces of each kind cleaning takes out."""
    return clean_book(text).removed.counts
