"""Style: how sentence lengths and words of generated texts compare with those of a reference."""

import re
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import ks_2samp, wasserstein_distance
from wordfreq import available_languages, top_n_list

from tiny_diffusion.data.segmentation import split_sentences
from tiny_diffusion.errors import UserError

from .novelty import split_words

FUNCTION_WORDS = 50
TYPE_TOKEN_WINDOW = 100

_BLANK_LINE = re.compile(r"\n\s*\n")


@dataclass(frozen=True)
class TextStyle:
    """Measures of one side. Lengths are in words; shares are in [0, 1]."""

    sentences: int
    words: int
    sentence_length_mean: float
    sentence_length_sd: float
    type_token_ratio: float
    function_word_share: float | None


@dataclass(frozen=True)
class StyleComparison:
    """Both sides and the distances between them.

    `wasserstein` is in words, `ks_statistic` in [0, 1] with its `ks_p_value`; `vocabulary_overlap` is the
    share of the generated texts' distinct words that occur in the reference; `type_token_window` is in words.
    """

    generated: TextStyle
    reference: TextStyle
    wasserstein: float
    ks_statistic: float
    ks_p_value: float
    vocabulary_overlap: float
    type_token_window: int

    def to_dict(self) -> dict[str, object]:
        """Return plain nested dicts and numbers, ready for JSON."""
        return asdict(self)


def sentence_lengths(texts: list[str], language: str) -> npt.NDArray[np.int64]:
    """Return the words in each sentence of `texts`, in order.

    Pieces without a word (a row of stars) are left out. Blank lines part paragraphs. The last piece of a text
    that stops in mid-sentence counts as a sentence.
    """
    lengths = [
        len(split_words(sentence))
        for text in texts
        for paragraph in _BLANK_LINE.split(text)
        for sentence in split_sentences(" ".join(paragraph.split()), language)
    ]
    return np.asarray([length for length in lengths if length > 0], dtype=np.int64)


def type_token_ratio(words: list[str], window: int) -> float:
    """Return the mean share of distinct words over consecutive full windows of `window` words.

    The plain ratio falls as a text grows; equal windows make texts of different lengths comparable. Raises
    `UserError` when `window` is below 1 or longer than the text.
    """
    if not 1 <= window <= len(words):
        raise UserError(f"type-token window {window} must be between 1 and the text's {len(words)} words")
    starts = range(0, len(words) - window + 1, window)
    return float(np.mean([len(set(words[start : start + window])) / window for start in starts]))


def function_word_share(words: list[str], language: str) -> float | None:
    """Return the share of `words` that are among the language's 50 commonest in general use.

    These are nearly all function words. `words` come from `split_words`. None when no frequency list exists
    for `language`; raises `UserError` when `words` is empty.
    """
    if not words:
        raise UserError("cannot measure function words: the text holds no word")
    if language not in available_languages():
        return None
    common = {word for entry in top_n_list(language, FUNCTION_WORDS) for word in split_words(entry)}
    return sum(word in common for word in words) / len(words)


def compare_style(generated: list[str], reference: list[str], language: str) -> StyleComparison:
    """Compare the sentences and words of `generated` with those of `reference` (lists of texts).

    The type-token window is 100 words, or the whole of the shorter side when that has fewer, and is the same
    for both sides. `language` is a two-letter code. Raises `UserError` when a side holds no word.
    """
    words = {"generated": _all_words(generated), "reference": _all_words(reference)}
    for side, found in words.items():
        if not found:
            raise UserError(f"cannot compare style: the {side} texts hold no word, at least one is needed")
    window = min(TYPE_TOKEN_WINDOW, *(len(found) for found in words.values()))
    generated_lengths = sentence_lengths(generated, language)
    reference_lengths = sentence_lengths(reference, language)
    test = ks_2samp(generated_lengths, reference_lengths)
    types = set(words["generated"])
    return StyleComparison(
        generated=_measure(words["generated"], generated_lengths, language, window),
        reference=_measure(words["reference"], reference_lengths, language, window),
        wasserstein=float(wasserstein_distance(generated_lengths, reference_lengths)),
        ks_statistic=float(test.statistic),
        ks_p_value=float(test.pvalue),
        vocabulary_overlap=len(types & set(words["reference"])) / len(types),
        type_token_window=window,
    )


def _all_words(texts: list[str]) -> list[str]:
    return [word for text in texts for word in split_words(text)]


def _measure(words: list[str], lengths: npt.NDArray[np.int64], language: str, window: int) -> TextStyle:
    return TextStyle(
        sentences=len(lengths),
        words=len(words),
        sentence_length_mean=float(lengths.mean()),
        sentence_length_sd=float(lengths.std()),
        type_token_ratio=type_token_ratio(words, window),
        function_word_share=function_word_share(words, language),
    )
