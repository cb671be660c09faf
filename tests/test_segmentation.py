"""Sentences of old prose in several languages; the expected splits are marked by ``|``."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.data.segmentation import split_sentences

CASES = [
    ("en", "The miller slept. | His dog did not."),
    ("en", "Mr. Harker met Dr. Seward at St. Mary's. | They spoke."),
    ("en", "J. R. Harker wrote it. | He signed below."),
    ("en", "King Charles II. was restored in May. | All rejoiced."),
    ("en", "“Stay!” cried the sailor. | “I will not,” said she."),
    ("en", "“Will you come?” asked he; “it is late.” | She came."),
    ("en", "He waited . . . He knew nothing. | “Go on.”"),
    ("en", "(It was late.) | We left at 7 a.m. and rode on."),
    ("en", "“Is it true?” | “It is.”"),
    ("en", "He paid 3.50 for it. | See p. 12 and vol. ii. of the work."),
    ("en", "the window was open. and shut again."),
    ("fr", "M. Dupont arriva. | « Qui est là ? » demanda-t-il. | — Moi ! | — Entrez."),
    ("de", "Er kam am 4. Juni an. | „Wer ist da?“ fragte Dr. Wolf. | Niemand."),
    ("ru", "— Кто там? — спросил г. Петров. | Никто не ответил."),
    ("zh", "他来了。 | 天已经黑了！ | 谁在那里？"),
]


@pytest.mark.parametrize(("language", "marked"), CASES)
def test_cases(language: str, marked: str) -> None:
    wanted = marked.split(" | ")
    assert split_sentences(" ".join(wanted), language) == wanted


@given(st.text(alphabet=st.sampled_from("aB .!?…—“”\"'«»()3。\n"), max_size=60) | st.text(max_size=60))
def test_nothing_is_lost_or_empty(text: str) -> None:
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(s and s == s.strip() and s in text for s in sentences)


@pytest.mark.parametrize("piece", ["word ", "a", ". ", "x. ", "?!", "— "])
def test_a_long_line_costs_linear_work(piece: str) -> None:
    def cost(n: int) -> float:
        began = time.process_time()
        split_sentences(piece * n)
        return time.process_time() - began

    small = max(cost(20_000), 0.01)
    assert cost(200_000) < 60 * small  # ten times the text; quadratic work would be a hundred times


@pytest.mark.slow
def test_the_gold_set() -> None:
    path = Path(__file__).parents[2] / "shared" / "books" / "sentences_gold.txt"
    if not path.exists():
        pytest.skip("the gold set is not beside the project")
    lines = [line.split(" | ") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    right = sum(split_sentences(" ".join(wanted)) == wanted for wanted in lines)
    assert len(lines) == 45 and right >= 39
