"""The commands that write: ``generate``, ``infill`` and ``rewrite``, and the interactive session.

They import the writer and the animations only when they run.
Start with ``generate.py``, then read ``writer.py``, which opens the model, and ``showing.py``, which prints.
"""
