"""Texts of any length: their tokens and states, clean beginnings and ends, the book's layout."""

import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.copyist import Copyist
from tiny_diffusion.checkpoint import Checkpoint, new_model
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.language.segmentation import sentence_ends, split_sentences
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from tiny_diffusion.evaluation.text_quality.samples import write_samples
from tiny_diffusion.sampling.denoise import DenoisingState
from tiny_diffusion.training.epochs import StageRows
from tiny_diffusion.writing.endings import cut_at_sentence
from tiny_diffusion.writing.joints import Joints
from tiny_diffusion.writing.results import Run, Written
from tiny_diffusion.writing.rules import BREAK, break_ids
from tiny_diffusion.writing.writer import Writer

BYTES = BookTokenizer.train(["Ab. Ab."], 256)
PLAIN = GenerationConfig(temperature=1.0, top_p=1.0, steps=4, precision="float32")


@pytest.fixture(scope="module", params=["diffusion", "autoregressive"])
def writer(request: pytest.FixtureRequest, config: ProjectConfig, data: Processed) -> Writer:
    torch.manual_seed(0)
    causal = request.param == "autoregressive"
    config = config.override(**{"model.init_std": 0.3, "model.vocab_level": 2})
    if causal:
        config = config.override(**{"training.objective": "autoregressive", "model.causal": True})
    return Writer(new_model(config, data.tokenizer).eval(), data.tokenizer)


@pytest.mark.parametrize("layout", ["book", "free"])
def test_a_long_text_has_its_tokens_and_no_end_before_them(writer: Writer, layout: str) -> None:
    settings = PLAIN.model_copy(update={"ending": "token", "layout": layout})
    for prompt, length in (("", 500), ("The old miller", 200)):
        [text] = writer.write(prompt, settings.model_copy(update={"length": length}))
        given = len(writer.tokenizer.encode(prompt, 2))
        assert len(text.ids) == len(text.confidence) == len(text.given) == given + length
        assert text.given == given * (True,) + length * (False,)
        assert text.text == writer.tokenizer.decode(text.ids)
        # Reserved ids have no logits: an end cannot be drawn, let alone flood the text.
        assert min(text.ids) >= NUM_RESERVED
    assert writer.model.text_vocab_size == writer.model.vocab_size - NUM_RESERVED
    assert writer.model.logits(torch.zeros(1, writer.model.config.d_model)).shape == (1, writer.model.text_vocab_size)


def events(run: Run) -> Iterator[DenoisingState | Written]:
    """The states of a run, then its texts."""
    texts = yield from run
    yield from texts


