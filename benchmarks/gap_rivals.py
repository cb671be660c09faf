"""What fills gaps, and how likely each finds the true filling, for ``infilling_quality``."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from gaps import Gap
from torch import Tensor
from two_sided import TwoSided

from tiny_diffusion.config import GenerationConfig
from tiny_diffusion.data.folder import TrainingText
from tiny_diffusion.data.language.words import split_words
from tiny_diffusion.data.ngrams import KneserNey
from tiny_diffusion.data.tokenizer import BOS, MASK, NUM_RESERVED, BookTokenizer
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.autoregressive import next_token_losses
from tiny_diffusion.model.lengths import equal_lengths
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.sampling import counts
from tiny_diffusion.sampling.experts import ALONE, Experts
from tiny_diffusion.sampling.in_order import left_to_right
from tiny_diffusion.writing.filler import Filler
from tiny_diffusion.writing.infilling.choice import scores
from tiny_diffusion.writing.infilling.gap_filler import Row, fill
from tiny_diffusion.writing.infilling.template import escape
from tiny_diffusion.writing.writer import Writer, finish

BATCH = 32
BEHIND = 16  # tokens behind a gap that are judged with its filling


class Diffusion:
    """A diffusion model's likelihoods and fillings."""

    def __init__(self, model: Transformer, tokenizer: BookTokenizer, book: TrainingText) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.experts = Experts(counts=counts.Counts.of([model], tokenizer, book.passages, book.validation))

    def nats(self, gaps: Sequence[Gap], right: bool, with_counts: bool = False) -> list[float]:
        """Of each true filling by the left-to-right chain rule, one token at a time.

        The right side is masked or not; ``with_counts``: n-grams as a second expert, as ``generation.expert`` has it.
        """
        settings = GenerationConfig(steps=self.model.config.context, precision="float32")
        rows = [gap.ids.clone() for gap in gaps]
        if not right:
            for row, gap in zip(rows, gaps, strict=True):
                row[gap.end :] = MASK
        filler = Filler(self.model, self.tokenizer, settings, experts=self.experts if with_counts else ALONE)
        spans, found = [(gap.start, gap.end) for gap in gaps], []
        for i in range(0, len(gaps), BATCH):
            found += scores(filler, rows[i : i + BATCH], spans[i : i + BATCH])
        return [-score * gap.size for score, gap in zip(found, gaps, strict=True)]

    def fill(self, gaps: Sequence[Gap], settings: GenerationConfig) -> list[list[int]]:
        """Ids of a filling of as many tokens as the true one has, of each gap."""
        rows = [gap.ids.clone() for gap in gaps]
        for row, gap in zip(rows, gaps, strict=True):
            row[gap.start : gap.end] = MASK
        filled = finish(fill(Filler(self.model, self.tokenizer, settings), [Row(row) for row in rows]))
        return [f.ids[gap.start : gap.end].tolist() for (_, f), gap in zip(filled, gaps, strict=True)]

    def infill(self, gaps: Sequence[Gap], settings: GenerationConfig, kind: str) -> list[list[int]]:
        """Ids of what the command ``infill`` puts into a gap of so many words; nothing where its search gives up."""
        return [self._searched(gap, settings, kind) for gap in gaps]

    def _searched(self, gap: Gap, settings: GenerationConfig, kind: str) -> list[int]:
        space = " " if gap.text.startswith(" ") else ""
        before, behind = self.tokenizer.decode(gap.left) + space, self.tokenizer.decode(gap.right)
        template = f"{escape(before)}{{{kind}}}{escape(behind)}"
        try:
            text = Writer(self.model, self.tokenizer).infill(template, settings)[0].text
        except UserError:
            return []
        filling = text[len(before) : len(text) - len(behind)]
        return self.tokenizer.encode(space + filling, self.model.config.vocab_level)


