"""What earlier versions wrote is still read; an unknown setting of a later version is refused by name."""

import logging
from pathlib import Path
from typing import get_args

import pytest
import torch

from tiny_diffusion.checkpoint import load_checkpoint, load_plain, save_plain
from tiny_diffusion.cli.main import main
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.config.generation_config import Sampler
from tiny_diffusion.config.history import GONE, SAMPLERS_NOW, up_to_date
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.training.trainer import Trainer
from tiny_diffusion.version import PROGRAM_VERSION
from tiny_diffusion.writing.writer import Writer

KEPT = sorted((Path(__file__).parents[1] / "checkpoints").glob("*.pt"))
NEWER = ("controls", "versioned")  # made when models could learn controls


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_checkpoint_of_every_format_loads_and_writes(path: Path) -> None:
    checkpoint = load_checkpoint(path)
    assert (checkpoint.config.model.d_model, checkpoint.config.model.controls) == (16, path.stem in NEWER)
    model = checkpoint.build(torch.device("cpu"))
    settings = checkpoint.config.generation.as_drawn().model_copy(update={"steps": 4, "length": 12})
    written = Writer(model, checkpoint.tokenizer).write("The old", settings)[0].text
    assert written.startswith("The old") and len(written) > len("The old")
    assert ProjectConfig.preset(path.with_suffix(".toml")).model == checkpoint.config.model


def test_all_formats_are_kept() -> None:
    assert [path.stem for path in KEPT] == ["controls", "first", "patience", "versioned"]
    assert all(path.stat().st_size < 100_000 for path in KEPT)
    assert "program" not in load_plain(KEPT[1]) and load_plain(KEPT[3])["program"] == "0.1.0"
    saved = load_plain(KEPT[2])["config"]
    assert saved["study"]["twin_patience"] == 3


def test_a_setting_that_is_gone_is_dropped_with_a_note(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load_checkpoint(KEPT[2])
    assert [record.getMessage() for record in caplog.records] == [
        "the setting study.twin_patience (3) is gone since version 0.1.0 and was left out"
    ]


def test_the_command_line_shows_the_note_once(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(KEPT[2])
    for _ in range(2):  # each command tells its own
        with pytest.raises(SystemExit) as ended:
            main(["generate", "--checkpoint", path, "--length", "4", "--steps", "2"])
        assert ended.value.code == 0
        said = capsys.readouterr().err
        assert said.count("note: the setting study.twin_patience (3) is gone") == 1


MOVED = {"generation": {"sampler": "planner", "gap_sampler": "remasking"}}


def test_a_sampler_that_moved_is_replaced_in_a_checkpoint_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = load_plain(KEPT[3])
    data["config"]["generation"].update(MOVED["generation"], planning=0.5, threshold=0.9)
    save_plain(tmp_path / "old.pt", data)
    with caplog.at_level(logging.WARNING):
        settings = load_checkpoint(tmp_path / "old.pt").config.generation
    assert (settings.sampler, settings.gap_sampler) == ("confidence", "ancestral")
    assert [record.getMessage() for record in caplog.records] == [
        "the setting generation.planning (0.5) is gone since version 0.2.0 and was left out",
        "generation.sampler=planner is an example now; confidence takes its place",
        "generation.gap_sampler=remasking is an example now; ancestral takes its place",
    ]


@pytest.mark.parametrize("text", ["[generation]\nsampler = 'planner'", "'generation.sampler' = 'planner'"])
def test_a_config_file_that_names_a_sampler_that_moved_says_what_to_take(tmp_path: Path, text: str) -> None:
    (tmp_path / "my.toml").write_text(text, encoding="utf-8")
    with pytest.raises(
        UserError, match=r"my\.toml: generation.sampler=planner is .*more_samplers.py\): take confidence"
    ):
        ProjectConfig.preset(tmp_path / "my.toml")
    assert set(SAMPLERS_NOW.values()) < set(get_args(Sampler)) and not SAMPLERS_NOW.keys() & {*get_args(Sampler)}


def test_removed_settings_leave_a_copy() -> None:
    saved = {"generation": {"threshold": 0.5, "steps": 2}, "model": "cpu_2m", "study": "default"}
    assert up_to_date(saved) == {"generation": {"steps": 2}, "model": "cpu_2m", "study": "default"}
    assert saved["generation"] == {"threshold": 0.5, "steps": 2}


def test_no_setting_that_is_gone_exists() -> None:
    default = ProjectConfig.default().to_dict()
    for key in GONE:
        group, name = key.split(".")
        assert name not in default[group]


@pytest.mark.parametrize("writer", ["9.9.0", None])
def test_an_unknown_setting_is_refused_by_name_with_both_versions(tmp_path: Path, writer: str | None) -> None:
    data = load_plain(KEPT[3])
    data["config"]["curriculum"]["stages"][1]["heat"] = 1
    data["program"] = writer
    save_plain(tmp_path / "new.pt", data)
    with pytest.raises(UserError, match=r"curriculum\.stages\[1\]\.heat") as caught:
        load_checkpoint(tmp_path / "new.pt")
    line = str(caught.value)
    assert "new.pt" in line and PROGRAM_VERSION in line and "\n" not in line
    assert writer is None or "version 9.9.0" in line


def test_a_run_saved_by_an_earlier_version_goes_on(tmp_path: Path, config: ProjectConfig, data: Processed) -> None:
    trainer = Trainer(config, data, tmp_path)
    trainer.save_run()
    state = load_plain(trainer.run_path)
    assert state["program"] == PROGRAM_VERSION
    state["config"]["study"]["twin_patience"] = 3
    save_plain(trainer.run_path, state)
    Trainer(config, data, tmp_path, resume=True)
    state["config"]["training"]["cooling"] = 1
    save_plain(trainer.run_path, state)
    with pytest.raises(UserError, match=r"last\.pt was written by version .* training\.cooling"):
        Trainer(config, data, tmp_path, resume=True)
