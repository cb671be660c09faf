"""The demo: which book it takes, one screen at its end, a failure when nothing is learnt, going on after a stop."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tiny_diffusion.checkpoint import Checkpoint, new_model, save_checkpoint
from tiny_diffusion.cli.demo import command as demo
from tiny_diffusion.cli.demo import screen as demo_screen
from tiny_diffusion.cli.evaluation import report_tables
from tiny_diffusion.cli.evaluation import run as evaluation
from tiny_diffusion.cli.training import job
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.copies import CopyIndex
from tiny_diffusion.data.reading import loading
from tiny_diffusion.data.reading.loading import Book, OutOfReach
from tiny_diffusion.errors import WorldError
from tiny_diffusion.evaluation.report.evaluate import evaluate as measure
from tiny_diffusion.evaluation.report.verdict import learnt_nothing, plainly
from tiny_diffusion.evaluation.result import Report
from tiny_diffusion.evaluation.text_quality.novelty import copied_stretches
from tiny_diffusion.training.events import StepDone
from tiny_diffusion.training.run_state import unfinished
from tiny_diffusion.training.trainer import Trainer

from .running import run


@pytest.fixture(scope="module")
def small(config: ProjectConfig) -> ProjectConfig:
    few = {"draws": 2, "windows": 4, "samples": 2, "sample_tokens": 32, "chain_rule": False, "breakdown_draws": 0}
    more = {"novelty_steps": [], "temperatures": [], "book_pieces": 10, "bootstrap": 100, "ngram_orders": [1, 2, 3]}
    return config.override(evaluation=few | more, generation={"steps": 4})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, small: ProjectConfig, data: Processed) -> Path:
    """A demo's folder with an untrained model in it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("demo")
    weights = new_model(small, data.tokenizer).state_dict()
    meta = {"data": data.identity, "language": "en", "source": data.source}
    save_checkpoint(folder / "run" / "best_model.pt", Checkpoint(small, data.tokenizer, weights, meta))
    return folder


@pytest.fixture(scope="module")
def report(root: Path, small: ProjectConfig, data: Processed) -> Report:
    from tiny_diffusion.checkpoint import load_checkpoint

    loaded = load_checkpoint(root / "run" / "best_model.pt")
    *_, found = measure(loaded, data, small.evaluation, small.generation, torch.device("cpu"))
    assert isinstance(found, Report)
    return found


def test_the_book_that_is_given_is_taken(tmp_path: Path) -> None:
    assert demo.find_book("mine.txt", tmp_path) == ("mine.txt", "mine.txt")


def test_without_the_network_it_takes_what_python_carries_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(source: str, patience: float) -> Book:
        assert patience == 5.0
        raise OutOfReach(source, "timed out")

    monkeypatch.setattr(loading, "read_book", unreachable)
    source, told = demo.find_book(None, tmp_path)
    assert Path(source).stat().st_size > 100_000 and told == "Python's reference (no Frankenstein: timed out)"


@pytest.mark.parametrize(("text", "taken"), [("The Frankenstein of it", True), ("Log in to go on", False)])
def test_frankenstein_is_fetched_once_and_no_other_page_is_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, taken: bool
) -> None:
    asked = []

    def fetched(source: str, patience: float) -> Book:
        asked.append(source)
        return Book(text=text, source=source, encoding="utf-8", title=None)

    monkeypatch.setattr(loading, "read_book", fetched)
    for _ in range(2):
        source, told = demo.find_book(None, tmp_path)
        assert ("Frankenstein," in told) == taken and Path(source).exists()
    assert asked == ["gutenberg:84"] * (1 if taken else 2)


