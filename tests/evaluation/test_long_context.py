"""Protocol 2: the same tokens with all that stands to the left in their passage."""

import math
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.checkpoint import Checkpoint, new_model
from tiny_diffusion.config import EvaluationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.ngrams import KneserNey
from tiny_diffusion.data.tokenizer import BOS, NUM_RESERVED
from tiny_diffusion.evaluation.likelihood.bound import Likelihood, held_out
from tiny_diffusion.evaluation.likelihood.compressor import compressed_size
from tiny_diffusion.evaluation.likelihood.long_context import _counts, compare_long, sliding
from tiny_diffusion.evaluation.subject import Step, Subject
from tiny_diffusion.model.autoregressive import next_token_losses

SETTINGS = EvaluationConfig(bootstrap=100, ngram_orders=(1, 3), ppm_order=4, chain_rule=True)


@given(count=st.integers(1, 60), context=st.integers(2, 12))
def test_windows_slide_by_half_and_each_token_is_new_once(count: int, context: int) -> None:
    tokens, place = torch.arange(count), 0
    for window, new in sliding(tokens, context):
        end = place + new
        assert window.tolist() == list(range(end - len(window), end))  # a piece of the passage that ends there
        assert len(window) <= context
        before = len(window) - new
        assert place == 0 or before >= min(place, context - max(1, context // 2))
        place = end
    assert place == count


@pytest.fixture(scope="module")
def subject(config: ProjectConfig, data: Processed) -> Subject:
    changed = config.override(**{"model.dual": True, "training.objective": "dual"})
    torch.manual_seed(0)
    weights = new_model(changed, data.tokenizer).state_dict()
    checkpoint = Checkpoint(changed, data.tokenizer, weights, {"data": data.identity})
    return Subject(checkpoint, checkpoint.build(torch.device("cpu")), data, SETTINGS)


def rows(subject: Subject, most: int) -> tuple[list[Likelihood], list[Step]]:
    held = held_out(subject.held_out, subject.tokenizer, subject.level, subject.model.config.context, most)
    found: list[Likelihood] = []
    seen: list[Step] = []

    def run():  # type: ignore[no-untyped-def]
        found.extend((yield from compare_long(subject, held)))

    deque((seen.append(step) for step in run()), maxlen=0)
    return found, seen


def test_each_row_is_what_its_definition_gives(subject: Subject) -> None:
    found, _ = rows(subject, 0)
    assert [row.name for row in found] == ["diffusion (causal reading)", "3-gram counts", "PPMd order 4, primed"]
    assert found[0].against_model is None and found[1].against_model is not None
    tokenizer, level, context = subject.tokenizer, subject.level, subject.model.config.context
    training = [np.array(tokenizer.encode(text, level)) - NUM_RESERVED for text in subject.data.texts("train")]
    table = KneserNey(3, tokenizer.level_size(level), training)
    network = counts = compressed = 0.0
    primer = "".join(text + "\n\n" for text in subject.data.texts("train")).encode()
    for text in subject.held_out:
        ids = torch.tensor(tokenizer.encode(text, level))
        counts -= table.log_probs(ids.numpy() - NUM_RESERVED).sum()
        compressed += 8 * math.log(2) * (compressed_size(primer + text.encode(), 4) - compressed_size(primer, 4))
        with torch.no_grad():
            for place in range(len(ids)):  # token by token: the last window that may begin before it
                half = context // 2
                first = 0 if place < context else place // half * half + half - context
                losses = next_token_losses(subject.model, ids[None, first : place + 1], BOS)
                network += float(losses[0, -1])
    bits = math.log(2) * sum(len(text.encode()) for text in subject.held_out)
    assert found[0].bits_per_byte == pytest.approx(network / bits, rel=1e-5)
    assert found[1].bits_per_byte == pytest.approx(counts / bits)
    assert found[2].bits_per_byte == pytest.approx(compressed / bits)


def test_a_part_of_the_windows_has_the_nats_that_it_has_among_all(subject: Subject) -> None:
    def nats(most: int) -> dict[tuple[int, int], float]:
        held = held_out(subject.held_out, subject.tokenizer, subject.level, subject.model.config.context, most)
        run = _counts(subject, held, 3)
        while True:
            try:
                next(run)
            except StopIteration as done:
                return dict(zip(zip(held.passage.tolist(), held.start.tolist(), strict=True), done.value, strict=True))

    whole, part = nats(0), nats(3)
    assert len(part) == 3 < len(whole)
    assert part == {place: whole[place] for place in part}


def test_nothing_is_measured_unless_asked_for_or_without_a_causal_reading(
    subject: Subject, config: ProjectConfig, data: Processed
) -> None:
    assert rows(replace(subject, settings=SETTINGS.model_copy(update={"long_context": False})), 2) == ([], [])
    weights = new_model(config, data.tokenizer).state_dict()
    masked = Checkpoint(config, data.tokenizer, weights, {"data": data.identity})
    assert rows(Subject(masked, masked.build(torch.device("cpu")), data, SETTINGS), 2) == ([], [])
