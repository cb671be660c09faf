"""Drafts and their judge: exact probabilities, the law of the chosen draft, and gaps by their joint probability."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tiny_diffusion.checkpoint import new_model
from tiny_diffusion.config import GenerationConfig, ModelConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.copies import CopyIndex
from tiny_diffusion.data.tokenizer import BOS, MASK, NUM_RESERVED, BookTokenizer
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.autoregressive import next_token_losses
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.show.frames import Recording, film
from tiny_diffusion.writing.continuing import most_passes, reading_of
from tiny_diffusion.writing.drafts import Drafts
from tiny_diffusion.writing.filler import Filler, ends_sentence
from tiny_diffusion.writing.infilling import choice, infill
from tiny_diffusion.writing.infilling.choice import joint_rows
from tiny_diffusion.writing.infilling.gapped_text import Gap, Hole
from tiny_diffusion.writing.judge import Judge
from tiny_diffusion.writing.writer import Writer

WORDS = 3
PLAIN = GenerationConfig(temperature=1.0, precision="float32", steps=2)


@pytest.fixture(scope="module")
def dual() -> Transformer:
    torch.manual_seed(0)
    shape = ModelConfig(d_model=8, n_layers=2, n_heads=1, d_ff=16, context=8, dropout=0.0, init_std=0.7, dual=True)
    model = Transformer(shape, NUM_RESERVED + WORDS, NUM_RESERVED).eval().requires_grad_(False)
    for block in model.blocks:
        block.attention.out.weight *= 6
        block.feed_forward.down.weight *= 6
    return model


def causal_law(model: Transformer, seen: list[int], temperature: float = 1.0) -> Tensor:
    """The causal reading's probability of each next token, in one pass over BOS and ``seen``."""
    logits = model.logits(model.hidden(torch.tensor([[BOS, *seen]]), causal=True))[0, -1]
    return (logits.double() / temperature).softmax(-1)


def masked_law(model: Transformer, row: list[int], place: int, temperature: float = 1.0) -> Tensor:
    """The masked reading's probability of each token at ``place`` of ``row``."""
    logits = model.logits(model.hidden(torch.tensor([[BOS, *row]]), causal=False))[0, place]
    return (logits.double() / temperature).softmax(-1)


# The judge.


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_the_judges_probability_is_the_product_of_the_conditionals(dual: Transformer, temperature: float) -> None:
    judge = Judge(dual, PLAIN, WORDS, temperature)
    rows = [torch.tensor(row) + NUM_RESERVED for row in ([0, 1, 2], [2, 2, 0, 1, 1], [1], [0, 1, 2])]
    starts = [0, 2, 0, 1]
    expected = []
    for row, start in zip(rows, starts, strict=True):
        ids = row.tolist()
        laws = [causal_law(dual, ids[:i], temperature)[ids[i] - NUM_RESERVED] for i in range(start, len(ids))]
        expected.append(float(torch.stack(laws).log().sum()))
    assert judge.log_probabilities(rows, starts) == pytest.approx(expected, abs=1e-5)


def test_the_judges_probabilities_sum_to_one_over_the_tokens_that_may_be_written(dual: Transformer) -> None:
    for allowed in (WORDS, 2):
        rows = [torch.tensor([0, *text]) + NUM_RESERVED for text in itertools.product(range(allowed), repeat=3)]
        found = Judge(dual, PLAIN, allowed).log_probabilities(rows, [1] * len(rows))
        assert torch.tensor(found, dtype=torch.float64).exp().sum() == pytest.approx(1, abs=1e-5)


def test_the_judge_follows_controls_and_guidance() -> None:
    torch.manual_seed(1)
    shape = ModelConfig(d_model=16, n_layers=1, n_heads=1, d_ff=16, context=8, init_std=0.7, dual=True, controls=True)
    model = Transformer(shape, NUM_RESERVED + 5, NUM_RESERVED).eval().requires_grad_(False)
    assert model.controls is not None
    torch.nn.init.normal_(model.controls.table.weight)
    row, levels = torch.tensor([3, 0, 4]) + NUM_RESERVED, torch.tensor([[[0, 3, 0, 0]]])
    given = torch.tensor([[BOS, *row.tolist()[:-1]]])
    wanted, plain = (model.logits(model.hidden(given, controls=c, causal=True))[0] for c in (levels, None))
    for guidance in (1.0, 3.0):
        settings = PLAIN.model_copy(update={"dialogue": "much", "guidance": guidance})
        laws = (plain + guidance * (wanted - plain)).log_softmax(-1)
        expected = float(laws.gather(1, row[:, None] - NUM_RESERVED).sum())
        assert Judge(model, settings, 5).log_probabilities([row], [0]) == pytest.approx([expected], abs=1e-4)
    free = Judge(model, PLAIN, 5).log_probabilities([row], [0])[0]
    assert abs(free - expected) > 0.1


