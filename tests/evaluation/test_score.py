"""Surprisal of words: they sum to the exact likelihood, their words make up the text, and the right ones are marked."""

import math

import numpy as np
import pytest
import torch

from tiny_diffusion.checkpoint import new_model
from tiny_diffusion.cli.evaluation.score import bracketed, coloured
from tiny_diffusion.config import EvaluationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.likelihood.bound import model_nats
from tiny_diffusion.evaluation.likelihood.readings import chain_rule_nats
from tiny_diffusion.evaluation.likelihood.surprisal import Scored, Surprisal, score_text
from tiny_diffusion.model.transformer import Transformer

TEXT = "The old miller — “quite” alone — sold it.\n\nNobody\tcame, café or 猫が no! "
SETTINGS = EvaluationConfig(draws=4, batch_size=5)


def build(config: ProjectConfig, data: Processed, *, causal: bool) -> Transformer:
    objective = "autoregressive" if causal else "diffusion"
    changed = config.override(**{"model.causal": causal, "training.objective": objective, "model.init_std": 0.3})
    torch.manual_seed(0)
    return new_model(changed, data.tokenizer).eval()


def score(model: Transformer, data: Processed, text: str, settings: EvaluationConfig = SETTINGS) -> Surprisal:
    *steps, result = score_text(model, data.tokenizer, text, 1, settings)
    assert all(isinstance(s, Scored) for s in steps) and isinstance(result, Surprisal)
    assert steps[-1].done == steps[-1].total and len(steps) == result.windows
    return result


@pytest.mark.parametrize("causal", [False, True])
def test_words_make_up_the_text_and_their_bits_its_likelihood(
    config: ProjectConfig, data: Processed, causal: bool
) -> None:
    model, text = build(config, data, causal=causal), TEXT * 2
    result = score(model, data, text)
    assert "".join(w.text for w in result.words) == text
    windows = list(torch.tensor(data.tokenizer.encode(text, 1)).split(32))
    assert result.windows == len(windows) > 1
    *_, nats = [model_nats(model, windows, 1, 4, 0)] if causal else chain_rule_nats(model, windows, 7)
    assert isinstance(nats, np.ndarray) and (result.bound_bits_per_byte is None) == causal
    bits = nats.sum() / math.log(2)
    assert sum(w.bits for w in result.words) == pytest.approx(bits, rel=1e-5)
    assert result.bits_per_byte * len(text.encode()) == pytest.approx(bits, rel=1e-5)


def test_words_are_cut_at_white_space(config: ProjectConfig, data: Processed) -> None:
    words = [w.text.strip() for w in score(build(config, data, causal=False), data, TEXT).words]
    assert words[:5] == ["The", "old", "miller", "—", "“quite”"]
    assert {"sold", "it.", "Nobody", "café", "猫", "が", "no!"} <= set(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("all night--and day—“now” –so", ["all", "night--", "and", "day—“now”", "–so"]),
        ("“Old—café—I—” she well-kept 1914–18", ["“Old—", "café—", "I—”", "she", "well-kept", "1914–", "18"]),
    ],
)
def test_words_with_only_a_dash_between_them_are_two(
    config: ProjectConfig, data: Processed, text: str, words: list[str]
) -> None:
    assert [w.text.strip() for w in score(build(config, data, causal=True), data, text).words] == words


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_most_surprising_share_is_marked(config: ProjectConfig, data: Processed, share: float) -> None:
    model = build(config, data, causal=True)
    result = score(model, data, TEXT, SETTINGS.model_copy(update={"surprising_share": share}))
    marked = [w.bits for w in result.words if w.surprising]
    assert len(marked) == math.ceil(share * len(result.words))
    assert min(marked) >= max(w.bits for w in result.words if not w.surprising)
    plain = bracketed(result)
    assert plain.count("[") == len(marked) and plain.replace("[", "").replace("]", "") == TEXT
    assert coloured(result).plain == TEXT
    assert sum("red" in str(span.style) for span in coloured(result).spans) == len(marked)


def test_nothing_to_score_is_refused(config: ProjectConfig, data: Processed) -> None:
    with pytest.raises(UserError, match="no text"):
        list(score_text(build(config, data, causal=True), data.tokenizer, "", 1, SETTINGS))
