"""Headings of many customs and languages, and lines of the book itself that look like one."""

import pytest

from tiny_diffusion.data.reading.cleaning import clean_book

from .made_up import FLAT, PROSE, added, book, counts


def chapters(headings: list[str], gap: str = "\n\n") -> str:
    return gap.join(f"{heading}\n\n{PROSE[2 * i]}\n\n{PROSE[2 * i + 1]}" for i, heading in enumerate(headings))


@pytest.mark.parametrize("gap", ["\n\n", "\n\n\n"])
@pytest.mark.parametrize(
    "headings",
    [
        ["Rozdział pierwszy", "Rozdział drugi", "Rozdział trzeci"],
        ["Birinci Bölüm", "İkinci Bölüm", "Üçüncü Bölüm"],
        ["Ĉapitro 1", "Ĉapitro 2", "Ĉapitro 3"],
        ["1. rész", "2. rész", "3. rész"],
        ["Capitolul I. Râul", "Capitolul II. Cine a strigat?", "Capitolul III. Iarna"],
        ["No. 1. The old ladder", "No. 2. Who rang?", "No. 3. Snow"],
        ["अध्याय १", "अध्याय २", "अध्याय ३"],
        ["الفصل الأول", "الفصل الثاني", "الفصل الثالث"],
        ["פרק א", "פרק ב", "פרק ג"],
        ["一、山", "二、河", "三、海"],
        ["[Chapter 1]", "[Chapter 2]", "[Chapter 3]"],
        ["- 1 -", "- 2 -", "- 3 -"],
        ["A.", "B.", "C."],
        ["A. The old ladder", "B. A River", "C. Snow"],
        ["Α", "Β", "Γ"],
        ["First Tale. Of the River", "Second Tale. A Ladder and Nine Saddles", "Third Tale. Salt"],
        [f"CHAPTER {i}.\n\n{'MILLS AND MARES--' * 5}THE {end}" for i, end in enumerate(("SNOW!", "SALT", "RAIN"), 1)],
        [
            f"Chapter {i}\n\nThe miller goes to the river--A ladder and nine\nsaddles--{end}--Snow."
            for i, end in enumerate(("Who rang?", "Salt", "Of candles"), 1)
        ],
        ["I. THE LADDER.", "II.", "III. A RIVER."],
        ["I.", "II. I HAVE A SADDLE.", "III."],
        ["1. The Ladder", "2.", "3. Of a River That\nWas Narrow and of Nine Saddles"],
        ["One", "Two", "Three"],
        ["One\n\nThe Ladder", "Two\n\nA River", "Three\n\nNine Saddles"],
        ["The Ladder\n==========", "A River\n~~~~~~~", "Of Salt\n-------"],
        ["第一章 梯子", "第二回　谁来了？谁走了？", "第三章 冬天；春天"],
        ["Ensimmäinen luku.", "Toinen luku.", "Kolmas luku."],
        ["Kapitola první. Kdo zvonil?", "Kapitola druhá. Nikdo; nebo někdo.", "Kapitola třetí. Konec!"],
        ["Első fejezet: Ki csengetett?", "Második fejezet: Senki; vagy valaki", "Harmadik fejezet: Vége!"],
        ["I luku.", "II luku. Kuka soitti?", "III luku. Loppu!"],
        [
            "Erstes Kapitel, in welchem es schneit.",
            "Zweites Kapitel, worin es läutet!",
            "Drittes Kapitel, in dem er geht.",
        ],
        ["I\n\nQUI SONNE ?", "II\n\nPERSONNE ; OU QUELQU'UN", "III\n\nLA FIN !"],
        ["§1", "§2", "§3"],
        ["#1 The ladder", "#2 Who rang?", "#3 Snow"],
        ["1801", "1802", "1815"],
        ["Scene 1. A mill. Night.", "Scene 2. The same. Day.", "Scene 3. A road. Rain."],
        ["Erster Akt. Eine Mühle. Nacht.", "Zweiter Akt. Ebenda. Tag.", "Dritter Akt. Ein Weg. Regen."],
        [
            "Chapter the First. In which the miller goes to market, and sells a mare; and what he\nfinds there.",
            "Chapter the Second. How a saddle was lost, and how it was found again by nobody; with much of eels!",
            "Chapter the Third. Of salt.",
        ],
        ["Chapter 1\nThe old ladder", "Chapter 2\nA river, and a saddle", "Chapter 3\nWho rang?"],
    ],
)
def test_headings_of_any_language_and_shape_go(headings: list[str], gap: str) -> None:
    found = clean_book(chapters(headings, gap))
    assert found.paragraphs == FLAT[: 2 * len(headings)]
    assert found.chapters == (0, 2, 4)


