"""What makes settled tokens a finished text: the rules that it must keep, a clean end, and how much of it is copied."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..config import GenerationConfig
from ..data.copies import CopyIndex
from ..data.tokenizer import BookTokenizer
from ..errors import UserError
from .copy_guard import NoveltyGuard
from .endings import cut_at_sentence
from .layout import BookLayout
from .mending import Rule, broken
from .results import Outcome, Refused, Written


@dataclass(frozen=True)
class Finishing:
    """The finishing of texts in a two-letter ``language``; ``index`` of the training text where it is at hand."""

    tokenizer: BookTokenizer
    index: CopyIndex | None
    language: str

    def rules(self, settings: GenerationConfig) -> list[Rule]:
        """What each text must keep; raises UserError for a novelty guard without an index."""
        layout: list[Rule] = [BookLayout(self.tokenizer)] if settings.layout == "book" else []
        guard = self.guard(settings)
        return layout if guard is None else [*layout, guard]

    def guard(self, settings: GenerationConfig) -> NoveltyGuard | None:
        """The novelty guard, None where it is off; raises UserError for one without an index."""
        if not settings.max_copied_words:
            return None
        if self.index is None:
            raise UserError(
                f"generation.max_copied_words={settings.max_copied_words} needs the training text: give --data-dir "
                "(in Python Writer.load(checkpoint, data_dir=...))"
            )
        return NoveltyGuard(self.index, self.tokenizer, settings.max_copied_words)

    def cut(self, outcome: Outcome) -> Outcome:
        """``outcome`` with each text cut behind its last sentence."""
        cut = {row: cut_at_sentence(text, self.tokenizer, self.language) for row, text in outcome.texts.items()}
        return Outcome(cut, outcome.refused)

    def texts(self, outcome: Outcome, rules: Sequence[Rule]) -> list[Written]:
        """The texts in the order of their rows, each with its number and its longest copied run.

        Raises Refused when one is refused, or breaks a rule that must be kept.
        """
        refused, kept = dict(outcome.refused), []
        for row, text in sorted(outcome.texts.items()):
            reason = broken(rules, text.ids, [not was_given for was_given in text.given])
            if reason is None:
                kept.append(replace(text, sample=row + 1, longest_copied_words=self._longest(text)))
            else:
                refused[row] = reason
        if refused:
            raise Refused({row + 1: reason for row, reason in refused.items()}, kept)
        return kept

    def _longest(self, text: Written) -> int | None:
        return None if self.index is None else self.index.match([text.text])[0].longest
