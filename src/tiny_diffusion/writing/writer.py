"""From prompts, templates and texts to finished texts: a model, its tokenizer, and what is known of the book."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch

from ..checkpoint import Checkpoint, check_alike, check_same_data, load_checkpoint
from ..config import GenerationConfig
from ..data.copies import CopyIndex
from ..data.folder import TrainingText, read_training_text
from ..data.language.punctuation import Punctuation
from ..data.language.segmentation import ENGLISH, usual_lengths
from ..data.language.word_list import doubled_words, spellings, without_stray_letters
from ..data.tokenizer import BookTokenizer
from ..errors import UserError
from ..model.transformer import Transformer
from ..runtime import find_device
from ..sampling.counts import Counts
from ..sampling.experts import Experts
from .continuing import Continuation, reading_of
from .copy_guard import NoveltyGuard
from .doubled_words import DoubledWords
from .drafts import Drafts
from .filler import Filler
from .infilling.infill import infilling
from .infilling.template import gap_settings
from .joints import Joints
from .known_words import KnownWords, words_of_tokens
from .quotations import Quotations
from .real_words import RealWords
from .results import Outcome, Refused, Run, Written
from .rewriting import rewriting
from .rules import Rule

_NEEDS_TEXT = (
    "generation.{setting} needs the training text: give --data-dir (in Python Writer.load(checkpoint, data_dir=...))"
)


def finish(run: Run) -> list[Written]:
    """The texts of a run, ignoring its states."""
    while True:
        try:
            next(run)
        except StopIteration as done:
            texts: list[Written] = done.value
            return texts


class Writer:
    """Writes text with a model and its tokenizer.

    Random numbers start from ``settings.seed`` in each call: the same call gives the same texts. The first, second ...
    sample does not depend on how many are requested, apart from rounding in batches of different size.
    ``index`` of the training text: measures how much of a text is copied; ``settings.max_copied_words`` needs it.
    ``language``: two letters, selects the rules for ends of sentences and the list of words. ``words``: those of the
    book, in its spelling; without them ``settings.words`` has no effect. ``lines``: the book keeps its line ends, as
    verse and plays do. ``lengths``: words of its sentences and paragraphs, which gaps for such take as
    theirs, see ``usual_lengths``. ``book``: its text, for ``settings.expert``.
    ``doubled``: words that somewhere follow themselves in it; with them ``settings.words`` lets no others do so.
    ``punctuation``: how it uses its marks; with it ``settings.layout`` joins words only as it does.
    ``members``: networks of the same kind, whose laws are averaged with the model's.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: BookTokenizer,
        index: CopyIndex | None = None,
        language: str = ENGLISH,
        words: Sequence[str] | None = None,
        lines: bool = False,
        lengths: Mapping[str, Sequence[int]] | None = None,
        book: TrainingText | None = None,
        doubled: Sequence[str] | None = None,
        members: Sequence[Transformer] = (),
        punctuation: Punctuation | None = None,
    ) -> None:
        self.model, self.members, self.tokenizer = model, tuple(members), tokenizer
        self.index, self.language, self.words = index, language, words
        self.lengths, self.book = lengths or {}, book
        brackets = () if punctuation is None else punctuation.brackets
        self._doubled: list[Rule] = [] if doubled is None else [DoubledWords(doubled, tokenizer)]
        self._joints: list[Rule] = [] if punctuation is None else [Joints.of_book(tokenizer, punctuation)]
        self.device = model.device
        # Rules are made once, those with large tables when a setting first asks for them.
        spaces = self._joints or [Joints.white_space(tokenizer, lines=lines)]
        self._layout: list[Rule] = [*spaces, Quotations(tokenizer, brackets)]
        self._counts: Counts | None = None
        self._guards, self._real_words = dict[int, NoveltyGuard](), dict[str, RealWords]()

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        data_dir: str | Path | None = None,
        members: Sequence[str | Path] = (),
    ) -> Self:
        """The writer of a checkpoint, with the index of its training text if ``data_dir`` (from prepare) is given.

        ``members``: checkpoints of networks of the same kind, whose laws are averaged with its own. Raises UserError if
        a file, the device or the folder is not available, or the folder holds other data.
        """
        others = [load_checkpoint(Path(member)) for member in members]
        data = None if data_dir is None else Path(data_dir)
        return cls.of(load_checkpoint(Path(path)), find_device(device), data, others)

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        device: torch.device,
        data_dir: Path | None = None,
        members: Sequence[Checkpoint] = (),
    ) -> Self:
        """The writer of checkpoints that have been read already; see ``load``."""
        for number, member in enumerate(members, 2):
            check_alike(checkpoint, member, number)
        index, training, words, lengths = None, None, checkpoint.words, checkpoint.lengths
        language, doubled, marks = checkpoint.meta.get("language", ENGLISH), checkpoint.doubled, checkpoint.punctuation
        if data_dir is not None:
            training = read_training_text(data_dir)
            check_same_data(checkpoint, training)
            index = CopyIndex(training.passages)
            words = words or spellings(training.passages)
            lengths = lengths or usual_lengths(training.passages, language)
            doubled = doubled_words(training.passages) if doubled is None else doubled
            marks = Punctuation.of(training.passages) if marks is None else marks
        words, model = words or words_of_tokens(checkpoint.tokenizer, language), checkpoint.build(device)
        lines, others = checkpoint.keeps_lines, [member.build(device) for member in members]
        return cls(
            model, checkpoint.tokenizer, index, language, words, lines, lengths, training, doubled, others, marks
        )

    def allowed(self, settings: GenerationConfig) -> int:
        """Number of text tokens that may be written at ``settings.vocab_level``."""
        return self.tokenizer.level_size(min(settings.vocab_level, self.model.config.vocab_level))

    def write(self, prompt: str, settings: GenerationConfig) -> list[Written]:
        """``settings.num_samples`` texts that begin with ``prompt`` and continue for ``settings.length`` tokens.

        Raises Refused, which holds the other texts, if some cannot be kept within ``settings.max_copied_words``; so do
        ``infill`` and ``rewrite``.
        """
        return finish(self.writing(prompt, settings))

    def infill(self, template: str, settings: GenerationConfig, must: tuple[str, ...] = ()) -> list[Written]:
        """``settings.num_samples`` texts with each gap of ``template`` filled and all else kept byte for byte.

        Gaps: ``___``, ``{3 words}``, ``{3-5 words}``, ``{4 tokens}``, ``{sentence}``, ``{paragraph}`` (see
        ``infilling.template``). Each word of ``must`` appears in one of them. Raises UserError for a template that
        cannot be read, and Refused for texts that cannot be filled as requested.
        """
        return finish(self.filling(template, settings, must))

    def rewrite(self, text: str, settings: GenerationConfig) -> list[Written]:
        """``settings.num_samples`` variants of ``text``, with ``[[spans]]`` kept byte for byte.

        ``settings.rewrite_strength`` is the share of all other tokens that is masked and written anew. Raises
        UserError if nothing is left to rewrite.
        """
        return finish(self.rewriting(text, settings))

    def writing(self, prompt: str, settings: GenerationConfig) -> Run:
        """Every moment of ``write``: states of (num_samples, tokens so far), MASK where unsettled; then the texts.

        ``settings.reading`` says how. While drafts are written, states have a row for each draft of each text.

        Text beyond the context is written block by block, each seeing the last half context before it; so is what
        follows a prompt beyond the context. A space at the end of the prompt belongs to the first token that is drawn.
        With ``settings.layout`` "book" the model first sees a mark that a paragraph begins, which is not part of the
        text; a model that has not learnt marks sees a paragraph break if there is no prompt. With ``settings.ending``
        "sentence" a text that stops within a sentence is cut, or written on to an end, so that it ends with a sentence
        after 0.8 to 1.1 times ``settings.length`` tokens (see ``endings``); the causal reading of a dual model may
        also end it there like a chapter (see ``drawn_ends``). No state is kept.
        """
        free = [*self.guards(settings), *self.layout(settings)]
        rules, inner = ([*free, *self.real_words(settings, open_end=last)] for last in (True, False))
        reading = reading_of(self.model.config, settings)
        filler = self._filler(settings, causal=reading == "causal")
        drafts = Drafts(filler) if reading == "drafts" else None
        found = yield from Continuation(filler, drafts, prompt, rules, inner).write()
        return self.finished(found, rules)

    def filling(self, template: str, settings: GenerationConfig, must: tuple[str, ...] = ()) -> Run:
        """Every moment of ``infill``, by ``settings.gap_sampler``; see ``infilling.infill``."""
        guards, words = self.guards(settings), [*self.joints(settings), *self.real_words(settings)]
        settings = gap_settings(settings, template)
        filler, onward = self._filler(settings, causal=False), None
        if self.model.config.dual and reading_of(self.model.config, settings) == "causal":
            onward = self._filler(settings, causal=True)
            onward.numbers = filler.numbers  # a text's draws are of one sequence
        found = yield from infilling(filler, onward, guards, words, template, must, self.lengths)
        return self.finished(found, guards)

    def rewriting(self, text: str, settings: GenerationConfig) -> Run:
        """Every moment of ``rewrite``; see ``rewriting.rewriting``."""
        rules = [*self.guards(settings), *self.joints(settings), *self.real_words(settings)]
        filler = self._filler(settings, causal=False)
        found = yield from rewriting(filler, rules, text)
        return self.finished(found, rules)

    def _filler(self, settings: GenerationConfig, *, causal: bool) -> Filler:
        experts = Experts(self.members, self.counts(settings))
        return Filler(self.model, self.tokenizer, settings, self.language, causal=causal, experts=experts)

    def counts(self, settings: GenerationConfig) -> Counts | None:
        """The counts of the training text, or nothing if they are off; raises UserError if there is no text."""
        if settings.expert == "none":
            return None
        if self.book is None:
            raise UserError(_NEEDS_TEXT.format(setting="expert=ngram"))
        if self._counts is None:
            texts = self.book.passages, self.book.validation
            self._counts = Counts.of((self.model, *self.members), self.tokenizer, *texts)
        return self._counts

    def guards(self, settings: GenerationConfig) -> list[Rule]:
        """The novelty guard, or nothing if it is off; raises UserError if there is no index for it."""
        limit, index = settings.max_copied_words, self.index
        if not limit:
            return []
        if index is None:
            raise UserError(_NEEDS_TEXT.format(setting=f"max_copied_words={limit}"))
        if limit not in self._guards:
            self._guards[limit] = NoveltyGuard(index, self.tokenizer, limit)
        return [self._guards[limit]]

    def layout(self, settings: GenerationConfig) -> list[Rule]:
        """The rules about joints and quotation marks, or nothing if they are off."""
        return [] if settings.layout == "free" else list(self._layout)

    def joints(self, settings: GenerationConfig) -> list[Rule]:
        """The rule about joints if those of the book are known, or nothing if it is off: for a text that is given."""
        return [] if settings.layout == "free" else list(self._joints)

    def real_words(self, settings: GenerationConfig, *, open_end: bool = False) -> list[Rule]:
        """The rules about words, or nothing if they are off; ``open_end``: a word may be unfinished."""
        if settings.words == "free" or self.words is None:
            return []
        if settings.words not in self._real_words:
            words = without_stray_letters(self.words, self.language)
            known = KnownWords(words, self.language, only_book=settings.words == "book")
            self._real_words[settings.words] = RealWords(known, self.tokenizer)
        return [self._real_words[settings.words].with_end(is_open=open_end), *self._doubled]

    def finished(self, outcome: Outcome, rules: Sequence[Rule]) -> list[Written]:
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
