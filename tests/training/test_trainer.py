"""Training as a process: resumable to the bit, honest about its splits, each knob felt."""

import math
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
import torch

from tiny_diffusion.checkpoint import load_checkpoint, new_model
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.language.segmentation import split_sentences
from tiny_diffusion.errors import UserError, WorldError
from tiny_diffusion.model.likelihood import likelihood_bound
from tiny_diffusion.model.schedule import CosineSchedule
from tiny_diffusion.runtime import can_compile
from tiny_diffusion.training.events import CoolingDown, Finished, StageEnded, StepDone, Validated
from tiny_diffusion.training.trainer import Trainer
from tiny_diffusion.writing.writer import Writer


def losses(trainer: Trainer, stop_after: int | None = None) -> list[float]:
    found = []
    for event in trainer.run():
        if isinstance(event, StepDone):
            found.append(event.loss)
            if len(found) == stop_after:
                trainer.stop_requested = True
    return found


def same_weights(a: Trainer, b: Trainer) -> bool:
    pairs = [(a.model.state_dict(), b.model.state_dict()), (a.average.state_dict(), b.average.state_dict())]
    return all(torch.equal(x[key], y[key]) for x, y in pairs for key in x)


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(
    tmp_path: Path, config: ProjectConfig, data: Processed
) -> None:
    config = config.override(**{"curriculum.dynamic_scoring": True, "curriculum.stages[0].epochs": 2})
    whole = Trainer(config, data, tmp_path / "whole")
    expected = losses(whole)
    part: list[float] = []
    for share in (0.03, 0.5, 0.93):  # stopped and taken up again in each stage
        steps = int(share * len(expected)) - len(part)
        part += losses(Trainer(config, data, tmp_path / "parts", resume=bool(part)), steps)
        assert len(part) == int(share * len(expected)) > 0
        torch.rand(17)  # whatever happens between the parts must not matter
    last = Trainer(config, data, tmp_path / "parts", resume=True)
    assert part + losses(last) == expected
    assert same_weights(whole, last)
    best = [load_checkpoint(t.best_path) for t in (whole, last)]
    assert best[0].meta == best[1].meta


def test_resuming_with_other_settings_or_nothing_to_resume_is_refused(
    tmp_path: Path, config: ProjectConfig, data: Processed
) -> None:
    with pytest.raises(UserError, match="nothing to resume"):
        Trainer(config, data, tmp_path, resume=True)
    Trainer(config, data, tmp_path).save_run()
    with pytest.raises(UserError, match="other settings"):
        Trainer(config.override(**{"training.seed": 9}), data, tmp_path, resume=True)


