"""From prompts to text: the tokenizer and the reverse process together."""

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
from ..data.language.segmentation import ENGLISH
from ..data.tokenizer import MASK, BookTokenizer
from ..errors import UserError
from ..model.transformer import Transformer
from ..runtime import find_device, generator_for, memory_errors
from ..sampling.denoise import DenoisingState, denoise, most_steps
from ..sampling.draw import Numbers, row_generators
from ..sampling.left_to_right import left_to_right
from ..sampling.predictor import cast_once
from .filler import Filler
from .finishing import Finishing
from .infilling.infill import filling, gap_settings
from .layout import break_ids
from .mending import Rule, mend
from .redrawing import MEND, Redrawing
from .results import Run, Written, finish, outcome
from .rewriting import rewriting


def most_passes(settings: GenerationConfig, context: int) -> int:
    """The most forward passes that a diffusion model takes to write ``settings.length`` tokens from nothing."""
    first = min(context, settings.length)
    whole, rest = divmod(settings.length - first, context - context // 2)
    sizes = [first] + whole * [context - context // 2] + ([rest] if rest else [])
    return sum(most_steps(settings, size) for size in sizes)


class Writer:
    """Writes text with a model and its tokenizer.

    Random numbers come from ``settings.seed`` anew at each call: the same call gives the same texts. What ``write``
    gives as the first, second ... sample is the same however many are asked for, but for the rounding of batches.
    ``index`` of the training text: tells how much of a text is copied, and ``settings.max_copied_words`` needs it.
    ``language``: two letters, by which sentences are told apart.
    """

    def __init__(
        self, model: Transformer, tokenizer: BookTokenizer, index: CopyIndex | None = None, language: str = ENGLISH
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.finishing = Finishing(tokenizer, index, language)
        self.device = model.device

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", data_dir: str | Path | None = None) -> Self:
        """The writer of a checkpoint, with the index of its training text when ``data_dir`` (from prepare) is given.

        Raises UserError when the file, the device or the folder is not to be had, or the folder holds other data.
        """
        return cls.of(load_checkpoint(Path(path)), find_device(device), None if data_dir is None else Path(data_dir))

    @classmethod
    def of(cls, checkpoint: Checkpoint, device: torch.device, data_dir: Path | None = None) -> Self:
        """The writer of a checkpoint that is read already; see ``load``."""
        index = None
        if data_dir is not None:
            training = read_training_text(data_dir)
            check_same_data(checkpoint, training)
            index = CopyIndex(training.passages)
        language = checkpoint.meta.get("language", ENGLISH)
        return cls(checkpoint.build(device), checkpoint.tokenizer, index, language)

    def encode_prompt(self, prompt: str) -> list[int]:
        """Ids of ``prompt``; raises UserError when it leaves no room to write within the context."""
        ids = self.tokenizer.encode(prompt, self.model.config.vocab_level)
        if len(ids) >= self.model.config.context:
            raise UserError(
                f"the prompt has {len(ids)} tokens and the model's context holds {self.model.config.context}; "
                f"shorten it to {self.model.config.context - 1} tokens at most"
            )
        return ids

    def allowed(self, settings: GenerationConfig) -> int:
        """Number of text tokens that may be written at ``settings.vocab_level``."""
        return self.tokenizer.level_size(min(settings.vocab_level, self.model.config.vocab_level))

    def write(self, prompt: str, settings: GenerationConfig) -> list[Written]:
        """``settings.num_samples`` texts that begin with ``prompt`` and go on for ``settings.length`` tokens.

        Raises Refused, which holds the other texts, when some cannot be kept within ``settings.max_copied_words``;
        so do ``infill`` and ``rewrite``.
        """
        return finish(self.writing(prompt, settings))

    def infill(self, template: str, settings: GenerationConfig, must: tuple[str, ...] = ()) -> list[Written]:
        """``settings.num_samples`` texts, each gap of ``template`` filled, all else byte for byte as it stands there.

        Gaps: ``___``, ``{3 words}``, ``{3-5 words}``, ``{4 tokens}``, ``{sentence}``, ``{paragraph}`` (see
        ``template``). Each word of ``must`` stands in one of them. Raises UserError for a template that cannot be
        read, and Refused for texts that cannot be filled as asked.
        """
        return finish(self.filling(template, settings, must))

    def rewrite(self, text: str, settings: GenerationConfig) -> list[Written]:
        """``settings.num_samples`` variants of ``text``, ``[[spans]]`` kept byte for byte.

        ``settings.rewrite_strength`` is the share of all other tokens that is hidden and written anew. Raises
        UserError where nothing is left to rewrite.
        """
        return finish(self.rewriting(text, settings))

    def writing(self, prompt: str, settings: GenerationConfig) -> Run:
        """Every moment of ``write``: states of (num_samples, tokens so far), MASK where unsettled; then the texts.

        Text beyond the context is written block by block, each seeing the last half context before it. Rows of
        paragraphs begin anywhere in training, so a text from nothing would too; with ``settings.layout`` "book" the
        model is given a paragraph's break before it, which is no part of the text. There is no end token to draw:
        a text has all its tokens, and ``settings.ending`` "sentence" cuts it at the end. No state is kept, and each
        costs a copy of the text so far, next to nothing beside a pass (18 microseconds at 50,000 tokens).
        """
        numbers = row_generators(settings.seed, settings.num_samples)
        model = cast_once(self.model, settings.precision)
        rules = self.finishing.rules(settings)
        lead = break_ids(self.tokenizer) if settings.layout == "book" and not prompt else []
        ids = torch.tensor(lead + self.encode_prompt(prompt), dtype=torch.long, device=self.device)
        done = ids.expand(settings.num_samples, -1)  # (B, tokens so far)
        sure = torch.ones(done.shape, device=self.device)
        steps, refused = 0, dict[int, str]()
        wanted = done.shape[1] + settings.length
        context = self.model.config.context
        while done.shape[1] < wanted and len(refused) < len(done):
            room_left = wanted <= context or done.shape[1] == len(ids)
            keep = done.shape[1] if room_left else min(done.shape[1], context // 2)
            size = min(context - keep, wanted - done.shape[1])
            before = done.shape[1] - keep
            block = torch.cat((done[:, before:], torch.full((len(done), size), MASK, device=self.device)), dim=1)
            for state in self._block(model, done[:, :before], block, keep, settings, numbers, rules, refused):
                steps += 1
                yield replace(
                    state,
                    ids=torch.cat((done[:, :before], state.ids), dim=1)[:, len(lead) :],
                    confidence=torch.cat((sure, state.confidence[:, keep:]), dim=1)[:, len(lead) :],
                )
            done = torch.cat((done[:, :before], state.ids), dim=1)
            sure = torch.cat((sure, state.confidence[:, keep:]), dim=1)
        given = (torch.arange(done.shape[1]) < len(ids)).expand(len(done), -1)
        own = slice(len(lead), None)
        texts = [self.tokenizer.decode(row) for row in done[:, own].tolist()]
        found = outcome(texts, done[:, own], sure[:, own], given[:, own], steps, refused)
        return self.finishing.texts(self.finishing.cut(found) if settings.ending == "sentence" else found, rules)

    def filling(self, template: str, settings: GenerationConfig, must: tuple[str, ...] = ()) -> Run:
        """Every moment of ``infill``, by ``settings.gap_sampler``; see ``infilling.filling``."""
        filler = self._filler(gap_settings(settings))
        found = yield from filling(filler, template, must)
        return self.finishing.texts(found, [filler.guard] if filler.guard is not None else [])

    def rewriting(self, text: str, settings: GenerationConfig) -> Run:
        """Every moment of ``rewrite``; see ``rewriting.rewriting``."""
        filler = self._filler(settings)
        found = yield from rewriting(filler, text)
        return self.finishing.texts(found, [filler.guard] if filler.guard is not None else [])

    def _filler(self, settings: GenerationConfig) -> Filler:
        guard = self.finishing.guard(settings)
        return Filler(self.model, self.tokenizer, settings, self.finishing.language, guard)

    def _block(
        self,
        model: Transformer,
        before: Tensor,
        block: Tensor,
        keep: int,
        settings: GenerationConfig,
        numbers: Numbers,
        rules: Sequence[Rule],
        refused: dict[int, str],
    ) -> Iterator[DenoisingState]:
        """States of writing a block (B, T) behind its first ``keep`` tokens, then of mending it.

        ``before`` (B, P) is the text before the block; see ``mend`` for ``refused``.
        """

        def fill(rows: Tensor, settled: int, numbers: Numbers) -> Iterator[DenoisingState]:
            return self._fill(model, rows, settled, settings, numbers)

        def redraw(row: Tensor, barred: Mapping[int, set[int]], number: int, draw: int) -> Iterator[DenoisingState]:
            numbers = generator_for(settings.seed, MEND, before.shape[1], number, draw)
            return again.states(row, barred, numbers)

        again = Redrawing(model, settings, self.allowed(settings), fill)
        for state in fill(block, keep, numbers):
            yield state
        around = (before, before[:, :0])
        yield from mend(state, block == MASK, around, rules, redraw, refused, onward=model.config.causal)

    def _fill(
        self, model: Transformer, block: Tensor, keep: int, settings: GenerationConfig, numbers: Numbers
    ) -> Iterator[DenoisingState]:
        """States of one block (B, T) whose first ``keep`` tokens are settled."""
        allowed = self.allowed(settings)
        with memory_errors():
            if model.config.causal:
                yield from left_to_right(model, block, keep, settings, numbers, allowed)
            else:
                yield from denoise(model, block, settings, numbers, allowed, keep)
