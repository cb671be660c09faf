"""Sentences with their places in the book."""

from collections.abc import Sequence
from dataclasses import dataclass

from .segmentation import split_sentences
from .splitting import Passage


@dataclass(frozen=True)
class Sentence:
    """A sentence and its place: passage, paragraph and position, each counted upwards through the book."""

    text: str
    passage: int
    paragraph: int
    index: int


def sentences_of(passages: Sequence[Passage], language: str) -> list[Sentence]:
    """All sentences of ``passages``, in order."""
    return [
        Sentence(text, passage.index, number, index)
        for passage in passages
        for number, paragraph in enumerate(passage.paragraphs)
        for index, text in enumerate(split_sentences(paragraph, language))
    ]


def long_enough(text: str, min_words: int) -> bool:
    """Whether a sentence has ``min_words`` words; in scripts that may lack spaces all are long enough."""
    return len(text.split()) >= min_words or not text.isascii()
