"""The commands of many runs, ``twin``, ``compare`` and ``ablation``, and ``doctor``, which measures this machine.

They import the studies, and torch with them, only when they run.
Start with ``ablation.py``, the shortest, then read ``study.py``, which opens a study and follows its runs.
"""
