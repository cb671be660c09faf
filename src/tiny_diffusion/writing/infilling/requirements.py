"""What a filling must be like: how many tokens it may need, when it will do, and where required words go.

Shapes: L tokens of a gap, V text vocabulary.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from ...config import GenerationConfig
from ...data.language.segmentation import ENGLISH, split_sentences
from ...data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from ...errors import UserError
from ..filler import Filler
from .boundaries import Opening, ends_sentence
from .gapped_text import Gap, GappedText
from .template import GapRequest

SLACK = 0.25  # how far from the expected number of tokens the search goes at first, as a share
USUAL_WORDS = {"sentence": (5, 40), "paragraph": (30, 120)}
"""Words of a sentence and a paragraph in prose, from short to long, where the book's own are not known."""


@dataclass(frozen=True)
class RequiredWord:
    """A word's ids within a gap, with its space, and at the very beginning of a gap, where it may have none."""

    text: str
    inner: tuple[int, ...]
    first: tuple[int, ...]


def check_fits(request: GapRequest, gap_tokens: int, context: int) -> None:
    """Raise UserError for a gap that needs more tokens than the context holds; a word needs at least one."""
    needed = gap_tokens if request.unit == "blank" else request.most
    if needed > context:
        raise UserError(
            f"the gap {request.source} needs {needed} tokens at least; the model's context holds {context}: "
            "make it smaller"
        )


def tokens_per_word(texts: Iterable[str], tokenizer: BookTokenizer, level: int) -> float:
    """Mean tokens per word of ``texts`` at a vocabulary level, or of the vocabulary's own words if there are none."""
    words = " ".join(texts).split()
    if not words:
        tokens = (
            tokenizer.token_bytes(i).decode("utf-8", "replace") for i in range(NUM_RESERVED, tokenizer.vocab_size)
        )
        words = [token.strip() for token in tokens if token.startswith(" ")]  # at least the space itself
    return len(tokenizer.encode(" " + " ".join(words), level)) / len(words)


def usual_size(request: GapRequest, ratio: float, gap_tokens: int, context: int) -> int:
    """Tokens that a gap usually takes, at ``ratio`` tokens per word."""
    least, most = size_range(request, ratio, SLACK, gap_tokens, context)
    return (least + most) // 2


def size_range(
    request: GapRequest, ratio: float, slack: float, gap_tokens: int, context: int, needed: int = 0, words: int = 0
) -> tuple[int, int]:
    """Fewest and most tokens to try for a gap in which ``words`` words are given and take ``needed`` tokens.

    ``ratio``: expected tokens per word; ``slack``: how far off that may be, as a share. Sentences and paragraphs get
    half the context at most, so that they see text around them.
    """
    if request.unit == "blank":
        return max(gap_tokens, needed), gap_tokens
    if request.unit == "tokens":
        return max(request.least, needed), request.most
    if request.unit == "words":
        fewest, most = max(request.least - words, 0), request.most - words  # free words, of at least one token each
        low = needed + max(fewest, round(fewest * ratio * (1 - slack)))
        high = needed + max(most, math.ceil(most * ratio * (1 + slack)))
        return min(low, context), min(high, context)
    usual = request.usual or USUAL_WORDS[request.unit]
    low, high = round(usual[0] * ratio), round(usual[-1] * ratio)
    half = context // 2
    return max(min(low, half), needed + 1), min(high, half)  # the last token ends the sentence


def sizes_of(request: GapRequest, least: int, most: int, ratio: float, count: int) -> list[int]:
    """``count`` sizes from ``least`` to ``most`` tokens: as long as the book's own, or evenly spaced."""
    usual = [request.usual[i] for i in spread(0, len(request.usual) - 1, count)] if request.usual else []
    return [min(max(round(words * ratio), least), most) for words in usual] or spread(least, most, count)


