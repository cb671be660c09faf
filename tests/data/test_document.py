"""What the rules take each part of a book for: verse, plays, notes, page furniture, scripts without spaces."""

import random
import textwrap

import pytest

from tiny_diffusion.data.reading.cleaning import Cleaned, clean_book, first_pieces, unlike_a_book
from tiny_diffusion.data.reading.document import REMOVABLE
from tiny_diffusion.data.reading.loading import parse_book

from .made_up import FLAT, PROSE, added, book, counts

STANZA = (
    "The ferry has gone from the shingle,\n  The lamp has gone from the door,\n"
    "And none of the ropes will mingle\n  With weed on the shore any more."
)


def test_a_stanza_keeps_its_lines_and_prose_does_not() -> None:
    lines = "\n".join(line.strip() for line in STANZA.split("\n"))
    assert added(book(STANZA)) == [lines]
    assert added(book(STANZA), unwrap=False) != [lines]


def test_a_book_of_verse_without_prose() -> None:
    chance = random.Random(4)
    words = "kelp tide lantern harbour gone salt under wing of the a slow bell".split()
    stanzas = ["\n".join(" ".join(chance.choices(words, k=chance.randint(4, 7))) for _ in range(4)) for _ in range(40)]
    assert clean_book("\n\n".join(stanzas)).paragraphs == stanzas


def test_the_rest_of_a_long_line_of_verse_is_joined_to_it() -> None:
    first, rest = "And all the boats of all the harbours of the north were coming home by", "lamplight,"
    more = ["And I was there,", "And the tide was low."]
    long = f"  {first}\n      {rest}\n  {more[0]}\n  {more[1]}"
    assert added(book(long)) == ["\n".join([f"{first} {rest}", *more])]


def test_prose_with_a_narrower_margin_is_not_verse() -> None:
    narrow = textwrap.indent(textwrap.fill(FLAT[0].replace("orchard", "pear"), 50), "    ")
    assert added(book(narrow)) == [" ".join(narrow.split())]


def test_a_play_keeps_names_apart_from_speeches() -> None:
    speeches = [f"{name}\nHow {word} the water is, and how the night comes down." for name, word in
                (("ANNA", "cold"), ("THE PILOT", "grey"), ("ANNA", "deep"), ("THE PILOT", "still"))]  # fmt: skip
    assert added(book("ACT II", "SCENE III. The quay.", *speeches)) == speeches
    assert counts(book("ACT II", "SCENE III. The quay.", *speeches))["headings"] == 2


@pytest.mark.parametrize("mark", ["*", "(7)", "[B]", "†", "[7]"])
def test_notes_and_their_marks_go(mark: str) -> None:
    text = book(f"He sold the mare,{mark} and the cart too.", f"{mark} For nine crowns.", "He kept the dog.")
    assert added(text) == ["He sold the mare, and the cart too.", "He kept the dog."]
    assert counts(text) == {"notes": 1}
    kept = clean_book(text, keep=["notes"])
    assert "For nine crowns." in kept.paragraphs and kept.removed.counts == {}


@pytest.mark.parametrize(
    "text",
    ["He wrote [sic] and [pi] and {1} there.", "(1) Bread, (2) salt.", "* Bread", "[A] stayed, [B] went.",
     "[Tom] left x[1] alone."],
)  # fmt: skip
def test_what_only_looks_like_marks_stays(text: str) -> None:
    assert added(book(text)) == [text]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("It is *so* odd, =so= ~so~ **so**.", "It is so odd, so so so."),
        ("From_ the mill of _Anna_ he saw_ her.", "From the mill of Anna he saw her."),
        ("_He came to the _mill_._", "He came to the mill."),
        ("I _dis_like it, _my_self.", "I dislike it, myself."),
        ("M. *** and d**n it: 2*3*4, a = b = c, my_old_name, ____ and _.", None),
    ],
)
def test_signs_around_emphasised_words_go(written: str, read: str | None) -> None:
    assert added(book(written)) == [read or written]


def test_braces_are_pages_where_they_count() -> None:
    text = "\n\n".join(f"{{{i}}} The cart went on to the town number {i}." for i in range(1, 8))
    assert clean_book(text).removed.counts == {"pages": 7}


