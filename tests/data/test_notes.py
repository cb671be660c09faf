"""Marks of notes in many customs, and what only looks like one."""

import re

import pytest

from tiny_diffusion.data.reading.cleaning import clean_book
from tiny_diffusion.data.reading.markdown import markdown_blocks

from .made_up import FLAT, PROSE, added, book, counts


@pytest.mark.parametrize(
    ("one", "two"),
    [(" [*]", " [**]"), ("^1", "^2"), ("1)", "2)"), ("(a)", "(b)"), ("<1>", "<2>"), ("[i]", "[ii]"), ("(*)", "(†)"),
     ("[1a]", "[12b]"), ("[FN#1]", "[FN#2]"), ("①", "②"), ("||", "¶"), (" (1)", " (2)"), ("[^1]", "[^2]"),
     ("*)", "**)")],
)  # fmt: skip
@pytest.mark.parametrize("gap", ["\n\n", "\n"])
def test_notes_of_many_customs(one: str, two: str, gap: str) -> None:
    notes = f"{one.strip()} For nine crowns.{gap}{two.strip()} For two."
    text = book(f"He sold the mare{one}, and then the cart{two}.", notes, "He kept the dog.")
    assert added(text) == ["He sold the mare, and then the cart.", "He kept the dog."]
    assert counts(text) == {"notes": 2}


def test_notes_of_french_books_whose_marks_stand_between_spaces() -> None:
    notes = ["(1) Pour neuf écus.", "(2) Deux fois."]
    assert added(book("Il vendit la jument (1) et puis (2) il pleura.", *notes)) == [
        "Il vendit la jument et puis il pleura."
    ]
    listed = ["He had two reasons: (1) the rope, and (2) the rain.", "(1) The rope was old.", "(2) It rained."]
    assert added(book(*listed)) == listed
    examples = ["(1) The rope was old.", "(2) It rained.", "In (1) we see a rope and in (2) rain."]
    assert added(book(*examples)) == examples


@pytest.mark.parametrize(
    ("one", "two"), [("[1]", "[2]"), ("（注1）", "（注2）"), ("①", "②"), ("〔1〕", "〔2〕"), ("【1】", "【2】")]
)
def test_notes_between_signs_of_chinese_and_japanese(one: str, two: str) -> None:
    text = book(f"他卖了马{one}又卖了车{two}。", f"{one}九两。", f"{two} 二两。", "他走了。")
    assert added(text) == ["他卖了马又卖了车。", "他走了。"]


def test_notes_below_a_rule() -> None:
    text = book(
        "He sold the mare.[1]", "--------\n[1] For nine crowns,\nthey say.\n[2] For two.", "He kept the cart.[2]"
    )
    assert added(text) == ["He sold the mare.", "He kept the cart."]
    assert counts(text) == {"notes": 2, "separators": 1}


def test_a_single_note_in_brackets_takes_its_mark_along() -> None:
    assert added(book("He sold the mare,[*] he said.", "[Footnote *: For nine crowns.]")) == [
        "He sold the mare, he said."
    ]


@pytest.mark.parametrize(
    "parts",
    [
        ["He had two reasons: (1) the mill, and (2) the mare. As for (1), it burnt.", "(1) It burnt.", "(2) She died."],
        ["It was the town of B**, d**n it, in 18**.", "* So it was."],
        ["[Sidenote 1871] He sold the mare."],
        ["Of two laws the first (1), is old.", "(1) Nobody may sell at night.", "(2) Nobody may buy."],
        ["It is 10^2 feet.", "^2 he wrote again."],
        ["A debt under section 3(a) is a debt.", "(a) It is paid in corn."],
    ],
)
def test_what_only_looks_like_a_note_stays(parts: list[str]) -> None:
    assert added(book(*parts)) == parts


@pytest.mark.parametrize(("one", "two"), [("1 ", "2 "), ("1. ", "2. ")])
@pytest.mark.parametrize("mark", ["{}", "[{}]"])
def test_notes_by_numbers_joined_to_a_word_go_with_their_marks(one: str, two: str, mark: str) -> None:
    sold = f"He sold the mare,{mark.format(1)} and then the cart{mark.format(2)}."
    notes = f"{one}For nine crowns.\n{two}For two."
    later = f"He kept the dog.{mark.format(3)}"
    text = book(sold, notes, later, "NOTES", f"{one.replace('1', '3')}An old one.")
    assert added(text) == ["He sold the mare, and then the cart.", "He kept the dog."]
    assert counts(text) == {"notes": 2, "headings": 1}