def test_the_title_of_a_chapter_goes_on_in_the_next_line_of_a_text_without_blank_lines() -> None:
    titles = [
        f"Chapter {number}. Of what the miller of the river did there, and of the\nnarrow {word} of his sister"
        for number, word in (("I", "winter"), ("II", "saddle"), ("III", "candle"))
    ]
    text = "\n".join(f"{title}\n{PROSE[i]}" for i, title in enumerate(titles))
    assert clean_book(text).paragraphs == FLAT[:3]


def test_a_board_in_capitals_that_opens_one_chapter_stays() -> None:
    board = "THROUGH ME THE WAY TO THE MILL,\nTHROUGH ME THE WAY TO THE NARROW RIVER,\nTHROUGH ME THE ROAD."
    parts = [
        "CHAPTER 1",
        *PROSE[:2],
        "CHAPTER 2",
        *PROSE[2:4],
        "CHAPTER 3",
        board,
        *PROSE[4:8],
        "CHAPTER 4",
        *PROSE[8:],
    ]
    assert "THROUGH ME THE ROAD." in clean_book("\n\n".join(parts)).paragraphs[4]


def test_titles_that_begin_anew_in_each_part_are_headings() -> None:
    titles = ["Canto sesto", "Canto settimo", "Canto ottavo", "Canto nono"]
    assert clean_book("\n\n\n".join([chapters(titles), chapters(titles)])).paragraphs == FLAT[:8] * 2


def test_names_that_recur_in_no_order_are_no_headings() -> None:
    names = ["Old Miller", "Young Miller", "Old Miller", "Third Miller", "Young Miller", "Third Miller"]
    assert [name for name in added(chapters(names)) if "Miller" in name] == names


def test_a_short_sentence_below_a_bare_number_is_no_title() -> None:
    numbers = [part for i in range(4) for part in ("I II III IV".split()[i], f"He went to quay {i}.", PROSE[i])]
    assert clean_book("\n\n".join(numbers)).paragraphs[::2] == [f"He went to quay {i}." for i in range(4)]


@pytest.mark.parametrize("numbers", ["I II III", "一 二 三"])
@pytest.mark.parametrize(
    "first",
    [
        ["雨下了一整天。", "老人坐在门口，看见船。", "孩子没有来。“谁？”"],
        ["It rained.", "Tom slept all day long.", "Nobody came to the mill."],
    ],
)
def test_a_first_paragraph_in_one_line_is_no_title(numbers: str, first: list[str]) -> None:
    parts = [part for i, number in enumerate(numbers.split()) for part in (number, first[i], PROSE[i])]
    assert clean_book("\n\n".join(parts)).paragraphs[::2] == first


@pytest.mark.parametrize(
    "epigraph",
    [
        "“Whoever walks on salt leaves no print.”\n—A saying of the marsh",
        "Nobody asked the marsh what it wanted:\nit would have answered.\n    -- J. Quill",
        "“Whoever walks on salt leaves no print.” —A saying of the marsh",
    ],
)
def test_a_quotation_before_the_first_heading_stays(epigraph: str) -> None:
    text = "\n\n".join(["The Salt Road", "by A. Writer", epigraph, "CHAPTER I", *PROSE])
    found = [" ".join(paragraph.split()) for paragraph in clean_book(text).paragraphs]
    assert found == [" ".join(epigraph.split()), *FLAT]


def test_boards_in_a_story_without_headings_stay() -> None:
    parts = ["He hung the boards on the wall.", "LOST: ONE GREY MARE", "WANTED: A BOY", "Then he went to bed."]
    assert clean_book("\n\n".join([*parts, *PROSE])).paragraphs[:4] == parts


@pytest.mark.parametrize("gap", ["\n\n", "\n\n\n"])
def test_a_telegram_in_capitals_is_no_heading(gap: str) -> None:
    telegram = "MARE SOLD STOP COMING HOME THURSDAY STOP BUY BREAD"
    text = gap.join(["CHAPTER I", *PROSE[:5], "She read it.", telegram, "She wept.", "CHAPTER II", *PROSE[5:]])
    assert clean_book(text).paragraphs[5:8] == ["She read it.", telegram, "She wept."]