def test_running_heads_go_and_the_cut_word_is_joined() -> None:
    text = book(
        "The pilot looked at the chart and at the har-", "40                The Pilot's Daughter",
        "bour, and then he said, for the third", "A Night Watch                      41",
        "time, that it was late.", "42                The Pilot's Daughter", "Nobody spoke.", "A Night Watch      43",
    )  # fmt: skip
    assert added(text) == [
        "The pilot looked at the chart and at the harbour, and then he said, for the third time, that it was late.",
        "Nobody spoke.",
    ]


def test_a_table_of_contents_without_its_name() -> None:
    titles = ["PART 1. The Quay.", "PART 2. Who Sold the Mare?", "PART 3. A Chart; and Its Use."]
    chapters = [text for title, body in zip(titles, FLAT, strict=False) for text in (title, body)]
    found = clean_book("\n\n".join([*titles, *chapters, *FLAT[3:]]))
    assert found.paragraphs == FLAT
    assert found.removed.counts == {"contents": 3, "headings": 3}
    assert found.chapters == (0, 1, 2)


def test_chapters_begin_after_their_headings_or_with_those_that_are_kept() -> None:
    text = "\n\n".join(["PART ONE", "CHAPTER I", *PROSE[:3], "CHAPTER II", *PROSE[3:]])
    assert clean_book(text).chapters == (0, 3)
    kept = clean_book(text, drop_headings=False)
    assert [kept.paragraphs[i] for i in kept.chapters] == ["PART ONE", "CHAPTER II"]
    assert clean_book("\n\n".join(PROSE)).chapters == ()


def test_cries_of_a_play_are_no_table_of_contents() -> None:
    cries = ["TOM.", "Ahoy there!", "ANNA."]
    assert clean_book("\n\n".join([*cries * 5, *FLAT])).paragraphs == [*cries * 5, *FLAT]


def test_the_title_page_before_the_first_chapter_goes() -> None:
    front = ["The Mare", "by Nobody.\nLondon,\n1871", "All rights reserved."]
    found = clean_book("\n\n".join([*front, "CHAPTER I", *PROSE]))
    assert found.paragraphs == FLAT and found.removed.counts == {"front": 3, "headings": 1}
    found = clean_book("\n\n".join([*front, PROSE[0], "CHAPTER I", *PROSE[1:]]))
    assert found.paragraphs[-len(FLAT) :] == FLAT and "All rights reserved." in found.paragraphs


def test_an_index_goes_and_a_chapter_of_that_name_stays() -> None:
    entries = [f"Mares, {place}, {number}" for number, place in enumerate(("grey", "old", "sold", "stolen"), 31)]
    found = clean_book("\n\n".join([*PROSE, "INDEX", *entries]))
    assert found.paragraphs == FLAT and found.removed.counts == {"back": 5}
    assert clean_book("\n\n".join([*PROSE, "Index", *PROSE])).paragraphs == [*FLAT, "Index", *FLAT]


@pytest.mark.parametrize("gap", ["\n\n", "\n"])
def test_an_index_with_letters_and_wrapped_lines_goes(gap: str) -> None:
    entries = [
        "A",
        "Anna, 3, 7-9;\n  her mare, 14.",
        "B",
        "Boats, 4 _n._, _see also_ Quay.",
        "Bread, _see_ Oats.",
        "C",
        "Cart, 3, _passim_",
    ]
    found = clean_book("\n\n".join([*PROSE, "INDEX", gap.join(entries)]))
    assert found.paragraphs == FLAT


def test_a_publisher_s_list_at_the_end_goes_and_a_chapter_behind_it_stays() -> None:
    lists = ["BY THE SAME AUTHOR.", "The Ox. Six crowns.", "The Cart. Nine crowns."]
    assert clean_book("\n\n".join([*PROSE, *lists])).paragraphs == FLAT
    found = clean_book("\n\n".join([*PROSE[:18], "About the Author", FLAT[0], "CHAPTER IX", *PROSE[18:]])).paragraphs
    assert found[-2:] == FLAT[18:] and FLAT[0] in found[1:]


