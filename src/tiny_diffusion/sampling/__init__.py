"""Sampling: the reverse process that turns masked rows into tokens, and the left-to-right writing of causal models.

It imports ``config``, ``data``, ``model``, ``runtime``, ``files`` and ``errors`` only. Start reading at ``denoise.py``,
which runs the process; the samplers themselves are in ``samplers.py``.
"""

from .canvas import Canvas, Prediction
from .denoise import DenoisingState, denoise, most_steps
from .draw import Numbers, choose, row_generators
from .left_to_right import left_to_right
from .predictor import Predictor, cast_once
from .samplers import ADAPTIVE, EQUAL_SHARES, SAMPLERS

__all__ = [
    "ADAPTIVE",
    "EQUAL_SHARES",
    "SAMPLERS",
    "Canvas",
    "DenoisingState",
    "Numbers",
    "Prediction",
    "Predictor",
    "cast_once",
    "choose",
    "denoise",
    "left_to_right",
    "most_steps",
    "row_generators",
]