def test_training_learns_and_tells_what_it_does(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    changes = {"model.n_layers": 1, "training.muon_learning_rate": 0.02}
    config = config.override(**changes, **{"curriculum.stages[2].epochs": 12})
    trainer = Trainer(config, data, tmp_path)
    events = list(trainer.run())
    bits = [e.bits_per_byte for e in events if isinstance(e, Validated)]
    assert min(bits) < 0.8 * bits[0]
    steps = [e for e in events if isinstance(e, StepDone)]
    assert [e.step for e in steps] == list(range(1, trainer.total_steps + 1))
    assert [e.name for e in events if isinstance(e, StageEnded)] == ["foundational", "structural", "refinement"]
    assert isinstance(events[-1], Finished) and events[-1].best_bits_per_byte == min(bits)


@pytest.mark.parametrize("weighting", ["mean", "bound"])
def test_a_run_with_the_cosine_schedule_trains_is_scored_and_writes(
    tmp_path: Path, config: ProjectConfig, data: Processed, weighting: str
) -> None:
    changes = {"training.mask_schedule": "cosine", "training.loss_weighting": weighting, "model.n_layers": 1}
    trainer = Trainer(config.override(**changes, **{"curriculum.stages[2].epochs": 8}), data, tmp_path)
    bits = [e.bits_per_byte for e in trainer.run() if isinstance(e, Validated)]
    assert min(bits) < 0.8 * bits[0]
    writer = Writer.load(trainer.best_path, "cpu")
    assert isinstance(writer.model.schedule, CosineSchedule)
    windows = trainer.validation.windows[-1][:4]
    scored = [
        float(likelihood_bound(model, windows, 8, 8, torch.Generator().manual_seed(0)).sum())
        for model in (writer.model, new_model(trainer.config, data.tokenizer))
    ]
    assert scored[0] < scored[1]
    settings = trainer.config.generation.model_copy(update={"sampler": "ancestral", "length": 16, "steps": 8})
    assert len(writer.write("", settings)[0].ids) == 16


@pytest.mark.parametrize("weighting", ["mean", "bound"])
def test_micro_batches_add_up_to_the_whole_batch(
    tmp_path: Path, config: ProjectConfig, data: Processed, weighting: str
) -> None:
    config = config.override(**{"model.dropout": 0.0, "training.loss_weighting": weighting})
    whole = losses(Trainer(config, data, tmp_path / "a"), 5)
    parts = losses(Trainer(config.override(**{"training.micro_batch_size": 3}), data, tmp_path / "b"), 5)
    assert parts == pytest.approx(whole, rel=1e-4)


def test_no_held_out_sentence_is_in_any_stage(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    held = {
        s
        for split in ("validation", "test")
        for text in data.texts(split)
        for paragraph in text.split("\n\n")
        for s in split_sentences(paragraph, data.language)
        if len(s.split()) >= 8
    }
    trainer = Trainer(config, data, tmp_path)
    assert held and len(trainer.rows.encoded) == 3
    for stage in trainer.rows.encoded[:2]:
        for example in stage:
            text = data.tokenizer.decode(example)
            assert not any(s in text for s in held)
    splits = {split: {p.index for p in data.passages if p.split == split} for split in ("train", "validation", "test")}
    assert {s.passage for s in data.sentences} <= splits["train"]
    assert not splits["train"] & (splits["validation"] | splits["test"]) and not splits["validation"] & splits["test"]
    for text in data.texts("test") + data.texts("validation"):
        assert text not in data.tokenizer.decode(trainer.rows.encoded[2][0])


STUCK = {
    "training.early_stopping_patience": 2,
    "training.learning_rate": 1e-12,
    "training.muon_learning_rate": 1e-12,
    "training.ema_decay": 0.0,
    "training.warmup_steps": 0,
}


def test_early_stopping_ends_a_stage_and_the_decay_follows(
    tmp_path: Path, config: ProjectConfig, data: Processed
) -> None:
    config = config.override(**STUCK | {"curriculum.stages[0].epochs": 50})
    trainer = Trainer(config, data, tmp_path)
    events = list(trainer.run())
    first = next(e for e in events if isinstance(e, StageEnded))
    steps = [e for e in events if isinstance(e, StepDone)]
    assert first.early and sum(e.stage == 0 for e in steps) < trainer.stage_steps[0]
    later = [e for e in steps if e.stage == 1]
    assert later[-1].step - later[0].step + 1 == trainer.stage_steps[1]  # the others keep their epochs
    assert steps[-1].total == len(steps) and steps[-1].scale < 0.1  # and the run's end has moved


@pytest.mark.parametrize("scheduler", ["linear", "cosine_with_restarts"])
def test_early_stopping_of_the_last_stage_ends_in_a_decayed_learning_rate(
    tmp_path: Path, config: ProjectConfig, data: Processed, scheduler: str
) -> None:
    config = config.override(**STUCK, curriculum="single_stage")
    config = config.override(**{"curriculum.stages[0].epochs": 200, "training.scheduler": scheduler})
    trainer = Trainer(config.override(**{"training.cooldown_share": 0.5}), data, tmp_path)
    events = list(trainer.run())
    (cooling,) = [e for e in events if isinstance(e, CoolingDown)]
    steps = [e for e in events if isinstance(e, StepDone)]
    assert len(steps) < trainer.total_steps / 10 and trainer.progress.finished
    assert len(steps) == cooling.step + math.ceil(cooling.step * 0.5)
    scales = [e.scale for e in steps]
    assert scales[cooling.step - 1] > 0.9 and scales[-1] < 0.2
    assert scales[cooling.step :] == sorted(scales[cooling.step :], reverse=True)
    assert max(a - b for a, b in zip(scales, scales[1:], strict=False)) < 0.5
    assert [e.early for e in events if isinstance(e, StageEnded)] == [True]


def test_a_run_that_cools_down_is_resumed_to_the_bit(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    config = config.override(**STUCK, curriculum="single_stage")
    config = config.override(**{"curriculum.stages[0].epochs": 200, "training.cooldown_share": 0.5})
    expected = losses(whole := Trainer(config, data, tmp_path / "whole"))
    first = losses(Trainer(config, data, tmp_path / "parts"), len(expected) - 3)
    second = Trainer(config, data, tmp_path / "parts", resume=True)
    assert second.progress.cooling and first + losses(second) == expected and same_weights(whole, second)


def test_steps_in_flight_change_nothing_but_when_they_are_told(
    tmp_path: Path, config: ProjectConfig, data: Processed
) -> None:
    config = config.override(curriculum="single_stage")  # whose epochs have more than three steps
    config = config.override(**{"curriculum.stages[0].epochs": 2})
    plain, ahead = (Trainer(config, data, tmp_path / name) for name in ("plain", "ahead"))
    ahead.steps_in_flight = 2
    expected = losses(plain)
    assert losses(ahead) == expected and same_weights(plain, ahead)
    stopped = Trainer(config, data, tmp_path / "stopped")
    stopped.steps_in_flight = 2
    assert len(losses(stopped, 1)) == 3 and stopped.progress.step == 3  # those under way are told too
    assert losses(Trainer(config, data, tmp_path / "stopped", resume=True)) == expected[3:]


@pytest.mark.long
def test_a_run_compiled_from_its_start_or_from_a_stop_learns_the_same(
    tmp_path: Path, config: ProjectConfig, data: Processed
) -> None:
    if not can_compile(torch.device("cpu")):
        pytest.skip("needs a C++ compiler")
    config = config.override(**{"training.batch_size": 8})
    off, on = (config.override(**{"training.compile": choice}) for choice in ("off", "on"))
    plain = losses(Trainer(off, data, tmp_path / "plain"), 12)
    assert losses(Trainer(on, data, tmp_path / "compiled"), 12) == pytest.approx(plain, rel=1e-4)
    part = losses(Trainer(off, data, tmp_path / "parts"), 5)
    going_on = Trainer(on, data, tmp_path / "parts", resume=True)
    assert part + losses(going_on, 7) == pytest.approx(plain, rel=1e-4)


def test_a_failing_compiler_ends_in_one_line(
    tmp_path: Path, config: ProjectConfig, data: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no such header")

    torch._dynamo.reset()
    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", fail)
    trainer = Trainer(config.override(**{"training.compile": "on"}), data, tmp_path)
    with pytest.raises(WorldError, match=r"training\.compile=off"):
        losses(trainer)


KNOBS = {
    "training.batch_size": 5, "training.optimizer": "adamw", "training.learning_rate": 0.1,
    "training.muon_learning_rate": 0.2, "training.weight_decay": 5.0, "training.beta1": 0.5, "training.beta2": 0.5,
    "training.momentum": 0.5, "training.scheduler": "constant", "training.decay_share": 1.0,
    "training.min_lr_ratio": 0.9, "training.warmup_steps": 0, "training.gradient_clipping": 0.01,
    "training.loss_weighting": "bound", "training.label_smoothing": 0.3, "training.masking_strategy": "span",
    "training.mask_schedule": "cosine", "training.causal_share": [0.2, 0.2],
    "training.seed": 1, "training.max_steps": 3, "training.early_stopping_patience": 1, "training.cooldown_share": 0.9,
    "training.self_training_share": 0.5, "training.ema_decay": 0.5, "training.validation_draws": 7,
    "curriculum.full_range_share": 1.0, "curriculum.transition_share": 0.9, "curriculum.dynamic_scoring": True,
    "curriculum.stages[0].mask_range": [0.1, 0.2], "curriculum.stages[0].format": "pairs",
    "curriculum.stages[0].epochs": 2, "curriculum.stages[0].max_complexity": 0.8,
    "curriculum.stages[0].min_centrality": 0.5, "curriculum.stages[0].max_rarity": 0.5,
    "curriculum.stages[0].max_difficulty": 0.2,
    "model.d_model": 48, "model.n_layers": 1, "model.n_heads": 1, "model.d_ff": 32, "model.context": 48,
    "model.vocab_level": 2, "model.dropout": 0.5, "model.rope_base": 50.0, "model.qk_norm": False,
    "model.value_residual": True, "model.tie_embeddings": False, "model.init_std": 0.2,
    "training.restart_decay": 0.1, "training.strategy_share": 0.1, "training.span_length": 9,
    "curriculum.dynamic_weight": 0.0, "curriculum.stages[1].vocab_level": 1,
}  # fmt: skip
BASES = {
    "training.early_stopping_patience": STUCK
    | {"training.early_stopping_patience": 0, "curriculum.stages[0].epochs": 9},
    "training.cooldown_share": STUCK | {"training.early_stopping_patience": 1, "curriculum.stages[2].epochs": 9},
    "training.causal_share": {"training.objective": "dual", "model.dual": True},
    "training.restart_decay": {"training.scheduler": "cosine_with_restarts"},
    "training.strategy_share": {"training.masking_strategy": "whole_word"},
    "training.span_length": {"training.masking_strategy": "span"},
    "training.warmup_steps": {"curriculum.stages[2].epochs": 20},
    "curriculum.transition_share": {"curriculum.stages[1].epochs": 3},
    "curriculum.dynamic_scoring": {"curriculum.stages[0].epochs": 2},
    "curriculum.dynamic_weight": {"curriculum.dynamic_scoring": True, "curriculum.stages[0].epochs": 3},
    "curriculum.stages[1].vocab_level": {"model.vocab_level": 2},
}


def told(config: ProjectConfig, data: Processed, output: Path) -> Iterator[float | None]:
    for event in Trainer(config, data, output).run():
        yield getattr(event, "loss", None) or getattr(event, "bits_per_byte", None)


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory, config: ProjectConfig, data: Processed) -> list[float | None]:
    return list(told(config, data, tmp_path_factory.mktemp("plain")))


@pytest.mark.long
@pytest.mark.parametrize("key", KNOBS)
def test_each_knob_moves_something(
    tmp_path: Path, config: ProjectConfig, data: Processed, plain_run: list[float | None], key: str
) -> None:
    base = config.override(**BASES[key]) if key in BASES else config
    before = told(base, data, tmp_path / "a") if key in BASES else plain_run
    after = told(base.override(**{key: KNOBS[key]}), data, tmp_path / "b")
    # Both runs end with the first event in which they differ, which most have soon.
    assert any(one != other for one, other in zip_longest(before, after, fillvalue="ended"))


@pytest.mark.parametrize("strategy", ["whole_word", "span", "rare_first"])
def test_masking_strategies_hide_only_text(
    config: ProjectConfig, data: Processed, tmp_path: Path, strategy: str
) -> None:
    config = config.override(**{"training.masking_strategy": strategy, "training.strategy_share": 1.0})
    trainer = Trainer(config, data, tmp_path)
    for stage in range(3):
        layout = trainer.rows.epoch(stage, 0)
        rows = layout.take(torch.arange(len(layout)))
        masked, t = trainer.stepper.masker.draw(rows, (0.4, 0.6), torch.Generator().manual_seed(0))
        assert masked.any(1).all() and not masked[~rows.scorable].any()
        assert ((t > 0) & (t <= 1)).all()


def test_the_twin_trains(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    config = config.override(training={"objective": "autoregressive"}, model={"causal": True, "n_layers": 1})
    trainer = Trainer(config.override(**{"curriculum.stages[2].epochs": 6}), data, tmp_path)
    bits = [e.bits_per_byte for e in trainer.run() if isinstance(e, Validated)]
    assert bits[-1] < 0.9 * bits[0]
