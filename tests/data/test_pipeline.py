"""The steps from a book to data: repeatable, idle if nothing changed, and sensitive to each setting."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import make_book
from tiny_diffusion.config import PipelineConfig, ProjectConfig
from tiny_diffusion.data import pipeline
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.data.folder import digest, read_training_text, settings_hash
from tiny_diffusion.data.pipeline import LEARNING, prepare
from tiny_diffusion.data.reading.cleaning import Cleaned
from tiny_diffusion.data.sentences import sentences_of, spacy_splitter, without_leaks
from tiny_diffusion.data.splitting import BREAK, Passage
from tiny_diffusion.errors import UserError

HEAD = (
    "The Project Gutenberg EBook of Tales\n\n*** START OF THIS PROJECT GUTENBERG EBOOK TALES ***\n\n"
    "CHAPTER I\n\nYes.\n\n"
)
FOOT = "\n\n*** END OF THIS PROJECT GUTENBERG EBOOK TALES ***\n\nLicence text of the frame.\n"


def wrapped(text: str) -> str:
    """Hard-wrapped at about 60 characters, as Gutenberg's books are."""
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        line = ""
        for word in paragraph.split():
            if len(line) + len(word) > 60:
                lines.append(line)
                line = ""
            line = f"{line} {word}".strip()
        lines += [line, ""]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("books") / "tales.txt"
    path.write_text(HEAD + wrapped(make_book(30_000)) + FOOT, encoding="utf-8")
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def made(book: Path, folder: Path, settings: PipelineConfig) -> dict[str, bytes]:
    """All artefacts except meta.json, which contains the settings themselves."""
    list(prepare(book, folder, settings))
    return {name: data for name, data in files(folder).items() if name != "meta.json"}


def test_the_same_input_gives_the_same_bytes_and_a_second_run_does_nothing(book: Path, tmp_path: Path) -> None:
    settings = PipelineConfig()
    steps = [step.name for step in prepare(book, tmp_path / "a", settings)]
    assert len(steps) > 4
    list(prepare(book, tmp_path / "b", settings))
    assert files(tmp_path / "a") == files(tmp_path / "b")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*")}
    assert LEARNING not in [step.name for step in prepare(book, tmp_path / "a", settings)]
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*")}


KNOBS = {
    "pipeline.strip_gutenberg": False, "pipeline.unwrap": False, "pipeline.drop_headings": False,
    "pipeline.keep": ["headings"],
    "pipeline.language": "fr", "pipeline.passage_chars": 700, "pipeline.vocab_size": 513,
    "pipeline.min_sentence_words": 12, "pipeline.difficulty.lexical_rarity": 0.9,
    "pipeline.difficulty.syntactic_complexity": 0.9, "pipeline.difficulty.argument_structure": 0.9,
    "pipeline.difficulty.thematic_centrality": 0.9, "pipeline.embedding_dim": 3, "pipeline.clusters": 2,
    "pipeline.seed": 5,
}  # fmt: skip


@pytest.mark.parametrize("key", KNOBS)
def test_each_knob_moves_something(book: Path, tmp_path: Path, key: str) -> None:
    base = ProjectConfig.default()
    changed = base.override(**{key: KNOBS[key]})
    assert made(book, tmp_path / "a", base.pipeline) != made(book, tmp_path / "b", changed.pipeline)


def test_fitting_sees_training_text_only(book: Path, tmp_path: Path) -> None:
    """Other held-out text leaves the tokenizer and the scores of the same training text equal to the byte."""
    list(prepare(book, tmp_path / "a", PipelineConfig()))
    data = load_processed(tmp_path / "a")
    text = book.read_text(encoding="utf-8")
    swapped = HEAD.removesuffix("Yes.\n\n")
    for passage in data.passages:
        for paragraph in passage.paragraphs:
            new = paragraph if passage.split == "train" else paragraph.swapcase().replace("E", "Z")
            swapped += new + "\n\n"
    assert swapped != text
    other = tmp_path / "other.txt"
    other.write_text(swapped + FOOT, encoding="utf-8")
    list(prepare(other, tmp_path / "b", PipelineConfig()))
    changed = load_processed(tmp_path / "b")
    assert changed.texts("train") == data.texts("train") and changed.texts("test") != data.texts("test")
    a, b = files(tmp_path / "a"), files(tmp_path / "b")
    for name in ("tokenizer/compressed_tokenizer.json", "sentences.jsonl", "difficulty.safetensors"):
        assert a[name] == b[name]


def test_a_damaged_folder_is_refused(book: Path, tmp_path: Path) -> None:
    list(prepare(book, tmp_path, PipelineConfig()))
    (tmp_path / "sentences.jsonl").write_text("{broken")
    with pytest.raises(UserError, match="damaged"):
        load_processed(tmp_path)
    (tmp_path / "meta.json").write_text("[]")
    with pytest.raises(UserError, match="another version"):
        load_processed(tmp_path)


