"""The commands ``train`` and ``runs``: what to train, the run in the terminal, and the list of earlier runs.

They import torch only when they run.
Start with ``train.py``, then read ``job.py``, which takes one training from its settings to its end.
"""