@pytest.mark.parametrize(
    "told",
    ["Join me tonight, said the letter.", "Joining the ropes took them all night.", "Sign up, Tom.",
     "Praise for his patience was the last thing that he had hoped for.", "Subscribe, said the man with the pen."],
)  # fmt: skip
def test_sentences_near_the_end_that_begin_like_a_publisher_s_list_cut_nothing_off(told: str) -> None:
    assert clean_book("\n\n".join([*PROSE[:19], told, PROSE[19]])).paragraphs == [*FLAT[:19], told, FLAT[19]]


def test_what_a_web_library_says_behind_the_last_separator_goes() -> None:
    said = ["Read more at https://library.example/.", "Edited by A. Reader."]
    assert clean_book("\n\n".join([*PROSE, "-----", *said])).paragraphs == FLAT
    assert clean_book("\n\n".join([*PROSE[:19], "* * *", PROSE[19], said[0]])).paragraphs == [*FLAT, said[0]]


def test_a_name_in_capitals_signs_a_letter() -> None:
    letters = [f"LETTER {n}\n\nMy dear, {PROSE[i]}\n\nANNA {name}." for i, (n, name) in enumerate(
        zip(("I", "II", "III"), ("HALE", "GRAY", "ROOK"), strict=True))]  # fmt: skip
    found = clean_book("\n\n\n".join(letters)).paragraphs
    assert [text for text in found if text.isupper()] == ["ANNA HALE.", "ANNA GRAY.", "ANNA ROOK."]


def test_what_is_said_of_an_edition_counts_as_title_page() -> None:
    front = ["The Mare", "This ebook was made by nobody at all.", "It was first published in the winter of 1871.",
             "[End of The Mare, by Nobody]"]  # fmt: skip
    assert clean_book("\n\n".join([*front[:3], "CHAPTER I", *PROSE, front[3]])).paragraphs == FLAT


def test_titles_below_the_numbers_of_chapters() -> None:
    parts = [x for i, (title, body) in enumerate(zip(("Of a Mare", "Where is Tom?", "At sea"), FLAT, strict=False), 1)
             for x in (f"CHAPTER {i}", title, body)]  # fmt: skip
    assert clean_book("\n\n".join([*parts, *FLAT[3:]])).paragraphs == FLAT


CHINESE = ["山下有一条小河。", "“船来了吗？”老人问道。", "孩子摇了摇头。"]


def test_chinese_paragraphs_led_by_wide_spaces() -> None:
    text = "第三章 小河\n\n" + "\n".join(f"\u3000\u3000{line}" for line in CHINESE * 20)
    assert clean_book(text).paragraphs == CHINESE * 20


def test_aozora_marks_guide_and_colophon_go() -> None:
    text = (
        "川の夜\n架空太郎\n\n" + "-" * 50 + "\n【テキスト中に現れる記号について】\n\n《》：ルビ\n" + "-" * 50 + "\n\n"
        "［＃２字下げ］二［＃「二」は中見出し］\n\n\u3000｜渡し船《わたしぶね》は静かに［＃「静かに」に傍点］動いた。\n"
        "「誰だ」と老人は言った。\n\u3000返事はなかった。\n\n底本：「川の夜」架空文庫\n入力：架空\n"
    )
    found = clean_book(text)
    assert found.paragraphs == ["渡し船は静かに動いた。", "「誰だ」と老人は言った。", "返事はなかった。"]
    assert {"front": 2, "back": 1, "headings": 1}.items() <= found.removed.counts.items()


def test_every_kind_can_be_kept_and_is_counted_with_an_example() -> None:
    text = book("CHAPTER V", "[Illustration: A mare]", "* * * * *", "He sat.(1)", "(1) Down.", gap="\n\n\n")
    found = clean_book(text)
    assert [row[:2] for row in found.removed.rows()] == [
        ("headings", 1), ("notes", 1), ("pictures", 1), ("separators", 1)
    ]  # fmt: skip
    assert found.removed.examples["pictures"] == "[Illustration: A mare]"
    assert "CHAPTER V" in clean_book(text, keep=REMOVABLE).paragraphs


