"""Runs that stop, go on, are extended, start from another's weights, or diverge."""

import json
import re
import signal
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import torch

from tests.training.test_trainer import losses, same_weights
from tiny_diffusion.checkpoint import Checkpoint, load_checkpoint, load_plain
from tiny_diffusion.cli.stopping import graceful_stop
from tiny_diffusion.cli.training import job
from tiny_diffusion.cli.training.description import verdict, warn_of_memory
from tiny_diffusion.cli.training.progress import follow
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import BookTokenizer
from tiny_diffusion.errors import DivergedError, UserError
from tiny_diffusion.studies import machine
from tiny_diffusion.studies.measure import count_bits
from tiny_diffusion.training.events import Event, Finished, StepDone
from tiny_diffusion.training.trainer import Trainer


@pytest.fixture(scope="module")
def short(config: ProjectConfig) -> ProjectConfig:
    """Three stages of a few steps each, in micro-batches of unlike sizes, of a network of one layer."""
    every_sentence = {"max_complexity": 1.0, "min_centrality": 0.0, "max_rarity": 1.0, "max_difficulty": 1.0}
    return config.override(
        **{"training.batch_size": 16, "training.micro_batch_size": 10, "model.vocab_level": 1, "model.n_layers": 1}
        | {f"curriculum.stages[0].{key}": value for key, value in every_sentence.items()}
    )


def count_passes(trainer: Trainer, stop_at: int = 0) -> list[bool]:
    """A list that grows with each pass of the model (True) or its average (False); a stop is asked for amid one."""
    passes: list[bool] = []

    def count(trained: bool) -> None:
        passes.append(trained)
        if len(passes) == stop_at:
            trainer.stop_requested = True

    trainer.model.embedding.register_forward_pre_hook(lambda *_: count(True))
    trainer.average.embedding.register_forward_pre_hook(lambda *_: count(False))
    return passes


def told(events: list[Event]) -> list[dict]:
    """What must be the same in a resumed run in another folder; the times that steps took need not."""
    rows = [asdict(event) for event in events if not isinstance(event, Finished)]
    return [{key: value for key, value in row.items() if key not in ("seconds", "path")} for row in rows]


def test_a_stop_at_any_pass_is_heard_at_once_and_resumed_to_the_bit(
    tmp_path: Path, short: ProjectConfig, data: Processed
) -> None:
    config = short.override(
        **{"curriculum.dynamic_scoring": True, "training.sample_every_epochs": 1, "generation.steps": 4}
        | {"training.self_training_share": 0.2, "model.dropout": 0.1}
    )
    whole = Trainer(config, data, tmp_path / "whole")
    passes = count_passes(whole)
    expected = told(list(whole.run()))
    turns = [i for i in range(1, len(passes)) if passes[i] != passes[i - 1]]  # between steps and other work
    samples = [2, 4, *(turn + shift for turn in turns for shift in (0, 1, 2)), len(passes) - 1]
    for stop in sorted({n for n in samples if 0 < n < len(passes)})[::4]:
        folder = tmp_path / str(stop)
        first = Trainer(config, data, folder)
        taken = count_passes(first, stop)
        events = list(first.run())
        assert len(taken) == stop and isinstance(events[-1], Finished) and events[-1].interrupted
        second = Trainer(config, data, folder, resume=True)
        assert told(events + list(second.run())) == expected, stop
        assert same_weights(whole, second)
        assert load_checkpoint(second.best_path).meta == load_checkpoint(whole.best_path).meta


def test_a_step_that_was_thrown_away_leaves_no_gradients(tmp_path: Path, short: ProjectConfig, data: Processed) -> None:
    whole = Trainer(short, data, tmp_path / "whole")
    trainer = Trainer(short, data, tmp_path / "parts")
    count_passes(trainer, 3)
    part = losses(trainer)
    assert len(part) == 1 and trainer.progress.step == 1
    trainer.stop_requested = False  # the same object may go on
    assert part + losses(trainer) == losses(whole)