# The law of the chosen draft.


def drafts_of(
    dual: Transformer, monkeypatch: pytest.MonkeyPatch, texts: int, **changes: object
) -> tuple[Drafts, GenerationConfig]:
    monkeypatch.setattr(BookTokenizer, "level_size", lambda self, level: WORDS)
    settings = PLAIN.model_copy(update={"reading": "drafts", "drafts": 2, "num_samples": texts, **changes})
    return Drafts(Filler(dual, BookTokenizer([], "bpe"), settings, causal=False)), settings


Paths = list[tuple[tuple[int, int], float, float]]
"""For each way to come to a text of two words: the text, the probability of the way, that of its draws alone."""


def paths(dual: Transformer, sampler: str, temperature: float) -> Paths:
    empty = [MASK, MASK]
    first = [masked_law(dual, empty, place, temperature) for place in (0, 1)]
    plain = [masked_law(dual, empty, place) for place in (0, 1)]
    entropies = [float(-(law * law.log()).sum()) for law in plain]
    orders = {"entropy": [min((0, 1), key=entropies.__getitem__)], "first_hitting": [0, 1]}[sampler]
    found: Paths = []
    for order, text in itertools.product(orders, itertools.product(range(WORDS), repeat=2)):
        row = empty.copy()
        row[order] = NUM_RESERVED + text[order]
        drawn = float(first[order][text[order]] * masked_law(dual, row, 1 - order, temperature)[text[1 - order]])
        found.append((text, drawn / len(orders), drawn))
    return found


@pytest.mark.parametrize("sampler", ["entropy", "first_hitting"])
@pytest.mark.parametrize("pick", ["draw", "best"])
def test_the_chosen_draft_has_the_law_that_is_promised(
    dual: Transformer, monkeypatch: pytest.MonkeyPatch, sampler: str, pick: str
) -> None:
    n, temperature = 4000, 0.8
    drafts, _ = drafts_of(dual, monkeypatch, n, sampler=sampler, pick=pick, temperature=temperature)
    *states, last = drafts.fill(torch.full((n, 2), MASK))
    assert {len(state.ids) for state in states} == {2 * n} and last.ids.shape == (n, 2)
    judged = {}
    for text in itertools.product(range(WORDS), repeat=2):
        laws = causal_law(dual, [], temperature), causal_law(dual, [NUM_RESERVED + text[0]], temperature)
        judged[text] = float(laws[0][text[0]] * laws[1][text[1]])
    ways = paths(dual, sampler, temperature)
    assert sum(way[1] for way in ways) == pytest.approx(1)
    expected: dict[tuple[int, int], float] = defaultdict(float)
    for (one, p, drawn), (other, p_other, drawn_other) in itertools.product(ways, repeat=2):
        a, b = judged[one], judged[other]
        if pick == "draw":
            a, b = a / drawn, b / drawn_other
        else:
            a, b = float(a >= b), float(b > a)
        expected[one] += p * p_other * a / (a + b)
        expected[other] += p * p_other * b / (a + b)
    words = (last.ids - NUM_RESERVED).tolist()
    counts = {text: sum(tuple(row) == text for row in words) for text in expected}
    assert sum((counts[text] - n * p) ** 2 / (n * p) for text, p in expected.items() if p) < 8 + 4 * 16**0.5
    proposal: dict[tuple[int, int], float] = defaultdict(float)
    for text, p, _ in ways:
        proposal[text] += p
    assert sum((counts[text] - n * p) ** 2 / (n * p) for text, p in proposal.items()) > 30  # the choice shows
    if pick == "draw":  # two drafts are half the way from the sampler's law to the judge's
        far, near = (sum(abs(law[t] - judged[t]) for t in judged) for law in (proposal, expected))
        assert near < 0.9 * far