def test_the_first_pieces_say_what_they_were_taken_for() -> None:
    entries = [f"Chapter {i}" for i in range(1, 9)]
    found = clean_book("\n\n".join(["CONTENTS", *entries, "", "Chapter 1", *FLAT]))
    assert first_pieces(found, 4) == [
        ("contents", "CONTENTS", 0), ("contents", "Chapter 1", 7), ("headings", "Chapter 1", 0), ("text", FLAT[0], 0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "what"),
    [("if (a[i] == b) {{ x = {0}; }}", "code or markup"), ("{0} 1871 2210 33.1", "a table"), ("pears {0}", "a list")],
)
def test_what_is_no_book_is_named(line: str, what: str) -> None:
    assert unlike_a_book(clean_book("\n\n".join(line.format(chr(97 + i % 26) * 3) for i in range(80)))) == what
    assert unlike_a_book(Cleaned(FLAT, clean_book("").removed, [("text", text) for text in FLAT])) is None


NARROW = [
    "the river lay so low",
    "and still the boats went by",
    "no one had told the crow",
    "what was there in the sky,",
    "and nobody would row",
    "for all the gulls could cry",
]


def test_a_book_of_narrow_verse_in_small_letters_keeps_its_lines() -> None:
    stanzas = ["\n".join(NARROW[i:] + NARROW[:i]) for i in range(6)]
    assert clean_book("\n\n".join(stanzas)).paragraphs == stanzas
    narrow_prose = "\n\n".join(textwrap.fill(" ".join(paragraph.split()), 38) for paragraph in PROSE)
    assert clean_book(narrow_prose).paragraphs == FLAT


def test_prose_in_a_book_of_verse_is_joined() -> None:
    spoken = textwrap.fill(
        "Clown. marry, he that keeps the bridge has never paid for it, and he that pays has never crossed, "
        "so the one is a rich man who walks and the other a poor man who sits.", 62
    )  # fmt: skip
    text = "\n\n".join([*[STANZA.replace("ferry", name) for name in ("ship", "boat", "raft", "punt")] * 3, spoken])
    assert clean_book(text).paragraphs[-1] == " ".join(spoken.split())


def test_chinese_verse_keeps_its_lines_and_wrapped_prose_does_not() -> None:
    verse = "河上雾未散，\n渡口有人歌。\n钟声远处来，\n老人不言语。"
    prose_lines = "他在渡口等了很久，河上的雾一直没有\n散去，远处的钟声\n一下一下地传来，老人只\n看着水。"
    assert clean_book(f"{verse}\n\n{prose_lines}").paragraphs == [verse, prose_lines.replace("\n", "")]


def test_wide_spaces_stay_wide() -> None:
    assert clean_book("「誰だ？\u3000お前は誰だ」と老人は言った。").paragraphs == [
        "「誰だ？\u3000お前は誰だ」と老人は言った。"
    ]


def test_a_latin_capital_makes_no_heading_of_a_sentence_in_another_script() -> None:
    parts = [f"私は{count}度目の朝に渡し場へ行った。" for count in "一二三四五"]
    found = clean_book("\n\n\n".join([*parts, "Ｋは朝から黙っていた。Ｓも黙っていた。", *parts]))
    assert "Ｋは朝から黙っていた。Ｓも黙っていた。" in found.paragraphs


@pytest.mark.parametrize("number", ["00041207", "212"])
def test_a_number_between_lines_of_verse_goes(number: str) -> None:
    lines = STANZA.split("\n")
    found = clean_book(book("\n".join([*lines[:2], number, *lines[2:]])))
    assert "\n".join(line.strip() for line in lines) in found.paragraphs
    assert found.removed.counts["pages"] == 1


def test_numbers_of_every_fifth_line_go() -> None:
    verse = [line.strip() for line in STANZA.split("\n")] * 8
    numbered = [line + (f"   {i}" if i % 5 == 0 else "") for i, line in enumerate(verse, 1)]
    found = clean_book(book("\n".join(numbered)))
    assert "\n".join(verse) in found.paragraphs and found.removed.counts["pages"] == 6


