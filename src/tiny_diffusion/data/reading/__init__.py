"""Reads a book from a file, a URL or Project Gutenberg, and cleans it to plain paragraphs.

It may import ``data.language`` and what ``data`` may import. Start with ``loading.read_book``, then
``cleaning.clean_book``.
"""

from .cleaning import clean_book
from .encoding import decode
from .loading import Book, OutOfReach, read_book

__all__ = ["Book", "OutOfReach", "clean_book", "decode", "read_book"]