@pytest.mark.parametrize(
    "parts",
    [
        ["He paid 5,1 crowns, and H2 was on the slate.", "1 Nobody may enter.", "2 Nobody may leave."],
        ["1 Nobody may enter.", "He sold the mare.1"],
        ["He sold the mare.1", "He kept the dog.2", "He said:", "1. It was old."],
        ["See Fig.1 and Fig.2, and No.3.", "1 Take the bread.", "So he did.", "2 Take the oil."],
        ["See No.7 for that.", "7 men came to the quay."],
        ["By cart.2 or by boat.", "1 Nobody may enter.", "2 Nobody may leave."],
    ],
)
def test_numbers_without_their_notes_stay(parts: list[str]) -> None:
    assert added(book(*parts)) == parts


def test_a_list_in_a_book_with_notes_at_its_end_stays() -> None:
    parts = ["He sold the mare,1 the cart,2 and the dog.3", "1. It was old.", "2. It was slow.", "He left.4"]
    notes = ["Notes", "1. For nine crowns.", "They say.", "2. For two.", "3. For nothing.", "4. By night."]
    kept = ["He sold the mare, the cart, and the dog.", "1. It was old.", "2. It was slow.", "He left."]
    assert added(book(*parts, *PROSE[:1], *notes)) == kept


def test_the_head_of_notes_goes_where_a_chapter_s_is_below_it() -> None:
    parts = [
        "CHAPTER I",
        "He sold the mare.1 It fell.2",
        *PROSE[:5],
        "CHAPTER II",
        "He slept.1 It rained.2",
        *PROSE[5:9],
    ]
    notes = ["Notes", "CHAPTER I", "1. For nine crowns.", "2. In spring.", "CHAPTER II", "1. On hay.", "2. Again."]
    found = clean_book("\n\n".join([*parts, *notes])).paragraphs
    assert found == ["He sold the mare. It fell.", *FLAT[:5], "He slept. It rained.", *FLAT[5:9]]


@pytest.mark.parametrize("mark", ["[1]", "[3]"])
def test_a_chapter_between_two_lists_of_notes_is_text(mark: str) -> None:
    told = ["He sold[1] the mare[2].", "It fell" + mark + " down."]
    notes = ["NOTES", "[1] For nine crowns.", "[2] In spring."]
    text = "\n\n".join([told[0], *notes, "The old crow", *PROSE[:6], told[1], mark + " Or not.", *PROSE[6:]])
    wanted = ["He sold the mare.", "The old crow", *FLAT[:6], "It fell down.", *FLAT[6:]]
    assert clean_book(text).paragraphs == wanted


@pytest.mark.parametrize("shape", ["({} Note. {})", "({}Footnote: {})"])
def test_notes_in_round_brackets(shape: str) -> None:
    notes = [shape.format("*", "Nine crowns (of silver)."), shape.format("**", "Two.")]
    text = book("He sold the mare,* and then the cart.**", *notes, "He kept the dog.")
    assert added(text) == ["He sold the mare, and then the cart.", "He kept the dog."]
    assert counts(text) == {"notes": 2}


@pytest.mark.parametrize("poem", ["*The gull was gone\nand so was I.*", "*All of it went,\n\nand so did I.*"])
def test_words_between_stars_are_no_notes(poem: str) -> None:
    told = ["He sold the mare,* and then the cart.", "* For nine crowns.", "*For nine, they say.", poem]
    assert all(word in " ".join(added(book(*told))) for word in re.findall(r"\w+", poem))


def test_notes_and_pictures_in_brackets_go_from_a_manuscript_too() -> None:
    told = [
        "He sold the mare [FN 1] and the cart.",
        "[FN 1. For nine crowns.",
        "They say.]",
        "[Illustration: A cart]",
        "He left.",
    ]
    found = clean_book(markdown_blocks("\n\n".join(["# One", *FLAT[:10], *told, *FLAT[10:]])))
    assert [p for p in found.paragraphs if p not in FLAT] == ["He sold the mare and the cart.", "He left."]
    assert found.removed.counts == {"headings": 1, "notes": 1, "pictures": 1}
