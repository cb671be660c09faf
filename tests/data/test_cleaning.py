import random
import time

import pytest

from tiny_diffusion.data.reading.cleaning import clean_book

PROSE = (
    "The ferryman had waited since dawn, and the fog that lay on the\n"
    "river showed no wish to lift. He sang a little, to keep the cold\n"
    "away, and counted the bells of the far town."
)
FLAT = " ".join(PROSE.split())
SECOND = "Nobody came down to the landing before noon, and then it was a child\nwith a letter in her hand."


def clean(text: str, **changes: bool) -> list[str]:
    return clean_book(text, **{"strip_gutenberg": True, "unwrap": True, "drop_headings": True, **changes}).paragraphs


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (
            "*** START OF THIS PROJECT GUTENBERG EBOOK THE FERRY ***",
            "*** END OF THIS PROJECT GUTENBERG EBOOK X ***",
        ),
        (
            "***START OF THE PROJECT GUTENBERG EBOOK THE FERRY***",
            "***END OF THE PROJECT GUTENBERG EBOOK X***",
        ),
        (
            "*** START OF THE PROJECT GUTENBERG EBOOK A VERY LONG\nTITLE OF A FERRY ***",
            "End of Project Gutenberg's X",
        ),
        (
            "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
            "End of the Project Gutenberg Etext",
        ),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_gutenberg_frame_goes(start: str, end: str, newline: str) -> None:
    head = f"\ufeffA licence head.\n\n{start}\n\n\nProduced by A. Nobody\nand B. Other"
    text = f"{head}\n\n\n{PROSE}\n\n{SECOND}\n\n{end}\n\nFoot."
    assert clean(text.replace("\n", newline)) == [FLAT, " ".join(SECOND.split())]


def test_text_without_frame_keeps_its_words() -> None:
    text = f"Produced by hand, the boat was strong.\n\n{PROSE}\n\nThe end of the project was near."
    assert clean(text) == ["Produced by hand, the boat was strong.", FLAT, "The end of the project was near."]


@pytest.mark.parametrize(
    "heading",
    ["CHAPTER I", "Chapter 12", "Chapter 3. The Ferry", "Letter 4",
     "BOOK THE FIRST", "Part Two", "VOLUME III.", "XIV.",
     "CHAPITRE II.", "Première partie", "Kapitel 7", "Erstes Kapitel", "Глава 3",
     "Часть первая", "第三章", "第十二章 渡船",
     "THE FERRY AT NIGHT", "Epilogue", "CHAPTER V\nThe Long Crossing", "_Chapter 2_", "Capítulo 4"],
)  # fmt: skip
def test_headings_go(heading: str) -> None:
    text = f"{PROSE}\n\n\n\n{heading}\n\n\n{PROSE}\n"
    assert clean(text) == [FLAT, FLAT]
    assert len(clean(text, drop_headings=False)) == 3


@pytest.mark.parametrize(
    "prose",
    ["Letter 4 was the worst of them all, he said.", "Part I did not understand, part I did.",
     "“NO!”", "STOP!",
     "Chapter 3 of the log tells of ice", "Book two seats for me.", "R.W.", "St. Petersburg, Dec. 11th, 17—.",
     "My dear Sister,", "Your brother, Tom", "I am.", "Yes", "“I?”", "第三章讲的是一条船。",
     "CHAPTER I. He left. It rained.",
     "Teil 3 war ihm der liebste.", "The second part was long."],
)  # fmt: skip
def test_prose_stays(prose: str) -> None:
    assert clean(f"{PROSE}\n\n{prose}\n\n{SECOND}")[1] == prose


def test_title_page_and_contents_go() -> None:
    entries = "\n\n".join(f"Chapter {i}" for i in (1, 2, 3))
    head = f"The Ferry;\n\nby\n\nA. Nobody\n\n\nCONTENTS\n\n{entries}"
    text = f"{head}\n\n\n\nChapter 1\n\n{PROSE}\n\n\nChapter 2\n\n{SECOND}"
    assert clean(text) == [FLAT, " ".join(SECOND.split())]
    assert clean(text, drop_headings=False).count("Chapter 1") == 1


def test_contents_in_one_block_with_page_numbers_go() -> None:
    text = f"Contents\n\nThe Fog ........ 1\nThe Child   12\nThe Letter   30\n\n{PROSE}\n\nThe Child\n\n{SECOND}"
    assert clean(text) == [FLAT, "The Child", " ".join(SECOND.split())]


def test_contents_with_parts_and_a_list_of_pictures_go() -> None:
    entries = "PART I.\n\nTHE FERRY AND ITS PEOPLE.\n\nI. The Fog    1\n\nII. The Child, and what\nit said.    12"
    pictures = "LIST OF ILLUSTRATIONS\n\nA boat    3\n\nA rope, drawn by\n\n40\n\nA gull    51"
    text = f"CONTENTS.\n\nCHAPTER    PAGE\n\n{entries}\n\nIII. The Letter    30\n\n\n{pictures}\n\n\n{PROSE}\n\n12"
    assert clean(text) == [FLAT]


