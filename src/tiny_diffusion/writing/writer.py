"""From prompts, templates and texts to finished texts: a model, its tokenizer, and what finishes a text."""

from pathlib import Path
from typing import Self

import torch

from ..checkpoint import Checkpoint, check_same_data, load_checkpoint
from ..config import GenerationConfig
from ..data.copies import CopyIndex
from ..data.folder import read_training_text
from ..data.language.segmentation import ENGLISH
from ..data.tokenizer import MASK, BookTokenizer
from ..errors import UserError
from ..model.transformer import Transformer
from ..runtime import find_device
from ..sampling.draw import row_generators
from .drafts import Drafts
from .filler import Filler
from .finishing import Finishing
from .infilling.infill import infilling
from .layout import break_ids
from .reading import reading_of
from .repair import Repair
from .results import Outcome, Run, Stretch, WritingState, Written
from .rewriting import rewriting


def gap_settings(settings: GenerationConfig) -> GenerationConfig:
    """``settings`` with the sampler for gaps in place of the other one, and the reading that sees both sides."""
    return settings.model_copy(update={"sampler": settings.gap_sampler, "reading": "masked"})


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
    sample of ``write`` does not depend on how many are requested, apart from rounding in batches of different size.
    ``index`` of the training text: measures how much of a text is copied; ``settings.max_copied_words`` needs it.
    ``language``: two letters, selects the rules for ends of sentences. ``lines``: the book keeps its line ends, as
    verse and plays do.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: BookTokenizer,
        index: CopyIndex | None = None,
        language: str = ENGLISH,
        lines: bool = False,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.finishing = Finishing(tokenizer, index, language, lines)
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
        index = None
        if data_dir is not None:
            training = read_training_text(data_dir)
            check_same_data(checkpoint, training)
            index = CopyIndex(training.passages)
        language = checkpoint.meta.get("language", ENGLISH)
        return cls(checkpoint.build(device), checkpoint.tokenizer, index, language, checkpoint.keeps_lines)

    def encode_prompt(self, prompt: str) -> list[int]:
        """Ids of ``prompt``; raises UserError if it leaves no room to write within the context."""
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

        Text beyond the context is written block by block, each seeing the last half context before it. In training,
        rows of paragraphs may begin anywhere, and so would a text from nothing; with ``settings.layout`` "book" the
        model first sees a paragraph break, which is not part of the text. There is no end token to draw: a text has all
        its tokens, and ``settings.ending`` "sentence" cuts it at the end. No state is kept. Each costs a copy of the
        text so far, which is nothing beside a forward pass (18 microseconds at 50,000 tokens).
        """
        rules = self.finishing.rules(settings)
        reading = reading_of(self.model.config, settings)
        filler = Filler(self.model, self.tokenizer, settings, causal=reading == "causal")
        numbers = row_generators(settings.seed, settings.num_samples)
        drafts = Drafts(filler) if reading == "drafts" else None
        lead = break_ids(self.tokenizer) if settings.layout == "book" and not prompt else []
        prompt_ids = torch.tensor(lead + self.encode_prompt(prompt), dtype=torch.long, device=self.device)
        done = prompt_ids.expand(settings.num_samples, -1)  # (B, tokens so far)
        sure = torch.ones(done.shape, device=self.device)
        wanted, context = done.shape[1] + settings.length, filler.context
        own, whole = slice(len(lead), None), Stretch.whole(settings.num_samples, wanted - len(lead))
        steps, refused = 0, dict[int, str]()
        while done.shape[1] < wanted and len(refused) < len(done):
            room_left = wanted <= context or done.shape[1] == len(prompt_ids)
            keep = done.shape[1] if room_left else min(done.shape[1], context // 2)
            size = min(context - keep, wanted - done.shape[1])
            ahead, seen = done[:, : done.shape[1] - keep], done[:, done.shape[1] - keep :]
            block = torch.cat((seen, torch.full((len(done), size), MASK, device=self.device)), dim=1)
            given = (torch.arange(done.shape[1] + size) < len(prompt_ids)).expand(len(done), -1)[:, own]
            repair = Repair(filler, rules, place=ahead.shape[1])
            filling = filler.denoise(block, numbers) if drafts is None else drafts.fill(block)
            for state in repair.after(filling, block == MASK, refused, ahead.tolist()):
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
        return self.finishing.texts(self.finishing.cut(found) if settings.ending == "sentence" else found, rules)

    def filling(self, template: str, settings: GenerationConfig, must: tuple[str, ...] = ()) -> Run:
        """Every moment of ``infill``, by ``settings.gap_sampler``; see ``infilling.infill``."""
        filler = self._two_sided(gap_settings(settings))
        guards = self.finishing.guards(settings)
        found = yield from infilling(filler, guards, self.finishing.language, template, must)
        return self.finishing.texts(found, guards)

    def rewriting(self, text: str, settings: GenerationConfig) -> Run:
        """Every moment of ``rewrite``; see ``rewriting.rewriting``."""
        filler = self._two_sided(settings)
        guards = self.finishing.guards(settings)
        found = yield from rewriting(filler, guards, text)
        return self.finishing.texts(found, guards)

    def _two_sided(self, settings: GenerationConfig) -> Filler:
        """The filler for gaps; raises UserError for an autoregressive model, which sees nothing after a gap."""
        if self.model.config.causal:
            raise UserError("an autoregressive checkpoint cannot fill gaps; train with training.objective=diffusion")
        return Filler(self.model, self.tokenizer, settings)
