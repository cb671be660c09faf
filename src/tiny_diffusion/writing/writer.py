"""From prompts, templates and texts to finished texts: a model, its tokenizer, and what finishes a text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from ..checkpoint import Checkpoint, check_same_data, load_checkpoint
from ..config import GenerationConfig
from ..data.copies import CopyIndex
from ..data.folder import read_training_text
from ..data.language.segmentation import ENGLISH, usual_lengths
from ..data.language.word_list import spellings
from ..data.tokenizer import MASK, BookTokenizer
from ..errors import UserError
from ..model.transformer import Transformer
from ..runtime import find_device
from ..sampling.denoise import DenoisingState
from .drafts import Drafts
from .endings import Endings, with_endings
from .filler import Edge, Filler
from .finishing import Finishing, words_of_tokens
from .infilling.boundaries import Edges, Opening, encode_before, opening_after
from .infilling.infill import infilling
from .infilling.template import Fixed, gap_settings
from .judge import Judge, drawn_ends
from .layout import break_ids
from .reading import reading_of
from .repair import Repair
from .results import Outcome, Run, Stretch, WritingState, Written
from .rewriting import rewriting
from .rules import Rule


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
    theirs, see ``usual_lengths``.
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
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.finishing = Finishing(tokenizer, index, language, words, lines)
        self.lengths = lengths or {}
        self.device = model.device

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", data_dir: str | Path | None = None) -> Self:
        """The writer of a checkpoint, with the index of its training text if ``data_dir`` (from prepare) is given.

        Raises UserError if the file, the device or the folder is not available, or the folder holds other data.
        """
        return cls.of(load_checkpoint(Path(path)), find_device(device), None if data_dir is None else Path(data_dir))

    @classmethod
    def of(cls, checkpoint: Checkpoint, device: torch.device, data_dir: Path | None = None) -> Self:
        """The writer of a checkpoint that has been read already; see ``load``."""
        index, words, lengths = None, checkpoint.words, checkpoint.lengths
        language = checkpoint.meta.get("language", ENGLISH)
        if data_dir is not None:
            training = read_training_text(data_dir)
            check_same_data(checkpoint, training)
            index = CopyIndex(training.passages)
            words = words or spellings(training.passages)
            lengths = lengths or usual_lengths(training.passages, language)
        words, model = words or words_of_tokens(checkpoint.tokenizer, language), checkpoint.build(device)
        return cls(model, checkpoint.tokenizer, index, language, words, checkpoint.keeps_lines, lengths)

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
        rules = self.finishing.rules(settings)
        reading = reading_of(self.model.config, settings)
        filler = Filler(self.model, self.tokenizer, settings, causal=reading == "causal")
        drafts = Drafts(filler) if reading == "drafts" else None
        lead, given_ids, first = self._beginning(prompt, filler)
        prompt_ids = torch.tensor(given_ids, dtype=torch.long, device=self.device)
        done = prompt_ids.expand(settings.num_samples, -1)  # (B, tokens so far)
        sure = torch.ones(done.shape, device=self.device)
        wanted, context = done.shape[1] + settings.length, filler.context
        own, whole = slice(len(lead), None), Stretch.whole(settings.num_samples, wanted - len(lead))
        steps, refused, endings = 0, dict[int, str](), None
        if settings.ending == "sentence" and settings.length > len(first):
            endings = Endings(filler, rules, self.finishing.language, len(lead), len(prompt_ids) + len(first))
        while done.shape[1] < wanted and len(refused) < len(done):
            room_left = wanted <= context or done.shape[1] == len(prompt_ids) < context
            keep = done.shape[1] if room_left else min(done.shape[1], context // 2)
            size = min(context - keep, wanted - done.shape[1])
            ahead, seen = done[:, : done.shape[1] - keep], done[:, done.shape[1] - keep :]
            block = torch.cat((seen, torch.full((len(done), size), MASK, device=self.device)), dim=1)
            given = (torch.arange(done.shape[1] + size) < len(prompt_ids)).expand(len(done), -1)[:, own]
            is_last = done.shape[1] + size == wanted
            edges = endings.edges(keep + size - 1) if endings and is_last else ()
            if done.shape[1] == len(prompt_ids):
                edges = (*(replace(edge, place=keep) for edge in first), *edges)
            if filler.causal:  # the causal reading keeps the rules while it draws
                states = filler.denoise(block, filler.numbers, [edges], rules, ahead.tolist())
            else:
                states = self._mended(filler, drafts, block, ahead, edges, refused, is_last)
            for state in states:
                steps += 1
                times = len(state.ids) // len(done)  # rows per text: several while drafts are written
                yield WritingState(
                    torch.cat((ahead.repeat_interleave(times, 0), state.ids), dim=1)[:, own],
                    torch.cat((sure.repeat_interleave(times, 0), state.confidence[:, keep:]), dim=1)[:, own],
                    state.step,
                    state.steps,
                    given.repeat_interleave(times, 0),
                    whole if drafts is None else drafts.stretches(len(state.ids), whole),
                )
            done = torch.cat((ahead, state.ids), dim=1)
            sure = torch.cat((sure, state.confidence[:, keep:]), dim=1)
        last = WritingState(done[:, own], sure[:, own], steps, steps, given, whole)
        found = Outcome.of([self.tokenizer.decode(row) for row in last.ids.tolist()], last, refused)
        found = found if drafts is None else drafts.marked(found, whole)
        if endings is not None:
            stretches = whole if drafts is None else drafts.stretches(len(done), whole)
            ended = yield from endings.write(done, sure, refused, stretches)
            found = self._cut(with_endings(found, ended, self.tokenizer), filler, lead)
        return self.finishing.texts(found, rules)

    def _beginning(self, prompt: str, filler: Filler) -> tuple[list[int], list[int], tuple[Edge, ...]]:
        """The hidden ids before a text, these and the prompt's, and what the first drawn token must begin with."""
        lead = filler.lead
        if not (lead or prompt) and filler.settings.layout == "book":
            lead = break_ids(self.tokenizer)
        opening = opening_after(Fixed(prompt)) if prompt else Opening.FREE
        ids = [*lead, *encode_before(prompt, opening, filler.encode)]
        if opening is not Opening.SPACE:
            return lead, ids, ()
        spaced = Edges(self.tokenizer, self.model.text_vocab_size, filler.allowed).opening(opening, single=False)
        assert spaced is not None
        return lead, ids, (Edge(len(ids), spaced),)

    def _mended(
        self,
        filler: Filler,
        drafts: Drafts | None,
        block: Tensor,
        ahead: Tensor,
        edges: tuple[Edge, ...],
        refused: dict[int, str],
        is_last: bool,
    ) -> Iterator[DenoisingState]:
        """States of filling ``block`` (B, T) behind ``ahead`` by diffusion, and then of repairing it by the rules."""
        states = filler.denoise(block, filler.numbers, [edges] * len(block))
        states = states if drafts is None else drafts.fill(block, edges)
        rules = self.finishing.rules(filler.settings, open_end=is_last)  # the next block may go on with no letter
        repair = Repair(filler, rules, ahead.shape[1], edges=edges)
        return repair.after(states, block == MASK, refused, ahead.tolist())

    def _cut(self, found: Outcome, filler: Filler, lead: list[int]) -> Outcome:
        """Texts that end with their last sentence, or where the causal reading has drawn an end."""
        settings, ends = filler.settings, dict[int, int]()
        if filler.causal and self.model.config.dual and self.model.marks:
            judge = Judge(filler.model, settings, filler.allowed, settings.temperature)
            ends = drawn_ends(judge, lead, found.texts, settings.length)
        return self.finishing.cut(found, settings.length, ends)

    def filling(self, template: str, settings: GenerationConfig, must: tuple[str, ...] = ()) -> Run:
        """Every moment of ``infill``, by ``settings.gap_sampler``; see ``infilling.infill``."""
        settings = gap_settings(settings, template)
        filler, onward = self._two_sided(settings), None
        if self.model.config.dual and reading_of(self.model.config, settings) == "causal":
            onward = Filler(self.model, self.tokenizer, settings, causal=True)
        finishing, guards = self.finishing, self.finishing.guards(settings)
        around = finishing.language, template, must, self.lengths
        found = yield from infilling(filler, onward, guards, finishing.real_words(settings), *around)
        return self.finishing.texts(found, guards)

    def rewriting(self, text: str, settings: GenerationConfig) -> Run:
        """Every moment of ``rewrite``; see ``rewriting.rewriting``."""
        filler = self._two_sided(settings)
        rules: list[Rule] = [*self.finishing.guards(settings), *self.finishing.real_words(settings)]
        found = yield from rewriting(filler, rules, text)
        return self.finishing.texts(found, rules)

    def _two_sided(self, settings: GenerationConfig) -> Filler:
        """The filler for gaps; raises UserError for an autoregressive model, which sees nothing after a gap."""
        if self.model.config.causal:
            raise UserError("an autoregressive checkpoint cannot fill gaps; train with training.objective=diffusion")
        return Filler(self.model, self.tokenizer, settings)
