"""Protocol 2: the windows of protocol 1, each with what stands to the left of it in its passage.

A network slides by half a window, so that it sees at least half a window before each token, as far as the passage has
that much. N-grams go on through the passage, and PPMd has read all of it up to the window. So every row predicts the
same tokens as in protocol 1, only with more before them. Only readings from left to right have such a figure.

Shapes: N tokens of all passages, W windows.
"""

from collections.abc import Generator, Iterator

import numpy as np
import torch
from torch import Tensor

from ...data.ngrams import FloatArray, count_tokens
from ...data.tokenizer import NUM_RESERVED
from ..subject import Step, Subject
from .bound import HeldOut, Likelihood, Resampled, held_out, resample, summarise
from .compressor import compressed_size
from .readings import CHAIN_RULE, Nats, Reading, per_window, readings, token_nats

SLIDING, LEFT = "sliding", ", all to the left"  # of the names of steps


def compare_long(subject: Subject, held: HeldOut) -> Generator[Step, None, list[Likelihood]]:
    """Yield the steps and return the rows of protocol 2, in order; none for a model without a causal reading.

    A row that cannot be measured is missing, and the reason is added to ``subject.missing``.
    """
    settings, rows, own = subject.settings, list[Likelihood](), list[Resampled]()
    for row, measure in _rows(subject, held) if settings.long_context else ():
        found = yield from subject.attempt(row + LEFT, measure)
        if found is None:
            if not own:
                return []
            continue
        nats = np.array(found)
        rows.append(summarise(row, nats, held, settings.bootstrap, settings.seed, own[0] if own else None))
        own = own or [resample(nats, held, settings.bootstrap, settings.seed)]
    return rows


def _rows(subject: Subject, held: HeldOut) -> Iterator[tuple[str, Nats]]:
    """The name of each row and the measurement of its windows, the model's own first."""
    found = long_readings(subject)
    yield from ((reading.row, _read(subject, reading, held)) for reading in found)
    if found:
        order, kept = max(subject.settings.ngram_orders), subject.kept
        yield f"{order}-gram counts", kept.part(f"n-grams of order {order}{LEFT}", _counts(subject, held, order))
        if ppm := subject.settings.ppm_order:
            yield f"PPMd order {ppm}, primed", kept.part(f"PPMd{LEFT}", _ppm(subject, held, ppm))


def long_readings(subject: Subject) -> list[Reading]:
    """The readings in one pass from left to right; the chain rule takes a pass per token, and is left out."""
    return [reading for reading in readings(subject) if reading.step != CHAIN_RULE]


def sliding(tokens: Tensor, context: int) -> Iterator[tuple[Tensor, int]]:
    """Windows of at most ``context`` of ``tokens`` (1-D), and how many tokens at the end of each are new.

    The first window is all new; then each moves on by half a window.
    """
    yield tokens[:context], min(context, len(tokens))
    step = max(1, context // 2)
    for start in range(context, len(tokens), step):
        end = min(len(tokens), start + step)
        yield tokens[max(0, start + step - context) : end], end - start


def passages(subject: Subject) -> list[Tensor]:
    """The tokens of each held-out passage."""
    encode, level = subject.tokenizer.encode, subject.level
    return [torch.tensor(encode(text, level), dtype=torch.long) for text in subject.held_out]


def sliding_windows(subject: Subject) -> list[tuple[Tensor, int]]:
    """The windows of all passages as a network reads them, and how many tokens of each are new."""
    context = subject.model.config.context
    return [window for tokens in passages(subject) for window in sliding(tokens, context)]


def _of_windows(nats: FloatArray, subject: Subject, held: HeldOut) -> list[float]:
    """Nats (W,) of the windows of ``held`` from those of the tokens of all passages (N,)."""
    whole = held_out(subject.held_out, subject.tokenizer, subject.level, subject.model.config.context, 0)
    places = {place: i for i, place in enumerate(zip(whole.passage.tolist(), whole.start.tolist(), strict=True))}
    chosen = [places[place] for place in zip(held.passage.tolist(), held.start.tolist(), strict=True)]
    return per_window(nats, whole.windows)[chosen].tolist()


def _read(subject: Subject, reading: Reading, held: HeldOut) -> Nats:
    windows = sliding_windows(subject)
    nats = np.array((yield from token_nats(subject, reading, 0, [window for window, _ in windows], SLIDING)))
    ends = np.cumsum([len(window) for window, _ in windows])
    new = [nats[end - count : end] for end, (_, count) in zip(ends, windows, strict=True)]
    return _of_windows(np.concatenate(new), subject, held)


def _counts(subject: Subject, held: HeldOut, order: int) -> Nats:
    yield Step(f"n-grams of order {order}{LEFT}")
    table = count_tokens(subject.data.texts("train"), subject.tokenizer, subject.level, order)
    nats = [-table.log_probs(tokens.numpy() - NUM_RESERVED) for tokens in passages(subject)]
    return _of_windows(np.concatenate(nats), subject, held)


def _ppm(subject: Subject, held: HeldOut, order: int) -> Nats:
    """The growth of the compressed size from all before a window to its end; a window is off by less than a byte."""
    primer = "".join(text + "\n\n" for text in subject.data.texts("train")).encode("utf-8")
    texts = [text.encode("utf-8") for text in subject.held_out]
    nats: list[float] = []
    for passage, start, size in zip(held.passage.tolist(), held.start.tolist(), held.bytes.tolist(), strict=True):
        before = primer + texts[passage][:start]
        window = texts[passage][start : start + size]
        grown = compressed_size(before + window, order) - compressed_size(before, order)
        nats.append(8 * grown * float(np.log(2)))
        yield Step(f"PPMd{LEFT}", len(nats), len(held.windows))
    return nats
