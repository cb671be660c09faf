"""Sampling: the reverse process that turns masked rows into tokens, and the left-to-right writing of causal models.

It imports ``config``, ``data``, ``model``, ``runtime``, ``files`` and ``errors`` only. Start reading at ``denoise.py``,
which holds the process and its samplers. As in ``writing``, nothing is imported here.
"""
