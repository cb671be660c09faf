"""What makes settled tokens a finished text: the rules that it must keep, a clean end, and how much of it is copied."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..config import GenerationConfig
from ..data.copies import CopyIndex
from ..data.language.word_list import SHORTEST, common_words, without_stray_letters
from ..data.language.words import folded
from ..data.tokenizer import NUM_RESERVED, BookTokenizer
from ..errors import UserError
from .copy_guard import NoveltyGuard
from .endings import last_end, shortest
from .known_words import KnownWords
from .layout import BookLayout
from .real_words import RealWords
from .results import Outcome, Refused, Written
from .rules import Rule


@dataclass(frozen=True)
class Finishing:
    """Finishes texts in a two-letter ``language``.

    index: that of the training text, None if it is not at hand. words: those of
    the book, in its spelling; None if they are not known, and then the words of a text are not checked. lines: the book
    keeps its line ends, as verse and plays do.
    """

    tokenizer: BookTokenizer
    index: CopyIndex | None
    language: str
    words: Sequence[str] | None = None
    lines: bool = False
    _kept: dict[object, Rule] = field(default_factory=dict, repr=False)

    def rules(self, settings: GenerationConfig, *, open_end: bool = True) -> list[Rule]:
        """What a text that is written freely must keep: see ``guards`` for the errors raised."""
        return [*self.guards(settings), *self.layout(settings), *self.real_words(settings, open_end=open_end)]

    def layout(self, settings: GenerationConfig) -> list[Rule]:
        """The rule about white space, or nothing if it is off."""
        if settings.layout == "free":
            return []
        return [self._once("layout", lambda: BookLayout(self.tokenizer, lines=self.lines))]

    def real_words(self, settings: GenerationConfig, *, open_end: bool = False) -> list[Rule]:
        """The rule about words, or nothing if it is off; ``open_end``: a word may be unfinished at the end."""
        if settings.words == "free" or self.words is None:
            return []
        only_book, words = settings.words == "book", without_stray_letters(self.words, self.language)

        def rule() -> Rule:
            known = KnownWords(words, self.language, only_book=only_book)
            return RealWords(known, self.tokenizer, open_end=open_end)

        return [self._once((settings.words, open_end), rule)]

    def guards(self, settings: GenerationConfig) -> list[Rule]:
        """The novelty guard, or nothing if it is off; raises UserError if there is no index for it."""
        limit, index = settings.max_copied_words, self.index
        if not limit:
            return []
        if index is None:
            raise UserError(
                f"generation.max_copied_words={limit} needs the training text: give --data-dir "
                "(in Python Writer.load(checkpoint, data_dir=...))"
            )
        return [self._once(limit, lambda: NoveltyGuard(index, self.tokenizer, limit))]

    def _once(self, key: object, make: Callable[[], Rule]) -> Rule:
        """A rule made when it is first asked for: its tables of tokens take a while."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def cut(self, outcome: Outcome, length: int, ends: Mapping[int, int]) -> Outcome:
        """``outcome`` with each text of ``length`` written tokens, or a few more, cut after its last sentence.

        A text without a sentence end that is late enough stays whole. ``ends``: after how many tokens some texts end
        instead.
        """
        cut = {
            row: cut_after(text, ends[row], self.tokenizer)
            if row in ends
            else cut_at_sentence(text, self.tokenizer, self.language, shortest(length))
            for row, text in outcome.texts.items()
        }
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
    reasons = (rule.refusal(ids, free) for rule in rules if rule.places(ids, free))
    return next((reason for reason in reasons if reason is not None), None)


def cut_at_sentence(text: Written, tokenizer: BookTokenizer, language: str, least: int = 1) -> Written:
    """``text`` without its last, unfinished sentence; unchanged if none ends after ``least`` written tokens or more.

    Given tokens always stay. ``language``: two letters. A sentence end within a token (a dash may follow the full stop
    there) is skipped, so that the ids still spell the text.
    """
    given = max((i + 1 for i, was_given in enumerate(text.given) if was_given), default=0)
    kept = last_end(text.ids, tokenizer, language)
    return text if kept < given + least else cut_after(text, kept, tokenizer)


def cut_after(text: Written, kept: int, tokenizer: BookTokenizer) -> Written:
    """The first ``kept`` tokens of ``text``."""
    return replace(
        text,
        text=tokenizer.decode(text.ids[:kept]),
        ids=text.ids[:kept],
        confidence=text.confidence[:kept],
        given=text.given[:kept],
        cut=len(text.ids) - kept,
    )


def words_of_tokens(tokenizer: BookTokenizer, language: str) -> list[str]:
    """The words of a book as its tokens show them, for a checkpoint that does not hold them.

    Many tokens are only the beginning of a word: those of three letters or more count if they are in common use.
    """
    tokens = (tokenizer.token_bytes(i).decode("utf-8", "replace") for i in range(NUM_RESERVED, tokenizer.vocab_size))
    words = [token[1:] for token in tokens if token[:1] == " " and token[1:].isalpha()]
    common = common_words(language)
    return [word for word in words if len(word) < SHORTEST or not common or folded(word) in common]
