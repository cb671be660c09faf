"""Runs the whole evaluation of a checkpoint, estimates its time, and presents the results as a page and in words.

It may import what ``evaluation`` may import. Start with ``evaluate.evaluate``; ``verdict`` writes the sentences and
``page`` the HTML page.
"""
