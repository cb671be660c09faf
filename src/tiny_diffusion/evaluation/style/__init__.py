"""Measures how like the book a text is written: one score from 0 to 100, and the figures behind it.

It may import ``config`` and ``data``. Start with ``style.measure_style``; ``calibration`` says how a distance becomes a
score.
"""
