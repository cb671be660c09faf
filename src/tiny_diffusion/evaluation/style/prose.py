"""Texts read once into sentences, with everything that the measures count, and runs of sentences as long as samples."""

import re
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from ...data.language.dialogue import spoken
from ...data.language.segmentation import split_sentences
from ...data.language.words import split_words
from ...errors import UserError

IntArray = npt.NDArray[np.int64]

KINDS: dict[str, str] = {
    "full stop": ".。．｡।۔",
    "comma": ",،、，",
    "semicolon": ";；؛·",
    "colon": ":：",
    "question": "?？؟",
    "exclamation": "!！",
    "dash": "—–―",
    "ellipsis": "…",
    "quotation": '"“”„«»‹›「」『』',
    "bracket": "()[]（）【】",
    "hyphen": "-‐‑",
    "apostrophe": "'’‘ʼ",
}
_KIND = {mark: i for i, marks in enumerate(KINDS.values()) for mark in marks}
_ANY = re.compile("[" + re.escape("".join(_KIND)) + "]")
_DASH = re.compile(r"--+")
_ELLIPSIS = re.compile(r"\.(?: ?\.){2,}")

_BLANK_LINE = re.compile(r"\n\s*\n")


@dataclass(frozen=True, eq=False)
class Prose:
    """The sentences of some texts, S in all, without those that contain no word (such as a row of asterisks).

    words: of each sentence. runs: first and end sentence of each text that has any, [texts, 2]. marks: counts of
    punctuation, [S, kinds]. spoken, characters: numbers of spoken and of all characters, [S].
    """

    sentences: list[str]
    words: list[list[str]]
    runs: IntArray
    marks: IntArray
    spoken: IntArray
    characters: IntArray

    @property
    def lengths(self) -> IntArray:
        """Number of words in each sentence, [S]."""
        return np.fromiter(map(len, self.words), dtype=np.int64, count=len(self.words))

    @property
    def all_words(self) -> list[str]:
        """All words in order."""
        return [word for sentence in self.words for word in sentence]

    @property
    def texts(self) -> list[list[str]]:
        """The words of each text."""
        return [[w for sentence in self.words[a:b] for w in sentence] for a, b in self.runs.tolist()]

    def take(self, runs: IntArray) -> "Prose":
        """The prose of these runs of sentences, int [n, 2], as one text each."""
        index = np.concatenate([np.arange(a, b) for a, b in runs.tolist()])
        ends = list(accumulate((runs[:, 1] - runs[:, 0]).tolist()))
        return Prose(
            [self.sentences[i] for i in index],
            [self.words[i] for i in index],
            np.array(list(zip([0, *ends[:-1]], ends, strict=True)), dtype=np.int64),
            self.marks[index],
            self.spoken[index],
            self.characters[index],
        )


def read_prose(texts: list[str], language: str) -> Prose:
    """Read ``texts`` into sentences; blank lines separate paragraphs. ``language`` is a two-letter code."""
    sentences: list[str] = []
    words: list[list[str]] = []
    spoken_counts: list[int] = []
    runs: list[tuple[int, int]] = []
    for text in texts:
        first = len(sentences)
        for paragraph in _BLANK_LINE.split(text):
            plain = " ".join(paragraph.split())
            inside = spoken(plain)
            place = 0
            for sentence in split_sentences(plain, language):
                place = plain.index(sentence, place)
                found = split_words(sentence)
                if found:
                    sentences.append(sentence)
                    words.append(found)
                    spoken_counts.append(int(inside[place : place + len(sentence)].sum()))
                place += len(sentence)
        if len(sentences) > first:
            runs.append((first, len(sentences)))
    return Prose(
        sentences,
        words,
        np.array(runs, dtype=np.int64).reshape(-1, 2),
        np.array([count_marks(s) for s in sentences], dtype=np.int64).reshape(-1, len(KINDS)),
        np.array(spoken_counts, dtype=np.int64),
        np.array([len(s) for s in sentences], dtype=np.int64),
    )


def require_prose(texts: list[str], language: str, purpose: str) -> Prose:
    """Read ``texts``; raises UserError, with "cannot measure" and ``purpose``, if they contain no word."""
    prose = read_prose(texts, language)
    if not prose.words:
        raise UserError(f"cannot measure {purpose} hold no word, at least one is needed")
    return prose


def require_sides(
    generated: list[str], held: list[str], training: list[str], language: str, purpose: str
) -> tuple[Prose, Prose, Prose]:
    """Read three sides, the first cut to the number of words of the second; raises UserError as ``require_prose``."""
    sides = {"generated": generated, "held-out": held, "training": training}
    text, own, book = (require_prose(texts, language, f"{purpose}: the {side} texts") for side, texts in sides.items())
    return trim(text, int(own.lengths.sum())), own, book


def draw_runs(prose: Prose, sizes: list[int], rng: np.random.Generator) -> IntArray:
    """Draw runs of whole sentences at random places, one as close as possible to each of ``sizes`` words: [n, 2].

    Places are drawn so that runs do not overlap while there is room. But a run is within one text, and moves forward to
    fit, if necessary onto a neighbour. If its text is too short, the run is the whole text.
    """
    ends = np.concatenate(([0], np.cumsum(prose.lengths)))  # words before each sentence
    total = int(ends[-1])
    wanted = rng.permutation(sizes)
    gaps = np.sort(rng.integers(0, max(total - int(wanted.sum()), 0) + 1, len(wanted)))
    places = (rng.integers(total) + gaps + np.cumsum(wanted) - wanted) % total
    firsts = np.searchsorted(ends[:-1], places) % len(prose.words)
    owners = np.searchsorted(prose.runs[:, 1], firsts, side="right")
    runs = []
    for size, first, (begin, stop) in zip(wanted.tolist(), firsts.tolist(), prose.runs[owners].tolist(), strict=True):
        last_fit = int(np.searchsorted(ends, ends[stop] - size, side="right")) - 1
        first = max(begin, min(first, last_fit))
        end = min(max(int(np.searchsorted(ends, ends[first] + size)), first + 1), stop)
        if end - 1 > first and ends[first] + size - ends[end - 1] < ends[end] - ends[first] - size:
            end -= 1
        runs.append((first, end))
    return np.array(runs, dtype=np.int64)


def trim(prose: Prose, words: int) -> Prose:
    """The first texts of ``prose`` that together have at most ``words`` words; at least one text."""
    sizes = np.cumsum([len(text) for text in prose.texts])
    return prose.take(prose.runs[: max(1, int((sizes <= words).sum()))])


def draw_pieces(prose: Prose, like: Prose, count: int, seed: int) -> list[Prose]:
    """Draw ``count`` pieces of ``prose``, each with as many texts, of about as many words, as ``like`` has."""
    rng = np.random.default_rng(seed)
    sizes = [len(words) for words in like.texts]
    return [prose.take(draw_runs(prose, sizes, rng)) for _ in range(count)]


def count_marks(text: str) -> npt.NDArray[np.int64]:
    """Count the marks of each kind, int [len(KINDS)]; ``--`` is one dash, ``. . .`` one ellipsis."""
    plain = _ELLIPSIS.sub("…", _DASH.sub("—", text))
    counts = np.zeros(len(KINDS), dtype=np.int64)
    for mark in _ANY.findall(plain):
        counts[_KIND[mark]] += 1
    return counts