class Twin:
    """An autoregressive model: it sees the left side alone, within the window or ``long``, as its context holds."""

    def __init__(self, model: Transformer) -> None:
        self.model = model

    def left(self, gap: Gap, long: bool) -> Tensor:
        """What the model is given before a gap."""
        room = self.model.config.context - gap.end
        return torch.cat(
            (gap.before[max(0, len(gap.before) - room) :] if long else gap.before[:0], gap.ids[: gap.start])
        )

    @torch.no_grad()
    def losses(self, lefts: Sequence[Tensor], behind: Sequence[Sequence[int]]) -> list[float]:
        """Nats of what stands behind each left side."""
        rows = [torch.cat((left, torch.tensor(ids))) for left, ids in zip(lefts, behind, strict=True)]
        found = np.zeros(len(rows))
        for batch in equal_lengths(rows, BATCH):
            nats = next_token_losses(self.model, batch.rows.to(self.model.device), BOS).cpu().double()
            for owner, row in zip(batch.owner.tolist(), nats, strict=True):
                found[owner] = float(row[len(lefts[owner]) :].sum())
        return found.tolist()

    def nats(self, gaps: Sequence[Gap], long: bool) -> list[float]:
        """Of each true filling."""
        return self.losses([self.left(gap, long) for gap in gaps], [gap.filling for gap in gaps])

    def fill(self, gaps: Sequence[Gap], settings: GenerationConfig) -> list[list[int]]:
        """Ids of a continuation of the left side, cut at as many tokens as the true filling has."""
        generator, allowed, found = torch.Generator().manual_seed(settings.seed), self.model.text_vocab_size, []
        for gap in gaps:
            left = self.left(gap, long=True)
            block = torch.cat((left, torch.full((gap.size,), MASK)))[None].to(self.model.device)
            *_, last = left_to_right(self.model, block, len(left), settings, generator, allowed)
            found.append(last.ids[0, len(left) :].tolist())
        return found

    def judge(self, gaps: Sequence[Gap], fillings: Sequence[Sequence[int]]) -> list[tuple[float, int]]:
        """Nats of each filling and of ``BEHIND`` tokens after it, given the left side, and how many tokens that are."""
        whole = [[*ids, *gap.right[:BEHIND]] for gap, ids in zip(gaps, fillings, strict=True)]
        room = self.model.config.context
        whole = [ids[: room - gap.start] for gap, ids in zip(gaps, whole, strict=True)]
        return list(zip(self.losses([gap.ids[: gap.start] for gap in gaps], whole), map(len, whole), strict=True))


class Counts:
    """Kneser-Ney models of the training text, and its commonest words."""

    def __init__(self, training: Sequence[str], tokenizer: BookTokenizer, level: int, order: int) -> None:
        self.training, self.tokenizer, self.level = training, tokenizer, level
        self.two_sided, self.unigram = (TwoSided(self._fitted(n)) for n in (order, 1))

    def _fitted(self, order: int) -> KneserNey:
        ids = [np.array(self.tokenizer.encode(text, self.level)) - NUM_RESERVED for text in self.training]
        return KneserNey(order, self.tokenizer.level_size(self.level), ids)

    @cached_property
    def words(self) -> list[str]:
        """Words of the training text, the commonest first."""
        return [word for word, _ in Counter(w for text in self.training for w in split_words(text)).most_common()]

    def nats(self, gaps: Sequence[Gap], right: bool, model: TwoSided | None = None) -> list[float]:
        """Of each true filling given both sides exactly, or the left one."""
        model = model or self.two_sided
        return [-model.log_prob(*sides) for sides in _sides(gaps, right)]

    def fill(self, gaps: Sequence[Gap], right: bool, beam: int) -> list[list[int]]:
        """Ids of the likeliest filling that a beam finds."""
        found = [
            self.two_sided.likeliest(left, len(filling), behind, beam) for left, filling, behind in _sides(gaps, right)
        ]
        return [[i + NUM_RESERVED for i in ids] for ids in found]

    def commonest(self, gaps: Sequence[Gap], apart: bool) -> list[list[int]]:
        """The commonest word for each word of a filling, or ``apart`` as many of the commonest words."""
        counts = [len(split_words(gap.text)) for gap in gaps]
        chosen = [self.words[:count] if apart else self.words[:1] * count for count in counts]
        return [self.tokenizer.encode(" " + " ".join(words), self.level) for words in chosen]


def _sides(gaps: Sequence[Gap], right: bool) -> Iterator[tuple[list[int], list[int], list[int]]]:
    """Left side, true filling and right side, or nothing, of each gap in a Kneser-Ney model's ids."""
    for gap in gaps:
        behind = gap.right if right else []
        yield tuple([i - NUM_RESERVED for i in ids] for ids in (gap.left, gap.filling, behind))
