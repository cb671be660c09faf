"""The whole evaluation: what it compares, refuses and detects."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tiny_diffusion.checkpoint import Checkpoint, new_model
from tiny_diffusion.cli.evaluation.report_tables import show
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.likelihood.bound import held_out, ngram_nats, summarise, uniform_nats
from tiny_diffusion.evaluation.likelihood.breakdown import FORMATS
from tiny_diffusion.evaluation.report.evaluate import Report, evaluate
from tiny_diffusion.evaluation.text_quality.samples import whole_sentences

CPU = torch.device("cpu")


def test_windows_score_every_byte_once(data: Processed) -> None:
    texts = data.texts("test")
    found = held_out(texts, data.tokenizer, 1, 32, 0)
    assert found.bytes.sum() == sum(len(t.encode("utf-8")) for t in texts)
    assert data.tokenizer.decode([i for w in found.windows for i in w.tolist()]) == "".join(texts)
    assert max(len(w) for w in found.windows) == 32
    assert len(held_out(texts, data.tokenizer, 1, 32, 5).windows) == 5


def test_summary_of_the_uniform_model_is_log_v(data: Processed) -> None:
    found = held_out(data.texts("test"), data.tokenizer, 1, 32, 0)
    summary = summarise("uniform", uniform_nats(found, 512), found, 200, 0)
    assert summary.perplexity == pytest.approx(512)
    tokens = sum(len(w) for w in found.windows)
    assert summary.bits_per_byte == pytest.approx(tokens * 9 / found.bytes.sum())
    assert summary.low <= summary.bits_per_byte <= summary.high


def test_interval_covers_the_mean_of_known_noise(data: Processed) -> None:
    found = held_out(data.texts("test"), data.tokenizer, 1, 32, 0)
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(100):
        nats = found.bytes * math.log(2) * (2 + rng.normal(0, 0.5, len(found.bytes)))
        summary = summarise("noise", nats, found, 200, seed)
        hits += summary.low <= 2 <= summary.high
    assert 82 <= hits <= 100  # 95 % nominal, a little less with few windows


def test_longer_contexts_help_the_ngrams(data: Processed) -> None:
    found = held_out(data.texts("test"), data.tokenizer, 1, 32, 0)
    one, two, five = (ngram_nats(data.texts("train"), found, data.tokenizer, 1, n).sum() for n in (1, 2, 5))
    assert two < one and five < one


def test_report_is_whole_and_repeats(config: ProjectConfig, data: Processed, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = new_model(config, data.tokenizer).state_dict()
    checkpoint = Checkpoint(config, data.tokenizer, weights, {"data": data.identity})
    few = {"draws": 4, "windows": 10, "samples": 3, "batch_size": 2, "chain_rule": True}
    few |= {"novelty_steps": (2,), "temperatures": (0.5, 1.5)}
    settings = config.evaluation.model_copy(update=few)
    reports = [list(evaluate(checkpoint, data, settings, config.generation, CPU))[-1] for _ in range(2)]
    assert reports[0] == reports[1] and isinstance(reports[0], Report)
    # An untrained model knows nothing: its figure is about the uniform model's, and it meets no likelihood threshold.
    by_name = {row.name: row.bits_per_byte for row in reports[0].likelihood}
    assert by_name["diffusion (bound)"] == pytest.approx(by_name["uniform"], rel=0.05)
    assert not reports[0].thresholds[0].met
    steps, temperature = config.generation.steps, config.generation.temperature
    assert [row.steps for row in reports[0].novelty.by_steps] == sorted((2, steps))
    assert [point.temperature for point in reports[0].frontier.points] == sorted((0.5, 1.5, temperature))
    # Noise is not like the book.
    assert reports[0].style.score < reports[0].style.held_out_score
    assert all(point.perplexity > 2 * reports[0].frontier.held_out.perplexity for point in reports[0].frontier.points)
    assert by_name["diffusion (chain rule)"] == pytest.approx(by_name["diffusion (bound)"], rel=0.05)
    assert [len(row.thirds) for row in reports[0].likelihood] == [3] * len(by_name)
    assert [f.format for f in reports[0].formats] == list(FORMATS)
    assert [r.rate for r in reports[0].mask_rates] == pytest.approx([i / 10 for i in range(1, 10)])
    assert reports[0].leaks.found == 0
    reports[0].write(tmp_path / "evaluation.json")
    assert (tmp_path / "evaluation.json").stat().st_size > 1000


def test_an_autoregressive_model_has_no_steps(
    config: ProjectConfig, data: Processed, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config.override(**{"training.objective": "autoregressive", "model.causal": True})
    weights = new_model(config, data.tokenizer).state_dict()
    checkpoint = Checkpoint(config, data.tokenizer, weights, {"data": data.identity})
    few = {"windows": 5, "samples": 2, "sample_tokens": 16, "ngram_orders": (1,), "novelty_steps": (2,)}
    settings = config.evaluation.model_copy(update=few)
    *_, report = evaluate(checkpoint, data, settings, config.generation, CPU)
    assert isinstance(report, Report) and report.novelty.by_steps == []
    show(report)
    assert "autoregressive twin" in capsys.readouterr().out


def test_other_data_is_refused(config: ProjectConfig, data: Processed) -> None:
    checkpoint = Checkpoint(config, data.tokenizer, {}, {"data": "another", "source": "b.txt"})
    with pytest.raises(UserError, match="b.txt"):
        list(evaluate(checkpoint, data, config.evaluation, config.generation, CPU))


def test_cut_sentences_do_not_count() -> None:
    assert whole_sentences("end of one. A whole one. Another. And the beg", "en") == "A whole one. Another."
    assert whole_sentences("One. Two here.\n\nThree. Four", "en") == "Two here.\n\nThree."
    assert whole_sentences("One.\n\n\nTwo here.\n\nThree", "en") == "Two here."
    assert whole_sentences("just a piece", "en") == "just a piece"
