"""Sampling: the reverse process that turns masked rows into tokens, and the left-to-right writing of causal models.

It imports ``config``, ``data``, ``model``, ``runtime``, ``files`` and ``errors`` only. Start reading at ``denoise.py``,
which runs the process; the samplers themselves are in ``samplers.py``. The functions ``denoise`` and ``left_to_right``
are imported from the modules of their names.
"""

from .canvas import Canvas, Prediction
from .denoise import DenoisingState, most_steps
from .draw import Numbers, choose, row_generators
from .predictor import Predictor, cast_once
from .samplers import EQUAL_SHARES, SAMPLERS

__all__ = [
    "EQUAL_SHARES",
    "SAMPLERS",
    "Canvas",
    "DenoisingState",
    "Numbers",
    "Prediction",
    "Predictor",
    "cast_once",
    "choose",
    "most_steps",
    "row_generators",
]
