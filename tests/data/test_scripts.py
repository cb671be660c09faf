"""Layouts of Chinese, Japanese, Korean and Thai books."""

import pytest

from tiny_diffusion.data.reading.cleaning import clean_book

JAPANESE = [
    "\u3000老人は川を見ていた。舟は来なかった。",
    "「誰だ」と彼は言った。",
    "――返事はない。",
    "\u3000夜になった。",
]


def test_japanese_speech_without_an_indent_is_a_paragraph() -> None:
    wanted = [line.strip("\u3000") for line in JAPANESE]
    assert clean_book("\n".join(JAPANESE * 9)).paragraphs == wanted * 9


@pytest.mark.parametrize("colophon", ["", "\n\n底本：「川の夜」架空文庫\n入力：架空\n"])
def test_readings_alone_tell_aozora(colophon: str) -> None:
    text = f"川の夜\n架空太郎\n\n\u3000川《かわ》は静《しず》かだ。\n\u3000｜渡し船《わたしぶね》が来た。{colophon}"
    assert clean_book(text).paragraphs == ["川は静かだ。", "渡し船が来た。"]


def test_words_in_double_brackets_are_no_readings() -> None:
    text = "\u3000彼は《急げ》と言った。\n\u3000彼女は《はい》と答えた。"
    assert clean_book(text).paragraphs == ["彼は《急げ》と言った。", "彼女は《はい》と答えた。"]


def test_headings_of_several_lines_in_aozora() -> None:
    text = (
        "［＃ここから大見出し］\n一\n夜\n［＃ここで大見出し終わり］\n\n\u3000川《かわ》の音。\n\u3000空《そら》の色。\n"
    )
    assert clean_book(text).paragraphs == ["川の音。", "空の色。"]


@pytest.mark.parametrize("heading", ["第三节", "卷四 风", "尾声", "3부", "제 2 장", "プロローグ"])
def test_headings_of_chinese_korean_and_japanese(heading: str) -> None:
    lines = ["老人走到河边，看见船已经走了。", "孩子没有说话。", "夜里下了雨。"]
    assert clean_book("\n\n".join([*lines, heading, *lines])).paragraphs == lines * 2


def test_sentences_that_begin_like_headings_stay() -> None:
    lines = [
        "第三章讲的是一条船。",
        "第一次见到他，是在河边。",
        "3부를 읽었다고 그가 말했다.",
        "卷四讲风的故事，他没有读完。",
    ]
    assert clean_book("\n\n".join(lines * 3)).paragraphs == lines * 3


def test_thai_lines_join_without_a_space() -> None:
    lines = ["หญิงสาวรออยู่ที่บ้านและมองออกไปนอกหน้าต่างทุกวัน", "เรือเก่าของพ่อไม่กลับมาอีกเลยตั้งแต่ฤดูหนาวปีก่อน"]
    text = "\n\n".join(["\n".join([*lines, "และเธอก็ร้องไห้"])] * 5)
    assert clean_book(text).paragraphs == ["".join([*lines, "และเธอก็ร้องไห้"])] * 5


def test_each_line_of_chinese_that_ends_a_sentence_is_a_paragraph() -> None:
    lines = ["天还没有亮，船停在港口里。", "“谁敲的钟？”老人问。", "没有人回答。"]
    chapters = [f"第{number}章 港口\n" + "\n".join(line.replace("船", sign) for line in lines)
                for number, sign in zip("一二三四", "车马牛羊", strict=True)]  # fmt: skip
    assert clean_book("\n\n".join(chapters)).paragraphs[:3] == [lines[0].replace("船", "车"), *lines[1:]]


def test_no_space_before_a_quotation_in_chinese() -> None:
    wrapped = (
        "\u3000\u3000老人走到河边，看见船已经走了，他对孩子说：\n“明天再来。”孩子没有回答，只是看着河水慢慢地\n流过去。"
    )
    assert " " not in clean_book("\n\n".join([wrapped] * 3)).paragraphs[0]


def test_double_angles_that_are_no_readings_stay() -> None:
    text = "港《みなと》は静《しず》かで、｜燈台守《とうだいもり》は《鐘》を聞いた。"
    assert clean_book(text).paragraphs == ["港は静かで、燈台守は《鐘》を聞いた。"]


def test_lines_of_chinese_and_japanese_verse_stay_lines() -> None:
    prose = ["老人走到河边，看见船已经走了，孩子没有说话，夜里下了雨，没有人来。"] * 12
    poems = ["窄桥无人过，\n红灯照旧钟。\n老人不肯睡，\n冬路满寒风。", "雪が降る\n雪が積もる\n磨坊は眠る"]
    assert [p for p in clean_book("\n\n".join([*prose, *poems, *prose])).paragraphs if p not in prose] == poems


def test_no_line_of_aozora_is_joined_to_the_next() -> None:
    prose = "　港《みなと》は静かで、老人《ろうじん》は舟を見ていたが、誰も来なかったので家に帰って眠った。"
    text = "\n".join([prose, "舟が行く、それは", "長い夜の歌", prose, "", "＊", "", prose])
    flat = "港は静かで、老人は舟を見ていたが、誰も来なかったので家に帰って眠った。"
    assert clean_book(text).paragraphs == [flat, "舟が行く、それは\n長い夜の歌", flat, flat]


def test_the_end_of_a_chapter_and_the_next_heading_go_without_a_blank_line() -> None:
    lines = ["老人走到河边，看见船已经走了。", "孩子没有说话。", "夜里下了雨。"]
    text = "\n".join(part for i in "一二三" for part in (f"第{i}章 谁来了？", *lines, "（本章完）"))
    assert clean_book(text).paragraphs == lines * 3


def test_a_second_work_of_aozora_behind_a_colophon_stays() -> None:
    told = ["港は静かだ。", "老人は眠った。"]
    lines = ["港の夜", "某", "", "　港《みなと》は静かだ。", "　老人《ろうじん》は眠った。", ""]
    work = "\n".join([*lines, "底本：「港」", "制作はボランティアです。", "", ""])
    found = clean_book(work * 2)
    assert found.paragraphs[:2] == found.paragraphs[-2:] == told and len(found.paragraphs) > len(told)
    assert found.removed.counts["back"] == 2
