"""Runs with teachers: what they learn, what they refuse, and that they resume to the bit."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.test_trainer import losses, same_weights
from tiny_diffusion.checkpoint import Checkpoint, load_checkpoint, load_plain, save_checkpoint
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import BookTokenizer
from tiny_diffusion.errors import UserError
from tiny_diffusion.training.memory import check_memory, estimate_memory
from tiny_diffusion.training.run_time import Rehearsal
from tiny_diffusion.training.teachers import teacher_shapes
from tiny_diffusion.training.trainer import Trainer


@pytest.fixture(scope="module")
def dual(config: ProjectConfig) -> ProjectConfig:
    shape = {"model.dual": True, "model.n_layers": 1}
    return config.override(**shape, **{"training.objective": "dual", "training.batch_size": 16})


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory, dual: ProjectConfig, data: Processed) -> list[str]:
    """Checkpoints of two short runs of different widths and seeds."""
    found = []
    for number, width in enumerate((32, 48)):
        folder = tmp_path_factory.mktemp(f"teacher{number}")
        trainer = Trainer(dual.override(**{"model.d_model": width, "training.seed": number}), data, folder)
        losses(trainer)
        found.append(str(trainer.best_path))
    return found


def test_a_share_of_nothing_is_plain_training_to_the_bit(
    tmp_path: Path, dual: ProjectConfig, data: Processed, teachers: list[str]
) -> None:
    config = dual.override(**{"model.dropout": 0.1, "training.label_smoothing": 0.1})
    plain = Trainer(config, data, tmp_path / "plain")
    expected = losses(plain)
    changes = {"training.teachers": teachers, "training.teacher_share": 0.0}
    taught = Trainer(config.override(**changes), data, tmp_path / "taught")
    assert losses(taught) == expected and same_weights(plain, taught)


def test_a_resumed_run_equals_an_uninterrupted_one_and_finds_teachers_that_moved(
    tmp_path: Path, dual: ProjectConfig, data: Processed, teachers: list[str]
) -> None:
    config = dual.override(**{"training.teachers": teachers, "model.dropout": 0.1, "training.micro_batch_size": 6})
    whole = Trainer(config, data, tmp_path / "whole")
    expected = losses(whole)
    assert expected != losses(Trainer(dual, data, tmp_path / "plain"))
    part = losses(Trainer(config, data, tmp_path / "parts"), len(expected) // 2)
    state = load_plain(tmp_path / "parts" / "checkpoints" / "last.pt")
    assert len(state["teachers"]) == 2 and not any("teacher" in name for name in state["weights"])

    def resumed(paths: list[str]) -> Trainer:
        return Trainer(config.override(**{"training.teachers": paths}), data, tmp_path / "parts", resume=True)

    with pytest.raises(UserError, match=r"began with another model in .*teacher1"):
        resumed([teachers[1], teachers[0]])
    with pytest.raises(UserError, match=r"training.teachers\[1\] is None and was"):
        resumed(teachers[:1])
    moved = shutil.copy(teachers[0], tmp_path / "moved.pt")
    second = resumed([str(moved), teachers[1]])
    assert part + losses(second) == expected and same_weights(whole, second)
    assert load_checkpoint(second.best_path).weights.keys() == whole.model.state_dict().keys()


@pytest.mark.parametrize("objective", ["diffusion", "autoregressive"])
def test_all_objectives_can_be_taught(tmp_path: Path, config: ProjectConfig, data: Processed, objective: str) -> None:
    config = config.override(training={"objective": objective}, model={"causal": objective == "autoregressive"})
    first = Trainer(config, data, tmp_path / "first")
    plain = losses(first)
    changes = {"training.teachers": [str(first.best_path)], "training.teacher_share": 0.9}
    second = Trainer(config.override(**changes), data, tmp_path / "second")
    assert second.state.teachers is not None and not second.state.teachers.models[0].training
    assert losses(second)[0] != plain[0]


def test_teachers_that_read_otherwise_are_refused_in_one_line(
    tmp_path: Path, dual: ProjectConfig, data: Processed, teachers: list[str]
) -> None:
    known = load_checkpoint(Path(teachers[0]))

    def refused(words: str, checkpoint: Checkpoint | None = None, **changes: object) -> None:
        path = tmp_path / "teacher.pt"
        if checkpoint is not None:
            save_checkpoint(path, checkpoint)
        with pytest.raises(UserError, match=words) as error:
            Trainer(dual.override(**{"training.teachers": [str(path)], **changes}), data, tmp_path / "run")
        assert "\n" not in str(error.value) and not (tmp_path / "run").exists()

    refused("teacher.pt is no file: give the path of a trained best_model.pt")
    (tmp_path / "teacher.pt").write_text("no model")
    refused("damaged")
    size = known.tokenizer.text_vocab_size  # a checkpoint of another size would be damaged
    other = BookTokenizer.train(["".join(chr(65 + i % 53) + chr(97 + i * i % 26) for i in range(9999))] * 9, size)
    refused("it has another tokenizer", replace(known, tokenizer=other))
    refused("other prepared data, of 'else'", replace(known, meta={"data": "0", "source": "else"}))
    plain = {"model.dual": False, "training.objective": "diffusion"}
    refused("its training.objective is dual and the run's diffusion", known, **plain)
    refused("its model.context is 32 and the run's 48", known, **{"model.context": 48})
    refused("its model.vocab_level is 1 and the run's 2", known, **{"model.vocab_level": 2})
    two = {"model.context": 48, "model.vocab_level": 2}
    refused("its model.context is 32 and the run's 48; its model.vocab_level is 1 and", known, **two)
    refused("it has not learnt the controls", known, **{"model.controls": True})
    refused("without marks of beginnings", replace(known, meta={**known.meta, "marks": False}))
    with pytest.raises(UserError, match="is overwritten by this run: give another --output"):
        Trainer(dual.override(**{"training.teachers": teachers}), data, Path(teachers[0]).parent)


def test_memory_knows_the_teachers(dual: ProjectConfig, teachers: list[str]) -> None:
    config = dual.override(**{"training.teachers": teachers, "training.memory_limit_gb": 1.0})
    shapes = teacher_shapes(config.training)
    assert [shape.d_model for shape in shapes] == [32, 48]
    plain, taught = (estimate_memory(config, 1040, teachers=given) for given in ((), shapes))
    assert plain.teachers == 0 and taught.teachers == 4 * sum(shape.parameters(1040) for shape in shapes)
    assert taught.total > plain.total + taught.teachers
    check_memory(config, 1040, teachers=shapes)
    with pytest.raises(UserError, match="below the estimated"):
        check_memory(config, 1040, teachers=shapes * 9999)


def test_steps_are_timed_with_the_teachers(
    tmp_path: Path, dual: ProjectConfig, data: Processed, teachers: list[str]
) -> None:
    trainer = Trainer(dual.override(**{"training.teachers": teachers}), data, tmp_path)
    assert trainer.state.teachers is not None
    passes: list[int] = []
    for number, model in enumerate(trainer.state.teachers.models):
        model.embedding.register_forward_pre_hook(lambda *_, number=number: passes.append(number))
    Rehearsal(trainer.state).step(3)
    assert passes == [0, 1]
