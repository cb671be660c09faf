"""Marks of notes in many customs, and what only looks like one."""

import pytest

from .made_up import added, book, counts


@pytest.mark.parametrize(
    ("one", "two"),
    [("^1", "^2"), ("1)", "2)"), ("(a)", "(b)"), ("<1>", "<2>"), ("[i]", "[ii]"), ("[1a]", "[12b]"), ("(*)", "(†)"),
     ("[FN#1]", "[FN#2]"), ("①", "②"), ("||", "¶"), (" (1)", " (2)")],
)  # fmt: skip
@pytest.mark.parametrize("gap", ["\n\n", "\n"])
def test_notes_of_many_customs(one: str, two: str, gap: str) -> None:
    notes = f"{one.strip()} For nine crowns.{gap}{two.strip()} For two."
    text = book(f"He sold the mare{one}, and then the cart{two}.", notes, "He kept the dog.")
    assert added(text) == ["He sold the mare, and then the cart.", "He kept the dog."]
    assert counts(text) == {"notes": 2}


@pytest.mark.parametrize(("one", "two"), [("[1]", "[2]"), ("（注1）", "（注2）"), ("①", "②")])
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
