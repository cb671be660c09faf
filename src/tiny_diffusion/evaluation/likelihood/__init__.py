"""Measures how many bits per byte a model needs for held-out text, beside n-grams, a compressor and other models.

It may import what ``evaluation`` may import. Start with ``comparison.compare``, which fills the table; ``bound`` holds
the windows and the bound, ``readings`` the exact readings, ``mixture`` the rows of several experts together.
"""

from .baselines import KneserNey
from .bound import HeldOut, Likelihood, held_out, model_nats, ngram_nats, summarise
from .comparison import check_twin, compare
from .surprisal import Scored, Surprisal, score_text

__all__ = [
    "HeldOut",
    "KneserNey",
    "Likelihood",
    "Scored",
    "Surprisal",
    "check_twin",
    "compare",
    "held_out",
    "model_nats",
    "ngram_nats",
    "score_text",
    "summarise",
]