def spread(least: int, most: int, count: int) -> list[int]:
    """``count`` whole numbers from ``least`` to ``most``, evenly spaced."""
    return [least + (2 * i + 1) * (most - least + 1) // (2 * count) for i in range(count)]


def fulfils(gap: Gap, text: str, language: str = ENGLISH) -> bool:
    """Whether ``text`` fills ``gap`` as requested: number of words or end of sentence, one line, required words."""
    if not _hold_whole_words(gap, text):
        return False
    if gap.request.unit in ("blank", "tokens"):
        return True
    own_space = gap.opening in (Opening.JOIN, Opening.FREE) and text.startswith(" ")
    words = text[1:] if own_space else text
    if words != words.strip() or len(words.splitlines()) != 1:
        return False
    if gap.request.unit == "words":
        return gap.request.least <= len(words.split()) <= gap.request.most
    if not ends_sentence(words, language):
        return False
    return gap.request.unit == "paragraph" or len(split_sentences(words, language)) == 1


def _describe(gap: Gap) -> str:
    """What was requested of a filling, for an error."""
    unit, least, most = gap.request.unit, gap.request.least, gap.request.most
    counted = f"{least} words" if least == most else f"{least} to {most} words"
    wanted = {"sentence": "one whole sentence", "paragraph": "whole sentences", "words": counted}
    parts = [wanted[unit]] if unit in wanted else []
    return " and ".join(parts + [f"the word {word!r}" for word in dict.fromkeys(gap.must)])


def required_words(gap: Gap, encode: Callable[[str], list[int]]) -> list[RequiredWord]:
    """The words that ``gap`` must hold, encoded for it."""
    bare = gap.opening is Opening.WORD or (gap.opening is Opening.FREE and not gap.before.isalnum())
    spaced = [tuple(encode(f" {word}")) for word in gap.must]
    alone = [tuple(encode(word)) for word in gap.must] if bare else spaced
    return [RequiredWord(*each) for each in zip(gap.must, spaced, alone, strict=True)]


def tokens_needed(words: Sequence[RequiredWord]) -> int:
    """The fewest tokens that hold all of ``words``: the one that saves most at the beginning goes first."""
    return sum(len(word.inner) for word in words) - max((len(w.inner) - len(w.first) for w in words), default=0)


def place_words(words: Sequence[RequiredWord], chances: Tensor, end: int, generator: Generator) -> list[int] | None:
    """Ids (L) of a gap with ``words`` before ``end`` and MASK elsewhere; None if they do not fit in the drawn order.

    The words come in a random order. Each place is drawn by the probability that the model gives the word there
    (``chances``: log-probabilities (L, V)), among the places that leave room for the words after it.
    """
    ids, start = [MASK] * len(chances), 0
    order = [words[i] for i in torch.randperm(len(words), generator=generator).tolist()]
    for i, word in enumerate(order):
        last = end - sum(len(later.inner) for later in order[i + 1 :])
        places = {p: word.first if p == 0 else word.inner for p in range(start, last)}
        places = {p: form for p, form in places.items() if p + len(form) <= last}
        if not places:
            return None
        scores = torch.tensor([_score(form, chances, p) for p, form in places.items()], dtype=torch.float64)
        drawn = int(torch.multinomial(scores.softmax(0), 1, generator=generator))
        place, form = list(places.items())[drawn]
        start = place + len(form)
        ids[place:start] = form
    return ids


def assign_words(filler: Filler, text: GappedText, must: Sequence[str], ratio: float) -> GappedText:
    """``text`` with each word of ``must`` assigned to the gap where the model finds it likeliest, the longest first.

    Raises UserError for a string that is not a single word, and if no gap has room for a word.
    """
    if isinstance(must, str):
        raise UserError(f"must={must!r} is one string; give a tuple of words, such as ({must!r},)")
    for word in must:
        if len(word.split()) != 1 or word != word.strip():
            raise UserError(f"{word!r} is not one word; give each word that must appear by itself, without spaces")
    chances: dict[int, Tensor] = {}
    for word in sorted(must, key=lambda word: -len(filler.encode(word))):
        wider = [replace(gap, must=(*gap.must, word)) for gap in text.gaps]
        wider = [gap for gap in wider if _has_room(filler, gap, ratio)]
        if not wider:
            raise UserError(
                f"no gap has room for the word {word!r}: widen one, or raise generation.gap_tokens for blanks"
            )
        if len(wider) > 1:
            chances |= {gap.place: expected(filler, text, gap) for gap in wider if gap.place not in chances}
            wider.sort(key=lambda gap: -_best_place(required_words(gap, filler.encode)[-1], chances[gap.place]))
        text = text.with_gap(wider[0])
    return text


def expected(filler: Filler, text: GappedText, gap: Gap) -> Tensor:
    """Log-probabilities (L, V) of the tokens of ``gap``, open in its expected size."""
    window = text.window(gap, gap, filler.context)
    return filler.expectations(window.ids, *window.spans[0])


def _has_room(filler: Filler, gap: Gap, ratio: float) -> bool:
    """Whether the words that ``gap`` must hold fit into it."""
    words = required_words(gap, filler.encode)
    needed = tokens_needed(words)
    if needed > filler.context or (gap.request.unit == "words" and len(words) > gap.request.most):
        return False
    least, most = size_range(gap.request, ratio, SLACK, filler.settings.gap_tokens, filler.context, needed, len(words))
    return needed <= most and least <= most


def reason(gap: Gap, settings: GenerationConfig, copied: list[str] | None) -> str:
    """Why no filling of ``gap`` was taken; ``copied``: words of a run that made one too like the book."""
    tries = f"of {settings.gap_candidates * settings.gap_rounds} fillings of {gap.request.source}"
    if copied is None:
        return (
            f"none {tries} came out with {_describe(gap)}; ask for less, "
            "or raise generation.gap_candidates or generation.gap_rounds"
        )
    return (
        f"generation.max_copied_words={settings.max_copied_words} cannot be kept: {tries}, every one that is as "
        f'requested copies a longer run of the training text, such as "{" ".join(copied)}"; raise the limit, '
        "generation.temperature, generation.gap_candidates or generation.gap_rounds"
    )


def _hold_whole_words(gap: Gap, text: str) -> bool:
    """Whether the filling ``text`` holds each word that ``gap`` must hold, not as a part of a longer word."""
    whole = gap.before + text + gap.after
    start, end = len(gap.before), len(gap.before) + len(text)
    for word, count in Counter(gap.must).items():
        pattern = re.compile(rf"(?<!\w)(?<!\w['’-]){re.escape(word)}(?!['’-]?\w)")
        found = [m for m in pattern.finditer(whole) if m.start() >= start and m.end() <= end]
        if len(found) < count:
            return False
    return True


def _best_place(word: RequiredWord, chances: Tensor) -> float:
    """The highest mean log-probability per token of ``word`` at one place of a gap, from ``chances`` (L, V)."""
    found = [_score(word.inner, chances, place) for place in range(len(chances) - len(word.inner) + 1)]
    return max(found) / len(word.inner) if found else float("-inf")


def _score(ids: Sequence[int], chances: Tensor, place: int) -> float:
    """Log-probability of ``ids`` from ``place`` on, each token by itself."""
    rows = torch.arange(place, place + len(ids))
    return float(chances[rows, torch.tensor(ids) - NUM_RESERVED].sum())