@pytest.mark.parametrize(
    "piece",
    [
        "Старый мельник №{} шёл по узкой дороге. Он думал о доме и о саде своего брата {}. ",
        "Ο γέρος μυλωνάς {} περπατούσε στον δρόμο. Σκεφτόταν το σπίτι του {}. ",
        "老磨坊主{}走在狭窄的路上。他想着家和花园{}。",
        "The 🙂 miller {} sold 🌻🌻 to {} sailors. ",
    ],
)
def test_books_in_any_script(tmp_path: Path, piece: str) -> None:
    paragraphs = ["".join(piece.format(i * 7 + j, i * 13 % 101) for j in range(5)) for i in range(120)]
    path = tmp_path / "книга é.txt"
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    list(prepare(path, tmp_path / "out", PipelineConfig()))
    data = load_processed(tmp_path / "out")
    for split in ("train", "validation", "test"):
        assert data.texts(split)
        for text in data.texts(split):
            for level in (1, 3, 5):
                assert data.tokenizer.decode(data.tokenizer.encode(text, level)) == text


def test_no_held_out_sentence_stays_in_a_training_passage() -> None:
    shared = "Nobody in the village had ever seen the old miller laugh."
    passages = [
        Passage(0, "train", (f"A first one. {shared} A last one.", "Quite another.")),
        Passage(1, "test", (f"It is told here. {shared}",)),
        Passage(2, "train", (shared,)),
        Passage(3, "validation", ("Short ones may recur.",)),
        Passage(4, "train", ("Short ones may recur.",)),
    ]
    kept, _ = without_leaks(passages, "en")
    assert [p.index for p in kept] == [0, 1, 3, 4]  # nothing was left of passage 2
    assert kept[0].paragraphs == ("A first one. A last one.", "Quite another.")
    assert kept[1:] == [passages[1], passages[3], passages[4]]


def test_what_a_leak_takes_away_leaves_beginnings_in_place() -> None:
    shared = "Nobody in the village had ever seen the old miller laugh."
    begun = Passage(0, "train", ("One.", shared, "Two.", "Three.", shared), chapters=(0, 1, 3, 4))
    cut = Passage(2, "train", (shared, "Four."), joint=" ")
    kept, _ = without_leaks([begun, Passage(1, "test", (shared,)), cut], "en")
    assert kept[0].paragraphs == ("One.", "Two.", "Three.") and kept[0].chapters == (0, 1, 2)
    assert kept[2].paragraphs == ("Four.",) and kept[2].joint == BREAK


def test_chapters_and_cut_paragraphs_are_kept_in_the_folder(tmp_path: Path) -> None:
    paragraphs = make_book(30_000).strip().split("\n\n")
    long = " ".join(paragraphs[:20])
    text = "\n\n".join(["CHAPTER I", long, "CHAPTER II", *paragraphs[20:40], "CHAPTER III", *paragraphs[40:]])
    (tmp_path / "book.txt").write_text(text, encoding="utf-8")
    list(prepare(tmp_path / "book.txt", tmp_path / "out", PipelineConfig(passage_chars=600)))
    passages = load_processed(tmp_path / "out").passages
    assert "".join(p.joint + p.text for p in passages).startswith(BREAK + long + BREAK + paragraphs[20])
    assert [p.paragraphs[i][:20] for p in passages for i in p.chapters] == [paragraphs[i][:20] for i in (0, 20, 40)]
    sentences = [s for p in passages for s in sentences_of([p], "en") if s.chapter and s.index == 0]
    assert len(sentences) == 3