@pytest.mark.parametrize(("sampler", "known"), [("entropy", True), ("confidence", False)])
def test_weights_are_divided_by_the_draws_only_where_these_are_known(
    dual: Transformer, monkeypatch: pytest.MonkeyPatch, sampler: str, known: bool
) -> None:
    drafts, settings = drafts_of(dual, monkeypatch, 2, sampler=sampler, pick="draw", temperature=0.7)
    given = torch.tensor([[NUM_RESERVED, MASK, MASK], [NUM_RESERVED + 2, MASK, MASK]])
    rows = given.repeat_interleave(2, 0)
    *_, state = drafts.filler.denoise(rows, drafts.numbers)
    found = drafts.weights(state, rows == MASK)
    judged = Judge(dual, settings, WORDS, 0.7).log_probabilities(list(state.ids), [1] * 4)
    draws = state.confidence[:, 1:].double().log().sum(1) if known else torch.zeros(4, dtype=torch.float64)
    torch.testing.assert_close(found.flatten(), torch.tensor(judged, dtype=torch.float64) - draws)
    assert found.shape == (2, 2)


# Writing.


@pytest.fixture(scope="module")
def small(config: ProjectConfig) -> ProjectConfig:
    return config.override(
        **{"model.dual": True, "training.objective": "dual", "model.init_std": 0.3, "model.controls": True}
    )


@pytest.fixture(scope="module")
def writer(small: ProjectConfig, data: Processed, index: CopyIndex) -> Writer:
    torch.manual_seed(0)
    model = new_model(small, data.tokenizer).eval()
    assert model.controls is not None
    torch.nn.init.normal_(model.controls.table.weight, std=0.3)
    return Writer(model, data.tokenizer, index)


READINGS = ("masked", "causal", "drafts")
SHORT = GenerationConfig(precision="float32", length=12, steps=6, drafts=3, ending="token")


@pytest.mark.parametrize("reading", READINGS)
def test_a_text_depends_on_its_number_not_on_how_many_there_are(writer: Writer, reading: str) -> None:
    settings = SHORT.model_copy(update={"reading": reading, "length": 40})  # beyond the context of 32
    alone, three = (writer.write("", settings.model_copy(update={"num_samples": n})) for n in (1, 3))
    assert alone[0].ids == three[0].ids and alone[0].confidence == pytest.approx(three[0].confidence, abs=1e-4)
    assert len({text.ids for text in three}) == 3
    again = writer.write("", settings.model_copy(update={"num_samples": 3}))
    assert [text.ids for text in again] == [text.ids for text in three]
    assert all(len(text.ids) == 40 for text in three)


def test_the_readings_write_different_texts_and_drafts_begin_with_the_masked_one(writer: Writer) -> None:
    texts = {reading: writer.write("", SHORT.model_copy(update={"reading": reading}))[0].ids for reading in READINGS}
    assert len({texts["masked"], texts["causal"]}) == 2
    settings = SHORT.model_copy(update={"reading": "drafts", "layout": "free"})
    run = writer.writing("", settings)
    state = None
    for state in itertools.islice(run, 6):
        assert state.ids.shape == (3, 12) and [part.draw for part in state.stretches] == [0, 1, 2]
    assert state is not None
    masked = writer.write("", SHORT.model_copy(update={"reading": "masked", "layout": "free"}))[0]
    assert tuple(state.ids[0].tolist()) == masked.ids


def test_the_best_draft_is_the_judges_choice_and_the_film_shows_how_it_came(writer: Writer) -> None:
    settings = SHORT.model_copy(update={"reading": "drafts", "layout": "free", "num_samples": 2, "length": 40})
    recording = Recording(writer.writing("", settings))
    states = list(recording)
    steps = [i for i, state in enumerate(states) if len(state.ids) == 2]  # where drafts were chosen
    assert len(steps) == 2  # the context holds 32 tokens
    judge = Judge(writer.model, settings, writer.allowed(settings), settings.temperature)
    scores = torch.tensor(judge.log_probabilities(list(states[steps[0] - 1].ids), [0] * 6)).view(2, 3)
    best = [part.draw for part in states[steps[0]].stretches]
    assert best == scores.argmax(1).tolist()
    for text in recording.texts:
        assert text.stretches[0].draw == best[text.sample - 1] and text.stretches[1].draw >= 3
        shown = film(states, text, writer.tokenizer)
        assert len(shown) > 12 and shown[-1].text == text.text
        hidden = [sum(piece.state == "masked" for piece in frame.pieces) for frame in shown]
        assert hidden == sorted(hidden, reverse=True) and len(set(hidden)) > 10


