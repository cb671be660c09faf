"""Pages of a scan: running heads, page numbers, notes and pictures that cut a paragraph or a word."""

import pytest

from tiny_diffusion.data.reading.cleaning import clean_book

from .made_up import FLAT, PROSE, added, book, counts

HEADS = "The Quay|A Rope|Of Salt|The Pilot|Nine Gulls|Low Water".split("|")


def cut(head: str, i: int) -> list[str]:
    """A sentence that a page ends, and the head of the next page."""
    return [f"The pilot went to quay number {i}, and then he", head, f"came back with {i + 3} ropes."]


def whole(i: int) -> str:
    return f"The pilot went to quay number {i}, and then he came back with {i + 3} ropes."


@pytest.mark.parametrize(
    "heads",
    [
        ["THE PILOT'S DAUGHTER"] * 6,
        [f"{30 + i} The Pilot's Daughter" if i % 2 else f"A Night Watch {30 + i}" for i in range(6)],
        [f"{title}                       {30 + i}" for i, title in enumerate(HEADS)],
        ["CHAP. II.] THE PILOT. 30", *(f"CHAP. II.] THE PlLOT {i}" for i in range(31, 35)), "CHAP. II.] THE P1LOT 35"],
        [f"CHAPTER II. {30 + i}" if i % 2 else f"{30 + i} THE PILOT. [Ch. 2" for i in range(6)],
        ["30     The Pilot", "A Rope     31", "32     The Pilot", "Nine Gulls     33", "34     The Pilot"],
        [f"{30 + i} | The Pilot's Daughter" if i % 2 else f"A Night Watch | {30 + i}" for i in range(6)],
        [f"{30 + i}\n\nTHE PILOT'S DAUGHTER" for i in range(6)],
        ["Copied by a Machine"] * 6,
        ["\f"] * 6,
        [f"\f{30 + i}" for i in range(6)],
        [f"\f{30 + i}  THE PILOT" for i in range(6)],
    ],
)
def test_a_paragraph_goes_on_behind_any_running_head(heads: list[str]) -> None:
    text = book(*(part for i, head in enumerate(heads) for part in cut(head, i)))
    assert added(text) == [whole(i) for i in range(len(heads))]
    assert set(counts(text)) == {"pages"}


def test_running_heads_within_the_lines_of_a_paragraph() -> None:
    lines = [f"and the rope that hung there by the wall of quay number {i} was so long" for i in range(4)]
    for head in ("THE PILOT {}", "- {} -", "[{}]"):
        headed = [line for i, text in enumerate(lines) for line in (text, head.format(40 + i))]
        assert added(book("\n".join([*headed, "that it broke."]))) == [" ".join([*lines, "that it broke."])]


def test_a_paragraph_goes_on_behind_a_blank_line_that_a_scan_put_there() -> None:
    lines = ["The pilot went to the quay and looked at the rope that hung", "there, and the gulls", "cried out."]
    for broken in ("\n\n".join(lines), "\n\n".join(["\n".join(lines[:2]), lines[2]])):
        assert added(book(broken)) == [" ".join(lines)]
    letter = [
        "My dear Tom,",
        "your letter came.",
        "The stone bore the name of the pilot, and of his wife:",
        "so it did.",
    ]
    assert added(book(*letter)) == letter


def test_speech_that_a_dash_opens_is_a_paragraph_in_a_block_of_prose() -> None:
    lines = [
        "— Qui sonne donc ? dit le meunier ; est-ce toi, par hasard, petit, qui",
        "sonnes à cette heure ?",
        "— Non, dit le valet.",
        "— Alors qui ?",
    ]
    assert added(book("\n".join(lines))) == [" ".join(lines[:2]), *lines[2:]]
    verse = "— Who rang the bell?\nThe gull, the gull,\n— Who rang it late?\nThe gull again."
    assert added(book(verse)) == [verse]


def test_a_narrow_column_with_broken_words_is_prose() -> None:
    lines = ["Der Müller ging zum Was-", "ser und sah das Rad,", "das still war. Der Knecht schlief in der Müh-", "le."]
    assert added(book("\n".join(lines))) == ["Der Müller ging zum Wasser und sah das Rad, das still war. "
                                              "Der Knecht schlief in der Mühle."]  # fmt: skip


def test_numbers_of_chapters_may_begin_again_in_each_part() -> None:
    numbers = ["PART I\n\n1", "2", "3", "PART II\n\n1", "2"]
    found = clean_book("\n\n".join(part for i, n in enumerate(numbers) for part in (n, PROSE[2 * i], PROSE[2 * i + 1])))
    assert found.paragraphs == FLAT[:10] and found.chapters == (0, 2, 4, 6, 8)


