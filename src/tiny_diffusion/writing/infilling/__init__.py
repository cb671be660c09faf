"""Infilling: the gaps of a template are filled, and everything else is kept byte for byte.

It may import what ``writing`` may, and the rest of ``writing`` except ``writer``, ``continuing`` and ``rewriting``.
Start reading at ``infill.py``; the text with its gaps is in ``gapped_text.py``. As in ``writing``, nothing is imported
here.
"""
