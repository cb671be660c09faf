import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_diffusion.data.splitting import BREAK, drop_leaking, make_passages
from tiny_diffusion.errors import UserError


def prose(seed: int, sentences: int) -> str:
    chance = random.Random(seed)
    words = ["".join(chance.choices("abcdeilmnorstu", k=chance.randint(2, 9))) for _ in range(400)]
    return " ".join(" ".join(chance.choices(words, k=12)).capitalize() + "." for _ in range(sentences))


def paragraphs(count: int, sentences: int = 6) -> list[str]:
    return [prose(i, sentences) for i in range(count)]


def squeeze(parts: list[str]) -> str:
    return "".join("".join(parts).split())


def test_split_by_position_and_nothing_lost() -> None:
    book = paragraphs(600)
    passages = make_passages([book], "en", 4000)
    assert len(passages) > 40
    assert all(len(p.text) >= 4000 for p in passages)
    for passage in passages:
        place = passage.index % 20
        assert passage.split == {5: "test", 15: "test", 10: "validation"}.get(place, "train")
    assert [p.index for p in passages] == list(range(len(passages)))
    assert [x for p in passages for x in p.paragraphs] == book
    assert passages[0].text == "\n\n".join(passages[0].paragraphs)


def test_long_paragraph_is_cut_at_sentence_ends() -> None:
    book = [prose(1, 2000)]
    passages = make_passages([book], "en", 4000)
    assert len(passages) >= 20
    assert all(p.text.endswith(".") and len(p.text) < 4400 for p in passages[:-1])
    assert [p.joint for p in passages] == [BREAK, *[" "] * (len(passages) - 1)]
    assert "".join(p.joint + p.text for p in passages).removeprefix(BREAK) == book[0]


@settings(max_examples=10)
@given(st.lists(st.integers(20, 40), min_size=8, max_size=30), st.integers(300, 900), st.data())
def test_passages_give_the_book_back_with_its_chapters(sizes: list[int], size: int, draw: st.DataObject) -> None:
    book = [prose(i, sentences + 3) for i, sentences in enumerate(sizes)]
    chapters = draw.draw(st.sets(st.integers(0, len(book) - 1)))
    passages = make_passages([book], "en", size, [chapters])
    assert "".join(p.joint + p.text for p in passages) == BREAK + BREAK.join(book)
    begun = [p.paragraphs[i] for p in passages for i in p.chapters]
    assert len(begun) == len(chapters)
    assert all(book[number].startswith(text) for number, text in zip(sorted(chapters), begun, strict=True))


def test_text_without_sentence_ends_is_still_cut() -> None:
    book = [" ".join(prose(i, 1).rstrip(".").casefold() for i in range(2000))]
    passages = make_passages([book], "en", 4000)
    assert len(passages) >= 20
    assert squeeze([p.text for p in passages]) == squeeze(book)


def test_short_book_gets_shorter_passages() -> None:
    passages = make_passages([paragraphs(60, 3)], "en", 4000)
    assert len(passages) >= 20
    assert set(Counter(p.split for p in passages)) == {"train", "test", "validation"}


@pytest.mark.parametrize("book", [[], ["One line."], paragraphs(5)])
def test_too_short_is_refused_with_figures(book: list[str]) -> None:
    with pytest.raises(UserError, match=rf"{sum(map(len, book)):,} characters.*about [\d,]+ are needed"):
        make_passages([book], "en", 4000)


def test_bad_size_is_refused() -> None:
    with pytest.raises(UserError, match="min_chars=0"):
        make_passages([paragraphs(60)], "en", 0)


def test_near_duplicates_go_to_the_held_out_side() -> None:
    book = [prose(i, 52) for i in range(40)]
    book[8] = book[5].replace("a", "a", 1)[:-200] + prose(99, 2)  # near copy of a test passage
    book[30] = book[10]  # copy of a validation passage
    book[21] = book[20]  # a repeat inside training stays
    splits = [p.split for p in make_passages([book], "en", 3000)]
    assert len(splits) == 40
    assert (splits[8], splits[30], splits[20], splits[21]) == ("test", "validation", "train", "train")
    assert splits.count("train") == 33


def test_book_of_one_repeated_passage_is_refused() -> None:
    with pytest.raises(UserError, match="repeats itself"):
        make_passages([[prose(1, 60)] * 40], "en", 3000)


def test_leaking_sentences() -> None:
    held_out = [
        "The ferryman had waited since dawn, in the fog!",
        "He sat down.",
        "他在河边等了一整天也没有看见那一条渡船。",
    ]
    sentences = [
        "the ferryman had waited since dawn — in the fog.",
        "He sat down.",
        "The ferryman had waited since dawn, in the rain.",
        "他在河边等了一整天，也没有看见那一条渡船",
    ]
    assert drop_leaking(sentences, held_out) == [False, True, True, False]
    assert drop_leaking([], held_out) == []


def test_five_megabytes_on_one_line() -> None:
    line = " ".join(prose(i, 500) for i in range(120))
    assert len(line) > 4_500_000
    start = time.perf_counter()
    passages = make_passages([[line]], "en", 4000)
    assert time.perf_counter() - start < 30
    assert len(passages) > 1000
