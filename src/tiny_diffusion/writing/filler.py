"""Filling masked rows of several lengths, and how likely a filling is.

Shapes: B rows, T tokens of a row, N places asked for, V text vocabulary.
"""

from collections.abc import Generator as Coroutine
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from ..config import GenerationConfig
from ..data.language.segmentation import ENGLISH
from ..data.tokenizer import MASK, BookTokenizer
from ..errors import UserError
from ..model.lengths import equal_lengths
from ..model.transformer import Transformer
from ..runtime import memory_errors
from ..sampling.denoise import DenoisingState, denoise, settled_prefix
from ..sampling.draw import choose, forbid
from ..sampling.predictor import Predictor, cast_once
from .copy_guard import NoveltyGuard


@dataclass(frozen=True)
class Edge:
    """A masked place of a row whose token is drawn before all others, among those ``permitted`` (V,)."""

    place: int
    permitted: Tensor


@dataclass(frozen=True)
class Row:
    """Tokens (T,) with MASK where to fill, and edges that come first."""

    ids: Tensor
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True)
class Filled:
    """A row without masks: its ids (T,), their probabilities when they were drawn (T,), and the steps it took."""

    ids: Tensor
    confidence: Tensor
    steps: int


class Filler:
    """A diffusion model with its tokenizer, settings, and generator of random numbers, seeded by ``settings.seed``.

    ``guard``: the rule on copies that what is written must keep, None where there is none.
    Raises UserError for an autoregressive model, which sees nothing to the right of a gap.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: BookTokenizer,
        settings: GenerationConfig,
        language: str = ENGLISH,
        guard: NoveltyGuard | None = None,
    ) -> None:
        if model.config.causal:
            raise UserError("an autoregressive checkpoint cannot fill gaps; train with training.objective=diffusion")
        self.model = cast_once(model, settings.precision).eval()
        self.tokenizer = tokenizer
        self.settings = settings
        self.language = language
        self.guard = guard
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.context = model.config.context
        self.level = model.config.vocab_level
        self.writing_level = min(settings.vocab_level, self.level)
        self.allowed = tokenizer.level_size(self.writing_level)

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` at the model's vocabulary level."""
        return self.tokenizer.encode(text, self.level)

    def fill(self, rows: Sequence[Row]) -> Coroutine[DenoisingState, None, list[Filled]]:
        """Every moment of filling ``rows``, then the filled rows in their order.

        Rows of one length are filled at once; the others wait, for padding would be seen by a model that never met
        any. Edges are drawn before the reverse process begins, one a row at a time: the model may settle tokens in
        any order, so what follows is a draw from its law given that the edges are among the permitted tokens.
        """
        found: dict[int, Filled] = {}
        for batch in equal_lengths([row.ids for row in rows], max(1, len(rows))):
            owners = batch.owner.tolist()
            edges = [rows[i].edges for i in owners]
            for state in self.denoise(batch.rows.to(self.model.device), edges, self.generator):
                yield state
            for i, ids, confidence in zip(owners, state.ids.cpu(), state.confidence.cpu(), strict=True):
                found[i] = Filled(ids, confidence, state.step)
        return [found[i] for i in range(len(rows))]

    def denoise(self, ids: Tensor, edges: list[tuple[Edge, ...]], generator: Generator) -> Iterator[DenoisingState]:
        """States of rows (B, T) of one length, their edges drawn first."""
        ids, sure = ids.clone(), torch.ones(ids.shape, device=ids.device)
        with memory_errors():
            for turn in range(max(map(len, edges), default=0)):
                first = [of_row[turn] if turn < len(of_row) else None for of_row in edges]
                self._settle(ids, sure, first, generator)
            settled = ids != MASK
            kept = settled_prefix(~settled)
            for state in denoise(self.model, ids, self.settings, generator, self.allowed, kept):
                yield replace(state, confidence=torch.where(settled, sure, state.confidence))

    @torch.inference_mode()
    def _settle(self, ids: Tensor, sure: Tensor, edges: list[Edge | None], generator: Generator) -> None:
        """Draw one edge of each row that has one into ``ids`` and its probability into ``sure``, both (B, T)."""
        where = torch.zeros_like(ids, dtype=torch.bool)
        for row, edge in enumerate(edges):
            if edge is not None:
                where[row, edge.place] = True
        permitted = torch.stack([edge.permitted for edge in edges if edge is not None]).to(ids.device)  # (N, V)
        logits = Predictor(self.model, self.settings, 0).logits(ids, where)
        logits = forbid(logits.masked_fill(~permitted, -torch.inf), self.allowed)
        drawn, chances = choose(logits, self.settings, generator)
        ids[where] = drawn + self.model.reserved
        sure[where] = chances

    @torch.inference_mode()
    def expectations(self, ids: Tensor, start: int, end: int) -> Tensor:
        """Log-probabilities (end - start, V), on the CPU, of the tokens at ``start``..``end`` of one row ``ids`` (T,).

        All that is masked is unknown to all others: nothing is drawn.
        """
        where = torch.zeros(1, len(ids), dtype=torch.bool, device=self.model.device)
        where[0, start:end] = True
        with memory_errors():
            logits = Predictor(self.model, self.settings, 0).logits(ids[None].to(self.model.device), where)
        return logits.log_softmax(-1).cpu()

    @torch.inference_mode()
    def scores(self, rows: Sequence[Tensor], spans: Sequence[tuple[int, int]]) -> list[float]:
        """Mean log-probability a token of the span ``start, end`` of each row of ids, given the rest of the row.

        By the left-to-right chain over the span: the i-th factor sees the text on both sides and the span's first
        tokens, never its own or later ones. The factors multiply to a probability that sums to one over all
        fillings of that length, which the cheaper score of each token with all others in sight does not. A span of
        more tokens than ``settings.steps`` goes by as many groups of neighbours, each as if its tokens were
        independent: so many passes as the filling took, and what the sampler itself assumes at this number of steps.
        """
        totals = torch.zeros(len(rows), dtype=torch.float64)
        bounds = torch.tensor(spans).view(-1, 2)
        predictor = Predictor(self.model, self.settings, 0)
        for batch in equal_lengths(rows, max(1, len(rows))):
            ids = batch.rows.to(self.model.device)
            start, end = bounds[batch.owner].T.unsqueeze(2).to(ids.device)  # (B, 1) each
            place = torch.arange(ids.shape[1], device=ids.device)
            inside = (place >= start) & (place < end)  # (B, T)
            groups = (end - start).clamp(max=self.settings.steps)
            group = (place - start) * groups // (end - start)
            with memory_errors():
                for turn in range(int(groups.max())):
                    asked = inside & (group == turn)
                    noisy = ids.masked_fill(inside & (group >= turn), MASK)
                    chances = predictor.logits(noisy, asked).log_softmax(-1)  # (N, V)
                    found = chances.gather(1, ids[asked][:, None] - self.model.reserved).squeeze(1)
                    totals.index_add_(0, batch.owner[asked.nonzero()[:, 0].cpu()], found.cpu().double())
        return (totals / (bounds[:, 1] - bounds[:, 0])).tolist()


def window(start: int, end: int, length: int, context: int) -> tuple[int, int]:
    """Bounds of at most ``context`` tokens of ``length``, around ``start``..``end`` as evenly as the text allows."""
    first = max(0, min(start - (context - (end - start)) // 2, length - context))
    return first, min(length, first + context)
