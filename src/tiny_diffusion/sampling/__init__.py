"""Sampling: the reverse process that turns masked rows into tokens, and the twin's left-to-right way.

It imports config, data, model, runtime, files and errors only, so that checkpoints, training and evaluation can use
it. Start reading at ``denoise.py``; the samplers themselves are in ``samplers.py``.
"""
