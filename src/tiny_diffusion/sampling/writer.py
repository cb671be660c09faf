"""From prompts to text: the tokenizer and the reverse process together."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from torch import Generator, Tensor

from ..checkpoint import load_checkpoint
from ..config import GenerationConfig
from ..data.tokenizer import MASK, BookTokenizer
from ..errors import UserError
from ..model.transformer import Transformer
from ..runtime import find_device, memory_errors
from .denoise import DenoisingState, denoise
from .filler import Filler
from .infilling import filling
from .left_to_right import left_to_right
from .predictor import cast_once
from .results import Run, Written, finish, written
from .rewriting import rewriting


class Writer:
    """Writes text with a model and its tokenizer.

    The generator of random numbers is made from ``settings.seed`` at each call: the same call gives the same text.
    """

    def __init__(self, model: Transformer, tokenizer: BookTokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.device = model.device

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """The writer of a checkpoint; raises UserError when the file or the device is not to be had."""
        checkpoint = load_checkpoint(Path(path))
        return cls(checkpoint.build(find_device(device)), checkpoint.tokenizer)

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
        """``settings.num_samples`` texts that begin with ``prompt`` and go on for ``settings.length`` tokens."""
        return finish(self.writing(prompt, settings))

    def infill(self, template: str, settings: GenerationConfig, must: tuple[str, ...] = ()) -> list[Written]:
        """``settings.num_samples`` texts, each gap of ``template`` filled, all else byte for byte as it stands there.

        Gaps: ``___``, ``{3 words}``, ``{3-5 words}``, ``{4 tokens}``, ``{sentence}``, ``{paragraph}`` (see
        ``template``). Each word of ``must`` stands in one of them. Raises UserError for a template that cannot be
        read or filled.
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

        Text beyond the context is written block by block, each seeing the last half context before it.
        """
        generator = torch.Generator().manual_seed(settings.seed)
        model = cast_once(self.model, settings.precision)
        ids = torch.tensor(self.encode_prompt(prompt), dtype=torch.long, device=self.device)
        done = ids.expand(settings.num_samples, -1)  # (B, tokens so far)
        sure = torch.ones(done.shape, device=self.device)
        steps = 0
        wanted = done.shape[1] + settings.length
        context = self.model.config.context
        while done.shape[1] < wanted:
            room_left = wanted <= context or done.shape[1] == len(ids)
            keep = done.shape[1] if room_left else min(done.shape[1], context // 2)
            size = min(context - keep, wanted - done.shape[1])
            before = done.shape[1] - keep
            block = torch.cat((done[:, before:], torch.full((len(done), size), MASK, device=self.device)), dim=1)
            for state in self._fill(model, block, keep, settings, generator):
                state = replace(
                    state,
                    ids=torch.cat((done[:, :before], state.ids), dim=1),
                    confidence=torch.cat((sure, state.confidence[:, keep:]), dim=1),
                )
                yield state
            done, sure, steps = state.ids, state.confidence, steps + state.steps
        given = (torch.arange(wanted) < len(ids)).expand(len(done), -1)
        texts = [self.tokenizer.decode(row) for row in done.tolist()]
        return written(texts, done, sure, given, steps)

    def filling(self, template: str, settings: GenerationConfig, must: tuple[str, ...] = ()) -> Run:
        """Every moment of ``infill``; see ``infilling.filling``."""
        return filling(self._filler(settings), template, must)

    def rewriting(self, text: str, settings: GenerationConfig) -> Run:
        """Every moment of ``rewrite``; see ``rewriting.rewriting``."""
        return rewriting(self._filler(settings), text)

    def _filler(self, settings: GenerationConfig) -> Filler:
        return Filler(self.model, self.tokenizer, settings)

    def _fill(
        self, model: Transformer, block: Tensor, keep: int, settings: GenerationConfig, generator: Generator
    ) -> Iterator[DenoisingState]:
        """States of one block (B, T) whose first ``keep`` tokens are settled."""
        allowed = self.allowed(settings)
        with memory_errors():
            if model.config.causal:
                yield from left_to_right(model, block, keep, settings, generator, allowed)
            else:
                yield from denoise(model, block, settings, generator, allowed, keep)
