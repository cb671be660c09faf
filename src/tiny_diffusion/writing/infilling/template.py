r"""Gap templates and texts with kept spans, read into typed pieces; how many tokens a gap may take.

Gaps in a template are three or more underscores, ``{n words}``, ``{n-m words}``, ``{n tokens}``, ``{n-m tokens}``,
``{sentence}`` and ``{paragraph}``. Spans of a text to rewrite are kept if they are in ``[[ ]]``. In both, a backslash
makes a following ``_``, ``{``, ``[`` or backslash plain; before any other character it is a backslash.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from ...config import GenerationConfig
from ...errors import UserError

Unit = Literal["blank", "tokens", "words", "sentence", "paragraph"]

SLACK = 0.25  # how far from the expected number of tokens the search goes at first, as a share
USUAL_WORDS = {"sentence": (5, 40), "paragraph": (30, 120)}
"""Words of a sentence and a paragraph in prose, from short to long, where the book's own are not known."""
_ESCAPABLE = r"[\\_{\[]"
_SPECIAL = re.compile(_ESCAPABLE)
_ESCAPED = re.compile(rf"\\({_ESCAPABLE})")
_GAPS = re.compile(
    rf"(?P<fixed>(?:\\{_ESCAPABLE}?|_{{1,2}}(?!_)|[^\\_{{]++)++)|(?P<blank>_{{3,}})|(?P<command>\{{[^{{}}\n]*+\}}?)"
)
_KEPT = re.compile(
    rf"\[\[(?P<kept>(?:\\{_ESCAPABLE}?|(?!\]\])[^\\])*+)\]\]|(?P<fixed>(?:\\{_ESCAPABLE}?|\[(?!\[)|[^\\\[]++)++)|\[\["
)
_COUNTED = re.compile(r"(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s+(\w+)")
_UNITS: dict[str, Unit] = {"word": "words", "words": "words", "token": "tokens", "tokens": "tokens"}
_WHOLE: dict[str, Unit] = {"sentence": "sentence", "paragraph": "paragraph"}
_FORMS = "{3 words}, {3-5 words}, {4 tokens}, {4-8 tokens}, {sentence} or {paragraph}"


@dataclass(frozen=True)
class Fixed:
    """Text that stays as it is, without its escapes."""

    text: str


@dataclass(frozen=True)
class Kept:
    """A span that rewriting must not change, without its escapes."""

    text: str