@pytest.mark.parametrize("reading", ["causal", "drafts"])
def test_what_writing_promises_holds_for_each_reading(writer: Writer, reading: str) -> None:
    settings = SHORT.model_copy(update={"reading": reading, "length": 60, "num_samples": 2})
    guarded = settings.model_copy(update={"max_copied_words": 2})
    assert all(text.longest_copied_words <= 2 for text in writer.write("", guarded))
    for changes in ({"repetition_penalty": 3.0}, {"dialogue": "much"}, {"top_k": 2}):
        assert writer.write("", settings.model_copy(update=changes))[0].ids != writer.write("", settings)[0].ids
    for text in writer.write("The old miller", settings.model_copy(update={"ending": "sentence"})):
        assert text.text.startswith("The old miller")
        assert text.cut == 0 or text.text.rstrip("”’\"'")[-1] in ".!?"
    for text in writer.write("", settings):
        assert not any(white in text.text.strip("\n") for white in ("  ", "\n\n\n", "\r"))


@torch.no_grad()
def test_the_causal_reading_slides_over_long_texts(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where a token would break a character, the probability is that among those that do not.
    monkeypatch.setattr(Filler, "rules", lambda *_, **__: None)
    settings = SHORT.model_copy(update={"reading": "causal", "length": 100, "layout": "free"})
    [text] = writer.write("", settings)
    ids = list(text.ids)
    assert len(ids) == 100
    for place in (5, 31, 32, 40, 47, 48, 99):  # blocks of 16 after the first 32, each with 16 tokens before it
        start = 0 if place < 32 else place - place % 16 - 16
        logits = writer.model.logits(writer.model.hidden(torch.tensor([[BOS, *ids[start:place]]]), causal=True))
        chance = (logits[0, -1, : writer.allowed(settings)] / settings.temperature).softmax(-1)[
            ids[place] - NUM_RESERVED
        ]
        assert text.confidence[place] == pytest.approx(float(chance), rel=1e-2, abs=1e-5)


# Models without both readings.


def shape(**changes: bool) -> ModelConfig:
    return ModelConfig.smoke().model_copy(update=changes)


def test_auto_takes_the_best_reading_that_a_model_has() -> None:
    found = [reading_of(each, GenerationConfig()) for each in (shape(), shape(causal=True), shape(dual=True))]
    assert found == ["masked", "causal", "causal"]
    for change in ({"steps": 16}, {"sampler": "ancestral"}, {"block": 8}):  # who changes diffusion asks for it
        changed = GenerationConfig(**change)
        assert [reading_of(each, changed) for each in (shape(causal=True), shape(dual=True))] == ["causal", "masked"]
    assert reading_of(shape(dual=True), GenerationConfig(temperature=0.5)) == "causal"
    for reading in READINGS:
        assert reading_of(shape(dual=True), GenerationConfig(reading=reading)) == reading


@pytest.mark.parametrize(
    ("causal", "reading"), [(False, "causal"), (False, "drafts"), (True, "masked"), (True, "drafts")]
)
def test_a_reading_that_a_model_lacks_is_refused_in_one_line(causal: bool, reading: str) -> None:
    with pytest.raises(UserError, match=f"^generation.reading={reading}") as error:
        reading_of(shape(causal=causal), GenerationConfig(reading=reading))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("causal", [False, True])
def test_other_models_write_as_with_their_only_reading(config: ProjectConfig, data: Processed, causal: bool) -> None:
    if causal:
        config = config.override(**{"training.objective": "autoregressive", "model.causal": True})
    torch.manual_seed(0)
    writer = Writer(new_model(config, data.tokenizer).eval(), data.tokenizer)
    named = SHORT.model_copy(update={"reading": "causal" if causal else "masked"})
    assert writer.write("", SHORT) == writer.write("", named)
    with pytest.raises(UserError, match="^generation.reading=drafts needs both readings"):
        writer.write("", SHORT.model_copy(update={"reading": "drafts"}))


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("length", [10, 32, 100])
def test_the_passes_are_counted_for_each_reading(writer: Writer, reading: str, length: int) -> None:
    settings = SHORT.model_copy(update={"reading": reading, "length": length, "layout": "free", "steps": 8})
    states = sum(1 for _ in writer.writing("", settings))
    assert states == most_passes(settings, writer.model.config)


# Gaps.


def test_rows_of_one_gap_have_the_same_text_on_both_sides() -> None:
    fillings = [[100], [101, 102, 103]]
    for before, behind, context, left, right in (
        ([1, 2], [8, 9], 8, [1, 2], [8, 9]),
        ([1, 2, 3, 4], [6, 7, 8, 9], 7, [3, 4], [6, 7]),
        ([], [6, 7, 8, 9], 6, [], [6, 7, 8]),
        ([1, 2, 3, 4], [9], 6, [3, 4], [9]),
        ([1, 2], [9], 3, [], []),
    ):
        rows, starts = joint_rows(before, fillings, behind, context)
        assert [row.tolist() for row in rows] == [[*left, *filling, *right] for filling in fillings]
        assert starts == [len(left)] * 2 and max(map(len, rows)) <= context


@torch.no_grad()
@pytest.mark.parametrize(
    ("template", "corrected"),
    [("The old {2 words} of the", False), ("The old {1-2 words} of the", True), ("The {3-6 tokens} old miller", True)],
)
def test_the_filling_with_the_highest_joint_probability_is_chosen(
    writer: Writer, template: str, corrected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[list[int]] = []
    drawn: list[Gap] = []
    plain = choice.judged

    def judged(judge: Judge, hole: Hole, gaps: list[Gap], context: int) -> list[float]:
        drawn.extend(gaps)
        tried.extend([*hole.before, *gap.ids, *hole.behind] for gap in gaps)
        return plain(judge, hole, gaps, context)

    monkeypatch.setattr(choice, "judged", judged)
    monkeypatch.setattr(infill, "joins_well", lambda *_: True)  # the likeliest one is chosen, however it joins its text
    settings = GenerationConfig(precision="float32", gap_candidates=12, reading="masked")
    [text] = writer.infill(template, settings)
    scores = [-float(next_token_losses(writer.model, torch.tensor([ids]), BOS).sum()) for ids in tried]
    assert len({len(ids) for ids in tried}) > 1
    if corrected:  # the number of words is open: longer fillings are not at a loss
        nats = -float(torch.tensor([chance for gap in drawn for chance in gap.confidence]).log().mean())
        scores = [score + nats * len(gap.ids) for score, gap in zip(scores, drawn, strict=True)]
    assert list(text.ids) == tried[scores.index(max(scores))]
    assert sorted(scores)[-1] > sorted(scores)[-2] + 0.01


@pytest.mark.parametrize(
    "template", ["The old miller. {sentence} He left.", "{paragraph}\n\nHe left.", "Gold.\n\n{sentence}"]
)
def test_the_causal_reading_writes_sentences_into_gaps(writer: Writer, template: str) -> None:
    how = GenerationConfig(precision="float32", gap_candidates=8, num_samples=2, seed=3)
    before, _, behind = re.split(r"({\w+})", template)
    run, texts = writer.filling(template, how), writer.infill(template, how)
    for _ in range(3):  # from left to right, while the right side is not there yet
        hidden = next(run).ids == MASK
        assert bool((hidden[:, 1:] >= hidden[:, :-1]).all())
    for text in texts:
        filling = text.text[len(before) : len(text.text) - len(behind)]
        assert text.text == before + filling + behind and filling == filling.strip() and ends_sentence(filling)
    assert texts[0].text == writer.infill(template, how.model_copy(update={"num_samples": 1}))[0].text
    masked = how.model_copy(update={"reading": "masked"})
    assert [text.text for text in writer.infill(template, masked)] != [text.text for text in texts]
    # Who asks for an order of diffusion gets it.
    orders = [how.model_copy(update={"gap_sampler": "ancestral", "reading": each}) for each in ("auto", "masked")]
    assert len({writer.infill(template, each)[0].text for each in orders}) == 1


def test_later_gaps_are_unknown_to_the_judge(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    plain = Judge.log_probabilities

    def log_probabilities(self: Judge, rows: list[Tensor], starts: list[int]) -> list[float]:
        seen.extend(row.tolist() for row in rows)
        return plain(self, rows, starts)

    monkeypatch.setattr(Judge, "log_probabilities", log_probabilities)
    writer.infill("The {1-2 words} old {1-2 words} miller", GenerationConfig(precision="float32", gap_candidates=4))
    assert seen and all(MASK not in row for row in seen)


def test_a_gap_is_judged_only_where_there_is_a_causal_reading(
    config: ProjectConfig, data: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    writer = Writer(new_model(config, data.tokenizer).eval(), data.tokenizer)

    def refuse(*_: object) -> Iterator[None]:
        raise AssertionError("judged")

    monkeypatch.setattr(Judge, "__init__", refuse)
    assert writer.infill("The {1-2 words} old", GenerationConfig(gap_candidates=4, precision="float32"))
