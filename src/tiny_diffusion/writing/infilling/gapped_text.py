"""A text with gaps, in characters and in tokens.

Tokens of a byte-level BPE begin with their space. Where a reader sees ``on a ___ night``, the model sees the tokens of
``on a``, a gap that begins with a space, and the tokens of `` night``. So the space before a gap is encoded with the
gap, while in the text it belongs to the fixed part and occurs there once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

from ...data.tokenizer import MASK, BookTokenizer
from ..filler import Edge, Edges, Filled, Opening, encode_before, opening_after, window
from ..results import Stretch, Written
from ..rules import Span
from .template import Fixed, GapRequest

MARKS = ".,;:!?…"
"""What never follows another of its kind directly in print, but for dots."""


@dataclass(frozen=True)
class Part:
    """A part of the text: its characters, its ids, and the probability with which each was drawn, 1 if given."""

    text: str
    ids: tuple[int, ...]
    confidence: tuple[float, ...]


@dataclass(frozen=True)
class Gap(Part):
    """A gap in its place. While it is open, it holds as many MASKs as it is expected to need.

    place: its index among the parts of the text. before, after: the characters beside it. must: words that it must
    hold. stretches: where the states of the run show its filling; steps: how many the draw took. Both are empty if the
    same draw filled an earlier gap.
    """

    request: GapRequest
    opening: Opening
    place: int
    before: str
    after: str
    must: tuple[str, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    steps: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it is still to be filled."""
        return MASK in self.ids

    @property
    def has_fixed_size(self) -> bool:
        """Whether the template fixes its number of tokens and requests nothing else: one draw fills it."""
        counted = self.request.unit in ("blank", "tokens") and self.request.least == self.request.most
        return counted and not self.must

    def edges(self, masks: Edges, ids: Sequence[int], span: Span) -> list[Edge]:
        """Its edges at ``span`` of the row ``ids``, except where a word stands already; raises as ``Edges.opening``."""
        start, last = span[0], span[1] - 1
        found = {start: masks.opening(self.opening, single=start == last)}
        if self.request.is_whole:
            found[last] = masks.closing
        elif self.after and self.after[0] in MARKS:  # no mark before a mark
            here = found.get(last)
            found[last] = masks.unmarked if here is None else here & masks.unmarked
        return [Edge(place, mask) for place, mask in found.items() if mask is not None and ids[place] == MASK]

    def opened(self, size: int) -> "Gap":
        """This gap with ``size`` tokens to fill."""
        return replace(self, text="", ids=(MASK,) * size, confidence=(0.0,) * size)

    def filled(self, row: Filled, span: Span, tokenizer: BookTokenizer, part: Stretch | None = None) -> "Gap":
        """This gap with its filling, the tokens at ``span`` of a row; ``part``: None if an earlier gap has it."""
        ids, confidence = (tuple(values[slice(*span)].tolist()) for values in (row.ids, row.confidence))
        gap = replace(self, text=self.without_given_space(tokenizer.decode(ids)), ids=ids, confidence=confidence)
        return gap if part is None else replace(gap, stretches=(part,), steps=row.steps)

    def without_given_space(self, text: str) -> str:
        """``text`` without the space that the fixed part before the gap has given to it."""
        return text[1:] if self.opening is Opening.SPACE else text


@dataclass(frozen=True)
class Hole:
    """Gaps that are filled together, with the fixed parts between them, and what stands around them.

    before: ids before them, those that the model alone sees among them. after: ids after them, MASK where gaps are
    open; known: how many of these there are before the next open gap. meets_gap: an open gap follows directly. start:
    where they begin in the text, in tokens.
    """

    parts: tuple[Part, ...]
    before: list[int]
    after: list[int]
    known: int
    meets_gap: bool
    start: int

    @property
    def gaps(self) -> list[Gap]:
        """Its gaps."""
        return [part for part in self.parts if isinstance(part, Gap)]

    @property
    def behind(self) -> list[int]:
        """Ids of what is known to follow."""
        return self.after[: self.known]

    def window(self, context: int, inside: Sequence[int] | None = None) -> tuple[list[int], list[Span]]:
        """Its ids with as much text on both sides as fits into ``context`` tokens, and the gaps' places in them.

        ``inside``: the ids to show in the only gap, if not its own.
        """
        parts = [part.ids for part in self.parts] if inside is None else [inside]
        left, right = self.before[-context:], self.after[:context]
        ids = [*left, *(i for own in parts for i in own), *right]
        start, end = window(len(left), len(ids) - len(right), len(ids), context)
        spans, place = list[Span](), len(left) - start
        for part, own in zip(self.parts, parts, strict=True):
            if isinstance(part, Gap):
                spans.append((place, place + len(own)))
            place += len(own)
        return ids[start:end], spans


