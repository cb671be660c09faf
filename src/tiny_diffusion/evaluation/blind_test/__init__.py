"""A blind test: people judge passages of the book and of the model; measures whether they can tell them apart.

It may import what ``evaluation`` may import, but the modules exported here load neither torch nor scipy, so that a
question appears at once. Start with ``store.AnswerStore``; ``passages`` makes the passages and ``statistics`` the
figures.
"""

from .records import Answer, BlindPassage, Origin, Question
from .store import AnswerStore

__all__ = ["Answer", "AnswerStore", "BlindPassage", "Origin", "Question"]
