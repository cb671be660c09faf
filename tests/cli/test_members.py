"""``train --seeds`` and ``train --teachers``: members that differ by their seed, and a student of them."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from tests.cli.running import SMALL, run
from tests.conftest import make_book
from tiny_diffusion.checkpoint import load_checkpoint
from tiny_diffusion.cli.main import app
from tiny_diffusion.cli.training import job
from tiny_diffusion.cli.training.job import Job
from tiny_diffusion.cli.training.members import _shares
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.errors import UserError
from tiny_diffusion.training.trainer import Trainer

SHORT = ["--config", "debug", *SMALL, "--training.max_steps", "6", "--training.seed", "4"]


def train(prepared: Path, output: Path, *more: str) -> Result:
    given = ["train", "--data-dir", str(prepared), "--output", str(output), *more]
    return CliRunner().invoke(app, given, standalone_mode=False)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path / "best_model.pt").weights


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Path:
    folder = tmp_path_factory.mktemp("ensemble") / "members"
    done = train(prepared, folder, *SHORT, "--seeds", "2")
    assert done.exit_code == 0 and done.exception is None
    assert "member 1, 2 of 2: seed 5" in done.stdout
    return folder


def test_members_are_runs_of_their_own_seeds(tmp_path: Path, members: Path, prepared: Path) -> None:
    first, second = (weights(members / f"member-{k}") for k in (0, 1))
    assert not same(first, second)
    assert [load_checkpoint(members / f"member-{k}" / "best_model.pt").config.training.seed for k in (0, 1)] == [4, 5]
    train(prepared, tmp_path, *SHORT[:-1], "5")
    assert same(second, weights(tmp_path))


def test_a_folder_of_members_writes_with_their_mean(members: Path, prepared: Path) -> None:
    def rows(command: str) -> list[dict[str, Any]]:
        done = CliRunner().invoke(app, shlex.split(command), standalone_mode=False)
        assert done.exception is None
        return [json.loads(line) for line in done.stdout.splitlines()]

    one, two = (str(members / f"member-{k}" / "best_model.pt") for k in (0, 1))
    [mean] = rows(
        f"generate --checkpoint {members} --length 40 --jsonl --data-dir {prepared} --generation.expert ngram"
    )
    assert mean["checkpoint"] == one
    assert [member["checkpoint"] for member in mean["members"]] == [two]
    [alone] = rows(f"generate --checkpoint {one} --length 40 --jsonl --data-dir {prepared} --generation.expert ngram")
    assert "members" not in alone and alone["text"] != mean["text"]


def test_members_are_listed_as_runs(members: Path) -> None:
    listed = CliRunner().invoke(app, ["runs", str(members)], standalone_mode=False).stdout
    assert "member-0" in listed and "member-1" in listed


def test_stopped_members_go_on_and_finished_ones_stay(
    tmp_path: Path, members: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = job.follow

    def stopped_in_the_second(trainer: Trainer, **more: Any) -> Any:
        if trainer.output.name == "member-1":
            step = trainer.stepper.step

            def one_step(*given: Any) -> Any:
                trainer.stop_requested = True
                return step(*given)

            monkeypatch.setattr(trainer.stepper, "step", one_step)
        return follow(trainer, **more)

    monkeypatch.setattr(job, "follow", stopped_in_the_second)
    done = train(prepared, tmp_path, *SHORT, "--seeds", "2")
    assert done.return_value == 130 and not (tmp_path / "member-1" / "best_model.pt").exists()
    told = done.output.split("continue with\n")[1].splitlines()[0]
    again = shlex.split(told)
    assert again == [
        *("tiny-diffusion", "train", "--resume", "--seeds", "2"),
        *("--data-dir", str(prepared), "--output", str(tmp_path)),
    ]
    monkeypatch.setattr(job, "follow", follow)
    before = (tmp_path / "member-0" / "checkpoints" / "last.pt").stat().st_mtime_ns
    resumed = CliRunner().invoke(app, again[1:], standalone_mode=False)
    assert resumed.exception is None and "is finished" in resumed.stdout
    assert (tmp_path / "member-0" / "checkpoints" / "last.pt").stat().st_mtime_ns == before
    assert all(same(weights(tmp_path / f"member-{k}"), weights(members / f"member-{k}")) for k in (0, 1))
    more = train(prepared, tmp_path, "--resume", "--seeds", "3")  # one more, by the settings of the others
    assert more.exception is None
    config = load_checkpoint(tmp_path / "member-2" / "best_model.pt").config
    assert config.training.seed == 6 and config.training.max_steps == 6


def test_the_told_command_makes_one_network_of_all(tmp_path: Path, members: Path, prepared: Path) -> None:
    output = tmp_path / "all"
    shutil.copytree(members, output)
    said = train(prepared, output, "--resume", "--seeds", "2").stdout
    told = shlex.split(said.split("one network of them: ")[1])
    done = CliRunner().invoke(app, told[1:], standalone_mode=False)
    assert done.exception is None and "to see it write" in done.stdout
    member, student = (load_checkpoint(f / "best_model.pt").config for f in (output / "member-0", output))
    assert student.training.teachers == tuple(str(output / f"member-{k}" / "best_model.pt") for k in (0, 1))
    assert student.training.seed == 6
    assert student.curriculum.stages[-1].epochs == round(1.6 * member.curriculum.stages[-1].epochs)
    assert student.curriculum.stages[:-1] == member.curriculum.stages[:-1]
    assert ProjectConfig.preset(output / "config.toml").training.teachers == student.training.teachers
    assert train(prepared, output, "--resume").exception is None
    assert load_checkpoint(output / "best_model.pt").config == student


def test_one_command_trains_members_and_their_student(tmp_path: Path, members: Path, prepared: Path) -> None:
    quick = ["--training.student_epochs", "3"]
    assert train(prepared, tmp_path, *SHORT, *quick, "--seeds", "2", "--student").exception is None
    assert all(same(weights(tmp_path / f"member-{k}"), weights(members / f"member-{k}")) for k in (0, 1))
    student = load_checkpoint(tmp_path / "best_model.pt").config
    assert student.curriculum.stages[-1].epochs == 3 and len(student.training.teachers) == 2
    before = weights(tmp_path)
    done = train(prepared, tmp_path, *SHORT, "--seeds", "1", "--student")
    assert done.exception is None and "is now in" in done.stdout
    (aside,) = (tmp_path / "earlier").iterdir()
    assert same(weights(aside), before) and (aside / "member-0" / "best_model.pt").is_file()
    assert len(load_checkpoint(tmp_path / "best_model.pt").config.training.teachers) == 1


def test_a_budget_is_shared_out_by_the_time_that_each_run_takes() -> None:
    # Two members and a student of 1.6 x (1 + 2/3) = 8/3 of a member's time: 3/14, then 3/11 of the rest, then all.
    project = ProjectConfig.preset("cpu_2m")
    shares = list(_shares(Job(project, None, Path(), Path()), 2))  # type: ignore[arg-type]
    assert shares == pytest.approx([3 / 14, 3 / 11, 1.0])


def test_a_run_on_the_shelf_serves_another_which_reads_no_shelf_again(
    tmp_path: Path, prepared: Path, book_text: str
) -> None:
    (tmp_path / "book.txt").write_text(book_text, encoding="utf-8")
    (tmp_path / "other.txt").write_text(make_book(5_000, seed=9), encoding="utf-8")
    given = [f"--shelf={tmp_path / 'other.txt'}", f"--output={tmp_path / 'data'}", "--config=debug"]
    pipeline = ["--pipeline.vocab_size", "1024"]
    run(None, "prepare", f"--book={tmp_path / 'book.txt'}", *given, *pipeline)
    alone = [part for part in SHORT if part != "--set" and not part.startswith("curriculum.")]
    shelf = train(tmp_path / "data", tmp_path / "shelf", *alone, "--set", "curriculum.stages=[]")
    assert shelf.exception is None and "first 4 epochs of 1 other book" in shelf.stdout
    start = ["--from", str(tmp_path / "shelf" / "best_model.pt")]
    done = train(tmp_path / "data", tmp_path / "book", *SHORT, *start)
    assert done.exception is None and "it has learnt from 1 other book" in done.stdout
    assert "first 4 epochs" not in done.stdout and "warning" not in done.output
    saved = load_checkpoint(tmp_path / "book" / "best_model.pt")
    assert saved.shelf == ("other.txt",) and saved.config.curriculum.shelf_epochs == 0
    listed = CliRunner().invoke(app, ["runs", str(tmp_path / "book")], standalone_mode=False).stdout
    assert "book.txt, after 1 other book" in listed
    for more in (["--seeds", "1"], ["--resume", "--seeds", "2"]):  # the second member begins as the first did
        assert train(tmp_path / "data", tmp_path / "both", *SHORT, *start, *more).exception is None
    assert load_checkpoint(tmp_path / "both" / "member-1" / "best_model.pt").meta["from"]["source"] == "book.txt"
    with pytest.raises(UserError, match="give --config for the stages of the book"):
        raise train(tmp_path / "data", tmp_path / "none", *start).exception or AssertionError("it went")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([*SHORT, "--student"], "--student is taught by the models of --seeds"),
        (["--seeds", "2"], "--seeds needs a size of your own choice"),
        ([*SHORT, "--seeds", "2", "--time-budget", "5m"], "--time-budget plans a single run"),
        (["--config", "debug", "--teachers", "a.pt", "--training.teachers", "[]"], "given 2 times"),
        ([*SHORT, "--teachers", "none.pt"], r"training\.teachers\[0\]=none\.pt is no file"),
    ],
)
def test_what_does_not_go_is_refused(members: Path, prepared: Path, given: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        raise train(prepared, members, *given).exception or AssertionError("it went")


def test_a_dry_run_shows_one_member_and_writes_nothing(tmp_path: Path, prepared: Path) -> None:
    done = train(prepared, tmp_path / "none", *SHORT, "--seeds", "3", "--dry-run")
    assert done.exception is None and "seed = 4" in done.stdout and "seed = 5" not in done.stdout
    assert not (tmp_path / "none").exists()
