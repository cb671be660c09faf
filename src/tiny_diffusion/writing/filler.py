"""Filling masked rows by one reading of a model, and the edges of what is filled: how it may begin and end.

Shapes: B rows, T tokens of a row, N requested places, V text vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property, lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from ..config import GenerationConfig
from ..data.language.segmentation import ENGLISH, split_sentences
from ..data.tokenizer import MASK, NUM_RESERVED, PARAGRAPH, BookTokenizer
from ..errors import UserError
from ..model.transformer import Transformer
from ..runtime import memory_errors
from ..sampling.canvas import Predictor, Reader, cast_once
from ..sampling.characters import WholeCharacters, moves
from ..sampling.denoise import DenoisingState, denoise, settled_prefix
from ..sampling.draw import Numbers, forbid, row_generators
from ..sampling.experts import ALONE, Experts
from ..sampling.in_order import CausalReader, Permit, in_order, left_to_right
from .infilling.template import Fixed, GapRequest
from .rules import Rule, Rules

_NEXT = "The end"  # its first word often begins a sentence, so it shows whether the text before it has ended one


class Opening(Enum):
    """How what is written begins. Within a text, a token carries the space before it.

    SPACE: with the space that the text before it has given to it. WORD: without white space, because it is at the
    beginning of the text or after a line break. JOIN: with a space of its own, because it follows another gap. FREE: as
    the model likes, because it follows a character.
    """

    SPACE = "space"
    WORD = "word"
    JOIN = "join"
    FREE = "free"


def opening_after(before: Fixed | GapRequest | None) -> Opening:
    """How what is written after ``before`` begins."""
    if isinstance(before, GapRequest):
        return Opening.JOIN
    if before is None or before.text[-1:].isspace():
        return Opening.SPACE if before is not None and before.text.endswith(" ") else Opening.WORD
    return Opening.FREE


def encode_before(text: str, opening: Opening | None, encode: Callable[[str], list[int]]) -> list[int]:
    """Ids of given text before something with this opening, or before nothing."""
    if opening is Opening.SPACE:
        return encode(text[:-1])
    if opening is Opening.WORD:
        return encode(f"{text}a")[:-1]  # white space is split differently before a word than at the end of a text
    return encode(text)


def ends_sentence(text: str, language: str = ENGLISH) -> bool:
    """Whether ``text`` ends where a sentence of a two-letter ``language`` does."""
    return split_sentences(f"{text} {_NEXT}", language)[-1] == _NEXT


@dataclass(frozen=True)
class Edge:
    """A masked place of a row that is drawn before all others, from the tokens ``permitted`` (V,)."""

    place: int
    permitted: Tensor


@dataclass(frozen=True)
class Filled:
    """A row without masks: its ids (T,), the probabilities (T,) with which they were drawn, and the steps it took."""

    ids: Tensor
    confidence: Tensor
    steps: int


class Edges:
    """Masks (V,), over ``size`` text tokens, of those of ``tokens`` that may begin or end what is filled."""

    def __init__(self, tokens: Sequence[bytes], size: int, language: str = ENGLISH) -> None:
        self._bytes, self._size, self._language = tokens, size, language
        self._tokens = [token.decode("utf-8", "replace") for token in tokens]

    def opening(self, opening: Opening, single: bool) -> Tensor | None:
        """Tokens (V,) that may begin a gap, of one token if ``single``; None if all may.

        Raises UserError if the vocabulary has none: a vocabulary of bytes has no single token for a word.
        """
        if opening is Opening.FREE:
            return None
        if opening is Opening.WORD:
            return self._word
        permitted = self._spaced_word if single else self._spaced
        if not permitted.any():
            raise UserError("no token of this vocabulary is a word with its space: give the gap 2 tokens or more")
        return permitted

    @cached_property
    def closing(self) -> Tensor:
        """Tokens (V,) that end a sentence, the full stop among them."""
        return self._mask([t == t.rstrip() and ends_sentence(f"Word{t}", self._language) for t in self._tokens])

    @cached_property
    def unmarked(self) -> Tensor:
        """Tokens (V,) that end with a letter or digit; all if there are none."""
        mask = self._mask([t[-1:].isalnum() for t in self._tokens])
        return mask if mask.any() else ~mask

    @cached_property
    def whole(self) -> Tensor:
        """Tokens (V,) of whole characters: what is filled next begins a new one."""
        return self._mask([moves(token)[0] == 0 for token in self._bytes])

    @cached_property
    def _spaced(self) -> Tensor:
        return self._mask([t[:1] == " " and not t[1:2].isspace() for t in self._tokens])

    @cached_property
    def _spaced_word(self) -> Tensor:
        return self._mask([t[:1] == " " and not t[1:2].isspace() and len(t) > 1 for t in self._tokens])

    @cached_property
    def _word(self) -> Tensor:
        return self._mask([not t[:1].isspace() for t in self._tokens])

    def _mask(self, chosen: list[bool]) -> Tensor:
        mask = torch.zeros(self._size, dtype=torch.bool)
        mask[: len(chosen)] = torch.tensor(chosen)
        return mask


@lru_cache(maxsize=4)
def token_tables(tokenizer: BookTokenizer, allowed: int, size: int, language: str) -> tuple[WholeCharacters, Edges]:
    """What keeps characters whole, and the edges, if the first ``allowed`` of ``size`` text tokens may be drawn.

    Kept, because each looks at all tokens.
    """
    tokens = [tokenizer.token_bytes(i) for i in range(NUM_RESERVED, tokenizer.vocab_size)]
    return WholeCharacters(tokens, allowed), Edges(tokens[:allowed], size, language)


class Filler:
    """A model with its tokenizer and settings, and a generator of random numbers for each text, see ``row_generators``.

    So no text depends on how many are written with it. ``language``: two letters, for the ends of sentences.

    ``causal``: whether it writes by the causal reading, from left to right, or by the masked one; None means the
    reading of ``Transformer.hidden``. ``experts``: what is asked beside the network. Raises UserError if an
    autoregressive model is to write by the masked one.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: BookTokenizer,
        settings: GenerationConfig,
        language: str = ENGLISH,
        causal: bool | None = None,
        experts: Experts = ALONE,
    ) -> None:
        self.causal = model.config.causal if causal is None else causal
        if model.config.causal and not self.causal:
            raise UserError("an autoregressive checkpoint cannot fill gaps; train with training.objective=diffusion")
        # The decoder of a dual model's causal reading chooses its own precision.
        cast = not (self.causal and model.config.dual)
        own, *others = (cast_once(each, settings.precision) if cast else each for each in (model, *experts.members))
        self.model, self.experts = own.eval(), replace(experts, members=tuple(each.eval() for each in others))
        self.tokenizer, self.settings, self.language = tokenizer, settings, language
        self.numbers = row_generators(settings.seed, settings.num_samples)
        self.context = model.config.context
        self.encode = partial(tokenizer.encode, level=model.config.vocab_level)
        self.writing_level = min(settings.vocab_level, model.config.vocab_level)
        self.allowed = tokenizer.level_size(self.writing_level)
        self.whole, self.edges = token_tables(tokenizer, self.allowed, model.text_vocab_size, language)
        # What the model sees before a text and no one else: that a paragraph begins.
        self.lead = [PARAGRAPH] if self.model.marks and settings.layout == "book" else []

    def rules(self, rules: Sequence[Rule] = (), ahead: Sequence[list[int]] = (), **text: Any) -> Rules:
        """``rules`` for drawing in order, and whole characters; ``text``: further fields of ``Rules``."""
        near = [ids[len(ids) - max((rule.reach(ids) for rule in rules), default=0) :] for ids in ahead]
        return Rules(self.tokenizer, self.whole, self.model.text_vocab_size, rules, near, **text)

    def denoise(
        self,
        ids: Tensor,
        numbers: Numbers,
        edges: Sequence[tuple[Edge, ...]] = (),
        rules: Sequence[Rule] = (),
        ahead: Sequence[list[int]] = (),
    ) -> Iterator[DenoisingState]:
        """States of filling rows (B, T) of one length within the context; the edges of each row are drawn first.

        The model may settle tokens in any order, so the rest is a draw from its distribution given that the edges, one
        per row at a time, are among the permitted tokens.

        The causal reading writes everything after the first MASK from left to right. It keeps ``rules`` while it draws,
        given the ids ``ahead`` of each row, and takes the edges of the first row for all.
        """
        ids, sure = ids.clone(), torch.ones(ids.shape, device=ids.device)
        with memory_errors():
            if self.causal:
                extra = {edge.place: edge.permitted for of_row in edges[:1] for edge in of_row}
                permit, kept = self.rules(rules, ahead, extra=extra), settled_prefix(ids == MASK)
                how = (self.settings, numbers, self.allowed, permit, self.experts)
                yield from left_to_right(self.model, ids, kept, *how)
                return
            for turn in range(max(map(len, edges), default=0)):
                first = [of_row[turn] if turn < len(of_row) else None for of_row in edges]
                self._draw_edges(ids, sure, first, numbers)
            settled = ids != MASK
            kept = settled_prefix(~settled)
            more = (kept, self.whole, self.experts)
            for state in denoise(self.model, ids, self.settings, numbers, self.allowed, *more):
                yield replace(state, confidence=torch.where(settled, sure, state.confidence))

    def in_order(
        self, ids: Tensor, turns: Sequence[Tensor], numbers: Numbers, permit: Permit
    ) -> Iterator[DenoisingState]:
        """States of drawing the MASKs of rows (B, T) within the context turn by turn; see ``sampling.in_order``.

        The causal reading draws one place per turn, the same in all rows.
        """
        reader = self.reader(causal=self.causal)
        with memory_errors():
            yield from in_order(reader, ids, turns, self.settings, numbers, self.allowed, permit)

    def reader(self, *, causal: bool) -> Reader:
        """The masked or the causal reading of the network, together with the experts."""
        kind = CausalReader if causal else Predictor
        readers = [kind(each, self.settings) for each in (self.model, *self.experts.members)]
        return self.experts.join(readers, causal=causal)

    @torch.inference_mode()
    def _draw_edges(self, ids: Tensor, sure: Tensor, edges: list[Edge | None], numbers: Numbers) -> None:
        """Draw at most one edge per row into ``ids`` (B, T), and its probability into ``sure`` (B, T)."""
        where = torch.zeros_like(ids, dtype=torch.bool)
        for row, edge in enumerate(edges):
            if edge is not None:
                where[row, edge.place] = True
        permitted = torch.stack([edge.permitted for edge in edges if edge is not None]).to(ids.device)  # (N, V)
        logits = self.reader(causal=False).logits(ids, where)
        logits = forbid(logits.masked_fill(~permitted, -torch.inf), self.allowed)
        drawn, chances = self.whole.choose(ids, where, logits, self.settings, numbers)
        ids[where] = drawn + self.model.reserved
        sure[where] = chances


def window(start: int, end: int, length: int, context: int) -> tuple[int, int]:
    """Bounds of at most ``context`` of ``length`` tokens, with ``start``..``end`` as near the middle as possible."""
    first = max(0, min(start - (context - (end - start)) // 2, length - context))
    return first, min(length, first + context)
