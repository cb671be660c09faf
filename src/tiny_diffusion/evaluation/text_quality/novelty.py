"""Novelty: how much of the generated text is copied word for word, with the held-out text as the floor.

Any two texts by one author share runs of words. So every figure is reported beside the same figure of the held-out
text, cut into as many pieces, of the same length, as the generated texts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...config import EvaluationConfig
from ...data.copies import CopyIndex, Matches, excerpt
from ...data.language.segmentation import split_sentences
from ...data.language.words import split_words, word_spans
from ...errors import UserError

MARGIN = 20
"""Words shown before and after a copied run."""
MARKED = 5
"""Words in the shortest copied run that is marked in a sample: any two English texts share shorter ones."""


@dataclass(frozen=True)
class NgramShare:
    """Share of the n-grams that occur in the training text, counting each occurrence; None if there are none."""

    n: int
    share: float | None


@dataclass(frozen=True)
class Copying:
    """Copying by some texts.

    longest_words, longest_text: the longest copied run over all texts. sentences: the number of those long enough to be
    looked up.
    """

    texts: int
    words: int
    longest_words: int
    longest_text: str
    ngrams: list[NgramShare]
    sentences: int
    copied_sentence_share: float | None


@dataclass(frozen=True)
class CopiedPassage:
    """The sample with the longest copied run beside the training text it follows: their numbers, and excerpts."""

    sample: int
    passage: int
    words: int
    sample_text: str
    training_text: str


@dataclass(frozen=True)
class StepsNovelty:
    """Copying by texts that were written in this number of denoising steps."""

    steps: int
    copying: Copying


@dataclass(frozen=True)
class NoveltyReport:
    """Copying by the generated texts and by the held-out text, and by number of sampling steps.

    copied: for each generated text the character spans (start, end) whose words occur in the training text in runs of
    MARKED words or more.
    """

    generated: Copying
    held_out: Copying
    nearest: CopiedPassage | None
    by_steps: list[StepsNovelty]
    copied: list[list[tuple[int, int]]] = field(default_factory=list)

    @property
    def columns(self) -> dict[str, Copying]:
        """The columns of tables, by name: the generated texts, by steps if there are any, and the held-out text."""
        written = {f"{row.steps} steps": row.copying for row in self.by_steps} or {"generated": self.generated}
        return {**written, "held-out text": self.held_out}


def measure_novelty(
    generated: list[str],
    held: list[str],
    index: CopyIndex,
    language: str,
    settings: EvaluationConfig,
    by_steps: dict[int, list[str]] | None = None,
) -> NoveltyReport:
    """Look up ``generated``, and other texts by their number of steps, in the index of the training text.

    Raises UserError if there is no generated text.
    """
    if not generated:
        raise UserError("cannot measure novelty: there is no generated text, at least one is needed")
    matches = index.match(generated)
    return NoveltyReport(
        generated=_copying(generated, matches, index, language, settings),
        held_out=measure_copying(cut_like(generated, held), index, language, settings),
        nearest=_nearest(generated, matches, index),
        by_steps=[
            StepsNovelty(steps, measure_copying(texts, index, language, settings))
            for steps, texts in sorted((by_steps or {}).items())
        ],
        copied=[copied_stretches(text, match) for text, match in zip(generated, matches, strict=True)],
    )


def measure_copying(texts: Sequence[str], index: CopyIndex, language: str, settings: EvaluationConfig) -> Copying:
    """Longest run, n-grams and sentences of ``texts`` that occur in the indexed text. ``language``: two-letter code."""
    return _copying(texts, index.match(texts), index, language, settings)


def copied_stretches(text: str, match: Matches) -> list[tuple[int, int]]:
    """Return the character spans (start, end) of copied runs of MARKED words or more in ``text``, in order."""
    words = word_spans(text)
    found: list[tuple[int, int]] = []
    for start in (match.length >= MARKED).nonzero()[0].tolist():
        first, last = words[start][0], words[start + int(match.length[start]) - 1][1]
        if found and first <= found[-1][1]:
            first, last = found[-1][0], max(last, found[-1][1])
            found.pop()
        found.append((first, last))
    return found


def ngram_share(matches: Iterable[Matches], n: int) -> float | None:
    """Share of the word n-grams, counting each occurrence, that occur in the source; None without any n-gram."""
    found = total = 0
    for match in matches:
        total += max(0, len(match.words) - n + 1)
        found += int((match.length >= n).sum())
    return found / total if total else None


def cut_like(generated: list[str], held: list[str]) -> list[str]:
    """Cut ``held`` into pieces with the mean number of words of the generated texts, at most as many as those."""
    words = sum(len(split_words(text)) for text in generated)
    return cut(held, max(1, words // len(generated)), len(generated))


def cut(texts: list[str], words: int, count: int) -> list[str]:
    """At most ``count`` pieces of ``words`` words, evenly spread over ``texts``, none across two of them.

    A text shorter than that is a piece by itself.
    """
    pieces = []
    for text in texts:
        length = len(split_words(text))
        starts = range(0, max(length - words, 0) + 1, words)
        pieces += [excerpt(text, start, start + words) for start in starts] if length else []
    return [pieces[i * len(pieces) // count] for i in range(count)] if len(pieces) > count else pieces


def _copying(
    texts: Sequence[str], matches: list[Matches], index: CopyIndex, language: str, settings: EvaluationConfig
) -> Copying:
    longest = max(matches, key=lambda match: match.longest)
    words = longest.longest
    start = int(longest.length.argmax()) if words else 0
    sentences = [s for text in texts for part in text.split("\n\n") for s in split_sentences(part, language)]
    looked_up = [m for m in index.match(sentences) if len(m.words) >= settings.copied_sentence_words]
    copied = sum(match.longest == len(match.words) for match in looked_up)
    return Copying(
        texts=len(texts),
        words=sum(len(match.words) for match in matches),
        longest_words=words,
        longest_text=" ".join(longest.words[start : start + words]),
        ngrams=[NgramShare(n, ngram_share(matches, n)) for n in settings.novelty_orders],
        sentences=len(looked_up),
        copied_sentence_share=copied / len(looked_up) if looked_up else None,
    )


def _nearest(texts: list[str], matches: list[Matches], index: CopyIndex) -> CopiedPassage | None:
    """The source of the longest run of all; None if no word occurs in the training text."""
    sample = max(range(len(texts)), key=lambda i: matches[i].longest)
    match = matches[sample]
    if match.longest == 0:
        return None
    start = int(match.length.argmax())
    passage, training_text = index.passage(int(match.place[start]), match.longest, MARGIN)
    sample_text = excerpt(texts[sample], start - MARGIN, start + match.longest + MARGIN)
    return CopiedPassage(sample, passage, match.longest, sample_text, training_text)
