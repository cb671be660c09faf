"""Sentences of old prose in several languages; the expected splits are marked by ``|``."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.data.language.segmentation import split_sentences, usual_lengths

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
    ("en", "He sat in the sun. | The dog had been fed. | They were wed. | It rained."),
    ("en", "On Sat. Jan. 5th he came, and on Sun. 6 Feb. he went. | She stayed."),
    ("en", "“No.” | I turned away. | She said no. | I wept. | See No. 5 and Vol. I. of it, and p. 7."),
    ("en", "C. P. Gray and B. Moss chose plan B. | The other failed, said D. H. Gray, M.D., at noon."),
    ("en", "She worked for Gray & Co. | They paid well. | He lived at Mill St. | It was cold."),
    ("en", "“Who is it?” I asked. | “Leave us!” Harriet cried. | “What?” | Nobody said a word."),
    ("en", "“Is it paid?” | I replied that it was. | £500 was the sum. | (Nobody knew.) | [Exit.]"),
    ("en", "He left. . . . | The rain fell. | “Well! . . . I thought so.” | She stared...and left."),
    ("en", "“You say so!—but wait.—Ay, do.” | He waited—Heaven knows why—all night."),
    ("en", "1. The first thing is rest. | He had 3. | Then he had 4.5 of them."),
    ("fr", "« Non\u00a0!\u00a0» s’écria-t-il. | «\u202fSi.\u202f» | Mme. Arnaud suivit le Dr. Blanc, p. 12."),
    ("fr", "J.-P. Arnaud lut le vol. II. | Il dormit."),
    ("de", "Das war 1905. | Sie kam am 3. Mai im XIX. Jahrhundert, z. B. so, d. h. alt. | Er war 19. | Sie nicht."),
    ("de", "»Komm her!« rief er. | »Nein.« | Dann ging sie. | „Gut.“ | Ende."),
    ("ru", "Он стал им. | Потом ушёл. | «Кто?» | «Я.» | — Да! — крикнул А. С. Орлов в 1905 г. | Она ушла."),
    ("el", "Ποιος είναι; | Κανείς. | Ήρθε· έφυγε."),
    ("ko", "네. | 알겠습니다. | 안 돼. | 그래요."),
    ("ar", "أين الكتاب؟ | هنا هو. | شكرا!"),
    ("hi", "वह आया। | फिर गया। | कहाँ?"),
]
UNSPACED = [
    ("zh", "他来了。|天已经黑了！|谁在那里？|“走吧！”|（他笑了。）|好．"),
    ("ja", "「行くぞ。」と彼は言った。|雨だ。|『本当？』|そうだ。"),
    ("zh", "好!|他走了。|重3．5斤。"),
    ("hi", "वह आया।|फिर गया।"),
]


@pytest.mark.parametrize(("language", "marked"), CASES)
def test_cases(language: str, marked: str) -> None:
    wanted = marked.split(" | ")
    assert split_sentences(" ".join(wanted), language) == wanted


@pytest.mark.parametrize(("language", "marked"), UNSPACED)
def test_scripts_without_spaces(language: str, marked: str) -> None:
    wanted = marked.split("|")
    assert split_sentences("".join(wanted), language) == wanted


def test_an_unknown_language_is_split_by_the_english_lists() -> None:
    assert split_sentences("Mr. Gray slept. He woke.", "und") == ["Mr. Gray slept.", "He woke."]


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_white_space_holds_no_sentence(text: str) -> None:
    assert split_sentences(text) == []


@given(st.text(alphabet=st.sampled_from("aB .!?…—“”\"'«»()3。\n"), max_size=60) | st.text(max_size=60))
def test_nothing_is_lost_or_empty(text: str) -> None:
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(s and s == s.strip() and s in text for s in sentences)


@pytest.mark.parametrize("piece", ["word ", "a", ". ", "x. ", "?!", "— ", "A. ", "! “", ". . A", "1. A"])
def test_a_long_line_costs_linear_work(piece: str) -> None:
    def cost(n: int) -> float:
        began = time.process_time()
        split_sentences(piece * n)
        return time.process_time() - began

    small = max(cost(20_000), 0.01)
    assert cost(200_000) < 60 * small  # ten times the text; quadratic work would be a hundred times


@pytest.mark.parametrize("text", ["word " * 1_000_000, "." + " " * 5_000_000, "He left." + " “" * 2_500_000])
def test_five_megabytes_without_an_end_take_seconds(text: str) -> None:
    began = time.process_time()
    assert len(split_sentences(text)) == 1
    assert time.process_time() - began < 5


@pytest.mark.slow
def test_the_gold_set() -> None:
    path = Path(__file__).parents[3] / "shared" / "books" / "sentences_gold.txt"
    if not path.exists():
        pytest.skip("the gold set is not beside the project")
    lines = [line.split(" | ") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    right = sum(split_sentences(" ".join(wanted)) == wanted for wanted in lines)
    assert len(lines) == 45 and right >= 43


def test_usual_lengths_are_quantiles_of_words() -> None:
    texts = ["One two. Three.\n\n" + " ".join(["word"] * n) + "." for n in range(1, 21)]
    paragraphs = sorted([3] * 20 + [*range(1, 21)])
    sentences = sorted([1, 2] * 20 + [*range(1, 21)])
    assert usual_lengths(texts, "en") == {
        "sentence": [sentences[place] for place in range(3, 60, 6)],
        "paragraph": [paragraphs[place] for place in range(2, 40, 4)],
    }
    assert usual_lengths([], "en") == {"sentence": [], "paragraph": []}
