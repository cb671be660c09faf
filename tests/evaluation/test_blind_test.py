"""The blind test: the file of answers, and the command as raters use it."""

import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from tiny_diffusion.checkpoint import Checkpoint, new_model, save_checkpoint
from tiny_diffusion.cli.main import app
from tiny_diffusion.config import ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.blind_test.records import BlindPassage, Origin
from tiny_diffusion.evaluation.blind_test.statistics import report
from tiny_diffusion.evaluation.blind_test.store import AnswerStore, checked_name

PASSAGES = [BlindPassage(f"{kind} passage number {n}", kind == "Old") for n in range(3) for kind in ("Old", "New")]
ORIGIN = Origin({"evaluation.seed": 0}, "best_model.pt", "0" * 64, "book.txt", "1" * 64, "2030-01-01")


@pytest.fixture
def store(tmp_path: Path) -> AnswerStore:
    return AnswerStore.create(tmp_path / "answers" / "test.sqlite", ORIGIN, PASSAGES)


def answer_all(store: AnswerStore, rater: str, verdict: str | None = None, rating: int = 3) -> None:
    """Answer the remaining questions: correctly, or with one verdict for all."""
    while (question := store.next_question(rater)) is not None:
        right = "real" if question.text.startswith("Old") else "generated"
        store.record(question, (verdict or right) if question.ask == "verdict" else rating)


def test_each_rater_sees_all_in_an_order_of_their_own(store: AnswerStore) -> None:
    orders = {}
    for rater in ("anna", "bob", "cem"):
        store.join(rater, None)
        seen = []
        while (question := store.next_question(rater)) is not None:
            assert (question.position, question.total, question.ask) == (len(seen) + 1, 6, "verdict")
            seen.append(question.text)
            store.record(question, "real")
        orders[rater] = tuple(seen)
        assert sorted(seen) == sorted(p.text for p in PASSAGES)
    assert len(set(orders.values())) == 3


def test_order_follows_the_seed(store: AnswerStore, tmp_path: Path) -> None:
    again = AnswerStore.create(tmp_path / "same.sqlite", ORIGIN, PASSAGES)
    other = Origin({"evaluation.seed": 1}, *list(vars(ORIGIN).values())[1:])
    stores = [store, again, AnswerStore.create(tmp_path / "other.sqlite", other, PASSAGES)]
    orders = []
    for each in stores:
        each.join("anna", None)
        answer_all(each, "anna")
        orders.append([a.passage for a in each.answers()])
    assert orders[0] == orders[1] != orders[2]


def test_an_answer_is_kept_at_once(store: AnswerStore) -> None:
    store.join("anna", True)
    first = store.next_question("anna")
    assert first is not None
    store.record(first, "real")  # the store is not closed, as if the process had died here
    with AnswerStore(store.path) as later:
        question = later.next_question("anna")
        assert question is not None and (question.position, question.ask) == (1, "style")
        later.join("anna", None)  # continues with ratings without being told again
        later.record(question, 5)
    question = store.next_question("anna")
    assert question is not None and question.ask == "fluency"


def test_undo_walks_back_answer_by_answer(store: AnswerStore) -> None:
    store.join("anna", True)
    assert not store.undo("anna")
    asked = []
    for value in ("real", 1, 2, 3, "generated", 4):
        question = store.next_question("anna")
        assert question is not None
        asked.append((question.position, question.ask))
        store.record(question, value)
    assert asked[3:5] == [(1, "sense"), (2, "verdict")]
    for position, ask in reversed(asked):
        assert store.undo("anna")
        question = store.next_question("anna")
        assert question is not None and (question.position, question.ask) == (position, ask)
    assert not store.undo("anna")


def test_after_the_end_answers_stand(store: AnswerStore) -> None:
    store.join("anna", None)
    answer_all(store, "anna")
    with pytest.raises(UserError, match="has finished"):
        store.undo("anna")


