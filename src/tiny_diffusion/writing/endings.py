"""Endings: a text that stops within a sentence is written again from a little before its end, until a sentence ends.

Shapes: B rows, T tokens, V text vocabulary.
"""

import math
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..data.language.segmentation import sentence_ends
from ..data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from .filler import Edge, Filler
from .quotations import is_open
from .results import Outcome, Process, Stretch, WritingState, Written
from .rules import BREAK, Place, Rule, Span, read_bytes, token_spans

SHORTEST, LONGEST = 0.8, 1.1
"""Where a text may end, as shares of the length that is asked for."""
TRIES = 4  # draws of an end; in the last one it is forced
_ROOM = 4  # fewest tokens in which an end is drawn
_SEEN = 256  # tokens that show whether the last of them end a sentence, and which quotation they close
_NEXT = " Hm"
"""A possible continuation of a text that breaks off: no name and no number, so that "Mr." or "J." ends no sentence."""
_CLUMSY = re.compile(r"(?:[,;:—–(\[-][\s\"”’»›)\]]*[.!?…]|\s[.…])[.!?…]*\W*$")
_AFTER_APOSTROPHE = re.compile(r"(?<!s)’[.!?…]+\W*$")  # the boys’ is a word
_CLOSERS = re.compile(r"[^\w.!?…。！？]*$")
_OPENERS = {"”": "“„", "’": "‘‚", "»": "«", "›": "‹", "“": "„", "«": "»", ")": "(", "]": "["}


def is_well_ended(text: str) -> bool:
    """Whether ``text``, which ends with a sentence, has a word before the mark, and closes nothing that is not open."""
    if _CLUMSY.search(text):
        return False
    paragraph = text[text.rfind(BREAK) + 1 :]
    if _AFTER_APOSTROPHE.search(paragraph) and "‘" not in paragraph:
        return False
    closers = _CLOSERS.findall(paragraph)[0]
    for mark in closers:
        openers = _OPENERS.get(mark, "")
        opened = sum(map(paragraph.count, openers))
        if openers and not (opened if mark == "’" else opened >= paragraph.count(mark)):  # ’ is an apostrophe, too
            return False
    return '"' not in closers or paragraph.count('"') % 2 == 0


def ends_of(ids: Sequence[int], tokenizer: BookTokenizer, language: str) -> list[int]:
    """Numbers of tokens up to the end of each whole sentence that ends at the end of a token, and well."""
    bounds = {end: i + 1 for i, (_, end) in enumerate(token_spans(tokenizer, ids))}  # of a character the last token
    text = tokenizer.decode(ids)
    return [bounds[end] for end in sentence_ends(text + _NEXT, language) if end in bounds and is_well_ended(text[:end])]


def last_end(ids: Sequence[int], tokenizer: BookTokenizer, language: str, least: int = 0) -> int:
    """Number of tokens up to the end of the last whole sentence; 0 if none ends at the end of a token.

    Of sentences that end after ``least`` tokens or more, those that leave no quotation open go first.
    """
    ends = ends_of(ids, tokenizer, language)
    late = [end for end in ends if end >= least]
    closed = [end for end in late if not is_open(tokenizer.decode(ids[:end]).rpartition(BREAK)[2])]
    return max(closed or late or ends, default=0)


def shortest(length: int) -> int:
    """Fewest tokens after which a text of ``length`` tokens may end."""
    return math.ceil(SHORTEST * length)


def longest(length: int) -> int:
    """Most tokens after which a text of ``length`` tokens may end."""
    return math.floor(LONGEST * length + 1e-9)


@dataclass(frozen=True)
class EndsSentence:
    """A rule: the last token ends a sentence, the one before it a word. closing: tokens (V,) that end a sentence."""

    tokenizer: BookTokenizer
    language: str
    closing: Tensor

    def allowed(self, place: Place) -> Tensor:
        """Tokens (V,) that end a sentence well in the last place, a word before it, and no half of a character."""
        if place.left > 0:
            return self._words if place.left == 1 else self._whole
        mask = torch.zeros_like(self.closing)
        for token in self.closing.nonzero().flatten().tolist():
            text = place.before + self._texts[token]
            mask[token] = is_well_ended(text) and len(text) in sentence_ends(text + _NEXT, self.language)
        return mask

    @cached_property
    def _texts(self) -> list[str]:
        """Each token's text, "" for those that begin a character which they do not complete."""
        spelled = (self.tokenizer.token_bytes(NUM_RESERVED + token) for token in range(len(self.closing)))
        return ["" if (read := read_bytes(each))[1] else read[0] for each in spelled]

    @cached_property
    def _whole(self) -> Tensor:
        return torch.tensor([text != "" for text in self._texts])

    @cached_property
    def _words(self) -> Tensor:
        return torch.tensor([text[-1:].isalpha() for text in self._texts])

    def places(self, ids: Sequence[int], free: Sequence[bool]) -> list[Span]:
        """Nothing: a text whose end could not be drawn is left."""
        return []

    def refusal(self, ids: Sequence[int], free: Sequence[bool]) -> None:
        """Leave the text without an end."""

    def reach(self, ids: Sequence[int], *, behind: bool = False) -> int:
        """As many tokens as show what the last sentence closes."""
        return min(_SEEN, len(ids))


