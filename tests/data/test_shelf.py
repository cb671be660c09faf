"""Other books to learn from first: what is dropped because it is the book itself, and what stays as it was."""

import json
from pathlib import Path

import pytest

from tests.conftest import make_book
from tests.data.test_pipeline import files
from tiny_diffusion.config import PipelineConfig
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.data.folder import read_training_text
from tiny_diffusion.data.pipeline import LEARNING, prepare
from tiny_diffusion.data.shelf import HELD_OUT, ITSELF, make_shelf
from tiny_diffusion.data.splitting import Passage, sentence_key
from tiny_diffusion.errors import UserError

SETTINGS = PipelineConfig(vocab_size=512)
TRAINED = "The captain walked along the shore and counted every ship that came in that night."
SECRET = "Nobody in the village had ever seen the lighthouse keeper without his grey dog."
TARGET = [Passage(0, "train", (TRAINED,)), Passage(1, "test", (SECRET,))]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "target.txt"
    path.write_text(make_book(30_000), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, book: Path) -> Path:
    """Two other books, of which one quotes the target, and the target itself under another name."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "a.txt").write_text(make_book(9_000, seed=7), encoding="utf-8")
    (folder / "copy.txt").write_text("A new preface to it.\n\n" + book.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "quotes.txt").write_text(make_book(6_000, seed=8), encoding="utf-8")
    return folder


def test_held_out_sentences_are_dropped_from_other_books_and_others_stay() -> None:
    own = "A stranger from the hills sold apples to all the children of the market square on Friday."
    quoted = f"{own} {SECRET.upper()[:-1]}! {TRAINED}"
    filler = "Every house in the long street had a blue door, a brass bell and one sleeping cat on the roof at noon."
    found, removed = make_shelf([("other.txt", [quoted, filler], ())], TARGET, "en", 1000)
    assert found.books == ("other.txt",)
    assert found.passages == (Passage(0, "train", (f"{own} {TRAINED}", filler)),)  # what is trained on may recur
    assert removed.counts == {HELD_OUT: 1}


def test_a_passage_that_is_mostly_the_books_own_is_dropped_and_so_is_a_book() -> None:
    other = ["Rain fell on the quiet garden for seven days, and the old gardener mended his green coat by the fire."]
    found, removed = make_shelf([("x", [*other, f"Well. {TRAINED}"], ())], TARGET, "en", 60)
    assert [p.paragraphs for p in found.passages] == [tuple(other)] and removed.counts == {ITSELF: 1}
    gap = [*other, f"Well. {TRAINED}", other[0].replace("garden", "harbour")]
    found, _ = make_shelf([("x", gap, (2,)), ("y", other, ())], TARGET, "en", 60)
    assert [(p.index, p.book, p.chapters) for p in found.passages] == [(0, 0, ()), (2, 0, (0,)), (3, 1, ())]
    again = [f"{TRAINED} {SECRET}", "Thus it ended, and nobody said anything more about it in all the years to come."]
    found, removed = make_shelf([("edition", again, ()), ("y", other, ())], TARGET, "en", 60)
    assert found.books == ("y",) and [p.book for p in found.passages] == [0] and removed.counts == {ITSELF: 3}
    with pytest.raises(UserError, match="nothing is left of the shelf"):
        make_shelf([("copy", [TRAINED, SECRET], ())], TARGET, "en", 1000)


def test_preparing_with_a_shelf_changes_nothing_of_the_book_and_lets_no_held_out_sentence_in(
    book: Path, shelf: Path, tmp_path: Path
) -> None:
    list(prepare(book, tmp_path / "plain", SETTINGS))
    plain = load_processed(tmp_path / "plain")
    held_out = [p for p in plain.passages if p.split != "train"]
    with (shelf / "quotes.txt").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{held_out[0].paragraphs[0]}\n\n{make_book(3_000, seed=9)}")
    list(prepare(book, tmp_path / "shelf", SETTINGS, shelf=[shelf]))
    data = load_processed(tmp_path / "shelf")
    assert data.shelf.books == ("a.txt", "quotes.txt")
    assert data.removed.counts[ITSELF] >= 5 and data.removed.counts[HELD_OUT] >= 3
    banned = {sentence_key(s) for p in held_out for text in p.paragraphs for s in text.split(". ")} - {None}
    keys = [sentence_key(s) for p in data.shelf.passages for text in p.paragraphs for s in text.split(". ")]
    assert len(banned) > 40 and len(keys) > 100 and banned.isdisjoint(keys)
    own, with_shelf = files(tmp_path / "plain"), files(tmp_path / "shelf")
    meta, more = json.loads(own.pop("meta.json")), json.loads(with_shelf.pop("meta.json"))
    assert with_shelf.pop("shelf.jsonl") and own == with_shelf
    assert {key for key in more if more[key] != meta.get(key)} == {"shelf", "shelf_hash", "removed"}
    assert data.book_identity == plain.identity == plain.book_identity != data.identity
    assert read_training_text(tmp_path / "shelf").book_identity == plain.identity


def test_a_change_of_the_shelf_is_noticed_and_leaving_it_out_removes_it(
    book: Path, shelf: Path, tmp_path: Path
) -> None:
    def learns(*sources: Path) -> bool:
        return LEARNING in [step.name for step in prepare(book, tmp_path, SETTINGS, shelf=sources)]

    assert learns(shelf) and not learns(shelf)
    with_shelf = load_processed(tmp_path).identity
    assert learns(shelf / "a.txt") and load_processed(tmp_path).identity != with_shelf
    assert learns() and not (tmp_path / "shelf.jsonl").exists() and not load_processed(tmp_path).shelf.passages
    assert not learns()