def test_two_windows_of_one_rater(store: AnswerStore) -> None:
    store.join("anna", None)
    question = store.next_question("anna")
    assert question is not None
    store.record(question, "real")
    with pytest.raises(UserError, match="another window"):
        store.record(question, "generated")
    store.undo("anna")
    assert store.next_question("anna") == question


def test_many_raters_at_once(store: AnswerStore) -> None:
    def rate(name: str) -> None:
        with AnswerStore(store.path) as own:
            own.join(name, True)
            answer_all(own, name)

    names = [f"rater {n}" for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(rate, names))
    assert {(p.rater, p.done, p.total) for p in store.progress()} == {(name, 6, 6) for name in names}
    assert len(store.answers()) == 36 and all(a.real == a.said_real for a in store.answers())


def test_ratings_stay_as_begun(store: AnswerStore) -> None:
    store.join("anna", True)
    store.join("bob", None)
    with pytest.raises(UserError, match="anna began with ratings: leave --no-rate out"):
        store.join("anna", False)
    with pytest.raises(UserError, match="bob began without ratings: leave --rate out"):
        store.join("bob", True)


def test_only_the_finished_count(store: AnswerStore) -> None:
    for rater, rates in (("anna", True), ("bob", False), ("cem", False)):
        store.join(rater, rates)
    answer_all(store, "anna", rating=4)
    question = store.next_question("cem")
    assert question is not None
    store.record(question, "real")
    found = report(store, 200)
    assert [s.rater for s in found.scores] == ["anna"] and found.scores[0].accuracy == 1
    assert found.resampled_accuracy is None and found.agreement == []
    assert [(p.rater, p.done) for p in found.progress] == [("anna", 6), ("bob", 0), ("cem", 1)]
    answer_all(store, "bob", verdict="real")
    found = report(store, 200)
    assert [(s.rater, s.right, s.answers) for s in found.scores] == [
        ("anna", 6, 6),
        ("bob", 3, 6),
        ("all raters", 9, 12),
    ]
    assert found.resampled_accuracy == (0.5, 1.0)
    assert [d.raters for d in found.differences] == [1, 1, 1]  # bob did not rate
    # Coincidences by hand: 6 of 12 values in pairs that differ, 9 "real" and 3 "generated": 1 - (6/12) / (54/132).
    assert found.agreement[0].alpha == pytest.approx(1 - (6 / 12) / (54 / 132))
    assert [a.alpha for a in found.agreement[1:]] == [None, None, None]


def test_a_test_begun_meanwhile_is_opened(store: AnswerStore) -> None:
    other = Origin({"evaluation.seed": 5}, *list(vars(ORIGIN).values())[1:])
    second = AnswerStore.create(store.path, other, PASSAGES[:2])
    assert second.origin == ORIGIN
    second.join("anna", None)
    assert second.progress()[0].total == 6


