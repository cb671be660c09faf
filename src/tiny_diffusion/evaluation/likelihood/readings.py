"""Exact readings from left to right: what a network pays for each token given those before it in its window."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ...checkpoint import Checkpoint
from ...data.ngrams import FloatArray, IntArray
from ...data.tokenizer import BOS
from ...model.autoregressive import token_losses_in_batches
from ...model.likelihood import chain_rule
from ...model.transformer import Transformer
from ...runtime import autocast
from ..subject import Step, Subject

# Names of the slow steps.
MODEL, CHAIN_RULE, TWIN = "likelihood of the model", "chain rule of the model", "likelihood of the autoregressive twin"
CAUSAL = "causal reading of the model"

Nats = Generator[Step, None, list[float]]
"""Yields the steps and returns nats: of each window, or of each token where that is said."""


@dataclass(frozen=True)
class Reading:
    """A way to read a window from left to right, and the networks that read it so.

    row: its name in the table. step: its name while it is measured. read: yields the number of finished tokens, and at
    the end the nats of each token (N,), window after window. networks: one, or all members whose laws are averaged.
    """

    row: str
    step: str
    read: Callable[[Transformer, Sequence[Tensor], int], Iterator[int | FloatArray]]
    networks: tuple[Checkpoint, ...]

    def name(self, number: int, text: str = "") -> str:
        """The name of the step in which network ``number`` (from 0) reads the windows of ``text``."""
        return self.step + (f", network {number + 1}" if number else "") + (f", {text} text" if text else "")


def readings(subject: Subject) -> list[Reading]:
    """The exact readings of a model and of its members, and that of its twin, as far as the settings want them."""
    model, rivals = subject.model.config, subject.rivals
    own, found = (subject.checkpoint, *rivals.members), []
    if model.causal:
        found.append(Reading("autoregressive twin", MODEL, causal_nats, own))
    if model.dual:
        found.append(Reading("diffusion (causal reading)", CAUSAL, causal_nats, own))
    if subject.settings.chain_rule and not model.causal:
        found.append(Reading("diffusion (chain rule)", CHAIN_RULE, chain_rule_nats, own))
    if rivals.twin is not None:
        found.append(Reading("autoregressive twin", TWIN, causal_nats, (rivals.twin,)))
    return found


def token_nats(subject: Subject, reading: Reading, number: int, windows: Sequence[Tensor], text: str = "") -> Nats:
    """Return the nats of each token under network ``number`` of a reading, from the kept parts if they hold it."""

    def measure() -> Nats:
        checkpoint = reading.networks[number]
        device, total = subject.model.device, sum(map(len, windows))
        with autocast(device, checkpoint.config.training.precision):
            network = subject.model if checkpoint is subject.checkpoint else checkpoint.build(device)
            events = reading.read(network, windows, subject.settings.batch_size)
            return (yield from steps(reading.name(number, text), events, total))

    return subject.kept.part(reading.name(number, text), measure())


def causal_nats(model: Transformer, windows: Sequence[Tensor], batch_size: int) -> Iterator[int | FloatArray]:
    """Read as ``Reading.read`` says, with attention to the left only."""
    found, starts, done = *_room(windows), 0
    for owner, losses in token_losses_in_batches(model, windows, BOS, batch_size):
        found[starts[owner.numpy()][:, None] + np.arange(losses.shape[1])] = losses.numpy()
        done += losses.numel()
        yield done
    yield found


def chain_rule_nats(model: Transformer, windows: Sequence[Tensor], batch_size: int) -> Iterator[int | FloatArray]:
    """Read as ``Reading.read`` says, by the chain rule of a masked model."""
    found, starts, done = *_room(windows), 0
    for owner, at, losses in chain_rule(model, windows, batch_size):
        found[starts[owner.numpy()] + at.numpy()] = losses.numpy()
        done += len(losses)
        yield done
    yield found


def _room(windows: Sequence[Tensor]) -> tuple[FloatArray, IntArray]:
    """Zeros for all tokens (N,), and where each window begins among them."""
    lengths = np.array([len(w) for w in windows], np.int64)
    return np.zeros(lengths.sum()), np.cumsum(lengths) - lengths


def per_window(nats: Sequence[float] | FloatArray, windows: Sequence[Tensor]) -> FloatArray:
    """Nats of each window from the nats of each token (N,)."""
    found = np.zeros(len(windows))
    np.add.at(found, np.repeat(np.arange(len(windows)), [len(w) for w in windows]), nats)
    return found


def steps(name: str, events: Iterable[int | FloatArray], total: int) -> Nats:
    """Yield a step for each number in ``events``, how much of ``total`` is done, and return the nats that end them."""
    yield Step(name, 0, total)
    for event in events:
        if not isinstance(event, int):
            return event.tolist()
        yield Step(name, event, total)
    raise AssertionError("the last event must be the nats")
