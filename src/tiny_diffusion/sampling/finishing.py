"""What makes settled tokens a finished text: the rules that it must keep, a clean end, and how much of it is copied."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ..config import GenerationConfig
from ..data.copies import CopyIndex
from ..data.tokenizer import BookTokenizer
from ..errors import UserError
from .endings import cut_at_sentence
from .guard import NoveltyGuard
from .layout import BookLayout
from .mending import Rule, check
from .results import Written, written


@dataclass(frozen=True)
class Finishing:
    """The finishing of texts in a two-letter ``language``; ``index`` of the training text where it is at hand."""

    tokenizer: BookTokenizer
    index: CopyIndex | None
    language: str

    def rules(self, settings: GenerationConfig) -> list[Rule]:
        """What each text must keep; raises UserError for a novelty guard without an index."""
        rules: list[Rule] = [BookLayout(self.tokenizer)] if settings.layout == "book" else []
        if settings.max_copied_words:
            if self.index is None:
                raise UserError(
                    f"generation.max_copied_words={settings.max_copied_words} needs the training text: give --data-dir "
                    "(in Python Writer.load(checkpoint, data_dir=...))"
                )
            rules.append(NoveltyGuard(self.index, self.tokenizer, settings.max_copied_words))
        return rules

    def texts(
        self, ids: Tensor, confidence: Tensor, given: Tensor, steps: int, rules: Sequence[Rule], *, cut: bool = False
    ) -> list[Written]:
        """The texts of settled rows, each (B, T), with ``cut`` each behind its last sentence.

        Raises UserError when one breaks a rule that must be kept.
        """
        texts = written([self.tokenizer.decode(row) for row in ids.tolist()], ids, confidence, given, steps)
        for text in texts:
            check(rules, text.ids, [not was_given for was_given in text.given])
        if cut:
            texts = [cut_at_sentence(text, self.tokenizer, self.language) for text in texts]
        if self.index is None:
            return texts
        matches = self.index.match([text.text for text in texts])
        return [replace(t, longest_copied_words=m.longest) for t, m in zip(texts, matches, strict=True)]