def test_foreign_and_damaged_files_are_refused(store: AnswerStore, tmp_path: Path) -> None:
    store.close()
    whole = store.path.read_bytes()

    def refuses(content: bytes, words: str) -> None:
        path = tmp_path / "given.sqlite"
        path.write_bytes(content)
        with pytest.raises(UserError, match=words) as caught:
            AnswerStore(path)
        assert "\n" not in str(caught.value) and path.read_bytes() == content

    refuses(b"no database at all" * 100, "damaged or no SQLite file")
    refuses(whole[: len(whole) // 2], "damaged or no SQLite file")
    refuses(whole.replace(b'"book.txt"', b'{"[ok.txt"'), "settings cannot be read")
    refuses(b"", "no blind test")
    changed = bytearray(whole)
    changed[60:64] = (9).to_bytes(4, "big")  # the header's user version
    refuses(bytes(changed), "version 9")
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()
    refuses(foreign.read_bytes(), "not a blind test")


def test_values_that_cannot_be_are_refused(store: AnswerStore) -> None:
    store.join("anna", True)
    question = store.next_question("anna")
    assert question is not None
    with pytest.raises(UserError, match="CHECK"):
        store.record(question, "perhaps")
    assert checked_name("  Zoe\u0301 ") == "Zoé"
    for name in ("", " ", "a\nb", "n" * 21, "all raters"):
        with pytest.raises(UserError, match="--rater"):
            checked_name(name)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, config: ProjectConfig, data: Processed) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("trained") / "best_model.pt"
    save_checkpoint(
        path,
        Checkpoint(config, data.tokenizer, new_model(config, data.tokenizer).state_dict(), {"data": data.identity}),
    )
    return path


class Desk:
    """A folder with a blind test, and a way to call the command there."""

    def __init__(self, answers: Path, making: list[str]) -> None:
        self.answers, self.making = answers, making

    def call(self, *arguments: str, typed: str = "") -> Result:
        given = ["blind-test", "--answers", str(self.answers), *arguments]
        return CliRunner().invoke(app, given, input=typed, env={"COLUMNS": "80"})

    def truth(self) -> dict[str, str]:
        """The key r or g for each passage, by its text without white space, because a terminal breaks lines."""
        rows = sqlite3.connect(self.answers).execute("SELECT text, truth FROM passage").fetchall()
        return {"".join(text.split()): truth[0] for text, truth in rows}


@pytest.fixture
def desk(tmp_path: Path, trained: Path, prepared: Path) -> Desk:
    making = ["--checkpoint", str(trained), "--data-dir", str(prepared), "--passages", "4", "--words", "8"]
    return Desk(tmp_path / "blind.sqlite", [*making, "--generation.steps", "2"])


def test_a_rater_from_beginning_to_end(desk: Desk) -> None:
    first = desk.call("--rater", "anna", *desk.making, typed="x\nr\nu\nr\n")
    assert first.exit_code == 0, first.output
    assert "press one of r g" in first.output and "1 of 4 passages done" in first.output
    assert first.output.count("passage 1 of 4") == 2 and "passage 2 of 4" in first.output
    assert max(map(len, first.output.splitlines())) <= 80 or str(desk.answers) in first.output
    rest = desk.call("--rater", "anna", typed="r\nr\nr\n")  # resumes without model, data or settings
    assert "passage 1 of 4" not in rest.output and "passage 2 of 4" in rest.output
    before, _, after = rest.output.partition("anna: ")
    assert after.startswith("2 of 4 right, 50% (95 % interval 15% to 85%); guessing cannot be ruled out")
    assert after.count("generated") == 2  # the two passages that fooled
    assert "generated" not in before.replace("real or generated? (r, g)", "")
    again = desk.call("--rater", "anna")
    assert again.exit_code == 0 and "anna: 2 of 4 right" in again.output and "passage 4" not in again.output


def test_truth_by_hand(desk: Desk) -> None:
    desk.call("--rater", "anna", *desk.making)
    truth = desk.truth()
    assert sorted(truth.values()) == ["g", "g", "r", "r"]
    for _ in range(4):
        shown = "".join(desk.call("--rater", "anna").output.split())
        [key] = [kind for text, kind in truth.items() if text in shown]
        last = desk.call("--rater", "anna", typed=key).output
    assert "4 of 4 right, 100%" in last and "fooled" not in last


def test_ratings_report_and_json(desk: Desk) -> None:
    for rater in ("anna", "bob"):
        desk.call("--rater", rater, "--rate", *desk.making, typed="r\n3\n4\n5\n" * 4)
    desk.call("--rater", "cem", typed="g\nq\n")
    text = desk.call("--report").output
    assert "all raters" in text and "4 of 8" in text and "Krippendorff" in text
    assert "cem: 1 of 4 passages, not finished, not counted" in text
    assert max(map(len, text.splitlines())) <= 80
    found = json.loads(desk.call("--report", "--json").output)
    assert found["scores"][2]["accuracy"] == 0.5 and found["version"] == 1
    assert [(d["aspect"], d["real"], d["generated"]) for d in found["differences"]] == [
        ("style", 3, 3), ("fluency", 4, 4), ("sense", 5, 5)
    ]  # fmt: skip
    assert found["agreement"][0]["alpha"] is None
    assert not any(text in json.dumps(found) for text in desk.truth())


def test_report_before_anyone_has_finished(desk: Desk) -> None:
    desk.call("--rater", "anna", *desk.making, typed="r\n")
    assert "nobody has finished yet" in desk.call("--report").output


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--words", "9"], "evaluation.blind_words 8, not 9"),
        (["--passages", "6"], "evaluation.blind_passages 4, not 6"),
        (["--seed", "1"], "evaluation.seed 0, not 1"),
        (["--preset", "creative"], "generation.temperature 0.9, not 1.0"),
        (["--generation.top_k", "1"], "generation.top_k 0, not 1"),
        (["--data-dir", "none"], "no prepared book"),
        (["--checkpoint", "none.pt"], "leave --checkpoint out"),
    ],
)
def test_other_settings_are_refused_with_a_way_out(desk: Desk, flags: list[str], words: str) -> None:
    desk.call("--rater", "anna", *desk.making, typed="r\n")
    before = desk.answers.read_bytes()
    refused = desk.call("--rater", "bob", *flags)
    assert isinstance(refused.exception, UserError) and words in str(refused.exception)
    assert desk.answers.read_bytes() == before
    assert desk.call("--rater", "bob", *desk.making, typed="r\n").exit_code == 0  # the same flags again are fine


