"""Novelty: copied runs and n-grams, against small cases and a brute force."""

import random

import pytest

from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.novelty import CopiedRun, copied_ngram_share, longest_copied_run, split_words

SOURCE = "The old miller slept by the river.\n\nHis dog, a grey one, didn’t sleep; it watched the boats."


def test_words_are_folded() -> None:
    assert split_words("Don't -- STOP, “_now_”! It’s 3rd\u00adly") == ["dont", "stop", "now", "its", "3rdly"]
    assert split_words("cafe\u0301 CAFÉ") == ["café", "café"]
    assert split_words("山は高い。") == ["山", "は", "高", "い"]


def test_run_ignores_case_punctuation_and_line_breaks() -> None:
    run = longest_copied_run("Then she saw: THE RIVER\nhis dog a grey one didn't run.", SOURCE)
    assert run == CopiedRun(8, "the river his dog a grey one didnt")


def test_only_whole_words_count() -> None:
    assert longest_copied_run("old mill", SOURCE) == CopiedRun(1, "old")
    assert longest_copied_run("mill slep boat", SOURCE) == CopiedRun(0, "")


def test_run_at_the_edges_does_not_cross_the_boundary() -> None:
    assert longest_copied_run("boats the old", "the old boats").words == 2
    assert longest_copied_run(SOURCE, SOURCE).words == len(split_words(SOURCE))


def test_texts_without_words() -> None:
    assert longest_copied_run("", SOURCE) == CopiedRun(0, "")
    assert longest_copied_run("***", SOURCE) == CopiedRun(0, "")
    assert longest_copied_run("old", "") == CopiedRun(0, "")


def _brute_force(words: list[str], source: list[str]) -> int:
    best = 0
    for i in range(len(words)):
        for j in range(len(source)):
            length = 0
            for left, right in zip(words[i:], source[j:], strict=False):
                if left != right:
                    break
                length += 1
            best = max(best, length)
    return best


@pytest.mark.parametrize("vocabulary", [1, 2, 5, 300])
def test_equals_brute_force(vocabulary: int) -> None:
    rng = random.Random(vocabulary)
    for _ in range(40):
        source = [f"w{rng.randrange(vocabulary)}" for _ in range(rng.randint(1, 40))]
        words = [f"w{rng.randrange(vocabulary)}" for _ in range(rng.randint(1, 20))]
        run = longest_copied_run(" ".join(words), " ".join(source))
        assert run.words == _brute_force(words, source)
        assert f" {run.text} " in f" {' '.join(words)} " or run.words == 0
        assert f" {run.text} " in f" {' '.join(source)} " or run.words == 0


def test_more_distinct_words_than_sixteen_bits() -> None:
    source = " ".join(f"w{i}" for i in range(70_000))
    copied = " ".join(f"w{i}" for i in range(69_000, 69_030))
    assert longest_copied_run(f"x {copied} y", source) == CopiedRun(30, copied)


def test_ngram_share() -> None:
    text = "the old miller slept by a river"
    assert copied_ngram_share(text, SOURCE, 1) == 1.0
    assert copied_ngram_share(text, SOURCE, 2) == pytest.approx(4 / 6)
    assert copied_ngram_share(text, SOURCE, 5) == pytest.approx(1 / 3)
    assert copied_ngram_share("by by by cat", SOURCE, 1) == pytest.approx(3 / 4)
    assert copied_ngram_share("the old", SOURCE, 3) == 0.0
    with pytest.raises(UserError, match="0"):
        copied_ngram_share(text, SOURCE, 0)
