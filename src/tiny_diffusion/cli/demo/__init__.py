"""The command ``demo``: prepare, train, write and measure on one book, with nothing to decide.

It uses the other commands' functions and imports torch only when it runs.
Start with ``command.py``; ``screen.py`` prints the results.
"""
