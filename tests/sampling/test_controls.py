"""Learnt controls: the labels of a text, their effect in the network and in sampling, and what training learns."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.checkpoint import Checkpoint, load_checkpoint, new_model, save_checkpoint
from tiny_diffusion.cli.main import app
from tiny_diffusion.config import GenerationConfig, ModelConfig, ProjectConfig
from tiny_diffusion.config.generation_config import CONTROL_ROWS, CONTROLS
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED, SEP
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.loss import diffusion_loss
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.sampling.canvas import Predictor
from tiny_diffusion.training.control_labels import (
    SILENT,
    UNKNOWN,
    ControlLabels,
    drop_controls,
    measure_bytes,
    measure_tokens,
)
from tiny_diffusion.training.epochs import StageRows
from tiny_diffusion.training.events import Finished, Sampled
from tiny_diffusion.training.rows import Layout, Rows
from tiny_diffusion.training.run_time import measure_pace
from tiny_diffusion.training.step import RunningStep, Stepper
from tiny_diffusion.training.trainer import Trainer
from tiny_diffusion.writing.filler import Filler
from tiny_diffusion.writing.writer import Writer

SHAPE = ModelConfig(d_model=16, n_layers=2, n_heads=2, d_ff=32, context=16, dropout=0.0, controls=True)
TOKENS = 8
EXACT = GenerationConfig(temperature=1.0, top_p=1.0, guidance=1.0, precision="float32").as_drawn()


def small_model(seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(SHAPE, NUM_RESERVED + TOKENS, NUM_RESERVED)


def taught(model: Transformer, seed: int = 1) -> Transformer:
    """``model`` with a control table as training might leave it."""
    assert model.controls is not None
    with torch.no_grad():
        model.controls.table.weight[1:] = torch.randn(
            CONTROL_ROWS - 1, SHAPE.d_model, generator=torch.Generator().manual_seed(seed)
        )
    return model.eval()


def levels(**chosen: str) -> torch.Tensor:
    return torch.tensor([1 + CONTROLS[name].index(chosen[name]) if name in chosen else 0 for name in CONTROLS])


# Labels ------------------------------------------------------------------------------------------------------------


def test_each_byte_is_measured_by_its_sentence() -> None:
    text = "Où? “Go home now.”\n\n***"
    found = measure_bytes(text, "en", {"Où?": 0.25})
    first, second = "Où?".encode(), "“Go home now.”".encode()
    assert len(found) == len(text.encode())
    assert (found[: len(first)] == [1, SILENT, 250]).all()
    assert found[len(first)].tolist() == [UNKNOWN, SILENT, UNKNOWN]  # the space between
    quoted = found[len(first) + 1 : len(first) + 1 + len(second)]
    assert (quoted[:, [0, 2]] == [3, UNKNOWN]).all()
    assert quoted[:, 1].tolist() == [
        0,
        0,
        0,
        *range(3, 15),
        15,
        15,
        15,
    ]  # bytes since the quotation mark, which has three
    assert (found[len(first) + 1 + len(second) :][:2] == UNKNOWN).all()  # the blank line
    assert (found[-3:] == [UNKNOWN, SILENT, UNKNOWN]).all()  # no word in it


@given(st.lists(st.text("ab. “”é\n", min_size=1, max_size=40), min_size=1, max_size=3), st.integers(1, 5))
def test_each_token_has_the_measures_of_its_first_byte(data: Processed, segments: list[str], level: int) -> None:
    ids: list[int] = []
    for i, segment in enumerate(segments):
        ids += ([SEP] if i else []) + data.tokenizer.encode(segment, level)
    sizes = np.array([len(data.tokenizer.token_bytes(i)) for i in ids])
    found = measure_tokens(segments, sizes, "en", {})
    of_bytes = np.concatenate([measure_bytes(s, "en", {}) for s in segments])
    place, places = 0, []
    for i, (token, measures) in enumerate(zip(ids, found, strict=True)):
        places.append(place)
        if token == SEP:
            assert (measures == UNKNOWN).all()
        else:
            assert (measures[[0, 2]] == of_bytes[place, [0, 2]]).all()
            since = of_bytes[place, 1]
            if since < 0:
                assert measures[1] == since
            else:  # the token this far back holds the first byte of the mark
                mark = i - measures[1]
                assert places[mark] <= place - since < places[mark] + sizes[mark]
        place += int(sizes[i])
    assert place == len(of_bytes)


def layout(*pieces: tuple[int, int], rows: tuple[int, ...]) -> Layout:
    starts, lengths = map(torch.tensor, zip(*pieces, strict=True))
    return Layout(torch.arange(100, dtype=torch.int32), 8, starts, lengths, torch.tensor(rows))


@pytest.fixture
def labels() -> ControlLabels:
    """Twelve tokens of a stage of sentences, then twelve of paragraphs, whose lengths are divided into thirds."""
    measures = torch.full((24, 3), UNKNOWN)
    measures[:4] = torch.tensor([3, SILENT, 100])
    measures[4:8] = torch.tensor([[90, n, UNKNOWN] for n in range(4)])
    measures[12:] = torch.tensor([[n, SILENT, 10 * n] for n in range(12)])
    last = layout(*[(12 + n, 1) for n in range(12)], rows=tuple(range(13)))
    return ControlLabels(measures, [12, 24], ["sentences", "paragraphs"], last)


def test_pieces_are_labelled_by_the_means_of_their_tokens(labels: ControlLabels) -> None:
    pieces = layout((0, 4), (4, 4), (8, 4), (0, 8), (6, 2), (14, 1), (22, 2), (30, 4), rows=tuple(range(9)))
    assert labels.levels(pieces).tolist() == [
        [1, 1, 3, 1],  # 3 words, nothing spoken, difficulty 0.1 of 0..0.11
        [3, 3, 0, 1],
        [0, 0, 0, 1],  # only the stage is known
        [3, 2, 3, 1],  # the mean of 3 and 90 words; half of it is speech; only the first half was scored
        [3, 1, 0, 1],  # all of it spoken, its mark cut off
        [1, 1, 1, 3],
        [3, 1, 3, 3],
        [0, 0, 0, 0],  # after the book: text that the model wrote itself
    ]


def test_a_format_that_is_no_level_of_the_control_is_unknown(labels: ControlLabels) -> None:
    last = layout(*[(12 + n, 1) for n in range(12)], rows=tuple(range(13)))
    found = ControlLabels(labels.measures, [12, 24], ["new", "paragraphs"], last)
    assert found.levels(layout((0, 4), (14, 1), rows=(0, 1, 2))).tolist() == [[1, 1, 3, 0], [1, 1, 1, 3]]


def test_rows_of_several_documents_are_labelled_token_by_token(labels: ControlLabels) -> None:
    def controls(laid: Layout) -> torch.Tensor:
        found = replace(laid, levels=labels.levels(laid)).take(torch.arange(len(laid))).controls
        assert found is not None
        return found

    found = controls(layout((0, 4), (4, 3), (12, 8), rows=(0, 2, 3)))
    assert found.shape == (2, 8, 4)
    assert found[0].tolist() == [[1, 1, 3, 1]] * 4 + [[3, 3, 0, 1]] * 3 + [[0, 0, 0, 0]]
    assert controls(layout((12, 8), rows=(0, 1))).shape == (1, 1, 4)


def test_dropout_leaves_out_whole_rows_and_half_of_the_other_controls() -> None:
    full = torch.full((20_000, 1, 4), 2)
    kept = drop_controls(full, 0.3, torch.Generator().manual_seed(0)) > 0
    # No control: 0.3, plus 0.7 / 16 of the rest; each control: 0.35.
    for share, wanted in ((~kept.any(-1), 0.3 + 0.7 / 16), (kept[..., 0], 0.35), (kept[..., 3], 0.35)):
        assert abs(share.float().mean() - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / 20_000)
    assert not drop_controls(full, 1.0, torch.Generator().manual_seed(0)).any()
    several = drop_controls(torch.full((50, 7, 4), 1), 0.0, torch.Generator().manual_seed(0))
    assert (several == several[:, :1]).all()  # the same for all documents of a row


# The network -------------------------------------------------------------------------------------------------------


def test_a_new_model_is_one_without_controls() -> None:
    torch.manual_seed(0)
    plain = Transformer(SHAPE.model_copy(update={"controls": False}), NUM_RESERVED + TOKENS, NUM_RESERVED).eval()
    model = small_model().eval()
    ids = torch.randint(NUM_RESERVED, NUM_RESERVED + TOKENS, (2, 6))
    under = model.hidden(ids, controls=levels(dialogue="much").expand(2, 1, -1))
    assert torch.equal(model.hidden(ids), plain.hidden(ids)) and torch.equal(under, plain.hidden(ids))
    assert sum(p.numel() for p in model.parameters()) == SHAPE.parameters(NUM_RESERVED + TOKENS)
    with pytest.raises(ValueError, match="no learnt controls"):
        plain.hidden(ids, controls=levels().expand(2, 1, -1))


def test_levels_add_their_vectors_and_any_adds_nothing() -> None:
    model = taught(small_model())
    assert model.controls is not None
    table, wanted = model.controls.table.weight, levels(dialogue="none", stage="paragraphs")
    found = model.controls(torch.stack([wanted, levels()])[:, None])
    # Rows: any, three of sentence length, three of dialogue, three of difficulty, three of the stage.
    assert torch.allclose(found[0, 0], table[4] + table[12]) and not found[1].any()
    ids = torch.randint(NUM_RESERVED, NUM_RESERVED + TOKENS, (1, 6))
    by_row = model.hidden(ids, controls=wanted.expand(1, 1, -1))
    assert torch.allclose(model.hidden(ids, controls=wanted.expand(1, 6, -1)), by_row, atol=1e-6)
    assert torch.equal(model.hidden(ids, controls=levels().expand(1, 1, -1)), model.hidden(ids))
    assert not torch.allclose(by_row, model.hidden(ids), atol=1e-3)


def test_only_the_levels_met_are_learnt() -> None:
    model = small_model()
    assert model.controls is not None
    ids = torch.randint(NUM_RESERVED, NUM_RESERVED + TOKENS, (2, 6))
    masked = torch.ones_like(ids, dtype=torch.bool)
    met = levels(dialogue="some", difficulty="hard")
    diffusion_loss(model, ids, masked, torch.ones(2), weighting="mean", controls=met.expand(2, 1, -1)).backward()
    gradient = model.controls.table.weight.grad
    assert gradient is not None
    assert gradient.abs().sum(1).nonzero().flatten().tolist() == [5, 9]


# The sampler -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [False, True])
def test_guidance_moves_the_logits_away_from_those_without_controls(cache: bool) -> None:
    model = taught(small_model())
    ids = torch.tensor([[20, 21, MASK, MASK, 22], [20, 21, MASK, 23, MASK], [20, 21, 22, 23, 22]])
    where = ids == MASK

    def logits(**changes: object) -> torch.Tensor:
        settings = EXACT.model_copy(update={"cache_context": cache, **changes})
        predictor = Predictor(model, settings, 2)
        predictor.logits(ids, where)
        return predictor.logits(ids, where)  # the second time from the cache

    free, under = logits(), logits(dialogue="much")
    wanted = levels(dialogue="much").expand(3, 1, -1)
    hidden = model.hidden(ids, controls=wanted)[where]
    assert torch.allclose(under, model.logits(hidden), atol=1e-5)
    for strength in (0.0, 0.5, 2.5):
        guided = logits(dialogue="much", guidance=strength)
        assert torch.allclose(guided, free + strength * (under - free), atol=1e-5)
    assert not torch.allclose(free, under, atol=1e-2)


def test_what_cannot_be_controlled_is_said_in_one_line(data: Processed, config: ProjectConfig) -> None:
    plain = Writer(new_model(config, data.tokenizer), data.tokenizer)
    with pytest.raises(UserError, match=r"trained without controls, generation.dialogue=much needs .*controls=true"):
        plain.write("", EXACT.model_copy(update={"dialogue": "much"}))
    fresh = Writer(new_model(config.override(**{"model.controls": True}), data.tokenizer), data.tokenizer)
    with pytest.raises(UserError, match=r"stage=pairs: this model has not learnt it"):
        fresh.rewrite("The old miller.", EXACT.model_copy(update={"stage": "pairs"}))
    twin = config.override(model={"causal": True}, training={"objective": "autoregressive"})
    causal = Writer(new_model(twin, data.tokenizer), data.tokenizer)
    with pytest.raises(UserError, match="trained without controls"):
        causal.write("", EXACT.model_copy(update={"difficulty": "easy"}))
    with pytest.raises(UserError, match=r"model.controls=true is for diffusion"):
        twin.override(**{"model.controls": True})


# Training ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def controlled(config: ProjectConfig) -> ProjectConfig:
    return config.override(**{"model.controls": True, "model.n_layers": 1, "curriculum.rehearsal_share": 0.5})


def run(trainer: Trainer, steps: int | None = None) -> None:
    for event in trainer.run():
        if steps is not None and not isinstance(event, Finished) and trainer.progress.step == steps:
            trainer.stop_requested = True


@pytest.mark.long
def test_training_learns_the_books_levels_and_resumes_to_the_bit(
    controlled: ProjectConfig, data: Processed, tmp_path: Path
) -> None:
    run(Trainer(controlled, data, tmp_path / "whole"))
    run(Trainer(controlled, data, tmp_path / "parts"), steps=5)
    run(Trainer(controlled, data, tmp_path / "parts", resume=True))
    whole, parts = (load_checkpoint(tmp_path / name / "best_model.pt") for name in ("whole", "parts"))
    assert all(torch.equal(whole.weights[name], parts.weights[name]) for name in whole.weights)
    learnt = whole.weights["controls.table.weight"].abs().sum(1) > 0
    # The book of the tests has no speech: only the first level of dialogue occurs.
    assert learnt.tolist() == [False, True, True, True, True, False, False, True, True, True, True, True, True]
    without = Trainer(controlled.override(**{"training.control_dropout": 1.0}), data, tmp_path / "without")
    run(without)
    assert without.model.controls is not None and not without.model.controls.table.weight.any()


def test_earlier_stages_are_rehearsed(controlled: ProjectConfig, data: Processed) -> None:
    late = controlled.curriculum.stages[-1].epochs + 1  # after the transition
    shares = {}
    for share in (0.0, 0.25):
        rows = StageRows(controlled.override(**{"curriculum.rehearsal_share": share}), data)
        epoch = rows.epoch(2, late)
        taken = epoch.take(torch.arange(len(epoch)))
        assert taken.controls is not None
        own = (taken.controls[..., 3] == 3).any(1)
        shares[share] = 1 - float(own.float().mean())
    assert shares[0.0] == 0 and abs(shares[0.25] - 0.25) < 0.05


def test_what_is_written_on_the_way_has_no_controls(controlled: ProjectConfig, data: Processed, tmp_path: Path) -> None:
    """A level that is not learnt yet, or never will be, stops no run; the checkpoint keeps the setting."""
    writing = {"training.sample_every_epochs": 1, "training.self_training_share": 0.1, "generation.length": 8}
    plain = Trainer(controlled.override(**writing), data, tmp_path / "plain")
    wished = Trainer(controlled.override(**writing, **{"generation.dialogue": "much"}), data, tmp_path / "wished")
    assert measure_pace(wished, 0.0).sample > 0
    samples = [[event.text for event in each.run() if isinstance(event, Sampled)] for each in (plain, wished)]
    assert samples[0] == samples[1] and len(samples[0]) == 3
    assert wished.state.written is not None and wished.state.written.equal(plain.state.written)
    assert load_checkpoint(wished.best_path).config.generation.dialogue == "much"


def test_the_steps_that_are_timed_have_the_rows_controls(
    controlled: ProjectConfig, data: Processed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, step, timed = Trainer(controlled, data, tmp_path), Stepper.step, []

    def seen(self: Stepper, batch: Rows, epoch: int) -> RunningStep:
        timed.append(batch.controls)
        return step(self, batch, epoch)

    monkeypatch.setattr(Stepper, "step", seen)
    measure_pace(trainer, 0.0)
    assert timed and all(levels is not None for levels in timed)


def test_a_control_decides_what_is_written(data: Processed, config: ProjectConfig) -> None:
    """Rows of one letter under the first level, of another under the last: the model writes the one of its level."""
    model = new_model(config.override(**{"model.controls": True, "model.vocab_level": 1}), data.tokenizer)
    a, b = data.tokenizer.encode("a", 1)[0], data.tokenizer.encode("b", 1)[0]
    ids = torch.tensor([[a] * 8, [b] * 8]).repeat(4, 1)
    told = torch.stack([levels(difficulty="easy"), levels(difficulty="hard")]).repeat(4, 1)[:, None]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        masked = torch.rand(ids.shape, generator=generator) < 0.8
        loss = diffusion_loss(model, ids, masked, torch.ones(8), weighting="mean", controls=told) / masked.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    writer = Writer(model, data.tokenizer)
    settings = EXACT.model_copy(update={"length": 8, "steps": 8, "temperature": 0.1})
    for level, letter in (("easy", "a"), ("hard", "b")):
        assert writer.write("", settings.model_copy(update={"difficulty": level}))[0].text == letter * 8


def test_the_command_line_takes_controls(data: Processed, controlled: ProjectConfig, tmp_path: Path) -> None:
    model = taught_checkpoint(controlled, data)
    save_checkpoint(tmp_path / "m.pt", model)
    texts = set()
    for more in ([], ["--dialogue", "much"], ["--dialogue", "much", "--guidance", "4"], ["--stage", "sentences"]):
        arguments = ["generate", "--checkpoint", str(tmp_path / "m.pt"), "--length", "20", "--steps", "4"]
        result = CliRunner().invoke(app, [*arguments, "--generation.ending", "token", *more])
        assert result.exit_code == 0, result.output
        texts.add(result.output)
    assert len(texts) == 4
    result = CliRunner().invoke(app, ["generate", "--checkpoint", str(tmp_path / "m.pt"), "--dialogue", "mach"])
    assert result.exit_code == 2 and "mach" in result.output


@pytest.mark.parametrize("how", ["gap", "search", "must", "rewrite", "in order", "blocks"])
def test_every_way_to_write_is_controlled(data: Processed, controlled: ProjectConfig, how: str) -> None:
    writer = Writer(taught_checkpoint(controlled, data).build(torch.device("cpu")), data.tokenizer)

    def text(**changes: object) -> str:
        settings = EXACT.model_copy(update={"length": 40, "steps": 40, "gap_tokens": 8, "guidance": 4.0, **changes})
        if how == "in order":
            row, filler = torch.full((1, 8), MASK), Filler(writer.model, data.tokenizer, settings)
            turns = list(torch.eye(8, dtype=torch.bool)[:, None])
            *_, state = filler.in_order(row, turns, [torch.Generator().manual_seed(0)], filler.rules())
            return str(state.ids.tolist())
        if how == "rewrite":
            return writer.rewrite("The old miller sold it.", settings)[0].text
        if how == "blocks":
            return writer.write("The old", settings.model_copy(update={"block": 8, "cache_context": True}))[0].text
        must = ("miller",) if how == "must" else ()
        template = {"gap": "The ___ sold it.", "search": "The {2-9 words} sold it.", "must": "The {3-9 words} sold it."}
        return writer.infill(template[how], settings, must)[0].text

    plain = text()
    texts = {plain, text(dialogue="much"), text(difficulty="hard"), text(guidance=1.0, difficulty="hard")}
    assert len(texts) == 4 and text() == plain


def taught_checkpoint(config: ProjectConfig, data: Processed) -> Checkpoint:
    torch.manual_seed(0)
    model = new_model(config.override(**{"model.init_std": 0.3}), data.tokenizer)
    assert model.controls is not None
    torch.nn.init.normal_(model.controls.table.weight[1:])
    return Checkpoint(config, data.tokenizer, model.state_dict(), {"data": data.identity})
