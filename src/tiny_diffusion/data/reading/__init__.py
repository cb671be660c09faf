"""Reads a book from a file, a URL or Project Gutenberg, and cleans it to plain paragraphs.

It may import ``data.language`` and what ``data`` may import. Start with ``loading.read_book``, then
``cleaning.clean_book``.
"""

from .cleaning import Cleaned, clean_book
from .encoding import decode
from .loading import Book, OutOfReach, read_book
from .several import read_books

__all__ = ["Book", "Cleaned", "OutOfReach", "clean_book", "decode", "read_book", "read_books"]