def test_ctrl_c_is_acknowledged_once_and_restored_afterwards() -> None:
    @dataclass
    class Process:
        stop_requested: bool = False

    process, heard = Process(), threading.Event()
    before = signal.getsignal(signal.SIGTERM)
    with graceful_stop(process, heard.set):
        signal.raise_signal(signal.SIGTERM)
        assert heard.wait(20) and process.stop_requested
        assert signal.getsignal(signal.SIGTERM) is before
    with graceful_stop(Process(), lambda: pytest.fail("nobody asked")):
        pass


# Nothing that depends on a run's length but its end.
UNSCHEDULED = {"training.scheduler": "constant", "training.warmup_steps": 0, "curriculum.transition_share": 0.0}
LENGTHS = [
    ({}, {"curriculum.stages[2].epochs": 3}),
    ({"training.max_steps": 7}, {"training.max_steps": 16}),
    ({"training.max_steps": 7}, {"training.max_steps": 0}),
    ({"curriculum.stages[2].epochs": 2}, {"curriculum.stages[2].epochs": 3, "training.batch_size": 16}),
]


@pytest.mark.parametrize(("first", "then"), LENGTHS)
def test_a_finished_run_goes_on_as_a_longer_one(
    tmp_path: Path, short: ProjectConfig, data: Processed, first: dict, then: dict
) -> None:
    short = short.override(**UNSCHEDULED)
    part = losses(Trainer(short.override(**first), data, tmp_path / "parts"))
    longer = short.override(**first).override(**then)
    whole, more = Trainer(longer, data, tmp_path / "whole"), Trainer(longer, data, tmp_path / "parts", resume=True)
    assert not more.progress.finished
    assert part + losses(more) == losses(whole) and same_weights(whole, more)
    assert more.progress == whole.progress or more.progress.since_best != whole.progress.since_best


@pytest.mark.parametrize("stage", [0, 1])
def test_a_run_ended_by_its_steps_at_the_end_of_a_stage_goes_on_with_the_next(
    tmp_path: Path, short: ProjectConfig, data: Processed, stage: int
) -> None:
    short = short.override(**UNSCHEDULED)
    whole = Trainer(short, data, tmp_path / "whole")
    steps = sum(whole.stage_steps[: stage + 1])
    part = losses(Trainer(short.override(**{"training.max_steps": steps}), data, tmp_path / "parts"))
    more = Trainer(short, data, tmp_path / "parts", resume=True)
    assert part + losses(more) == losses(whole) and same_weights(whole, more)


def test_a_finished_run_with_no_more_to_do_is_left_as_it_is(
    tmp_path: Path, short: ProjectConfig, data: Processed
) -> None:
    losses(Trainer(short, data, tmp_path))
    before = (tmp_path / "checkpoints" / "last.pt").read_bytes()
    for changes in ({}, {"training.max_steps": 1000}):
        again = Trainer(short.override(**changes), data, tmp_path, resume=True)
        assert again.progress.finished and [type(event) for event in again.run()] == [Finished]
    assert (tmp_path / "checkpoints" / "last.pt").read_bytes() == before


