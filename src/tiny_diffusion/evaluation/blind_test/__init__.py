"""A blind test: people judge passages of the book and of the model; measures whether they can tell them apart.

It may import what ``evaluation`` may import, but ``records`` and ``store`` load neither torch nor scipy, so that a
question appears at once. Start with ``store.AnswerStore``; ``beginning`` makes the passages and ``statistics`` the
figures.
"""
