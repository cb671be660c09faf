"""Runs the whole evaluation of a checkpoint, estimates its time, and presents the results as a page and in words.

It may import what ``evaluation`` may import. Start with ``evaluate.evaluate``; ``verdict`` writes the sentences and
``page`` the HTML page.
"""

from .page import write_html
from .several import combine
from .time_estimate import Expected, Remaining
from .verdict import details, headline, plainly

__all__ = ["Expected", "Remaining", "combine", "details", "headline", "plainly", "write_html"]