def test_heading_right_above_its_prose() -> None:
    assert clean(f"CHAPTER I.\n{PROSE}\n\nCHAPTER II.\n{SECOND}") == [FLAT, " ".join(SECOND.split())]


def test_page_furniture_goes() -> None:
    text = (
        "[Illustration: A boat]\n\nHe saw[1] the _old_ boat, _and_\nthe quay.[2] [Pg 12]He sat."
        "\n\n* * * * *\n\n"
        "The fog was\n\n13\n\nthick that day.\n\n-----\n\n[The moon] rose over x[1]."
        "\n\n[Transcriber's Note: none.]\n\nDone."
    )
    expected = [
        "He saw the old boat, and the quay. He sat.",
        "The fog was thick that day.",
        "[The moon] rose over x[1].",
    ]
    assert clean(text) == [*expected, "Done."]


def test_hyphens_at_line_ends() -> None:
    text = (
        "The remem-\nbered song of the ferry-\nman and his sister-in-\nlaw. "
        "The ferryman re-\nmembered it well--\nor so he said.\n"
    )
    assert clean(text + "\nHis sister-in-law laughed.")[0] == (
        "The remembered song of the ferryman and his sister-in-law. The ferryman remembered it well--or so he said."
    )


def test_the_hyphen_before_a_word_that_follows_several_stays() -> None:
    text = "Dites-moi, Anna, suis-moi, parle-moi. Donnez-\nmoi le pain, le gar-\nçon est là."
    assert clean(text)[0] == "Dites-moi, Anna, suis-moi, parle-moi. Donnez-moi le pain, le garçon est là."


def test_one_line_per_paragraph() -> None:
    lines = [f"{FLAT} {i}." for i in range(5)] + ["“Yes,” he said."]
    assert clean("\n".join(lines)) == lines
    assert clean("\n\n".join(lines)) == lines


def test_wrapped_without_blank_lines() -> None:
    text = f"  {PROSE}\n  {SECOND}\n  {PROSE}"
    assert clean(text) == [FLAT, " ".join(SECOND.split()), FLAT]


def test_chinese_lines_join_without_spaces() -> None:
    assert clean("河上的雾没有散去，渡船的人\n唱着歌。\n\n他数着钟声。") == [
        "河上的雾没有散去，渡船的人唱着歌。",
        "他数着钟声。",
    ]


def test_unwrap_off_keeps_lines_and_text_is_normalised() -> None:
    assert clean("a  line\u00a0here\nCafe\u0301", unwrap=False) == ["a line here", "Caf\u00e9"]


def test_verse_keeps_its_lines() -> None:
    verse = "Like one who rows,\n    And rows alone"
    assert clean(f"{PROSE}\n\n  {verse}\n\n{SECOND}")[1] == "Like one who rows,\nAnd rows alone"


@pytest.mark.parametrize(
    "verse",
    [
        "    The harbour lamp has burned a weary night,\n        and every gull has slept upon the stone;\n"
        "    the keeper climbs the tower to his light\n        and counts the quiet boats he calls his own.",
        "    \N{LEFT DOUBLE QUOTATION MARK}O keeper, keeper, ring the bell,\n      and ring it loud and long,\n"
        "    for there is none to ring it well\n      since you forgot the song.",
        "the boats\n    lie\n        still",
        "a bell\nrings\nonce",
    ],
)
def test_verse_may_begin_its_lines_in_small_letters(verse: str) -> None:
    lines = "\n".join(line.strip() for line in verse.split("\n"))
    assert clean(f"{PROSE}\n\n{verse}\n\n{SECOND}")[1] == lines


@pytest.mark.parametrize("indent", ["", "          "])
def test_prose_in_a_narrow_column_is_joined(indent: str) -> None:
    column = [
        *("The keeper of the light is not the", "owner of the sea, and he who thinks"),
        *("so will be drowned before he has", "counted them."),
    ]
    prose = "\n\n".join([PROSE] * 6)
    found = clean(f"{prose}\n\n" + "\n".join(indent + line for line in column) + f"\n\n{SECOND}")
    assert found[6] == " ".join(column)


def test_the_rest_of_a_long_verse_joins_it() -> None:
    verse = (
        "I sing the keeper and the light of the tower, and the stones of it, and\n    the gulls upon the stones,\n"
        "O the bell!\nAnd whoever hears the bell, I hear it with him, and whoever does not, I\n    hear it for him too."
    )
    first, *_, last = clean(f"{PROSE}\n\n{verse}\n\n{SECOND}")[1].split("\n")
    assert first.endswith("and the gulls upon the stones,") and last.endswith("I hear it for him too.")