def test_short_titles_are_told_by_the_longer_ones_that_stand_as_far_apart() -> None:
    titles = [
        "The Narrow River",
        "Winter Orchards",
        "To Me",
        "A Ladder",
        "Morning Letters",
        "O Sister!",
        "Carried Home",
    ]
    text = "\n\n\n\n".join(f"{title}\n\n{STANZA.replace('ferry', title[-3:])}" for title in titles)
    found = clean_book("\n\n\n\n" + text)
    assert len(found.paragraphs) == found.removed.counts["headings"] == len(titles)


def test_titles_that_share_a_word_are_titles_in_any_language() -> None:
    names = "ensi toka kolma nelja viide kuude".split()
    text = "\n\n\n\n".join(f"{name.capitalize()} laulu\n\n{STANZA.replace('ferry', name)}" for name in names)
    assert clean_book("\n\n\n\n" + text).removed.counts == {"headings": 6}


def test_titles_of_recipes_between_stars_are_headings() -> None:
    recipes = [f"TO STEW {name}.\n\n{PROSE[i]}" for i, name in enumerate("PEARS PLUMS EGGS LEEKS".split())]
    found = clean_book("\n\n       *       *       *\n\n".join(recipes))
    assert found.paragraphs == FLAT[:4] and found.removed.counts == {"headings": 4, "separators": 3}


def test_scenes_with_their_place_on_the_next_line_are_headings() -> None:
    scenes = [f"Scene {n}.\nA landing. Gate {n}.\n\n{PROSE[i]}" for i, n in enumerate("I II III IV V".split())]
    assert clean_book("\n\n".join(scenes)).paragraphs == FLAT[:5]


def test_notes_in_brackets_go_with_their_marks_wherever_these_stand() -> None:
    notes = ["[Footnote 1: See the Annals, [ii] p. 9.]", "[Footnote 2: So Rook.]", "[Footnote 3]: Not found."]
    text = book("It fell [1] in March, [2] they say.[3] Of [4] men.", *notes, "[Sidenote: The fall.]")
    assert added(text) == ["It fell in March, they say. Of [4] men."]
    assert counts(text)["notes"] == 4


def test_a_note_of_several_paragraphs_goes_as_a_whole() -> None:
    listed = book(
        "It fell[1] in March[2].", "FOOTNOTES:", "[1] The first says so.", "He says it twice.", "[2] So Rook."
    )
    assert "He says it twice." not in clean_book(listed).paragraphs
    below = book("It fell[1] in March.", "    [1] The first says so.", "    He says it twice.", "Then it rose.")
    assert added(below) == ["It fell in March.", "Then it rose."]


def test_rare_signs_of_aozora_are_the_signs_themselves() -> None:
    text = "※［＃「土へん＋巳」、第3水準1-15-36］の夜な／＼、※［＃「魚」、U+9B7A、1-2］の［＃「の」に傍点］《ルビ》空。"
    assert clean_book(text).paragraphs == ["圯の夜な〳〵、魺の空。"]


@pytest.mark.parametrize("name", ["b.md", "b.html"])
def test_brackets_that_close_in_another_paragraph_cut_nothing_loose(name: str) -> None:
    """A note keeps the number of paragraphs; a picture and a note by a sign end where their paragraph does."""
    lines = [PROSE[0], "[Illustration: A mill", PROSE[1], "seen from afar]", "[* A note", PROSE[2], "ends]"]
    lines += [f"{PROSE[3]}[1]", "[Footnote 1: One", PROSE[4], "ends]", PROSE[5]]
    marked = "\n\n".join(lines) if name == "b.md" else "".join(f"<p>{line}</p>" for line in lines)
    found = read_as(marked, name).paragraphs
    assert {FLAT[i] for i in (0, 1, 2, 5)} <= set(found) and FLAT[4] not in found


def test_a_book_of_headings_alone_has_no_text() -> None:
    assert read_as("# The mill\n", "b.md").paragraphs == []


def read_as(text: str, name: str) -> Cleaned:
    """What a file of this name is cleaned to."""
    book = parse_book(text.encode(), name)
    return clean_book(book.text if book.blocks is None else book.blocks)
