"""Infilling: the gaps of a template are filled, and everything else is kept byte for byte.

It may import what ``writing`` may, and ``writing``'s filler, repair, guard and results. Start reading at ``infill.py``;
``gapped_text.py`` holds the text with its gaps.
"""
