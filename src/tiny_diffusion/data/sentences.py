"""Sentences with their places in the book."""

import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..errors import UserError
from .language.segmentation import split_sentences
from .language.words import count_words
from .splitting import BREAK, Passage, drop_leaking

Split = Callable[[str], list[str]]
"""Cuts a paragraph into its sentences."""


@dataclass(frozen=True)
class Sentence:
    """A sentence and its numbers: of its passage, of its paragraph in the passage, and its own in the paragraph.

    chapter: whether its paragraph begins a chapter.
    """

    text: str
    passage: int
    paragraph: int
    index: int
    chapter: bool = False


def sentences_of(passages: Sequence[Passage], language: str, split: Split | None = None) -> list[Sentence]:
    """All sentences of ``passages``, in order; ``split`` cuts a paragraph, by our own rules if None."""
    split = split or (lambda paragraph: split_sentences(paragraph, language))
    return [
        Sentence(text, passage.index, number, index, number in passage.chapters)
        for passage in passages
        for number, paragraph in enumerate(passage.paragraphs)
        for index, text in enumerate(split(paragraph))
    ]


def spacy_splitter(language: str) -> tuple[Split, str]:
    """How spaCy cuts a paragraph into sentences, and a note that says which part of spaCy does it.

    It is the parser of the language's small model if that is installed, else the sentencizer, which cuts at full stops.
    Raises UserError if spaCy is missing or does not know the language.
    """
    try:
        import spacy
    except ImportError as error:
        raise UserError("pipeline.splitter=spacy needs an extra: pip install 'tiny-diffusion[spacy]'") from error
    names = [f"{language}_core_{kind}_sm" for kind in ("web", "news")]
    model = next(filter(spacy.util.is_package, names), None)
    try:
        pipe = spacy.blank(language) if model is None else spacy.load(model, exclude=["ner", "lemmatizer"])
    except ImportError as error:
        raise UserError(f"pipeline.splitter=spacy: spaCy does not know the language {language!r}") from error
    if model is None:
        pipe.add_pipe("sentencizer")
    pipe.max_length = sys.maxsize  # a paragraph is as long as it is
    how = f"its model {model}" if model else f"its sentencizer, because no {' or '.join(names)} is installed"

    def split(paragraph: str) -> list[str]:
        return [text for sentence in pipe(paragraph).sents if (text := sentence.text.strip())]

    return split, f"spaCy cut the training text into sentences by {how}"


def without_leaks(passages: Sequence[Passage], language: str) -> tuple[list[Passage], list[str]]:
    """Remove from the training passages the sentences that also occur in held-out ones (compared by ``sentence_key``).

    Returns the passages, of which a training one with nothing left is removed, and the sentences that were removed.
    """
    held_out = [s.text for s in sentences_of([p for p in passages if p.split != "train"], language)]
    training = sentences_of([p for p in passages if p.split == "train"], language)
    keep = drop_leaking([s.text for s in training], held_out)
    places: dict[tuple[int, int], list[tuple[str, bool]]] = {}
    for sentence, kept in zip(training, keep, strict=True):
        places.setdefault((sentence.passage, sentence.paragraph), []).append((sentence.text, kept))
    found = []
    for passage in passages:
        if passage.split == "train":
            texts = [_kept_text(text, places.get((passage.index, i), [])) for i, text in enumerate(passage.paragraphs)]
            left = [i for i, text in enumerate(texts) if text]
            # A chapter whose first paragraph is gone begins with the next one.
            chapters = {bisect_left(left, chapter) for chapter in passage.chapters}
            passage = replace(
                passage,
                paragraphs=tuple(texts[i] for i in left),
                joint=passage.joint if texts[0] else BREAK,
                chapters=tuple(sorted(chapters - {len(left)})),
            )
        if passage.paragraphs:
            found.append(passage)
    return found, [sentence.text for sentence, kept in zip(training, keep, strict=True) if not kept]


def _kept_text(paragraph: str, sentences: Sequence[tuple[str, bool]]) -> str:
    """``paragraph`` without the sentences that are not kept and the space after them; unchanged if all are kept."""
    if all(kept for _, kept in sentences):
        return paragraph
    starts, end = [], 0
    for text, _ in sentences:
        starts.append(paragraph.index(text, end))
        end = starts[-1] + len(text)
    ends = [*starts[1:], len(paragraph)]
    return "".join(paragraph[a:b] for a, b, (_, kept) in zip(starts, ends, sentences, strict=True) if kept).strip()


def long_enough(text: str, min_words: int) -> bool:
    """Whether a sentence has ``min_words`` words, as ``count_words`` counts them in every script."""
    return count_words(text) >= min_words