@pytest.mark.parametrize("prompt", ["", "The old miller"])
def test_states_grow_block_by_block_and_what_stands_stays(writer: Writer, prompt: str) -> None:
    settings = PLAIN.model_copy(update={"length": 100, "num_samples": 2, "ending": "token", "layout": "free"})
    context, given = writer.model.config.context, len(writer.tokenizer.encode(prompt, 2))
    lead = 2 if not prompt else 0
    for how in (settings, settings.model_copy(update={"layout": "book"})):
        found = list(events(writer.writing(prompt, how)))
        states = [state for state in found if isinstance(state, DenoisingState)]
        widths = [state.ids.shape[1] for state in states]
        first = context - (lead if how.layout == "book" else 0)
        assert sorted(set(widths)) == [
            min(n, given + 100) for n in range(first, given + 100 + context // 2, context // 2)
        ]
        assert widths == sorted(widths) and all(s.ids.shape == s.confidence.shape for s in states)
        assert {len(s.ids) for s in states} == {2}
        for before, after in zip(states, states[1:], strict=False):
            width = before.ids.shape[1]
            if after.ids.shape[1] > width:  # the next block: everything before it is final
                assert (before.ids != MASK).all()
                done = before.ids
            if width > first:
                assert torch.equal(after.ids[:, : done.shape[1]], done)
        texts = [text for text in found if isinstance(text, Written)]
        assert [text.ids for text in texts] == [tuple(row) for row in states[-1].ids.tolist()]
        assert texts[0].steps == len(states)


def test_states_are_not_kept_and_a_reader_may_write_into_them(writer: Writer) -> None:
    settings = PLAIN.model_copy(update={"length": 200, "ending": "token"})
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0
    run = writer.writing("", settings)
    texts: list[Written] = []
    for event in events(run):
        if isinstance(event, Written):
            texts.append(event)
            continue
        event.ids.zero_()
        event.confidence.zero_()
        alive = [*(ref for ref in alive if ref() is not None), weakref.ref(event.ids)]
        most = max(most, len(alive))
    assert most <= 3 and texts == writer.write("", settings)


def test_the_work_is_linear_in_the_length(data: Processed) -> None:
    def tokens_read(length: int) -> int:
        model = Copyist(data.tokenizer.encode(data.texts("train")[0]), data.tokenizer, 0.5)
        Writer(model, data.tokenizer).write("", PLAIN.model_copy(update={"length": length}))
        return sum(ids.numel() for ids in model.read)

    short, long = tokens_read(500), tokens_read(2000)
    assert 3.5 < long / short < 4.5


# Ends.


def text_of(tokenizer: BookTokenizer, text: str, given: str = "") -> Written:
    ids = tokenizer.encode(given) + tokenizer.encode(text[len(given) :])
    count = len(tokenizer.encode(given))
    return Written(text, tuple(ids), tuple(0.5 for _ in ids), tuple(i < count for i in range(len(ids))), 1)


@pytest.mark.parametrize(
    ("text", "given", "kept"),
    [
        ("He came. She went. Then the", "", "He came. She went."),
        ("He came. She went.", "", "He came. She went."),
        ("He came.\n\n“Go,” she said. “Is it", "", "He came.\n\n“Go,” she said."),
        ("He came.\n\n“Go!”\n\nAnd th", "", "He came.\n\n“Go!”"),
        (
            "He came to Mr. Hill and then to Mr.",
            "",
            "He came to Mr. Hill and then to Mr.",
        ),  # no sentence ends: unchanged
        ("He came. I saw Mr.", "", "He came."),
        ("He came. I saw J.", "", "He came."),
        ("no end within", "", "no end within"),
        ("", "", ""),
        ("He came. She went to", "He came. She", "He came. She went to"),  # given text is never cut
        ("He came. She went to", "He came.", "He came. She went to"),  # and the text is never cut to the given part
        ("He came. She went. Then", "He came. She", "He came. She went."),
        ("He came.— She", "", "He came.— She"),
    ],
)
def test_texts_end_with_their_last_whole_sentence(data: Processed, text: str, given: str, kept: str) -> None:
    before = text_of(data.tokenizer, text, given)
    after = cut_at_sentence(before, data.tokenizer, "en")
    assert after.text == kept == data.tokenizer.decode(after.ids)
    count = len(after.ids)
    shortened = (before.ids[:count], before.confidence[:count], before.given[:count])
    ids, confidence, was_given = shortened
    cut = len(before.ids) - count
    assert after == replace(before, text=kept, ids=ids, confidence=confidence, given=was_given, cut=cut)


def test_the_language_tells_where_sentences_end(data: Processed) -> None:
    text = text_of(data.tokenizer, "Er kam am 3. Mai. Sie ging am 3. Mai dort")
    assert cut_at_sentence(text, data.tokenizer, "de").text == "Er kam am 3. Mai."
    text = text_of(data.tokenizer, "他來了。我")
    assert cut_at_sentence(text, data.tokenizer, "zh").text == "他來了。"


@given(st.text("abA .!?”\n，。é", max_size=30), st.integers(0, 40), st.integers(0, 5))
def test_ends_are_clean_or_the_text_is_whole(text: str, end: int, count: int) -> None:
    ids = tuple(BYTES.encode(text)[:end])  # may end within a character
    given = tuple(i < count for i in range(len(ids)))
    before = Written(BYTES.decode(ids), ids, tuple(1.0 for _ in ids), given, 1)
    after = cut_at_sentence(before, BYTES, "en")
    assert after.ids == ids[: len(after.ids)] and after.text == BYTES.decode(after.ids)
    assert after == before or (after.text[-1] in ".!?。”" and after.text == after.text.rstrip())
    assert after == before or not after.given[-1]


@given(st.text("abA .!?”\n，。é", max_size=30))
def test_sentences_lie_between_their_ends(text: str) -> None:
    bounds = [0, *sentence_ends(text), len(text)]
    pieces = [text[a:b].strip() for a, b in zip(bounds, bounds[1:], strict=False)]
    assert [piece for piece in pieces if piece] == split_sentences(text)


def test_a_model_is_measured_as_it_is(config: ProjectConfig, data: Processed) -> None:
    torch.manual_seed(0)
    model = new_model(config, data.tokenizer).eval()
    checkpoint = Checkpoint(config, data.tokenizer, model.state_dict())
    settings = config.evaluation.model_copy(update={"samples": 3, "batch_size": 2, "sample_tokens": 50})
    finishing = {"ending": "sentence", "layout": "book", "words": "book", "max_copied_words": 1}
    assert PLAIN.model_copy(update=finishing).as_drawn() == PLAIN.as_drawn()

    def written(how: GenerationConfig) -> list[str]:
        steps = write_samples(model, checkpoint, settings, how)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return list(end.value)

    samples = written(PLAIN.model_copy(update=finishing))
    assert len(samples) == 3 and samples == written(PLAIN.as_drawn())


# Beginnings and layout.


def test_rows_of_paragraphs_begin_anywhere(config: ProjectConfig, data: Processed) -> None:
    # So a model learns no beginning: only after a break does a text from nothing begin with a paragraph.
    stage = len(config.curriculum.stages) - 1
    assert config.curriculum.stages[stage].format == "paragraphs"
    rows = StageRows(config, data).epoch(stage, 0)
    starts = [data.tokenizer.decode(row) for row in rows.take(torch.arange(len(rows))).ids[:, :8].tolist()]
    paragraphs = [p for passage in data.passages for p in passage.paragraphs]
    within = [start for start in starts if not any(p.startswith(start.strip()) for p in paragraphs)]
    assert len(within) > len(starts) / 2


@pytest.mark.parametrize("causal", [False, True])
def test_a_text_from_nothing_is_written_behind_a_paragraph_break(data: Processed, causal: bool) -> None:
    lead = break_ids(data.tokenizer)
    assert data.tokenizer.decode(lead) == BREAK
    assert data.tokenizer.encode("One." + BREAK + "Two.")[-len(data.tokenizer.encode("Two.")) - 2 :][:2] == lead

    def first_read(prompt: str, layout: str) -> list[int]:
        model = Copyist(data.tokenizer.encode("the end."), data.tokenizer, 0.9, causal=causal)
        how = PLAIN.model_copy(update={"length": 9, "layout": layout, "ending": "token"})
        [text] = Writer(model, data.tokenizer).write(prompt, how)
        assert text.text.startswith(prompt) and text.given.count(False) == 9
        return model.read[0][0, 1 if causal else 0 :].tolist()

    assert first_read("", "book")[:2] == lead
    assert first_read("", "free")[:2] == ([] if causal else [MASK, MASK])
    assert first_read("The", "book")[:2] != lead


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("One two.\n\nThree four.", []),
        ("One\ntwo.", ["\n"]),
        ("One.\n\n\nTwo", ["\n\n\n"]),
        ("One. \n\nTwo", [" \n\n"]),
        ("One.\n\n Two  three\tfour", ["\n\n ", "  ", "\t"]),
        ("\nOne.\n", []),
        ("\n\nOne.\n\n", []),
        (" One. ", []),
        ("\n\n\nOne.\n ", ["\n\n\n", "\n "]),
    ],
)
def test_white_space_that_no_book_holds(data: Processed, text: str, wrong: list[str]) -> None:
    ids = [i for character in text for i in data.tokenizer.encode(character)]  # one token per character
    rule = Joints.white_space(data.tokenizer, lines=False)
    assert [data.tokenizer.decode(ids[a:b]) for a, b in rule.places(ids, [True] * len(ids))] == wrong
    assert rule.places(ids, [False] * len(ids)) == []


