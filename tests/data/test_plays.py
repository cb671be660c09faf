"""Plays: names of speakers in several customs, with and without blank lines between the speeches."""

import textwrap

import pytest

from tiny_diffusion.data.reading.cleaning import clean_book

from .made_up import PROSE, added, book

SAID = (
    "How cold the water is, and how the night comes down on quay and mast, before a single lamp is lit.",
    "It was as cold before you came.",
)


def speeches(names: tuple[str, str], own_line: bool) -> list[str]:
    """Six wrapped speeches of two speakers."""
    joint = "\n" if own_line else " "
    return [name + joint + textwrap.fill(said, 60) for name, said in zip(names * 3, SAID * 3, strict=True)]


def unwrapped(names: tuple[str, str], own_line: bool) -> list[str]:
    joint = "\n" if own_line else " "
    return [f"{name.replace('_', '')}{joint}{said}" for name, said in zip(names * 3, SAID * 3, strict=True)]


NAMES = [
    ("ANNA", "THE PILOT"),
    ("Anna", "Pilot"),
    ("_Anna._", "_Pilot._"),
    ("ANNA [aside]", "PILOT (loudly)"),
    ("ANNA, sitting down.", "L'ENFANT, à part."),
    ("Anna:", "Old Tom:"),
    ("АННА", "СТОРОЖ"),
]


@pytest.mark.parametrize("gap", ["\n\n", "\n"])
@pytest.mark.parametrize("names", NAMES)
def test_names_on_their_own_lines(names: tuple[str, str], gap: str) -> None:
    assert clean_book("ACT I\n\n" + gap.join(speeches(names, True) * 3)).paragraphs == unwrapped(names, True) * 3


@pytest.mark.parametrize("gap", ["\n\n", "\n"])
@pytest.mark.parametrize("names", [("ANNA.", "THE PILOT."), ("ANNA:", "PILOT (aside):"), ("_Anna._", "_Pilot._")])
def test_names_before_the_speech(names: tuple[str, str], gap: str) -> None:
    play = gap.join(speeches(names, False) * 3)
    assert clean_book(f"ACT I\n\n{play}").paragraphs == unwrapped(names, False) * 3


def test_a_speech_in_two_lines_of_verse_keeps_them() -> None:
    said = "ANNA\nHow cold the water is, and how the night comes down,\nAnd yet it glows."
    assert added(book(*[said] * 4)) == [said] * 4


def test_names_of_two_words_are_no_headings_where_they_recur() -> None:
    parts = ["OLD TOM", SAID[0], "THE PILOT", SAID[1]] * 4
    assert clean_book("\n\n".join(parts)).paragraphs == parts


@pytest.mark.parametrize(
    "scene",
    ["Erster Aufzug.", "Zweiter Auftritt.", "ESCENA SEGUNDA", "Scena terza", "Явление второе", "Andra kapitlet."],
)
def test_acts_and_scenes_of_other_languages_go(scene: str) -> None:
    assert added(book(scene)) == []


def test_a_signature_in_capitals_is_no_speaker() -> None:
    letters = [f"The ropes came on day {i}, and they\nare too short.\nYours, in haste,\nTOM HALE." for i in range(4)]
    found = added(book(*letters))
    assert sum(text.endswith("TOM HALE.") for text in found) == 4


def test_prose_whose_lines_begin_with_names_stays_whole() -> None:
    paragraph = textwrap.fill(
        "Nobody knew it but Tom. He had seen it from the roof, and so had Anna. She had not told. " * 9, 40
    )
    assert added(book(paragraph)) == [" ".join(paragraph.split())]
    assert len(clean_book("\n\n".join(PROSE)).paragraphs) == len(PROSE)
