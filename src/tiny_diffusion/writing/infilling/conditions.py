"""What a filling must be like, and which numbers of tokens may give it."""

import math

from ...data.language.segmentation import ENGLISH, split_sentences
from .boundaries import ends_sentence
from .draft import USUAL_WORDS, Hole
from .required import stand_whole
from .template import Gap

SLACK = 0.25  # how far from the expected number of tokens the search goes at first, as a share


def exact_size(hole: Hole, gap_tokens: int) -> int | None:
    """The hole's number of tokens where that is told and nothing else is asked of it, so that one draw will do."""
    gap = hole.gap
    if hole.must or gap.unit not in ("blank", "tokens") or gap.least != gap.most:
        return None
    return gap_tokens if gap.unit == "blank" else gap.least


def usual_size(gap: Gap, ratio: float, gap_tokens: int, context: int) -> int:
    """Tokens that a gap takes as a rule, at ``ratio`` tokens a word."""
    least, most = size_range(gap, ratio, SLACK, gap_tokens, context)
    return (least + most) // 2


def size_range(
    gap: Gap, ratio: float, slack: float, gap_tokens: int, context: int, needed: int = 0, words: int = 0
) -> tuple[int, int]:
    """Fewest and most tokens to try for a gap, ``words`` words of which are given and take ``needed`` tokens.

    ``ratio``: expected tokens a word; ``slack``: how far off, as a share, that may be. Sentences and paragraphs have
    half the context at most, so that they see text around them.
    """
    if gap.unit == "blank":
        return max(gap_tokens, needed), gap_tokens
    if gap.unit == "tokens":
        return max(gap.least, needed), gap.most
    if gap.unit == "words":
        fewest, most = max(gap.least - words, 0), gap.most - words  # free words, of a token each at least
        low = needed + max(fewest, round(fewest * ratio * (1 - slack)))
        high = needed + max(most, math.ceil(most * ratio * (1 + slack)))
        return min(low, context), min(high, context)
    low, high = (round(count * ratio) for count in USUAL_WORDS[gap.unit])
    half = context // 2
    return max(min(low, half), needed + 1), min(high, half)  # the last token is the sentence's end


def spread(least: int, most: int, count: int) -> list[int]:
    """``count`` whole numbers from ``least`` to ``most``, evenly."""
    return [least + (2 * i + 1) * (most - least + 1) // (2 * count) for i in range(count)]


def fulfils(hole: Hole, text: str, language: str = ENGLISH) -> bool:
    """Whether ``text`` fills ``hole`` as asked: its words or its end, on one line, and the words that must be in it."""
    if not stand_whole(hole, text):
        return False
    unit, words = hole.gap.unit, hole.words_of(text)
    if unit in ("blank", "tokens"):
        return True
    if words != words.strip() or len(words.splitlines()) != 1:
        return False
    if unit == "words":
        return hole.gap.least <= len(words.split()) <= hole.gap.most
    if not ends_sentence(words, language):
        return False
    return unit == "paragraph" or len(split_sentences(words, language)) == 1


def describe(hole: Hole) -> str:
    """What was asked of a filling, for an error."""
    gap = hole.gap
    counted = f"{gap.least} words" if gap.least == gap.most else f"{gap.least} to {gap.most} words"
    wanted = {"sentence": "one whole sentence", "paragraph": "whole sentences", "words": counted}
    parts = [wanted[gap.unit]] if gap.unit in wanted else []
    return " and ".join(parts + [f"the word {word!r}" for word in dict.fromkeys(hole.must)])
