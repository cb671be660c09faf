"""Verse that is hard to tell from prose by its shape, and texts typed with double spacing."""

import random

import pytest

from tiny_diffusion.data.reading.cleaning import clean_book
from tiny_diffusion.data.reading.markdown import markdown_blocks

from .made_up import FLAT, PROSE, WORDS, added, book, prose


@pytest.mark.parametrize(
    "verse",
    [
        "Das Wasser steigt, das Wasser fällt,\nes trägt der Fluss das Brot der Welt,\n"
        "und wer am Ufer danach fragt,\nder hat ihm nie ein Wort gesagt.",
        "an old grey ladder--\nthe child has climbed on it\nand it is winter",
        "It was the winter of the river, and of salt,\nAnd nobody came.",
    ],
)  # fmt: skip
def test_verse_within_wide_prose(verse: str) -> None:
    assert added(book(verse)) == [verse]


def test_two_lines_of_prose_of_which_the_second_begins_with_a_name_are_joined() -> None:
    lines = "She had asked about it at the river and on the quay, but\nTom had not."
    assert added(book(lines)) == [lines.replace("\n", " ")]


def test_a_canto_of_many_lines_stays_whole() -> None:
    chance = random.Random(2)
    lines = [
        " ".join(chance.choices(WORDS, k=chance.randint(4, 8))).capitalize() + chance.choice(",;.") for _ in range(90)
    ]
    assert clean_book("\n\n".join(["BOOK I", "\n".join(lines), "BOOK II", *PROSE])).paragraphs[0] == "\n".join(lines)


@pytest.mark.parametrize("newline", ["\n\n", "\r\r\n", "\n\r"])
def test_lines_with_double_spacing(newline: str) -> None:
    assert clean_book("\n\n".join(PROSE).replace("\n", newline)).paragraphs == FLAT
    indented = "\n".join("    " + paragraph for paragraph in PROSE)
    assert clean_book(indented.replace("\n", newline)).paragraphs == FLAT


def test_short_paragraphs_are_not_taken_for_double_spacing() -> None:
    lines = [f"Tom went down to quay number {i} and never came back" for i in range(40)]
    assert clean_book("\n\n".join(lines)).paragraphs == lines
    said = [f"“I saw {i} of them,” he said." for i in range(60)]
    assert clean_book("\n\n".join(said)).paragraphs == said
    assert clean_book("\n\n".join(prose(3, width=4000))).paragraphs == FLAT[:3]


def test_numbers_before_every_fifth_line_go() -> None:
    lines = [
        "The rope was long,",
        "And all the gulls of the quay",
        "Were gone;",
        "No pilot came to the door,",
        "Nor I.",
    ]
    stanzas = ["\n".join([*(f"      {line}" for line in lines[:4]), f"{5 * i:<6}{lines[4]}"]) for i in range(1, 7)]
    assert clean_book("\n\n".join(stanzas)).paragraphs == ["\n".join(lines)] * 6


@pytest.mark.parametrize("step", [3, 4, 8])
@pytest.mark.parametrize("before", [True, False])
def test_numbers_of_lines_by_other_steps_go(step: int, before: bool) -> None:
    lines = [f"The {bird} was gone from the quay" for bird in ("gull", "crow", "wren", "kite")] * 12
    numbered = [line if i % step else f"{i} {line}" if before else f"{line}    {i}" for i, line in enumerate(lines, 1)]
    assert added(book("\n".join(numbered))) == ["\n".join(lines)]


def test_lines_with_a_paragraph_each_are_stanzas_where_most_end_within_a_sentence() -> None:
    stanzas = [["The gull was gone,", "the crow was gone,", "and nobody rang"], ["the bell on the quay,", "nor did I."]]
    told = ["He slept, and so did I.", "The bell was old.", "“Who rang?”", "Nobody,"]
    assert added(book("\n\n\n".join("\n\n".join(stanza) for stanza in stanzas))) == ["\n".join(s) for s in stanzas]
    assert added(book(*told)) == told


def test_verse_in_lines_longer_than_those_of_the_prose() -> None:
    lines = [f"O the {bird} was the king of the quay and the queen of the narrow and wintery river," for bird in WORDS]
    assert added(book("\n".join(lines[:4]))) == ["\n".join(lines[:4])]


def test_a_list_of_numbers_by_equal_steps_stays() -> None:
    listed = "\n".join(f"{3 * i} {thing}" for i, thing in enumerate("eggs plums eels loaves sacks".split(), 1))
    assert added(book(listed)) == [listed]


def test_a_stanza_of_long_lines_between_others_is_verse() -> None:
    full = "of all that was lost in the river and orchards\nunderneath the ladders nobody spoke a word\nnevertheless."
    stanzas = [
        f"of the {word} and the {word} that was in the narrow river\nwe saw no more\nin all the winter."
        for word in WORDS
    ]
    lines = [*stanzas[:4], full, *stanzas[4:]]
    assert clean_book("\n\n".join(lines)).paragraphs == lines


def test_stanzas_of_a_manuscript_in_verse_keep_their_lines() -> None:
    stanzas = [
        f"The {bird} was gone,\nAnd so was the bell,\nAnd nobody saw there\nInto which river it fell." for bird in WORDS
    ]
    stanzas[7] = (
        "The river was narrow, and\nthe orchard was old, and\nthe saddle was under it,\nin the salt and the cold."
    )
    assert clean_book(markdown_blocks("# One\n\n" + "\n\n".join(stanzas))).paragraphs == stanzas