def test_a_place_that_cannot_be_written_is_refused_before_the_model_writes(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiny_diffusion.evaluation.blind_test.beginning.write_passages", None)
    (tmp_path / "folder").mkdir()
    for place, words in (("folder", "is a folder"), ("folder/x/blind.sqlite", "cannot make the folder")):
        (tmp_path / "folder" / "x").touch()
        refused = Desk(tmp_path / place, []).call("--rater", "anna", *desk.making)
        assert isinstance(refused.exception, UserError) and words in str(refused.exception)


def test_another_checkpoint_is_refused(desk: Desk, tmp_path: Path, trained: Path) -> None:
    desk.call("--rater", "anna", *desk.making)
    (tmp_path / "other.pt").write_bytes(trained.read_bytes() + b"x")
    refused = desk.call("--rater", "anna", "--checkpoint", str(tmp_path / "other.pt"))
    assert "another checkpoint" in str(refused.exception) and "--answers" in str(refused.exception)


def test_one_key_in_a_terminal_and_ctrl_c_keeps_the_answer(tmp_path: Path) -> None:
    settings = ORIGIN.settings | {"evaluation.blind_words": 5}
    path = tmp_path / "t.sqlite"
    AnswerStore.create(path, Origin(settings, *list(vars(ORIGIN).values())[1:]), PASSAGES).close()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tiny_diffusion", "blind-test", "--rater", "anna", "--answers", str(path)]
    child = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    output = press(ours, child.stdout.fileno(), b"r", until=b"passage 2 of 6")
    output += press(ours, child.stdout.fileno(), b"\x03", until=None)
    _, errors = child.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert child.returncode == 130 and errors.strip() == b"error: interrupted"
    with AnswerStore(path) as store:
        assert store.progress()[0].done == len(re.findall(rb"passage \d of 6", output)) - 1 > 0


def press(terminal: int, output: int, key: bytes, until: bytes | None) -> bytes:
    """Press a key repeatedly, because one pressed between two questions is dropped; return the output so far."""
    seen = b""
    for _ in range(300):
        if select.select([output], [], [], 0.2)[0]:
            piece = os.read(output, 1000)
            seen += piece
            if not piece or (until is not None and until in seen):
                return seen
        elif b"real or generated" in seen or until is None:
            os.write(terminal, key)
    raise AssertionError(f"no end to {seen!r}")