@pytest.mark.parametrize("gap", ["\n\n", "\n\n\n"])
def test_several_telegrams_in_a_book_with_chapters_stay(gap: str) -> None:
    telegrams = ["MARE SOLD COME HOME", "TOO LATE STOP ALL ILL", "NO TRAIN BEFORE SUNDAY", "STAY WHERE YOU ARE"]
    parts = [part for i, telegram in enumerate(telegrams) for part in (PROSE[2 * i], telegram, PROSE[2 * i + 1])]
    text = gap.join(["CHAPTER I", *parts[:6], "CHAPTER II", *parts[6:]])
    assert [p for p in clean_book(text).paragraphs if p not in FLAT] == telegrams


def test_titles_of_recipes_within_chapters_go() -> None:
    titles = [f"{name} {dish}" for name in ("EEL", "PLUM", "OAT", "RYE") for dish in ("PIE", "SOUP")]
    parts = [part for i, title in enumerate(titles) for part in (title, PROSE[2 * i], PROSE[2 * i + 1])]
    text = "\n\n".join(["CHAPTER I", PROSE[-1], *parts[:12], "CHAPTER II", PROSE[-2], *parts[12:]])
    assert clean_book(text).paragraphs == [FLAT[-1], *FLAT[:8], FLAT[-2], *FLAT[8:16]]


def test_titles_in_capitals_may_ask_or_cry_where_they_stand_apart() -> None:
    text = chapters(["THE LADDER.", "WHO RANG THE BELL?", "STOP!"], "\n\n\n")
    assert clean_book(text).paragraphs == FLAT[:6]


def test_the_first_of_several_titles_that_stand_apart_goes_too() -> None:
    titles = ["The Ladder", "A Narrow River", "What Anna Said", "The Long Winter", "Letters"]
    assert clean_book(chapters(titles, "\n\n\n\n")).paragraphs == FLAT[:10]


@pytest.mark.parametrize("name", ["Epilog", "Introducción", "Послесловие", "エピローグ", "楔子", "머리말", "Předmluva"])
def test_parts_with_a_name_in_other_languages(name: str) -> None:
    assert added(book(name)) == []


@pytest.mark.parametrize(
    "parts",
    [
        ["He looked up at the board, which said:", "NO BREAD TODAY", "Then he went home."],
        ["She read it aloud.", "WINDSOR-JULY. MY DEAR TOM,", "I am well."],
        ["The stone bore the name of", "TOM HALE, PILOT", "and no more."],
        ["I am, as ever, your obliged friend,", "T. W. HALE OF THE QUAY"],
        ["He gave three reasons:", "1. The rope was old.", "So it was.", "2. It rained.", "It did.", "3. He slept."],
        ["PART I. He was born, and that was the whole of it; and after that he died\nas all men do, on the quay."],
        [
            "The first letter, which came in May, was short.",
            "The second letter, she said, was not.",
            "The third letter, he burned.",
        ],
        ["Her letter, which came in May, was short.", "His letter was not.", "My letter, he burned."],
        ["I act.", "I book.", "I part."],
        ["Old Tom", "Old Tom", "Old Anna"],
        ["He wrote:\n---------", "So it was."],
        ["Two", "Two", "“Three,” said she."],
    ],
)
def test_lines_of_the_book_itself_stay(parts: list[str]) -> None:
    assert added(book(*parts)) == [part.removesuffix("\n---------").replace("\n", " ") for part in parts]


@pytest.mark.parametrize(
    "first",
    [
        ["It rained on the quay.", "Tom had not slept for two nights.", "Nobody came.", "He went down to the water."],
        ["“Who is there?”", "“Tom.”"],
        ["雨下了一整天。", "老人坐在门口。", "孩子没有来。"],
    ],
)
def test_short_paragraphs_before_the_first_number_are_no_title_page(first: list[str]) -> None:
    assert clean_book("\n\n".join([*first, "II", *PROSE])).paragraphs == [*first, *FLAT]


def test_years_and_lines_of_stars_are_not_chapters() -> None:
    assert counts(book("1871", "* * *", "1873")) == {"pages": 2, "separators": 1}