def test_several_books_become_one_training_text_and_no_passage_joins_two(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text(make_book(18_000, seed=i), encoding="utf-8")
    settings = PipelineConfig(passage_chars=500)
    list(prepare([tmp_path / f"{i}.txt" for i in range(3)], tmp_path / "out", settings))
    data = load_processed(tmp_path / "out")
    assert data.source == "0.txt + 1.txt + 2.txt"
    assert [p.index for p in data.passages] == list(range(len(data.passages)))
    assert [p.book for p in data.passages] == sorted(p.book for p in data.passages)
    for i in range(3):
        text = " ".join((tmp_path / f"{i}.txt").read_text(encoding="utf-8").split())
        own = [p for p in data.passages if p.book == i]
        assert {p.split for p in own} == {"train", "validation", "test"}
        assert all(" ".join(paragraph.split()) in text for p in own for paragraph in p.paragraphs)


def test_the_identity_follows_what_came_out(book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = PipelineConfig()
    list(prepare(book, tmp_path, settings))
    before = load_processed(tmp_path).identity
    assert before == read_training_text(tmp_path).book_identity
    (tmp_path / "copy.txt").write_text(book.read_text(encoding="utf-8") + "\n\n\n", encoding="utf-8")
    assert LEARNING not in [step.name for step in prepare(tmp_path / "copy.txt", tmp_path, settings)]
    rules = pipeline.clean_book

    def changed(source: object, **how: object) -> Cleaned:
        found = rules(source, **how)  # type: ignore[arg-type]
        return replace(found, paragraphs=found.paragraphs[:-1])

    monkeypatch.setattr(pipeline, "clean_book", changed)
    assert LEARNING in [step.name for step in prepare(book, tmp_path, settings)]
    assert load_processed(tmp_path).identity != before


def test_data_of_an_older_version_keep_their_identity_and_are_named(book: Path, tmp_path: Path) -> None:
    list(prepare(book, tmp_path, PipelineConfig()))
    path = tmp_path / "meta.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    old = {"version": 2, "text_hash": "abc"}
    path.write_text(json.dumps({**{k: v for k, v in meta.items() if k not in ("content_hash", "removed")}, **old}))
    for name, later in (("passages.jsonl", ("joint", "chapters", "book")), ("sentences.jsonl", ("chapter",))):
        rows = [json.loads(line) for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()]
        rows = [{key: value for key, value in row.items() if key not in later} for row in rows]
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    data = load_processed(tmp_path)
    assert data.identity == digest("abc" + meta["settings_hash"])
    assert data.passages[0].chapters == () and {p.joint for p in data.passages} == {BREAK}
    assert data.outdated is not None and f"prepare --book tales.txt --output {tmp_path}" in data.outdated
    assert LEARNING in [step.name for step in prepare(book, tmp_path, PipelineConfig())]
    assert load_processed(tmp_path).outdated is None


class Halves:
    """What stands in for spaCy: a pipe whose sentences are halves of a paragraph, with white space around them."""

    max_length = 1_000
    parts: tuple[str, ...] = ()

    def add_pipe(self, name: str) -> None:
        self.parts += (name,)

    def __call__(self, text: str) -> SimpleNamespace:
        assert len(text) <= self.max_length
        middle = text.rfind(" ", 0, len(text) // 2 + 1) + 1
        return SimpleNamespace(sents=[SimpleNamespace(text=part) for part in (text[:middle], " ", text[middle:])])


@pytest.mark.parametrize("model", ["en_core_web_sm", None])
def test_spacy_cuts_the_training_text_if_it_is_chosen(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str | None
) -> None:
    pipe, loaded = Halves(), []
    stub = SimpleNamespace(
        util=SimpleNamespace(is_package=lambda name: name == model),
        load=lambda name, exclude: loaded.append(name) or pipe,
        blank=lambda language: loaded.append(language) or pipe,
    )
    monkeypatch.setitem(sys.modules, "spacy", stub)  # type: ignore[arg-type]
    settings = PipelineConfig(splitter="spacy")
    list(prepare(book, tmp_path, settings))
    data = load_processed(tmp_path)
    assert loaded == [model or "en"] and pipe.parts == (() if model else ("sentencizer",))
    passages = {p.index: p for p in data.passages}
    texts = [passages[s.passage].paragraphs[s.paragraph] for s in data.sentences]
    assert all(s.text in text and s.text == s.text.strip() for s, text in zip(data.sentences, texts, strict=True))
    assert {s.index for s in data.sentences} == {0, 1}
    assert any((model or "no en_core_web_sm or en_core_news_sm is installed") in note for note in data.difficulty.notes)
    assert LEARNING in [step.name for step in prepare(book, tmp_path, PipelineConfig())]
    assert load_processed(tmp_path).passages == data.passages  # the split goes by our own rules


def test_spacy_that_is_missing_or_does_not_know_the_language_is_named(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(UserError, match=r"tiny-diffusion\[spacy\]"):
        list(prepare(book, tmp_path, PipelineConfig(splitter="spacy")))
    monkeypatch.undo()
    pytest.importorskip("spacy")
    with pytest.raises(UserError, match="does not know the language 'qq'"):
        spacy_splitter("qq")
    split, how = spacy_splitter("en")
    assert split(" He went home.  “Stay!” She stayed. ")[0] == "He went home." and "spaCy" in how


def test_a_setting_that_came_later_keeps_the_identity_of_its_default() -> None:
    before = {key: value for key, value in PipelineConfig().model_dump(mode="json").items() if key != "splitter"}
    assert settings_hash(PipelineConfig()) == digest(json.dumps(before, sort_keys=True))
    assert settings_hash(PipelineConfig(splitter="spacy")) != settings_hash(PipelineConfig())


def test_a_book_of_verse_keeps_its_lines_and_says_so(book: Path, tmp_path: Path) -> None:
    lines = make_book(30_000, seed=3).replace(". ", ".\n\n").split("\n\n")
    stanzas = ["\n".join(" ".join(line.split()[i : i + 5]).capitalize() for i in (0, 5)) for line in lines]
    path = tmp_path / "verse.txt"
    path.write_text("\n\n".join("\n".join(stanzas[i : i + 2]) for i in range(0, len(stanzas), 2)), encoding="utf-8")
    list(prepare(path, tmp_path / "verse", PipelineConfig(passage_chars=600)))
    data = load_processed(tmp_path / "verse")
    assert data.keeps_lines and all("\n" in sentence.text for sentence in data.sentences[:5])
    text = "".join(data.texts("train"))
    assert data.tokenizer.decode(data.tokenizer.encode(text)) == text
    list(prepare(book, tmp_path / "prose", PipelineConfig()))
    assert not load_processed(tmp_path / "prose").keeps_lines
