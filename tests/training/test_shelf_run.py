"""Runs that learn from other books first: what they read, how the schedule turns to the book, and what is recorded."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.conftest import make_book
from tests.training.test_trainer import losses, same_weights
from tiny_diffusion.checkpoint import load_checkpoint
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.config.curriculum_config import ShelfStage
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.shelf import Shelf
from tiny_diffusion.data.splitting import Passage
from tiny_diffusion.data.tokenizer import TEXT
from tiny_diffusion.errors import UserError
from tiny_diffusion.training.course import mask_range
from tiny_diffusion.training.epochs import StageRows, with_shelf
from tiny_diffusion.training.events import StepDone
from tiny_diffusion.training.output_folder import best_models
from tiny_diffusion.training.trainer import Trainer

OTHER = "Zyx quoth."


@pytest.fixture(scope="module")
def shelved(data: Processed) -> Processed:
    """The shared book with a shelf of two short books."""
    texts = [make_book(4_000, seed=31), f"{make_book(4_000, seed=32)}{OTHER}"]
    passages = tuple(Passage(i, "train", tuple(text.strip().split("\n\n")), i) for i, text in enumerate(texts))
    return replace(data, shelf=Shelf(passages, ("a.txt", "b.txt")), identity="with shelf")


@pytest.fixture(scope="module")
def dual(config: ProjectConfig) -> ProjectConfig:
    changes = {"model.dual": True, "training.objective": "dual", "training.batch_size": 16}
    return config.override(**changes, **{"curriculum.shelf_epochs": 2, "curriculum.rehearsal_share": 0.2})


def test_the_shelf_comes_first_and_never_again(dual: ProjectConfig, data: Processed, shelved: Processed) -> None:
    config = with_shelf(dual.override(**{"model.controls": True, "curriculum.stages[1].epochs": 10}), shelved)
    rows, plain = StageRows(config, shelved), StageRows(dual, data)
    assert rows.rows_per_epoch[1:] == plain.rows_per_epoch
    end = int(rows.encoded[0].bounds[-1])
    text = data.tokenizer.decode(rows.encoded[0].ids.tolist()[:end])
    assert text == "".join(p.text for p in shelved.shelf.passages) and text.endswith(OTHER)
    assert rows.encoded[0].ids[:end].tolist().count(TEXT) == 2  # each book begins with its mark
    assert torch.equal(rows.book_ids, plain.encoded[0].ids)
    for stage in range(4):
        layout = rows.epoch(stage, 0)  # with the transition and the rehearsal of the stage
        assert bool((layout.starts < end).all() if stage == 0 else (layout.starts >= end).all())
        assert layout.levels is not None and bool((layout.levels == 0).all()) == (stage == 0)
    assert [mask_range(config.curriculum, stage, 0) for stage in (0, 1)] == [(0.001, 1.0), (0.75, 0.90)]


def test_the_rate_and_the_causal_share_stay_until_the_book_and_then_take_their_whole_course(
    tmp_path: Path, dual: ProjectConfig, shelved: Processed
) -> None:
    trainer = Trainer(dual.override(**{"training.warmup_steps": 2}), shelved, tmp_path)
    course, steps = trainer.course, trainer.stage_steps
    assert len(steps) == 4 and course.book_place(steps[0] / sum(steps)) == 0 and course.book_place(1.0) == 1
    assert course.book_place((sum(steps) + steps[0]) / 2 / sum(steps)) == pytest.approx(0.5)
    done = [event for event in trainer.run() if isinstance(event, StepDone)]
    assert [event.stage_name for event in done[: steps[0] + 1]] == ["shelf"] * steps[0] + ["foundational"]
    book = sum(steps[1:])
    falls = [event.scale for event in done[steps[0] :]]
    assert [event.scale for event in done[2 : steps[0]]] == [1.0] * (steps[0] - 2)
    assert falls == pytest.approx([min(1.0, 2 * (1 - step / book)) for step in range(book)])


def test_without_the_stage_the_run_is_that_of_the_book_alone(
    tmp_path: Path, dual: ProjectConfig, data: Processed, shelved: Processed
) -> None:
    plain = Trainer(dual, data, tmp_path / "plain")
    none = Trainer(dual.override(**{"curriculum.shelf_epochs": 0}), shelved, tmp_path / "none")
    assert losses(plain) == losses(none) and same_weights(plain, none)
    assert "shelf" not in load_checkpoint(none.best_path).meta


def test_a_stopped_run_goes_on_to_the_bit_and_no_file_holds_the_stage(
    tmp_path: Path, dual: ProjectConfig, shelved: Processed
) -> None:
    whole = Trainer(dual, shelved, tmp_path / "whole")
    expected = losses(whole)
    part = losses(Trainer(dual, shelved, tmp_path / "parts"), 2)
    saved = load_checkpoint(whole.best_path)
    assert saved.config == dual and saved.shelf == ("a.txt", "b.txt")
    assert isinstance(whole.config.curriculum.stages[0], ShelfStage)
    with pytest.raises(UserError, match="other data"):
        Trainer(dual, replace(shelved, identity="another shelf"), tmp_path / "parts", resume=True)
    second = Trainer(dual, shelved, tmp_path / "parts", resume=True)
    assert part + losses(second) == expected and same_weights(whole, second)


def test_epochs_of_the_shelf_may_change_until_it_is_done(
    tmp_path: Path, dual: ProjectConfig, shelved: Processed
) -> None:
    def refused(words: str, folder: Path, epochs: int) -> None:
        with pytest.raises(UserError, match=words):
            Trainer(dual.override(**{"curriculum.shelf_epochs": epochs}), shelved, folder, resume=True)

    none = Trainer(dual.override(**{"curriculum.shelf_epochs": 0}), shelved, tmp_path / "none")
    losses(none, 1)
    refused("curriculum.shelf_epochs is 2 and was 0", tmp_path / "none", 2)
    losses(Trainer(dual, shelved, tmp_path), 2)
    refused("curriculum.shelf_epochs is 0 and was 2", tmp_path, 0)
    longer = Trainer(dual.override(**{"curriculum.shelf_epochs": 5}), shelved, tmp_path, resume=True)
    steps = longer.stage_steps
    losses(longer, steps[0] - 1)  # one step beyond the shelf: in the first stage of the book
    assert longer.progress.stage == 1 and steps[0] == 5 * longer.state.steps_per_epoch[0]
    refused("curriculum.shelf_epochs is 6 and was 5", tmp_path, 6)


def test_one_run_on_the_shelf_alone_serves_others_which_say_so(
    tmp_path: Path, dual: ProjectConfig, data: Processed, shelved: Processed
) -> None:
    alone = dual.override(**{"curriculum.stages": [], "model.controls": True})
    with pytest.raises(UserError, match=r"curriculum.stages=\[\] trains on a shelf alone"):
        Trainer(alone, data, tmp_path / "none")
    first = Trainer(alone, shelved, tmp_path / "shelf")
    losses(first)
    assert first.progress.finished and len(first.stage_steps) == 1
    start = load_checkpoint(first.best_path)
    config = dual.override(**{"model.controls": True})
    second = Trainer(config, data, tmp_path / "book", start=start)
    assert all(torch.equal(second.model.state_dict()[name], weight) for name, weight in start.weights.items())
    losses(second, 3)
    resumed = Trainer(config, data, tmp_path / "book", resume=True)
    losses(resumed)
    saved = load_checkpoint(resumed.best_path)
    assert saved.shelf == ("a.txt", "b.txt") and saved.meta["from"]["step"] == start.meta["step"]
    taught = config.override(**{"training.teachers": [str(first.best_path)]})
    student = Trainer(taught, data, tmp_path / "student")
    assert student.state.origin == {"shelf": ["a.txt", "b.txt"]}


def test_the_models_of_a_folder_are_those_of_its_run_or_of_its_members(tmp_path: Path) -> None:
    file = tmp_path / "run" / "best_model.pt"
    file.parent.mkdir()
    with pytest.raises(UserError, match="holds no trained model"):
        best_models(file.parent)
    file.touch()
    assert best_models(file) == best_models(file.parent) == [file]
    members = [tmp_path / f"member-{i}" / "best_model.pt" for i in (0, 1)]
    for member in members:
        member.parent.mkdir()
        member.touch()
    assert best_models(tmp_path) == members
