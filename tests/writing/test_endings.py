"""A text ends with a sentence, after 0.8 to 1.1 times the tokens that were asked for."""

import math

import pytest
import torch

from tests.copyist import Copyist
from tiny_diffusion.checkpoint import new_model
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import BookTokenizer
from tiny_diffusion.writing.endings import EndsSentence, is_well_ended, last_end, longest, shortest
from tiny_diffusion.writing.rules import Place
from tiny_diffusion.writing.writer import Writer

FAST = GenerationConfig(temperature=1.0, steps=4, precision="float32", num_samples=3)


def test_bounds() -> None:
    assert [shortest(n) for n in (1, 4, 10, 100)] == [1, 4, 8, 80]
    assert [longest(n) for n in (1, 4, 10, 100)] == [1, 4, 11, 110]


def test_where_sentences_end() -> None:
    letters = BookTokenizer([], "bpe")
    ids, short = letters.encode("He came. So"), letters.encode("Mr. J.")
    assert last_end(ids, letters, "en") == 8 and last_end(short, letters, "en") == 0
    assert last_end(letters.encode("He came. So he,."), letters, "en") == 8


@pytest.mark.parametrize(
    ("text", "well"),
    [
        ("He came.", True),
        ("“Go!” he said.", True),
        ("“Go!”", True),
        ("“Go. Then go!”", True),
        ("Go!”", False),
        ("“Go.”\n\nStay.”", False),
        ("laughing, ”.", False),
        ('laughing, ".', False),
        ('"Go."', True),
        ('Go."', False),
        ("He came,.", False),
        ("He came .", False),
        ("He came—.", False),
        ("He came!", True),
        ("Il vint !", True),
        ("«\u202fIl vint\u202f!\u202f»", True),
        ("„Komm.“", True),
        ("(He came.)", True),
        ("He came.)", False),
        ("“It’s the boys’.”", True),
        ("He saw my father’.", False),
        ("‘I saw my father’.", True),
    ],
)
def test_which_ends_are_clumsy(text: str, well: bool) -> None:
    assert is_well_ended(text) == well


def test_the_last_two_tokens_of_a_forced_end() -> None:
    letters = BookTokenizer([], "bpe")
    closing = torch.tensor([chr(i) in ".!" for i in range(256)])
    rule = EndsSentence(letters, "en", closing)

    def allowed(before: str, left: int) -> set[str]:
        mask = rule.allowed(Place(before, left=left))
        return {chr(i) for i in mask.nonzero().flatten().tolist()}

    assert {"a", " ", "."} <= allowed("He came", 2)
    assert allowed("He came", 0) == {".", "!"} and allowed("He came,", 0) == set() and allowed("Mr", 0) == {"!"}
    assert {"a", "z", "Q"} <= allowed("He came, ", 1) and not {".", " ", ","} & allowed("He came", 1)


@pytest.mark.parametrize(
    ("objective", "reading"),
    [("diffusion", "auto"), ("autoregressive", "auto"), ("dual", "causal"), ("dual", "drafts")],
)
@pytest.mark.parametrize("length", [10, 25, 70])
def test_an_untrained_model_ends_its_texts(
    config: ProjectConfig, data: Processed, objective: str, reading: str, length: int
) -> None:
    torch.manual_seed(0)
    config = config.override(**{"model.init_std": 0.3, "model.vocab_level": 2, "training.objective": objective})
    config = config.override(**{"model.causal": objective == "autoregressive", "model.dual": objective == "dual"})
    writer = Writer(new_model(config, data.tokenizer).eval(), data.tokenizer)
    for prompt in ("", "The old miller"):
        how = FAST.model_copy(update={"length": length, "reading": reading, "drafts": 2})
        texts = writer.write(prompt, how)
        for text in texts:
            written = len(text.ids) - sum(text.given)
            assert math.ceil(0.8 * length) <= written <= math.floor(1.1 * length + 1e-9)
            assert last_end(text.ids, data.tokenizer, "en") == len(text.ids)
            assert text.text.startswith(prompt) and text.text == data.tokenizer.decode(text.ids)
            assert len(text.ids) == len(text.confidence) == len(text.given)
            assert all(0 < sure <= 1 for sure in text.confidence)
        [first] = writer.write(prompt, how.model_copy(update={"num_samples": 1}))
        assert first.ids == texts[0].ids


@pytest.mark.parametrize("causal", [False, True])
def test_a_late_end_is_cut_to_and_an_early_one_is_not(data: Processed, causal: bool) -> None:
    model = Copyist(data.tokenizer.encode("The old end. Go on. "), data.tokenizer, 0.9, causal=causal)
    writer = Writer(model, data.tokenizer)
    how = FAST.model_copy(update={"length": 80})
    for text in writer.write("", how):
        assert last_end(text.ids, data.tokenizer, "en") == len(text.ids) and 64 <= len(text.ids) <= 88
    assert {len(text.ids) for text in writer.write("", how.model_copy(update={"ending": "token"}))} == {80}
    if not causal:  # the end of a template is given
        assert writer.infill("It is. The ___ end and", how)[0].text.endswith(" end and")