@dataclass(frozen=True)
class GapRequest:
    """A gap as the template asks for it: ``least`` to ``most`` of ``unit``, both 1 if the unit is not counted.

    source: how the template writes it. usual: words of such gaps in the book, quantiles from low to high.
    """

    unit: Unit
    least: int
    most: int
    source: str
    usual: tuple[int, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether its length is open: it ends where a sentence or paragraph does."""
        return self.unit in ("sentence", "paragraph")

    def size_range(
        self, ratio: float, slack: float, gap_tokens: int, context: int, needed: int = 0, words: int = 0
    ) -> tuple[int, int]:
        """Fewest and most tokens to try if ``words`` words are given and take ``needed`` tokens.

        ``ratio``: expected tokens per word; ``slack``: how far off that may be, as a share. Sentences and paragraphs
        get half the context at most, so that they see text around them.
        """
        if self.unit == "blank":
            return max(gap_tokens, needed), gap_tokens
        if self.unit == "tokens":
            return max(self.least, needed), self.most
        if self.unit == "words":
            fewest, most = max(self.least - words, 0), self.most - words  # free words, of at least one token each
            low = needed + max(fewest, round(fewest * ratio * (1 - slack)))
            high = needed + max(most, math.ceil(most * ratio * (1 + slack)))
            return min(low, context), min(high, context)
        usual = self.usual or USUAL_WORDS[self.unit]
        low, high = round(usual[0] * ratio), round(usual[-1] * ratio)
        half = context // 2
        return max(min(low, half), needed + 1), min(high, half)  # the last token ends the sentence

    def usual_size(self, ratio: float, gap_tokens: int, context: int) -> int:
        """Tokens that it usually takes, at ``ratio`` tokens per word.

        Raises UserError if it needs more than the context holds; a word needs at least one.
        """
        needed = gap_tokens if self.unit == "blank" else self.most
        if needed > context:
            raise UserError(
                f"the gap {self.source} needs {needed} tokens at least; the model's context holds {context}: "
                "make it smaller"
            )
        return sum(self.size_range(ratio, SLACK, gap_tokens, context)) // 2


def parse_gaps(template: str, lengths: Mapping[str, Sequence[int]] | None = None) -> list[Fixed | GapRequest]:
    """The pieces of a gap template, in order; ``[[`` has no meaning here.

    ``lengths``: words of the book's sentences and paragraphs, see ``usual_lengths``. Raises UserError for a brace that
    is not closed, an unknown command, and a count that is reversed or zero.
    """
    pieces: list[Fixed | GapRequest] = []
    for match in _GAPS.finditer(template):
        source = match.group()
        if match["fixed"] is not None:
            pieces.append(Fixed(_unescaped(source)))
        elif match["blank"] is not None:
            pieces.append(GapRequest("blank", 1, 1, source))
        else:
            request = _command(source, _place(template, match.start()))
            pieces.append(replace(request, usual=tuple((lengths or {}).get(request.unit, ()))))
    return pieces


def gap_settings(settings: GenerationConfig, template: str) -> GenerationConfig:
    """``settings`` with the sampler for gaps in place of the other one.

    Unless ``template`` asks for words or sentences, which the causal reading may write, the reading is the masked one.
    Raises UserError for a template that cannot be read.
    """
    gaps = [piece for piece in parse_gaps(template) if isinstance(piece, GapRequest)]
    open_length = any(gap.is_whole or gap.unit == "words" for gap in gaps)
    changed = {"sampler": settings.gap_sampler, "reading": settings.reading if open_length else "masked"}
    return settings.model_copy(update=changed)


def parse_kept(text: str) -> list[Fixed | Kept]:
    """The pieces of a text to rewrite, in order; underscores and braces have no meaning here.

    Raises UserError for a ``[[`` that is not closed.
    """
    pieces: list[Fixed | Kept] = []
    for match in _KEPT.finditer(text):
        source = match.group()
        if match["fixed"] is not None:
            pieces.append(Fixed(_unescaped(source)))
        elif match["kept"] is not None:
            pieces.append(Kept(_unescaped(match["kept"])))
        else:
            place = _place(text, match.start())
            raise UserError(rf"a [[ is never closed{place}: end the kept span with ]], or write \[\[")
    return pieces


def escape(text: str) -> str:
    """``text`` escaped, so that both parsers read it as one fixed piece."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def _unescaped(source: str) -> str:
    return _ESCAPED.sub(r"\1", source)


def _command(source: str, place: str) -> GapRequest:
    """The gap that a brace asks for; ``place`` names its line in the template, for errors."""
    if not source.endswith("}"):
        raise UserError(rf"a brace is never closed{place}: end the gap with }}, or write \{{ for a plain brace")
    command = source[1:-1].strip()
    if command in _WHOLE:
        return GapRequest(_WHOLE[command], 1, 1, source)
    counted = _COUNTED.fullmatch(command)
    if counted is None or counted[3] not in _UNITS:
        raise UserError(f"unknown gap {source}{place}; {_hint(command)}")
    unit, least, most = _UNITS[counted[3]], int(counted[1]), int(counted[2] or counted[1])
    if least > most:
        raise UserError(f"the gap {source}{place} has its range reversed: write {{{most}-{least} {unit}}}")
    if least < 1:
        raise UserError(f"the gap {source}{place} may come out empty: ask for 1 of its {unit} at least")
    return GapRequest(unit, least, most, source)


def _hint(command: str) -> str:
    """What an unknown command may have meant."""
    counted = _COUNTED.fullmatch(command)
    if counted is not None and (near := get_close_matches(counted[3], _UNITS, n=1)):
        return f"did you mean {{{command[: counted.start(3)]}{near[0]}}}?"
    if near := get_close_matches(command, [*_WHOLE, "1 word", "3 words", "4 tokens"], n=1):
        return f"did you mean {{{near[0]}}}?"
    return rf"a gap is {_FORMS}; write \{{ for a plain brace"


def _place(text: str, position: int) -> str:
    """The line of ``position``, or nothing if there is only one."""
    return f" (line {text.count(chr(10), 0, position) + 1})" if "\n" in text.rstrip("\n") else ""
