"""Epochs whose words come in other tokens, because some merges of the tokenizer are left out."""

import pytest
import torch

from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import PAD
from tiny_diffusion.training.epochs import StageRows, chance_of, in_full

EPOCHS = 32


@pytest.fixture(scope="module")
def dropping(config: ProjectConfig) -> ProjectConfig:
    return config.override(
        **{
            "training.objective": "dual",
            "training.merge_dropout": 0.2,
            "model.context": 64,
            "model.controls": True,
            "curriculum.rehearsal_share": 0.1,
            f"curriculum.stages[{len(config.curriculum.stages) - 1}].epochs": EPOCHS,
        }
    )


@pytest.fixture(scope="module")
def last(dropping: ProjectConfig) -> int:
    return len(dropping.curriculum.stages) - 1


@pytest.fixture(scope="module")
def rows(dropping: ProjectConfig, data: Processed) -> StageRows:
    return StageRows(dropping, data)


def test_the_chance_falls_to_none_within_the_last_stage(dropping: ProjectConfig, last: int) -> None:
    chances = [chance_of(dropping, last, epoch) for epoch in range(EPOCHS)]
    assert chances == pytest.approx([max(0, 1 - epoch / 24) for epoch in range(EPOCHS)])
    assert chance_of(dropping, last - 1, 0) == 0


@pytest.mark.parametrize(("epochs", "begin"), [(1, 0), (12, 0), (18.5, 0.5), (25, 1), (100, 1)])
def test_the_chance_begins_lower_in_a_stage_of_few_epochs(
    dropping: ProjectConfig, last: int, epochs: float, begin: float
) -> None:
    stages = list(dropping.curriculum.stages)
    stages[last] = stages[last].model_copy(update={"epochs": epochs})
    curriculum = dropping.curriculum.model_copy(update={"stages": tuple(stages)})
    assert chance_of(dropping.model_copy(update={"curriculum": curriculum}), last, 0) == pytest.approx(begin)


def test_each_epoch_spells_the_same_book_in_other_and_more_tokens(rows: StageRows, data: Processed, last: int) -> None:
    assert rows.respelled is not None
    begin, end = rows.encoded[last].bounds.tolist()
    whole = rows.encoded[last].ids[begin:end].tolist()
    seen = []
    for chance, seed in ((1.0, 0), (1.0, 1), (1.0, 0), (0.5, 0)):
        ids, openings = rows.respelled.stream(chance, seed)
        assert data.tokenizer.decode(ids) == data.tokenizer.decode(whole)
        assert max(ids) <= max(whole)
        assert [mark for mark in openings if mark != PAD] == rows.openings[last][rows.openings[last] != PAD].tolist()
        seen.append(ids)
    assert seen[0] == seen[2] != seen[1]
    assert len(seen[0]) > len(seen[3]) > len(whole)
    assert rows.respelled.stream(0.0, 0)[0] == whole


def test_a_word_comes_in_several_forms_within_an_epoch(rows: StageRows, data: Processed) -> None:
    assert rows.respelled is not None
    word = max(data.texts("train")[0].split(), key=len)
    forms = {tuple(spell(each)) for each in rows.respelled.words(word) for spell in rows.respelled.spell}
    assert len(forms) > 2


def test_an_epoch_without_dropout_is_the_one_of_a_run_without_it(
    rows: StageRows, dropping: ProjectConfig, data: Processed, last: int
) -> None:
    plain = StageRows(dropping.override(**{"training.merge_dropout": 0.0}), data)
    assert plain.respelled is None and plain.rows_per_epoch == rows.rows_per_epoch
    index = torch.arange(rows.rows_per_epoch[last])
    ours, theirs = (each.epoch(last, EPOCHS - 1).take(index) for each in (rows, plain))
    assert torch.equal(ours.ids, theirs.ids) and torch.equal(ours.controls, theirs.controls)
    assert not torch.equal(rows.epoch(last, 0).take(index).ids, plain.epoch(last, 0).take(index).ids)
    for stage in range(last):  # earlier stages do not change
        index = torch.arange(rows.rows_per_epoch[stage])
        ours, theirs = (each.epoch(stage, 0).take(index) for each in (rows, plain))
        assert torch.equal(ours.ids, theirs.ids) and torch.equal(ours.controls, theirs.controls)


def test_controls_of_a_piece_are_those_of_the_same_text_in_all_tokens(
    rows: StageRows, data: Processed, last: int
) -> None:
    layout = rows.epoch(last, EPOCHS // 2)  # after the transition
    assert rows.respelled is not None and rows.labels is not None and layout.levels is not None
    full = in_full(layout, rows.encoded[last], rows.sizes)
    moved = layout.starts >= len(rows.encoded[last].ids)
    assert 0.2 < moved.float().mean() < 1  # the others come from earlier stages
    assert torch.equal(full.starts[~moved], layout.starts[~moved])
    for piece in moved.nonzero().flatten().tolist()[:40]:
        here = layout.stream[layout.starts[piece] :][: layout.lengths[piece]].tolist()
        there = full.stream[full.starts[piece] :][: full.lengths[piece]].tolist()
        spelled, wanted = (b"".join(map(data.tokenizer.token_bytes, ids)) for ids in (here, there))
        assert spelled in wanted and len(wanted) < len(spelled) + 2 * max(
            len(data.tokenizer.token_bytes(i)) for i in there
        )
    assert torch.equal(layout.levels, rows.labels.levels(full))
    assert (layout.levels[moved][:, -1] > 0).all()  # the stage is known everywhere


def test_texts_of_the_model_itself_keep_their_place_behind_a_respelled_stream(rows: StageRows, last: int) -> None:
    config = rows.config.override(**{"training.self_training_share": 0.5})
    layout = replace_config(rows, config).epoch(last, 0, torch.full((3, 65), 300))
    behind = layout.starts[layout.stream[layout.starts.long()] == 300]
    assert rows.respelled is not None and len(behind) > 0
    full = in_full(layout, rows.encoded[last], rows.sizes)
    own = torch.isin(layout.starts, behind)
    written = own & (layout.starts >= len(layout.stream) - 3 * 65)
    assert written.any() and torch.equal(full.starts[written], layout.starts[written])


def replace_config(rows: StageRows, config: ProjectConfig) -> StageRows:
    """The same rows under another configuration of the training."""
    other = object.__new__(StageRows)
    other.__dict__.update(rows.__dict__, config=config)
    return other
