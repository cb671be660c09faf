"""Runs of a dual network: they learn both readings, resume to the bit, and their checkpoint writes."""

from pathlib import Path

import pytest
import torch

from tests.training.test_trainer import losses, same_weights
from tiny_diffusion import Writer
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import BOS
from tiny_diffusion.model.autoregressive import autoregressive_nats
from tiny_diffusion.model.likelihood import likelihood_bound
from tiny_diffusion.training.step import draw_causal
from tiny_diffusion.training.trainer import Trainer


@pytest.fixture(scope="module")
def dual(config: ProjectConfig) -> ProjectConfig:
    return config.override(**{"model.dual": True, "model.n_layers": 1, "training.objective": "dual"})


def nats(trainer: Trainer) -> tuple[float, float]:
    """Of the validation windows: the bound, and the causal reading."""
    windows, generator = trainer.validation.windows[-1], torch.Generator().manual_seed(0)
    bound = likelihood_bound(trainer.average, windows, 8, 32, generator)
    return float(bound.sum()), float(autoregressive_nats(trainer.average, windows, BOS, 32).sum())


def test_both_readings_are_learnt(tmp_path: Path, dual: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(dual.override(**{"curriculum.stages[2].epochs": 6}), data, tmp_path)
    before = nats(trainer)
    for _ in trainer.run():
        pass
    assert all(now < 0.9 * then for now, then in zip(nats(trainer), before, strict=True))
    writer = Writer.load(trainer.best_path, "cpu")
    settings = dual.generation.model_copy(update={"length": 40, "steps": 8, "num_samples": 2, "ending": "token"})
    assert [len(text.ids) for text in writer.write("", settings)] == [40, 40]  # beyond the context of 32
    filled = writer.infill("The old ____ carried the lantern.", settings)
    assert all(text.text.startswith("The old ") and text.text.endswith(" carried the lantern.") for text in filled)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, dual: ProjectConfig, data: Processed) -> None:
    config = dual.override(**{"training.causal_share": [0.7, 0.1]})
    whole = Trainer(config, data, tmp_path / "whole")
    expected = losses(whole)
    part = losses(Trainer(config, data, tmp_path / "parts"), len(expected) // 2)
    second = Trainer(config, data, tmp_path / "parts", resume=True)
    assert part + losses(second) == expected and same_weights(whole, second)


@pytest.mark.parametrize("weighting", ["mean", "bound"])
def test_micro_batches_add_up(tmp_path: Path, dual: ProjectConfig, data: Processed, weighting: str) -> None:
    config = dual.override(**{"model.dropout": 0.0, "training.loss_weighting": weighting})
    whole = losses(Trainer(config, data, tmp_path / "a"), 5)
    parts = losses(Trainer(config.override(**{"training.micro_batch_size": 3}), data, tmp_path / "b"), 5)
    assert parts == pytest.approx(whole, rel=1e-4)


def test_the_causal_share_moves_from_its_begin_to_its_end() -> None:
    numbers = torch.Generator().manual_seed(0)
    for place, wanted in ((0.0, 6.0), (0.5, 3.5), (1.0, 1.0)):
        counts = torch.tensor([draw_causal(8, (0.75, 0.125), place, numbers).sum().item() for _ in range(2000)]).float()
        assert counts.mean() == pytest.approx(wanted, abs=0.05)
        assert counts.max() - counts.min() <= 1
    assert draw_causal(8, (0.5, 0.5), 0.3, numbers).sum() == 4