def test_the_last_screen_fits_a_terminal_of_24_by_80(
    report: Report,
    root: Path,
    small: ProjectConfig,
    data: Processed,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(root)
    demo_screen.show(report, data, demo_screen.Places.within(Path(".")), small)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 24 and max(map(len, lines)) <= 80
    shown = "\n".join(lines)
    assert "this model" in shown and "run/report.html" in shown
    for command in ("generate", "infill", "train"):
        assert f"tiny-diffusion {command}" in shown or f" {command} " in shown


def test_kept_files_are_where_all_commands_look(
    tmp_path: Path, root: Path, report: Report, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(config: ProjectConfig, data: Processed, places: demo_screen.Places, overrides: list[str]) -> None:
        places.run.mkdir()
        shutil.copyfile(root / "run" / "best_model.pt", places.checkpoint)

    monkeypatch.setattr(demo, "_train", trained)
    monkeypatch.setattr(demo, "_evaluate", lambda *given: report)
    book = ("--book", str(prepared.parent / "book.txt"), "--pipeline.vocab_size", "1024")
    told = run(tmp_path, "demo", *book, "--keep").text
    assert "--checkpoint" not in told and "--data-dir" not in told
    assert "preparing data/processed" in told and "outputs/report.html" in told
    assert run(tmp_path, "generate", "--length", "8").text.strip()
    assert not (tmp_path / "outputs" / "demo").exists()
    assert "one of the two" in run(tmp_path, "demo", "--keep", "--folder", "mine", code=2).stderr


def test_a_hidden_gap_is_a_sentence_of_the_test_text(data: Processed) -> None:
    hidden = demo_screen.hide_words(data)
    assert hidden is not None and len(hidden.words.split()) == demo_screen.HIDDEN
    sentence = hidden.before + hidden.words + hidden.after
    test = " ".join(" ".join(data.texts("test")).split())
    assert sentence in test and sentence not in " ".join(" ".join(data.texts("train")).split())


def with_bits(report: Report, bits: float) -> Report:
    return replace(report, likelihood=[replace(report.likelihood[0], bits_per_byte=bits), *report.likelihood[1:]])


def test_a_model_worse_than_single_words_is_a_failure(
    report: Report, root: Path, small: ProjectConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    unigram = next(row.bits_per_byte for row in report.likelihood if row.name == "unigram")
    assert not learnt_nothing(with_bits(report, unigram - 0.1)) and learnt_nothing(with_bits(report, unigram))
    assert "learnt nothing" in plainly(with_bits(report, unigram + 0.1))
    monkeypatch.setattr(evaluation, "run", lambda *given: with_bits(report, unigram + 0.1))
    with pytest.raises(WorldError, match="learnt nothing"):
        demo._evaluate(small, demo_screen.Places.within(root))
    monkeypatch.setattr(evaluation, "run", lambda *given: with_bits(report, unigram - 0.1))
    assert demo._evaluate(small, demo_screen.Places.within(root)).likelihood[0].bits_per_byte < unigram


def test_evaluate_says_its_verdict_first_and_two_tables(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    report_tables.show(report)
    short = capsys.readouterr().out
    assert short.startswith("On this held-out text the model") and short.count("┏") == 2
    report_tables.show(report, verbose=True)
    assert capsys.readouterr().out.count("┏") > 4


def test_copied_stretches_are_marked_by_character() -> None:
    index = CopyIndex(["one two three four five six seven"])
    text = "He said: one two three four five. Then six seven."
    (match,) = index.match([text])
    assert [text[a:b] for a, b in copied_stretches(text, match)] == ["one two three four five"]
    (match,) = index.match(["one two three"])
    assert copied_stretches("one two three", match) == []


def test_only_a_stopped_run_of_the_same_settings_goes_on(
    tmp_path: Path, config: ProjectConfig, data: Processed
) -> None:
    trainer = Trainer(config, data, tmp_path)
    assert not unfinished(trainer.run_path, config, data)
    for event in trainer.run():
        trainer.stop_requested |= isinstance(event, StepDone) and event.step == 3
    assert unfinished(trainer.run_path, config, data)
    assert not unfinished(trainer.run_path, config.override(**{"training.seed": 5}), data)
    for _ in Trainer(config, data, tmp_path, resume=True).run():
        pass
    assert not unfinished(trainer.run_path, config, data)


def test_a_stopped_demo_is_told_to_type_the_same_again_and_then_goes_on(
    tmp_path: Path, config: ProjectConfig, data: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[job.Job] = []
    monkeypatch.setattr(job, "run", asked.append)
    demo._train(config, data, demo_screen.Places.within(tmp_path), [])
    trainer = Trainer(config, data, tmp_path / "run")
    for event in trainer.run():
        trainer.stop_requested |= isinstance(event, StepDone)
    demo._train(config, data, demo_screen.Places.within(tmp_path), [])
    assert [each.resume for each in asked] == [False, True]
    assert [each.again for each in asked] == ["the same command"] * 2  # the demo knows no --resume
    assert asked[0].budget is not None and asked[1].budget is None  # a run knows the time that it has left