@dataclass(frozen=True)
class Endings:
    """Ends the texts of a filler within ``rules``.

    hidden: tokens before each text that are not part of it. given: tokens of the prompt, the hidden ones among them.
    """

    filler: Filler
    rules: Sequence[Rule]
    hidden: int
    given: int

    def edges(self, last: int) -> tuple[Edge, ...]:
        """The edge of a row whose token at place ``last`` is to end a sentence; none for the causal reading."""
        return () if self.filler.causal else (Edge(last, self.filler.edges.closing),)

    def write(self, found: Outcome, done: Tensor, sure: Tensor, stretches: Sequence[Stretch]) -> Process:
        """Every moment of ending the rows ``done`` (B, T), then ``found`` with the texts that got another end.

        A row whose last sentence ends late enough is left to be cut there. In the others, all behind the place where
        the shortest text may end is drawn again, from left to right, until a sentence ends. This is a draw from the
        law of such texts, unless all but one of ``TRIES`` fail: in the last one the end is forced.
        ``sure`` (B, T): probabilities of the tokens. ``stretches``: of each row, so far.
        """
        length = done.shape[1] - self.given
        rows = [r for r, ids in enumerate(done.tolist()) if r in found.texts and self._end(ids, length) is None]
        texts, last = dict(found.texts), self.given + longest(length) - self.hidden
        for attempt in range(TRIES):
            if rows:
                left = {row: texts[row] for row in rows}
                parts = tuple(replace(stretches[row], last=last, draw=-2 - attempt) for row in rows)
                ended = yield from self._attempt(done[rows], sure[rows], left, parts, forced=attempt == TRIES - 1)
                texts |= ended
                rows = [row for row in rows if row not in ended]
        return Outcome(texts, found.refused)

    def cut(self, found: Outcome, ends: Mapping[int, int]) -> Outcome:
        """``found`` with each text cut after its last sentence, unless that ends too early.

        ``ends``: after how many tokens some texts end instead.
        """
        tokenizer, least = self.filler.tokenizer, shortest(self.filler.settings.length)
        cut = {
            row: text.cut_after(ends[row], tokenizer)
            if row in ends
            else cut_at_sentence(text, tokenizer, self.filler.language, least)
            for row, text in found.texts.items()
        }
        return Outcome(cut, found.refused)

    def _attempt(
        self, done: Tensor, sure: Tensor, texts: Mapping[int, Written], parts: tuple[Stretch, ...], *, forced: bool
    ) -> Generator[WritingState, None, dict[int, Written]]:
        """Every moment of one draw of the ends of ``texts``, then those that have ended; all of them if ``forced``."""
        length, filler = done.shape[1] - self.given, self.filler
        end = self.given + longest(length)
        start = max(self.given, min(self.given + shortest(length), end - _ROOM))
        first = max(0, end - filler.context)
        block = torch.cat((done[:, first:start], done.new_full((len(texts), end - start), MASK)), dim=1)
        places = torch.arange(first, end, device=done.device).expand_as(block)
        last_rules = [EndsSentence(filler.tokenizer, filler.language, filler.edges.closing)] if forced else []
        permit = filler.rules([*last_rules, *self.rules], ahead=done[:, :first].tolist())
        numbers, own = [filler.numbers[row] for row in texts], slice(self.hidden, None)
        found: dict[int, Written] = {}
        for state in filler.in_order(block, [places == place for place in range(start, end)], numbers, permit):
            ids = torch.cat((done[:, :first], state.ids), dim=1)
            confidence = torch.cat((sure[:, :start], state.confidence[:, start - first :]), dim=1)
            given = (torch.arange(end) < self.given).expand(ids.shape)[:, own]
            yield WritingState(ids[:, own].clone(), confidence[:, own].clone(), state.step, state.steps, given, parts)
            for i, (row, text) in enumerate(texts.items()):
                stop = self._end(ids[i, : start + state.step].tolist(), length)
                if row not in found and (stop is not None or (forced and state.step == state.steps)):
                    inside = slice(self.hidden, stop)
                    shown = replace(text, steps=text.steps + state.step, stretches=(*text.stretches, parts[i]))
                    found[row] = self._with_tokens(shown, ids[i, inside].tolist(), confidence[i, inside].tolist())
            if len(found) == len(texts):
                break
        return found

    def _end(self, ids: list[int], length: int) -> int | None:
        """Number of tokens up to the last end that is late enough for a text of ``length`` tokens, if there is one."""
        least = self.given + shortest(length)
        end = last_end(ids, self.filler.tokenizer, self.filler.language, least)
        return end if end >= least else None

    def _with_tokens(self, text: Written, ids: list[int], confidence: list[float]) -> Written:
        """``text`` with other tokens, of which those of the prompt are given."""
        given = tuple(i < sum(text.given) for i in range(len(ids)))
        spelled = self.filler.tokenizer.decode(ids)
        return replace(text, text=spelled, ids=tuple(ids), confidence=tuple(confidence), given=given)


def cut_at_sentence(text: Written, tokenizer: BookTokenizer, language: str, least: int = 1) -> Written:
    """``text`` without its last, unfinished sentence; unchanged if none ends after ``least`` written tokens or more.

    Given tokens always stay. ``language``: two letters. A sentence end within a token (a dash may follow the full stop
    there) is skipped, so that the ids still spell the text.
    """
    given = max((i + 1 for i, was_given in enumerate(text.given) if was_given), default=0)
    kept = last_end(text.ids, tokenizer, language, given + least)
    return text if kept < given + least else text.cut_after(kept, tokenizer)
