"""Style: sentence lengths, type-token ratio, function words and vocabulary, on cases worked by hand."""

import json

import numpy as np
import pytest

from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.style import (
    compare_style,
    function_word_share,
    sentence_lengths,
    type_token_ratio,
)

SHORT = ["The dog slept. The cat ran away.", "The hen sat down."]
LONG = ["The dog slept by the warm fire all night. The cat ran over the wet roof of the old barn."]


def test_sentence_lengths_over_texts_and_paragraphs() -> None:
    assert sentence_lengths(SHORT, "en").tolist() == [3, 4, 4]
    assert sentence_lengths(["The dog slept\nby the fire.\n\n* * *\n\nThe cat ran"], "en").tolist() == [6, 3]


def test_identical_sides_have_no_distance() -> None:
    result = compare_style(SHORT, SHORT, "en")
    assert result.wasserstein == 0
    assert result.ks_statistic == 0
    assert result.ks_p_value == pytest.approx(1)
    assert result.vocabulary_overlap == 1
    assert result.generated == result.reference


def test_distances_by_hand() -> None:
    result = compare_style(SHORT, LONG, "en")
    # Lengths 3, 4, 4 against 9, 11: means 11/3 and 10, and every short one below every long one.
    assert result.generated.sentence_length_mean == pytest.approx(11 / 3)
    assert result.generated.sentence_length_sd == pytest.approx(np.std([3, 4, 4]))
    assert result.reference.sentence_length_mean == pytest.approx(10)
    assert result.wasserstein == pytest.approx(10 - 11 / 3)
    assert result.ks_statistic == 1
    # the dog slept cat ran are shared; away hen sat down are not.
    assert result.vocabulary_overlap == pytest.approx(5 / 9)
    assert result.type_token_window == 11
    assert result.generated.type_token_ratio == pytest.approx(9 / 11)


def test_type_token_ratio_uses_equal_windows() -> None:
    assert type_token_ratio(["a", "b", "a", "a", "c"], 2) == pytest.approx(0.75)
    repeated = ["a", "b", "c", "d"] * 50
    assert type_token_ratio(repeated, 4) == type_token_ratio(repeated[:4], 4) == 1
    with pytest.raises(UserError, match="window 3"):
        type_token_ratio(["a", "b"], 3)


def test_function_word_share() -> None:
    assert function_word_share(["the", "of", "castle", "and"], "en") == pytest.approx(0.75)
    assert function_word_share(["der", "und", "haus", "schloss"], "de") == pytest.approx(0.5)
    assert function_word_share(["the"], "und") is None


def test_to_dict_is_json() -> None:
    data = json.loads(json.dumps(compare_style(SHORT, LONG, "en").to_dict()))
    assert data["reference"]["sentences"] == 2
    assert set(data) >= {"generated", "reference", "wasserstein", "ks_statistic", "vocabulary_overlap"}


@pytest.mark.parametrize(("generated", "reference", "side"), [([], LONG, "generated"), (SHORT, ["* *"], "reference")])
def test_refuses_a_side_without_words(generated: list[str], reference: list[str], side: str) -> None:
    with pytest.raises(UserError, match=side):
        compare_style(generated, reference, "en")