def test_lengths_that_contradict_what_is_done_are_refused(
    tmp_path: Path, short: ProjectConfig, data: Processed
) -> None:
    config = short.override(**{"curriculum.stages[1].epochs": 3, "curriculum.stages[2].epochs": 2})
    trainer = Trainer(config, data, tmp_path)
    steps = trainer.stage_steps
    losses(trainer, steps[0] + steps[1] // 3 * 2 + 1)  # in the third epoch of the second stage
    for key, value, words in (
        ("curriculum.stages[0].epochs", 2, "other settings"),
        ("curriculum.stages[1].epochs", 2, "epochs=2, but 3 are done"),
        ("training.max_steps", 2, "max_steps=2, but"),
    ):
        with pytest.raises(UserError, match=words.replace("[", r"\[")):
            Trainer(config.override(**{key: value}), data, tmp_path, resume=True)
    shorter = Trainer(config.override(**{"curriculum.stages[2].epochs": 1}), data, tmp_path, resume=True)
    losses(shorter)
    assert shorter.progress.finished and shorter.progress.step == sum(steps) - steps[2] // 2


# And training.compile, which test_trainer.py turns on.
CHANGES = {
    "training.micro_batch_size": 5, "training.threads": 2, "training.memory_limit_gb": 50.0,
    "training.gradient_checkpointing": True, "training.sample_every_epochs": 1, "training.eval_every_epochs": 2,
    "training.device": "auto",
}  # fmt: skip


@pytest.mark.parametrize("key", CHANGES)
def test_what_does_not_move_the_training_may_change_on_the_way(
    tmp_path: Path, short: ProjectConfig, data: Processed, key: str
) -> None:
    short = short.override(**{"model.dropout": 0.0, "generation.steps": 4})
    if key == "training.threads":  # steps of two threads are slow where other tests hold the cores
        short = short.override(**{"training.max_steps": 8})
    whole = losses(Trainer(short, data, tmp_path / "whole"))
    part = losses(Trainer(short, data, tmp_path / "parts"), 5)
    changed = Trainer(short.override(**{key: CHANGES[key]}), data, tmp_path / "parts", resume=True)
    assert part + losses(changed) == pytest.approx(whole, rel=2e-2)


def test_validations_keep_their_epochs_where_early_stopping_counts_them(
    tmp_path: Path, short: ProjectConfig, data: Processed
) -> None:
    short = short.override(**{"training.early_stopping_patience": 5})
    Trainer(short, data, tmp_path).save_run()
    with pytest.raises(UserError, match="eval_every_epochs is 2 and was 1"):
        Trainer(short.override(**{"training.eval_every_epochs": 2}), data, tmp_path, resume=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, short: ProjectConfig, data: Processed) -> Checkpoint:
    trainer = Trainer(short, data, tmp_path_factory.mktemp("trained"))
    losses(trainer)
    return load_checkpoint(trainer.best_path)


@pytest.mark.parametrize("tied", [True, False])
def test_a_warm_start_knows_what_the_checkpoint_knew_also_with_more_tokens(
    tmp_path: Path, short: ProjectConfig, data: Processed, tied: bool
) -> None:
    short = short.override(**{"model.tie_embeddings": tied})
    first = Trainer(short, data, tmp_path)
    losses(first)
    start = load_checkpoint(first.best_path)
    same = Trainer(short, data, tmp_path / "same", start=start)
    assert all(torch.equal(value, start.weights[key]) for key, value in same.average.state_dict().items())
    assert same.validate(0).bits_per_byte == pytest.approx(start.meta["validation_bits_per_byte"])
    larger = Trainer(short.override(**{"model.vocab_level": 2}), data, tmp_path / "larger", start=start)
    old = len(start.weights["embedding.weight"])
    assert larger.model.vocab_size > old
    for name, value in larger.model.state_dict().items():
        assert torch.equal(value[:old] if name in ("embedding.weight", "head.weight") else value, start.weights[name])
    assert losses(larger, 5)[0] < losses(Trainer(larger.config, data, tmp_path / "cold"), 5)[0]


def test_a_warm_start_from_another_model_names_what_differs(
    tmp_path: Path, short: ProjectConfig, data: Processed, trained: Checkpoint
) -> None:
    def refused(words: str, start: Checkpoint = trained, resume: bool = False, **changes: object) -> None:
        with pytest.raises(UserError, match=words):
            Trainer(short.override(**changes), data, tmp_path, start=start, resume=resume)

    refused(
        "model.d_model is 64 and was 32, model.n_layers is 2 and was 1", **{"model.d_model": 64, "model.n_layers": 2}
    )
    other = BookTokenizer.train(["another book of other words"] * 9, 300)
    refused("another tokenizer", Checkpoint(trained.config, other, trained.weights, {}))
    large = trained.config.override(**{"model.vocab_level": 2})
    refused("give model.vocab_level=2", Checkpoint(large, trained.tokenizer, trained.weights, {}))
    refused("either resume or start", resume=True)
    cut = {key: value for key, value in trained.weights.items() if key != "norm.weight"}
    refused("damaged", Checkpoint(trained.config, trained.tokenizer, cut, {}))
    free = short.override(**{"model.context": 48, "model.dropout": 0.3})
    assert losses(Trainer(free, data, tmp_path, start=trained), 1)


@pytest.mark.parametrize("in_flight", [0, 2])
@pytest.mark.parametrize("broken", ["model", "average", "at a stop"])
def test_figures_that_are_no_numbers_end_the_run_and_nothing_of_them_is_saved(
    tmp_path: Path, short: ProjectConfig, data: Processed, broken: str, in_flight: int
) -> None:
    trainer = Trainer(short, data, tmp_path)
    trainer.steps_in_flight = in_flight
    second = trainer.stage_steps[0] + (2 if broken == "model" else trainer.stage_steps[1] - in_flight)
    kept: dict[Path, bytes] = {}

    def train_on() -> None:
        for event in trainer.run():
            if isinstance(event, StepDone) and event.stage == 1 and not kept:
                kept.update({path: path.read_bytes() for path in (trainer.best_path, trainer.run_path)})
            if isinstance(event, StepDone) and event.step == second:
                module = trainer.average if broken == "average" else trainer.model
                with torch.no_grad():
                    module.norm.weight.fill_(float("nan"))
                trainer.stop_requested = broken == "at a stop"

    with pytest.raises(
        DivergedError, match=r"lower training.muon_learning_rate \(now 0.02\) or training.learning_rate"
    ):
        train_on()
    assert kept and all(path.read_bytes() == content for path, content in kept.items())
    assert load_plain(trainer.run_path)["progress"]["step"] == trainer.stage_steps[0]


def test_what_a_run_does_between_its_steps_is_told(tmp_path: Path, short: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(short.override(**{"training.sample_every_epochs": 1, "generation.steps": 4}), data, tmp_path)
    said: list[str] = []
    trainer.tell = said.append
    losses(trainer)
    assert said == ["validating", "writing a sample", "saving"] * 3 + ["saving"]


def test_each_validation_is_told_with_its_own_figure(
    tmp_path: Path, short: ProjectConfig, data: Processed, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = follow(Trainer(short, data, tmp_path), resumed=False)
    *told, bar = re.findall(r"bpb ([\d.]+) ", capsys.readouterr().err)
    events = map(json.loads, (tmp_path / "logs" / "metrics.jsonl").read_text().splitlines())
    figures = [f"{event['bits_per_byte']:.3f}" for event in events if event["event"] == "Validated"]
    assert told == figures and bar == figures[-1] and f"{finished.best_bits_per_byte:.3f}" in figures


def test_the_verdict_compares_with_counts_of_words_and_pairs(data: Processed) -> None:
    counts = {1: 3.0, 2: 2.0, 5: 1.5}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tiny_diffusion.studies.measure.count_bits", lambda data, level, order: counts[order])
        assert "better than counts of up to five word pieces in a row, which reach 1.500" in verdict(1.49, data, 5)
        told = verdict(1.5, data, 5)
        assert "better than counts of word pairs, which reach 2.000, but not" in told and "expert ngram" in told
        assert "not better than counts of word pairs, 2.000" in verdict(2.0, data, 5)
        assert "learnt nothing" in verdict(3.0, data, 5)
        counts[5] = 2.5  # in a book so small that longer runs do not come again
        assert "which reach 2.000" in verdict(1.99, data, 5)
    words, pairs = (count_bits(data, 5, order) for order in (1, 2))
    assert 0 < pairs < words


def test_memory_that_is_short_is_told_before_the_run_starts(
    tmp_path: Path,
    short: ProjectConfig,
    prepared: Path,
    data: Processed,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trainer = Trainer(short, data, tmp_path)
    for free in (None, 10**12):
        warn_of_memory(trainer, 10**10, free)
    assert not capsys.readouterr().err
    monkeypatch.setattr(machine, "read_memory", lambda: (10**9, 10**6))
    job.run(job.Job(short, data, prepared, tmp_path / "run", preset=("smoke", ProjectConfig.smoke()), dry_run=True))
    out, said = capsys.readouterr()
    assert len(out.splitlines()) < 24 and "settings of smoke, but" in out and "model.d_model = 32" in out
    assert "0.0 GB are free" in said and "--training.micro_batch_size 5, --training.gradient_checkpointing true" in said
