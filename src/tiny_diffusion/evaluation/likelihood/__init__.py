"""Measures how many bits per byte a model needs for held-out text, beside n-grams, a compressor and other models.

It may import what ``evaluation`` may import. Start with ``comparison.compare``, which fills the table; ``bound`` holds
the windows and the bound, ``readings`` the exact readings, ``mixture`` the rows of several experts together.
"""
