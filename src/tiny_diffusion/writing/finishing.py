"""What makes settled tokens a finished text: the rules that it must keep, a clean end, and how much of it is copied."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..config import GenerationConfig
from ..data.copies import CopyIndex
from ..data.language.segmentation import sentence_ends
from ..data.tokenizer import BookTokenizer
from ..errors import UserError
from .copy_guard import NoveltyGuard
from .layout import BookLayout, token_spans
from .repair import Rule
from .results import Outcome, Refused, Written

_NEXT = " Hm"
"""A possible continuation of a text that breaks off: no name and no number, so that "Mr." or "J." ends no sentence."""


@dataclass(frozen=True)
class Finishing:
    """Finishes texts in a two-letter ``language``; ``index`` is that of the training text if it is at hand.

    lines: the book keeps its line ends, as verse and plays do.
    """

    tokenizer: BookTokenizer
    index: CopyIndex | None
    language: str
    lines: bool = False

    def rules(self, settings: GenerationConfig) -> list[Rule]:
        """What a text that is written freely must keep: see ``guards`` for the errors raised."""
        layout: list[Rule] = [BookLayout(self.tokenizer, self.lines)] if settings.layout == "book" else []
        return layout + list[Rule](self.guards(settings))

    def guards(self, settings: GenerationConfig) -> list[NoveltyGuard]:
        """The novelty guard, or nothing if it is off; raises UserError if there is no index for it."""
        if not settings.max_copied_words:
            return []
        if self.index is None:
            raise UserError(
                f"generation.max_copied_words={settings.max_copied_words} needs the training text: give --data-dir "
                "(in Python Writer.load(checkpoint, data_dir=...))"
            )
        return [NoveltyGuard(self.index, self.tokenizer, settings.max_copied_words)]

    def cut(self, outcome: Outcome) -> Outcome:
        """``outcome`` with each text cut after its last sentence."""
        cut = {row: cut_at_sentence(text, self.tokenizer, self.language) for row, text in outcome.texts.items()}
        return Outcome(cut, outcome.refused)

    def texts(self, outcome: Outcome, rules: Sequence[Rule]) -> list[Written]:
        """The texts in order, each with its number and its longest copied run.

        Raises Refused if one is refused or still breaks a rule that cannot be waived.
        """
        refused, kept = dict(outcome.refused), []
        for row, text in sorted(outcome.texts.items()):
            reason = broken(rules, text.ids, [not was_given for was_given in text.given])
            if reason is None:
                copied = None if self.index is None else self.index.match([text.text])[0].longest
                kept.append(replace(text, sample=row + 1, longest_copied_words=copied))
            else:
                refused[row] = reason
        if refused:
            raise Refused({row + 1: reason for row, reason in refused.items()}, kept)
        return kept


def broken(rules: Sequence[Rule], ids: Sequence[int], free: Sequence[bool]) -> str | None:
    """Why a finished text must be refused; None if it keeps every rule, or is accepted as it is."""
    reasons = (rule.give_up(ids, free) for rule in rules if rule.places(ids, free))
    return next((reason for reason in reasons if reason is not None), None)


def cut_at_sentence(text: Written, tokenizer: BookTokenizer, language: str) -> Written:
    """``text`` without its last, unfinished sentence; unchanged if no sentence ends in what was written.

    Given tokens always stay, and at least one written token after them. ``language``: two letters. A sentence end
    within a token (a dash may follow the full stop there) is skipped, so that the ids still spell the text.
    """
    spans = token_spans(tokenizer, text.ids)
    given = max((i + 1 for i, was_given in enumerate(text.given) if was_given), default=0)
    bounds = {end: i + 1 for i, (_, end) in enumerate(spans)}  # of several tokens in one character the last counts
    ends = [bounds[end] for end in sentence_ends(text.text + _NEXT, language) if end in bounds]
    if not ends or ends[-1] <= given:
        return text
    kept = ends[-1]
    return replace(
        text,
        text=tokenizer.decode(text.ids[:kept]),
        ids=text.ids[:kept],
        confidence=text.confidence[:kept],
        given=text.given[:kept],
        cut=len(text.ids) - kept,
    )