def test_verse_may_have_single_line_feeds(data: Processed) -> None:
    ids = [i for character in "One,\ntwo.\n\n\nFour \n five." for i in data.tokenizer.encode(character)]
    rule, _ = Writer(Copyist(ids, data.tokenizer, 0.8), data.tokenizer, lines=True).layout(PLAIN)
    assert [data.tokenizer.decode(ids[a:b]) for a, b in rule.places(ids, [True] * len(ids))] == ["\n\n\n", " \n "]


@pytest.mark.parametrize("how", ["ancestral", "confidence", "autoregressive"])
def test_a_long_text_is_laid_out_as_the_book(data: Processed, how: str) -> None:
    # One token in three of this model's rows is a line feed, alone or in runs of any length.
    ids = data.tokenizer.encode("the old end.\n\n\nGo on,\nthen.\n\n\n\n")
    model = Copyist(ids, data.tokenizer, 0.8, causal=how == "autoregressive")
    settings = PLAIN.model_copy(update={"length": 300, "num_samples": 2, "ending": "token"})
    settings = settings.model_copy(update={} if how == "autoregressive" else {"sampler": how})
    writer = Writer(model, data.tokenizer)
    rule = Joints.white_space(data.tokenizer, lines=False)
    for text in writer.write("Once\nupon", settings):
        assert text.text.startswith("Once\nupon") and len(text.ids) == len(data.tokenizer.encode("Once\nupon")) + 300
        assert rule.places(text.ids, [not was_given for was_given in text.given]) == []
    free = writer.write("", settings.model_copy(update={"layout": "free"}))
    assert all(len(rule.places(text.ids, [True] * len(text.ids))) > 20 for text in free)
