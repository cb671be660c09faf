"""The stream of the training text: which mark stands where, no text across a gap or into another chapter."""

from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.sections import Section, encode_sections, sections
from tiny_diffusion.data.splitting import BREAK, Passage
from tiny_diffusion.data.tokenizer import BOS, CHAPTER, END, NUM_RESERVED, PAD, PARAGRAPH, TEXT

MARKS = {BOS: "(", PARAGRAPH: "P(", CHAPTER: "C(", TEXT: "T("}


def shown(found: list[Section]) -> str:
    return " ".join(MARKS[section.begins] + section.text + (")END" if section.ends else ")") for section in found)


def of(*rows: tuple[str, ...], cut: int = -1, chapters: dict[int, tuple[int, ...]]) -> list[Passage]:
    """Passages with these paragraphs; the first of passage ``cut`` is the rest of one."""
    joints = [" " if i == cut else BREAK for i in range(len(rows))]
    return [Passage(i, "train", row, 0, joints[i], chapters.get(i, ())) for i, row in enumerate(rows)]


def test_a_book_without_gaps_is_cut_at_its_chapters_only() -> None:
    passages = of(("a", "b"), ("c", "d"), ("e", "f"), cut=2, chapters={0: (0,), 1: (1,)})
    assert shown(sections(passages, {0, 1, 2})) == "T(a\n\nb\n\nc)END C(d e\n\nf)END"


def test_text_does_not_go_on_across_a_passage_that_is_left_out() -> None:
    passages = of(("a", "b"), ("c",), ("d",), ("e",), ("f",), cut=3, chapters={4: (0,)})
    assert shown(sections(passages, {0, 2, 4})) == "T(a\n\nb) P(d) C(f)END"
    assert shown(sections(passages, {0, 1, 3})) == "T(a\n\nb\n\nc) (e)END"
    assert shown(sections(passages, {1, 2})) == "P(c\n\nd)"
    assert shown(sections(passages[:1] + passages[2:], {0, 2})) == "T(a\n\nb) P(d)"  # passage 1 had nothing but leaks


def test_a_chapter_within_a_passage_that_is_left_out_says_nothing_of_the_text_before() -> None:
    passages = of(("a",), ("b", "c"), ("d",), chapters={1: (1,)})
    assert shown(sections(passages, {0, 2})) == "T(a) P(d)END"
    assert shown(sections(passages, {1})) == "P(b)END C(c)"


def test_each_book_is_a_text() -> None:
    passages = [Passage(0, "train", ("a",)), Passage(1, "train", ("b",), 1), Passage(2, "test", ("c",), 1)]
    assert shown(sections(passages, {0, 1})) == "T(a)END T(b)"


def test_marks_stand_before_and_after_and_beginnings_are_known(data: Processed) -> None:
    tokenizer = data.tokenizer
    found = [Section(TEXT, "The miller." + BREAK + "A garden.", ends=True), Section(BOS, "of winter" + BREAK + "He.")]
    parts = [tokenizer.encode(text, 2) for text in ("The miller.", "A garden.", "of winter", "He.")]
    gap = 2 * tokenizer.encode("\n", 2)
    ids, openings = encode_sections(found, partial(tokenizer.encode, level=2), ends=True)
    assert ids == [TEXT, *parts[0], *gap, *parts[1], END, BOS, *parts[2], *gap, *parts[3]]
    begins = [(TEXT, 1), (PARAGRAPH, 1 + len(parts[0] + gap)), (PARAGRAPH, len(ids) - len(parts[3]))]
    assert [(mark, place) for place, mark in enumerate(openings) if mark != PAD] == begins
    assert encode_sections(found, partial(tokenizer.encode, level=2), ends=False)[0] == [i for i in ids if i != END]


@settings(max_examples=30)
@given(st.data())
def test_the_stream_spells_the_chosen_text_as_the_tokenizer_would(data: Processed, draw: st.DataObject) -> None:
    passages = data.passages[:6]
    chosen = draw.draw(st.sets(st.integers(0, 5)))
    found = sections(passages, chosen)
    level = draw.draw(st.sampled_from([1, 5]))
    ids, openings = encode_sections(found, partial(data.tokenizer.encode, level=level), ends=True)
    assert [i for i in ids if i >= NUM_RESERVED] == [
        i for section in found for i in data.tokenizer.encode(section.text, level)
    ]
    assert len(openings) == len(ids) and sum(i in MARKS for i in ids) == len(found)
    assert BREAK.join(p.text for p in passages if p.index in chosen) == BREAK.join(s.text for s in found)
    assert sum(mark != PAD for mark in openings) == sum(len(p.paragraphs) for p in passages if p.index in chosen)
