"""What an epoch of a stage holds under dynamic scoring, and the vocabulary level at which it is validated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.config.pipeline_config import DifficultyWeights
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.difficulty import SCORES, score_sentences
from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.errors import UserError
from tiny_diffusion.training.averaged_model import Validation
from tiny_diffusion.training.epochs import StageRows
from tiny_diffusion.training.events import Validated
from tiny_diffusion.training.trainer import Trainer

LEVELS = {"model.vocab_level": 2, "curriculum.stages[0].vocab_level": 1, "curriculum.stages[1].vocab_level": 1}


@pytest.fixture(scope="module")
def ranked(config: ProjectConfig) -> ProjectConfig:
    return config.override(**{"curriculum.dynamic_scoring": True, "curriculum.stages[1].epochs": 10})


@pytest.mark.parametrize("dual", [False, True])
def test_dynamic_scoring_keeps_the_size_of_an_epoch_and_the_lengths_of_its_examples(
    ranked: ProjectConfig, data: Processed, dual: bool
) -> None:
    ranked = ranked.override(**{"training.objective": "dual" if dual else "diffusion", "model.context": 64})
    plain = StageRows(ranked.override(**{"curriculum.dynamic_scoring": False}), data)
    rows = StageRows(ranked, data)
    assert rows.rows_per_epoch == plain.rows_per_epoch
    lengths, number = plain.encoded[1].lengths, len(plain.encoded[1])
    for epoch, share in ((0, 0.55), (4, 0.75), (9, 1.0)):
        layout = rows._rows(1, epoch)
        pieces = torch.isin(plain.encoded[1].bounds[:-1], layout.starts)  # the examples that the epoch holds
        assert int(pieces.sum()) == pytest.approx(share * number, rel=0.04)
        assert float(lengths[pieces].float().mean()) == pytest.approx(float(lengths.float().mean()), rel=0.04)
        assert len(rows.epoch(1, epoch)) == plain.rows_per_epoch[1]


def test_the_weights_of_the_difficulty_order_the_examples_of_dynamic_scoring(
    ranked: ProjectConfig, data: Processed
) -> None:
    chosen = []
    for name in SCORES:
        weights = DifficultyWeights(**{**dict.fromkeys(SCORES, 0.0), name: 1.0})
        pipeline = data.pipeline.model_copy(update={"difficulty": weights})
        scored = score_sentences([s.text for s in data.sentences], data.language, pipeline)
        chosen.append(StageRows(ranked, replace(data, difficulty=scored))._rows(1, 0).starts.sort().values.tolist())
    assert all(a != b for i, a in enumerate(chosen) for b in chosen[:i])


def test_a_scorer_starts_from_the_mean_difficulty_of_a_pair(ranked: ProjectConfig, data: Processed) -> None:
    scorer = StageRows(ranked, data).scorers[1]
    assert scorer is not None
    first, second = data.difficulty.combined[:2]
    assert scorer.static[0] == pytest.approx((first + second) / 2)


def test_a_stage_is_validated_at_its_own_level(config: ProjectConfig, data: Processed) -> None:
    validation = Validation(config.override(**LEVELS), data, 8)
    largest = [max(int(window.max()) for window in windows) for windows in validation.windows]
    assert max(largest[:2]) < NUM_RESERVED + 512 <= largest[2]
    tokens = [sum(map(len, windows)) for windows in validation.windows]
    assert tokens[0] == tokens[1] > tokens[2]
    assert len({id(windows) for windows in validation.windows}) == 2


def test_the_first_validation_at_another_level_is_the_best_so_far(
    tmp_path: Path, config: ProjectConfig, data: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter(np.arange(1.0, 9.0))  # ever worse, as if a lower level gave the lower figures
    monkeypatch.setattr(Validation, "bits_per_byte", lambda self, model, stage, share: next(figures))
    events = list(Trainer(config.override(**LEVELS), data, tmp_path).run())
    assert [e.best for e in events if isinstance(e, Validated)] == [True, False, True]


def test_a_last_stage_below_the_models_level_is_refused(config: ProjectConfig, data: Processed) -> None:
    low = config.override(**LEVELS, **{"curriculum.stages[2].vocab_level": 1})
    with pytest.raises(UserError, match=r"stages\[2\]\.vocab_level=1 is below model\.vocab_level=2.*vocab_level=1$"):
        StageRows(low, data)
    # This book has no more than 1,024 tokens: its levels from 2 on are equal.
    StageRows(config.override(**{"model.vocab_level": 5, "curriculum.stages[2].vocab_level": 2}), data)