def test_lines_that_recur_in_the_book_itself_stay() -> None:
    verse = ["Row on, my pilot,", "and the gulls cried out.", "Row on, my pilot,", "and the rope was long."] * 2
    assert added(book("He sang.", *verse, "He slept.", "41", "came back to her.", "came back to her.")) == [
        "He sang.", "\n".join(verse), "He slept.", "came back to her.", "came back to her."
    ]  # fmt: skip


def test_bare_numbers_of_chapters_are_headings_and_those_of_pages_are_not() -> None:
    chapters = [part for i in range(4) for part in (str(i + 1), *PROSE[3 * i : 3 * i + 3])]
    found = clean_book("\n\n".join(chapters))
    assert found.paragraphs == FLAT[:12] and found.chapters == (0, 3, 6, 9) and found.removed.counts == {"headings": 4}
    assert counts(book(*(part for i in range(4) for part in cut(str(i + 1), i)))) == {"pages": 4}
    counted = [part for i in range(3) for part in (str(i + 1), f"Nobody moved at {i}.")]
    assert added(book("He counted.", *counted)) == ["He counted.", *counted[1::2]]


@pytest.mark.parametrize(
    ("between", "kind"),
    [
        ("* A grey one.", "notes"),
        ("______\n* A grey one.", "notes"),
        ("[Frontispiece: A mare]\n\n44", "pictures"),
        ("[Abbildung: Ein Pferd]\n\n44", "pictures"),
    ],
)
def test_a_paragraph_goes_on_behind_a_note_or_a_picture(between: str, kind: str) -> None:
    text = book(
        "He sold the mare,* and then he" if kind == "notes" else "He sold the mare, and then he", between, "slept."
    )
    assert added(text) == ["He sold the mare, and then he slept."] and counts(text)[kind] == 1


def test_a_paragraph_of_chinese_goes_on_behind_a_page_number() -> None:
    lines = [
        "\u3000\u3000老人走到河边，看见船",
        "12",
        "已经走了。",
        "\u3000\u3000他",
        "13",
        "\u3000\u3000第二天他又来了。",
    ]
    assert clean_book("\n\n".join(lines)).paragraphs == ["老人走到河边，看见船已经走了。", "他", "第二天他又来了。"]


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("the lan¬", "tern", "the lantern"),
        ("the lan=", "tern", "the lantern"),
        ("the lan\u2010", "tern", "the lantern"),
        ("the LAN-", "TERN", "the LANTERN"),
        ("in 1871-", "1873", "in 1871-1873"),
        ("an Anglo-", "Saxon", "an Anglo-Saxon"),
        ("it was --", "well", "it was -- well"),
    ],
)
def test_words_that_a_line_end_breaks(first: str, second: str, joined: str) -> None:
    line = f"The pilot went to the quay at night and found that nobody saw {first}\n{second} that he had left there."
    assert f"nobody saw {joined} that he" in added(book(line))[0]


def test_points_at_the_end_of_a_wrapped_paragraph_stay() -> None:
    assert added(book(f"{PROSE[0][:-1]}, in a year\n. . . .")) == [f"{FLAT[0][:-1]}, in a year . . . ."]


@pytest.mark.parametrize(
    "lines",
    [
        ["MAY 3", "It rained.", "MAY 4", "It rained.", "MAY 5", "Nobody came."],
        ["1. Mai", "It rained.", "2. Mai", "It rained.", "3. Mai", "Nobody came."],
        ["3 June", "It rained.", "4 June", "It rained.", "5 June", "Nobody came."],
        [f"{year}      The mill is built at quay {year % 7}" for year in (1801, 1805, 1806, 1811, 1820, 1832)],
        ["He wrote a list.", "The mill is built     1801\nThe mill burns down     1805\nThe flood     1806"],
        ["He wrote a list.", "Oil for the lamp     40\nBread     12\nA rope     31"],
    ],
)
def test_dates_and_years_are_no_running_heads_headings_or_contents(lines: list[str]) -> None:
    assert added(book(*lines)) == ["\n".join(" ".join(part.split()) for part in line.split("\n")) for line in lines]


def test_numbers_with_a_full_stop_are_those_of_letters() -> None:
    letters = [part for i in range(4) for part in (f"{217 + i}.", "TO TOM,--", PROSE[i], "Your friend,", "ANNA.")]
    found = clean_book("\n\n".join([*PROSE[10:], *letters]))
    assert found.removed.counts == {"headings": 4}
    assert found.paragraphs[10:14] == ["TO TOM,--", FLAT[0], "Your friend,", "ANNA."]