def with_text(headings: list[str]) -> str:
    return "\n\n".join(f"{heading}\n\n{PROSE}" for heading in headings)


@pytest.mark.parametrize(
    "headings",
    [
        ["I. WHO GOES THERE?", "II. THE LAW; ITS LIMITS", 'III. "STOP!"', "IV. Four of Them"],
        ["1. Who goes there?", "2. The law; its limits", "3. Stop!"],
        ["§ 1. What is a bell?", "§ 2. How it rings; and why.", "§ 3. Who was there?"],
        ["1 Introduction", "1.1 What is a bell?", "1.2 How it rings; and why", "2 Methods", "2.1 Who was there?"],
        ["一", "二", "三"],
        ["（一）", "（二）"],
    ],
)
def test_headings_whose_numbers_count_on_go(headings: list[str]) -> None:
    assert set(clean(with_text(headings))) == {FLAT}


@pytest.mark.parametrize(
    "lines",
    [
        ["1. A lamp.", "2. A long rope.", "3. Bread for two days."],  # a list: nothing between
        ["I. was here, said the note."],
        ["7. Seven of them", "9. Nine of them", "12. Twelve of them"],  # that count nothing
    ],
)
def test_other_numbered_lines_stay(lines: list[str]) -> None:
    assert clean("\n\n".join([PROSE, *lines, SECOND]))[1:-1] == lines


def test_numbered_paragraphs_stay() -> None:
    numbered = [f"{i}. {FLAT}" for i in range(1, 6)]
    assert clean("\n\n".join(numbered)) == numbered


def test_lines_of_a_contents_list_are_headings_where_they_recur() -> None:
    titles = ["Who Goes There?", "The law, and its limits", "Stop!"]
    contents = "CONTENTS\n\n" + "\n".join(titles)
    assert set(clean(f"{contents}\n\n\n{with_text(titles)}\n\n{SECOND}")) == {FLAT, " ".join(SECOND.split())}


def test_a_chapter_with_a_title_keeps_its_first_short_line() -> None:
    chapters = [f"CHAPTER {n}: The Harbour\n\nIt rang.\n\n{PROSE}" for n in ("I", "II", "III", "IV")]
    assert clean("\n\n\n".join(chapters)).count("It rang.") == 4


@pytest.mark.parametrize(
    ("marks", "notes"),
    [
        ("¹|²", "¹ On a Sunday.\n\n² Twice."),
        ("{1}|{2}", "{1} On a Sunday.\n\n{2} Twice."),
        ("[1]|[2]", "NOTES\n\n1. On a Sunday.\n\n2. Twice.\n\nAnd not again."),
        ("[*]|[†]", "[* On a Sunday,\nin spring.]\n\n[† Twice.]"),
        ("[Note 1]|[Note 2]", "[Note 1] On a Sunday.\n\n[Note 2] Twice."),
    ],
)
def test_notes_of_several_kinds_go_with_their_marks(marks: str, notes: str) -> None:
    first, second = marks.split("|")
    text = (
        f"{PROSE}\n\nThe boats lay still that morning,{first} and a bell rang.{second} He slept.\n\n{SECOND}\n\n{notes}"
    )
    wanted = "The boats lay still that morning, and a bell rang. He slept."
    assert clean(text) == [FLAT, wanted, " ".join(SECOND.split())]


def test_stars_between_paragraphs_are_no_note() -> None:
    assert "Well,* said he." in clean(f"{PROSE}\n\n* * *\n\nWell,* said he.\n\n{SECOND}")


def test_a_paragraph_goes_on_behind_a_page_mark() -> None:
    for mark in ("[Pg 37]", "Page 39 of 200", "- 40 -"):
        assert clean(f"{PROSE[:-1]} and then he\n\n{mark}\n\nspoke to the boy.")[0].endswith(
            "and then he spoke to the boy."
        )


def test_ligatures_are_letters() -> None:
    assert clean(f"The \ufb01rst o\ufb03cer \ufb02ed.\n\n{PROSE}")[0] == "The first officer fled."


def test_empty_text() -> None:
    assert clean("") == [] and clean(" \n\n* * *\n") == []


def test_no_word_of_random_prose_is_lost() -> None:
    chance = random.Random(3)
    words = [w for w in FLAT.replace("-", "").split() if w.isalpha()]
    sentences = [" ".join(chance.choices(words, k=chance.randint(4, 20))).capitalize() + "." for _ in range(300)]
    assert " ".join(clean("\n\n".join(sentences))) == " ".join(sentences)


@pytest.mark.parametrize(
    "piece", ["He rowed on. ", "_ ", "[1 ", "[Footnote 1: ", "- ", "_a", "[Illustration: ", "\n[Pg "]
)
def test_large_input_is_linear(piece: str) -> None:
    start = time.process_time()
    clean(piece * (1_000_000 // len(piece)))
    assert time.process_time() - start < 10