@dataclass(frozen=True)
class GappedText:
    """A text as fixed parts and gaps, in order; before them, what the model alone sees."""

    parts: tuple[Part, ...]

    @classmethod
    def of(
        cls,
        pieces: Sequence[Fixed | GapRequest],
        encode: Callable[[str], list[int]],
        sizes: Mapping[GapRequest, int],
        lead: Sequence[int] = (),
    ) -> "GappedText":
        """The text of a template's pieces; ``sizes``: how many tokens each gap is expected to need.

        ``lead``: ids before the text that are no part of it.
        """
        parts = [Part("", tuple(lead), (1.0,) * len(lead))]
        for i, piece in enumerate(pieces):
            before = pieces[i - 1] if i else None
            after = pieces[i + 1] if i + 1 < len(pieces) else None
            if isinstance(piece, Fixed):
                opening = opening_after(piece) if isinstance(after, GapRequest) else None
                ids = encode_before(piece.text, opening, encode)
                parts.append(Part(piece.text, tuple(ids), (1.0,) * len(ids)))
            else:
                start = before.text if isinstance(before, Fixed) else ""
                end = after.text if isinstance(after, Fixed) else " " if after else ""
                gap = Gap("", (), (), piece, opening_after(before), len(parts), start[-1:], end[:2])
                parts.append(gap.opened(sizes[piece]))
        return cls(tuple(parts))

    @property
    def own(self) -> tuple[Part, ...]:
        """The parts of the text itself."""
        return self.parts[1:]

    @property
    def gaps(self) -> list[Gap]:
        """Its gaps, open or filled."""
        return [part for part in self.parts if isinstance(part, Gap)]

    def with_gap(self, gap: Gap) -> "GappedText":
        """This text with ``gap`` in its place."""
        return GappedText((*self.parts[: gap.place], gap, *self.parts[gap.place + 1 :]))

    def rounds(self, context: int) -> list[list[int]]:
        """Which gaps, by number, are filled together: each alone, except close neighbours of fixed size.

        Close are all gaps of a text within the context; in a longer text, those within half a context.
        """
        limit = context if sum(len(part.ids) for part in self.parts) <= context else context // 2
        gaps = self.gaps
        rounds: list[list[int]] = []
        for number, gap in enumerate(gaps):
            if number and gap.has_fixed_size and gaps[number - 1].has_fixed_size:
                between = self.parts[gaps[rounds[-1][0]].place : gap.place + 1]
                if sum(len(part.ids) for part in between) <= limit:
                    rounds[-1].append(number)
                    continue
            rounds.append([number])
        return rounds

    def hole(self, first: Gap, last: Gap) -> Hole:
        """The gaps ``first`` to ``last`` and what stands around them."""
        rest = self.parts[last.place + 1 :]
        is_open = [isinstance(part, Gap) and part.is_open for part in rest]
        known = takewhile(lambda each: not each[1], zip(rest, is_open, strict=True))
        return Hole(
            self.parts[first.place : last.place + 1],
            before=[i for part in self.parts[: first.place] for i in part.ids],
            after=[i for part in rest for i in part.ids],
            known=sum(len(part.ids) for part, _ in known),
            meets_gap=any(is_open[:1]),
            start=sum(len(part.ids) for part in self.parts[1 : first.place]),
        )

    def written(self, tokenizer: BookTokenizer) -> Written:
        """The finished text; all gaps must be filled.

        Neighbouring gaps are decoded together, because a character may begin in one and end in the next.
        """
        pieces = []
        for is_gap, group in groupby(self.own, key=lambda part: isinstance(part, Gap)):
            parts = list(group)
            if is_gap and isinstance(parts[0], Gap):
                pieces.append(parts[0].without_given_space(tokenizer.decode(i for part in parts for i in part.ids)))
            else:
                pieces += [part.text for part in parts]
        return Written(
            text="".join(pieces),
            ids=tuple(i for part in self.own for i in part.ids),
            confidence=tuple(c for part in self.own for c in part.confidence),
            given=tuple(not isinstance(part, Gap) for part in self.own for _ in part.ids),
            steps=sum(gap.steps for gap in self.gaps),
            stretches=tuple(stretch for gap in self.gaps for stretch in gap.stretches),
        )
