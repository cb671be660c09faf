"""What each part of a book is: a heading, verse, a note, a page's furniture; each module marks one kind of block.

It may import ``document`` and ``data.language``. ``cleaning.py`` calls the modules in order.
"""
