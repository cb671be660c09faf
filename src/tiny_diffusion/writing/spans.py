"""Where tokens stand in the text that they make: a token may hold part of a character only."""

import codecs
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from ..data.tokenizer import BookTokenizer

Span = tuple[int, int]
"""First character (or token) and the one behind the last."""


def token_spans(tokenizer: BookTokenizer, ids: Iterable[int]) -> list[Span]:
    """The characters of ``tokenizer.decode(ids)`` that each token takes part in.

    Both ends rise from token to token. A token that ends within a character spans it, and the next one begins there.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    spans, done = [], 0
    for index in ids:
        start = done
        done += len(decoder.decode(tokenizer.token_bytes(index)))
        spans.append((start, done + bool(decoder.getstate()[0])))
    return spans


def tokens_of(spans: Sequence[Span], places: Iterable[Span]) -> list[range]:
    """The tokens, by their ``token_spans``, that take part in each of ``places`` of the text."""
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    return [range(bisect_right(ends, start), bisect_left(starts, end)) for start, end in places]
