"""What a text begins with: the mark that the model alone sees, a space that the first token takes, a long prompt."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.copyist import Copyist
from tiny_diffusion.checkpoint import new_model
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import BOS, END, MASK, NUM_RESERVED, PARAGRAPH, BookTokenizer
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.writing.judge import Judge, drawn_ends
from tiny_diffusion.writing.results import Written
from tiny_diffusion.writing.writer import Writer

PLAIN = GenerationConfig(
    length=9,
    num_samples=1,
    steps=4,
    temperature=1.0,
    top_k=0,
    top_p=1.0,
    precision="float32",
    ending="token",
    words="free",
)
ENDINGS = st.sampled_from(["token", "sentence"])
CONTEXT = 32


def copyist(data: Processed, *, causal: bool = False, marks: bool = True) -> Copyist:
    model = Copyist(data.tokenizer.encode(" the end."), data.tokenizer, 0.9, context=CONTEXT, causal=causal)
    model.marks = marks
    return model


def is_whole(text: Written, tokenizer: BookTokenizer) -> bool:
    """Whether a text is spelled by its tokens, all of them of the text itself."""
    same_length = len(text.ids) == len(text.confidence) == len(text.given)
    return same_length and min(text.ids) >= NUM_RESERVED and tokenizer.decode(text.ids) == text.text


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("prompt", ["", "The"])
def test_the_model_sees_that_a_paragraph_begins_and_the_text_holds_no_mark(
    data: Processed, causal: bool, prompt: str
) -> None:
    def seen(layout: str, *, marks: bool = True) -> list[int]:
        model = copyist(data, causal=causal, marks=marks)
        [text] = Writer(model, data.tokenizer).write(prompt, PLAIN.model_copy(update={"layout": layout}))
        assert is_whole(text, data.tokenizer) and text.text.startswith(prompt)
        assert text.given == len(data.tokenizer.encode(prompt)) * (True,) + 9 * (False,)
        return model.read[0][0].tolist()

    front = [BOS] if causal else []
    assert seen("book")[: len(front) + 1] == [*front, PARAGRAPH]
    assert PARAGRAPH not in [*seen("free"), *seen("book", marks=False)]


@pytest.mark.parametrize("template", ["___ the end.", "The ___ end."])
def test_gaps_and_rewriting_see_it_too(data: Processed, template: str) -> None:
    model = copyist(data)
    [text] = Writer(model, data.tokenizer).infill(template, PLAIN)
    assert model.read[0][0, 0] == PARAGRAPH and is_whole(text, data.tokenizer)
    before, after = template.split("___")
    assert text.text.startswith(before) and text.text.endswith(after)
    assert [stretch.start for stretch in text.stretches] == [len(data.tokenizer.encode(before.rstrip()))]
    model.read.clear()
    [text] = Writer(model, data.tokenizer).rewrite("The end of [[the garden]].", PLAIN)
    assert model.read[0][0, 0] == PARAGRAPH and is_whole(text, data.tokenizer)
    assert "the garden" in text.text and len(text.ids) == len(data.tokenizer.encode("The end of the garden."))


@pytest.mark.parametrize("causal", [False, True])
def test_a_space_at_the_end_of_the_prompt_belongs_to_the_first_token(data: Processed, causal: bool) -> None:
    tokenizer = data.tokenizer
    [text] = Writer(copyist(data, causal=causal, marks=False), tokenizer).write("The ", PLAIN)
    count = len(tokenizer.encode("The"))
    assert text.text.startswith("The ") and is_whole(text, tokenizer) and len(text.ids) == count + 9
    assert text.given == count * (True,) + 9 * (False,)
    tokens = [tokenizer.token_bytes(i).decode("utf-8", "replace") for i in range(NUM_RESERVED, tokenizer.vocab_size)]
    spaced = [token[:1] == " " and not token[1:2].isspace() for token in tokens]
    wanted, other = 0.9, 0.1 / (len(tokens) - 1)  # the model's law there
    own = int(data.tokenizer.encode(" the end.")[count % 3]) - NUM_RESERVED
    total = sum(wanted if i == own else other for i, is_spaced in enumerate(spaced) if is_spaced)
    drawn = text.ids[count] - NUM_RESERVED
    assert spaced[drawn]
    assert text.confidence[count] == pytest.approx((wanted if drawn == own else other) / total, rel=1e-3)


@pytest.mark.parametrize("reading", ["masked", "causal", "drafts"])
@settings(max_examples=8)
@given(words=st.integers(0, 60), space=st.booleans(), length=st.integers(1, 40), ending=ENDINGS)
def test_any_prompt_is_continued_and_kept_whole(
    reading: str, words: int, space: bool, length: int, ending: str, config: ProjectConfig, data: Processed
) -> None:
    torch.manual_seed(0)
    shape = config.override(**{"model.init_std": 0.3, "model.dual": True, "training.objective": "dual"})
    model = new_model(shape, data.tokenizer).eval()
    model.marks = True
    prompt = " ".join(["The old miller", *["sold the lantern"] * words]) + " " * space
    how = PLAIN.model_copy(
        update={"length": length, "ending": ending, "reading": reading, "drafts": 2, "layout": "free"}
    )
    [text] = Writer(model, data.tokenizer).write(prompt, how)
    assert text.text.startswith(prompt) and is_whole(text, data.tokenizer)
    written = text.given.count(False)
    assert written == length if ending == "token" else written <= 1.1 * length + 1


def test_a_prompt_beyond_the_context_is_read_from_its_last_part(data: Processed) -> None:
    model = copyist(data, causal=True)
    prompt = "The old miller sold the lantern. " * 20
    ids = data.tokenizer.encode(prompt[:-1])
    assert len(ids) > 3 * CONTEXT
    [text] = Writer(model, data.tokenizer).write(prompt[:-1], PLAIN)
    assert model.read[0][0].tolist() == [BOS, *ids[-CONTEXT // 2 :]]
    assert text.ids[: len(ids)] == tuple(ids) and len(text.ids) == len(ids) + 9
    assert MASK not in text.ids


@pytest.fixture
def dual(config: ProjectConfig, data: Processed) -> Transformer:
    torch.manual_seed(0)
    shape = config.override(**{"model.init_std": 0.3, "model.dual": True, "training.objective": "dual"})
    model = new_model(shape, data.tokenizer).eval().requires_grad_(False)
    model.marks = True
    return model


def test_the_chance_of_an_end_is_that_of_one_more_token(dual: Transformer) -> None:
    row = torch.tensor([PARAGRAPH, 20, 21, 22])
    for temperature in (1.0, 0.5):
        chances = Judge(dual, PLAIN, 100, temperature).ends(row)
        for place in range(5):
            state = dual.hidden(torch.tensor([[BOS, *row[:place].tolist()]]), causal=True)[0, -1]
            law = ((dual.output @ state)[END:] / temperature).softmax(0)
            assert float(chances[place]) == pytest.approx(float(law[0]), rel=1e-4)


class Certain(Judge):
    """A judge to which a text ends after ``place`` tokens of what it reads, and nowhere else."""

    place = 0

    def ends(self, ids: torch.Tensor) -> torch.Tensor:
        return (torch.arange(len(ids) + 1) == self.place).float()


@pytest.mark.parametrize(("place", "expected"), [(6, None), (7, 9), (9, 11), (11, 13), (12, None)])
def test_a_text_ends_where_an_end_is_drawn_late_enough(dual: Transformer, place: int, expected: int | None) -> None:
    judge = Certain(dual, PLAIN, 100)
    judge.place = place + 3  # behind the mark and two given tokens
    text = Written("", (20,) * 13, (1.0,) * 13, (True,) * 2 + (False,) * 11, 4)
    found = drawn_ends(judge, [PARAGRAPH], {3: text}, length=8)  # 0.8 times 8 is 6.4
    assert found == ({} if expected is None else {3: expected})


def test_ends_are_drawn_with_at_least_half_a_context_before_them(dual: Transformer) -> None:
    text = Written("", (20,) * 200, (1.0,) * 200, (False,) * 200, 4)
    judge = Certain(dual, PLAIN, 100)
    for judge.place, expected in ((CONTEXT // 2 - 1, {}), (CONTEXT // 2, {0: 200 - CONTEXT // 2})):
        assert drawn_ends(judge, [], {0: text}, length=200) == expected


def test_a_text_that_is_ended_like_a_chapter_is_cut_there(
    dual: Transformer, data: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = PLAIN.model_copy(update={"length": 20, "ending": "sentence", "layout": "free", "reading": "causal"})
    monkeypatch.setattr("tiny_diffusion.writing.continuing.drawn_ends", lambda judge, lead, texts, length: {0: 17})
    [text] = Writer(dual, data.tokenizer).write("", how)
    assert len(text.ids) == 17 and is_whole(text, data.tokenizer)
    [text] = Writer(dual, data.tokenizer).write("", how.model_copy(update={"reading": "masked"}))
    assert len(text.ids) != 17
