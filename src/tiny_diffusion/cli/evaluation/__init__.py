"""The commands that measure: ``evaluate``, ``score`` and ``blind-test``, and their tables in the terminal.

They import the measurements, and torch with them, only when they run.
Start with ``evaluate.py``, then read ``run.py``, which follows an evaluation to its files.
"""
