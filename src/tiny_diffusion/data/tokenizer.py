"""The book's tokenizer: byte-level BPE with nested vocabulary levels. Only this module knows what an id means.

Ids 0..15 are reserved. Text tokens follow: the 256 bytes in byte order, then merged tokens in the order in which they
were learnt. A level is a prefix of the ids, encoded with a prefix of the merges.

A mark before a text says what begins there: PARAGRAPH, CHAPTER or TEXT. BOS says nothing: the text may begin anywhere.
END follows the last token of a chapter or text. It stands just below the text tokens, so that a head over END and the
text tokens is one slice.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from ..config.pipeline_config import LEVEL_SIZES, NUM_RESERVED
from ..errors import UserError
from .gpt2_vocab import (
    BYTE_CHARACTERS,
    IdMerge,
    index_merges,
    parse_merges,
    prune_merges,
    read_merges,
    to_byte_level,
)

MASK, PAD, BOS, PARAGRAPH, SEP, CHAPTER, TEXT = range(7)
END = NUM_RESERVED - 1
LEVELS = (1, 2, 3, 4, 5)

_KINDS = ("bpe", "gpt2")
_LONGEST = 10_000  # bytes of a token; GPT-2's longest has 128
_FORMAT = "tiny_diffusion.tokenizer/1"
_NUM_BYTES = 256
_MIN_FREQUENCY = 2
_WORD_BREAK = re.compile(r"(?<=\S) (?=\S)")  # no unit of the pre-tokenizer's pattern crosses such a space
_IDEOGRAPH_LEAD_BYTES = range(0xE3, 0xEA)  # U+3000..U+9FFF: kana and ideographs, written without spaces


class BookTokenizer:
    """Lossless byte-level BPE with nested levels; made by ``train``, ``from_gpt2`` or ``from_json``."""

    def __init__(self, merges: Sequence[IdMerge], kind: str) -> None:
        """``merges``: pairs of text ids (before the offset) in rank order; ``kind``: "bpe" or "gpt2".

        Raises UserError for an unknown kind, a pair that uses an id before it is made, or a pair given twice.
        """
        if kind not in _KINDS:
            raise UserError(f"tokenizer kind {kind!r} is not one of {', '.join(_KINDS)}")
        self.kind = kind
        self._merges = tuple(merges)
        self._tokens = [bytes([byte]) for byte in range(_NUM_BYTES)]
        self._sizes_after: list[int] = []  # number of text tokens after merge i
        known = {token: index for index, token in enumerate(self._tokens)}
        for left, right in self._merges:
            if not (0 <= left < len(self._tokens) and 0 <= right < len(self._tokens)):
                raise UserError(f"the tokenizer's merge ({left}, {right}) uses an id that no earlier merge makes")
            token = self._tokens[left] + self._tokens[right]
            if len(token) > _LONGEST:  # each merge can double it
                raise UserError(f"the tokenizer's merge ({left}, {right}) makes a token of more than {_LONGEST} bytes")
            if token not in known:  # if two merges spell the same token, it keeps the id of the first
                known[token] = len(self._tokens)
                self._tokens.append(token)
            self._sizes_after.append(len(self._tokens))
        if len(set(self._merges)) != len(self._merges):
            raise UserError("a merge appears twice in the tokenizer")
        self._encoders: dict[int, Tokenizer] = {}

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "BookTokenizer":
        """Learn up to ``vocab_size`` text tokens (bytes included) from ``texts``; pairs that occur once are not learnt.

        Raises UserError if ``vocab_size`` is below 256 or ``texts`` contain no text.
        """
        checked = _checked_texts(texts, vocab_size)
        learner = Tokenizer(BPE())
        learner.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=True)
        trainer = BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=_MIN_FREQUENCY,
            show_progress=False,
            initial_alphabet=list(BYTE_CHARACTERS),
        )
        learner.train_from_iterator(checked, trainer)
        merges = parse_merges(json.loads(learner.to_str())["model"]["merges"], "trained tokenizer")
        return cls(index_merges(merges, "trained tokenizer"), "bpe")

    @classmethod
    def from_gpt2(cls, texts: Iterable[str], vocab_size: int, path: str | Path) -> "BookTokenizer":
        """Prune GPT-2's vocabulary to the tokens of ``texts``, the tokens they are built from, and all bytes.

        ``path`` is as in ``gpt2_vocab.read_merges``. Text is always cut into words by GPT-2's own pattern. Raises
        UserError if ``vocab_size`` is below 256, ``texts`` contain no text, or ``path`` cannot be read.
        """
        checked = _checked_texts(texts, vocab_size)
        merges = read_merges(path)
        full = cls(index_merges(merges, str(path)), "gpt2")
        counts = Counter(index for text in checked for index in full.encode(text))
        by_token = {full.token_bytes(index): count for index, count in counts.items()}
        return cls(index_merges(prune_merges(merges, by_token, vocab_size), str(path)), "gpt2")

    @property
    def text_vocab_size(self) -> int:
        """Number of text tokens, including the 256 bytes."""
        return len(self._tokens)

    @property
    def vocab_size(self) -> int:
        """Number of ids, including the reserved ones."""
        return NUM_RESERVED + len(self._tokens)

    def ids_of(self, level: int) -> int:
        """Number of ids of a level, including the reserved ones; see ``level_size``."""
        return NUM_RESERVED + self.level_size(level)

    @property
    def word_starts(self) -> np.ndarray:
        """bool [vocab_size]: does this id open a new unit for whole-word masking?

        True for tokens that begin with white space, for tokens that begin with an ideograph or kana (such text has no
        spaces), and for reserved ids, which belong to no word. Punctuation belongs to the word before it.
        """
        starts = np.ones(self.vocab_size, dtype=bool)
        firsts = ((token, token.decode("utf-8", errors="replace")[0]) for token in self._tokens)
        starts[NUM_RESERVED:] = [sign.isspace() or token[0] in _IDEOGRAPH_LEAD_BYTES for token, sign in firsts]
        return starts

    def level_size(self, level: int) -> int:
        """Number of text tokens of a level: 512, 1024, 2048, 4096 or all, but never more than there are.

        Raises UserError for a level outside 1..5.
        """
        if level not in LEVELS:
            raise UserError(f"vocabulary level {level!r} is not in {LEVELS[0]}..{LEVELS[-1]}")
        return min(LEVEL_SIZES.get(level, self.text_vocab_size), self.text_vocab_size)

    def encode(self, text: str, level: int = 5) -> list[int]:
        """Ids of ``text``, all in NUM_RESERVED..NUM_RESERVED + level_size(level) - 1.

        Raises UserError for a level outside 1..5 and for text with lone surrogates.
        """
        encoder = self.encoder(level)
        ids: list[int] = []
        for piece in cut_text(_checked_text(text)):
            ids += encoder.encode(piece, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of any sequence of ids: reserved ids are skipped, and bytes that are not UTF-8 become U+FFFD.

        Raises ValueError for an id outside 0..vocab_size - 1.
        """
        return b"".join(self.token_bytes(index) for index in ids).decode("utf-8", errors="replace")

    def token_bytes(self, index: int) -> bytes:
        """Bytes of one id, empty for a reserved one; raises ValueError for an id out of range."""
        if not 0 <= index < self.vocab_size:
            raise ValueError(f"token id {index} is not in 0..{self.vocab_size - 1}")
        return b"" if index < NUM_RESERVED else self._tokens[index - NUM_RESERVED]

    def to_json(self) -> str:
        """The whole tokenizer as one line of JSON; equal tokenizers give equal strings."""
        content = {"format": _FORMAT, "kind": self.kind, "num_reserved": NUM_RESERVED, "merges": self._merges}
        return json.dumps(content, separators=(",", ":"))

    @classmethod
    def from_json(cls, serialized: str) -> "BookTokenizer":
        """Undo ``to_json``; raises UserError if the string is not a tokenizer of this format."""
        try:
            content = json.loads(serialized)
        except (ValueError, RecursionError) as error:
            raise UserError(f"the tokenizer is not JSON: {error}") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise UserError(f"the tokenizer's JSON is not of the format {_FORMAT!r}")
        if (given := content.get("num_reserved")) != NUM_RESERVED:
            raise UserError(f"the tokenizer has {given!r} reserved ids, not {NUM_RESERVED}")
        pairs = content.get("merges")
        if not isinstance(pairs, list) or not all(map(_is_pair, pairs)):
            raise UserError("the tokenizer's merges are not a list of pairs of ids")
        return cls([(left, right) for left, right in pairs], str(content.get("kind")))

    def encoder(self, level: int) -> Tokenizer:
        """The encoder of a level, as an object of the tokenizers library; it must not be changed.

        Raises UserError for a level outside 1..5.
        """
        size = self.level_size(level)
        if size not in self._encoders:
            self._encoders[size] = self.thinned(level, 0.0, np.random.default_rng(0))
        return self._encoders[size]

    def thinned(self, level: int, share: float, numbers: np.random.Generator) -> Tokenizer:
        """The encoder of a level without a random ``share`` of its merges: the same text in other, shorter tokens."""
        size = self.level_size(level)
        # A level has the merges before the first one that makes a token beyond it.
        count = int(np.searchsorted(self._sizes_after, size, side="right"))
        spelled = [to_byte_level(token) for token in self._tokens[:size]]
        vocabulary = {token: index + NUM_RESERVED for index, token in enumerate(spelled)}
        kept = compress(self._merges, numbers.random(count) >= share)
        encoder = Tokenizer(BPE(vocab=vocabulary, merges=[(spelled[left], spelled[right]) for left, right in kept]))
        encoder.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=True)
        return encoder


def cut_text(text: str, size: int = 50_000) -> Iterator[str]:
    """Yield pieces of ``text`` of ``size`` (at least 1) characters or more; their ids concatenate to the text's ids.

    The encoder needs some 200 bytes per token while it works, so a long book is better encoded in pieces.
    """
    start = 0
    while (match := _WORD_BREAK.search(text, start + size)) is not None:
        yield text[start : match.start()]
        start = match.start()
    yield text[start:]


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(type(index) is int for index in pair)


def _checked_text(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"text holds a lone surrogate U+{ord(text[error.start]):04X} at character {error.start}, "
            "which UTF-8 text cannot: decode the book with its right encoding"
        ) from error
    return text


def _checked_texts(texts: Iterable[str], vocab_size: int) -> list[str]:
    if isinstance(texts, str):
        raise TypeError("texts must be a collection of strings, not one string")
    if vocab_size < _NUM_BYTES:
        raise UserError(f"vocab_size {vocab_size} is too small: the 256 bytes alone need 256 tokens")
    checked = [_checked_text(text) for text in texts]
    if not any(checked):
        raise UserError("there is no text to make a tokenizer from: give at least one text that is not empty")
    return checked
