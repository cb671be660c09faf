"""Filling gaps: text outside never changes, and a request is satisfied or refused. Untrained models suffice."""

import contextlib
import dataclasses
import re
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.writing.filler import Filled, Filler, ends_sentence
from tiny_diffusion.writing.infilling import choice, infill, required_words
from tiny_diffusion.writing.infilling.choice import scores
from tiny_diffusion.writing.infilling.gap_filler import Row, fill, sizes_of, spread
from tiny_diffusion.writing.infilling.gapped_text import Gap, GappedText
from tiny_diffusion.writing.infilling.infill import tokens_per_word
from tiny_diffusion.writing.infilling.required_words import RequiredWord, place_words, tokens_needed
from tiny_diffusion.writing.infilling.template import SLACK, Fixed, GapRequest, parse_gaps
from tiny_diffusion.writing.results import Refused, Stretch, Written
from tiny_diffusion.writing.writer import Writer, finish

FAST = GenerationConfig(steps=3, gap_tokens=2, precision="float32")
CONTEXT = 32
GAPS = {"___": 2, "{1 token}": 1, "{3 tokens}": 3, "{1-3 tokens}": None}


@pytest.fixture(scope="module")
def writer(config: ProjectConfig, data: Processed) -> Writer:
    torch.manual_seed(0)
    vocab = NUM_RESERVED + data.tokenizer.level_size(config.model.vocab_level)
    return Writer(Transformer(config.model, vocab, NUM_RESERVED), data.tokenizer)


def fills(template: str, text: str) -> list[str]:
    """The fillings of the gaps in ``text``; fails if anything else differs from the template."""
    pattern = "".join(re.escape(p.text) if isinstance(p, Fixed) else "(.*?)" for p in parse_gaps(template))
    found = re.fullmatch(pattern, text, re.DOTALL)
    assert found is not None, (template, text)
    return list(found.groups())


TEXTS = st.text(
    st.sampled_from(" \t\n\r\u00a0\u2003\u3000.,;“’aé漢🙂e\u0301")
    | st.characters(exclude_categories=["Cs"], exclude_characters="_{[\\"),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40)
@given(st.lists(st.tuples(TEXTS, st.sampled_from(list(GAPS))), min_size=1, max_size=3), TEXTS | st.just(""))
def test_text_outside_the_gaps_is_never_altered(writer: Writer, parts: list[tuple[str, str]], end: str) -> None:
    template = "".join(text + gap for text, gap in parts) + end
    [found] = writer.infill(template, FAST.model_copy(update={"gap_candidates": 2}))
    fills(template, found.text)
    assert min(found.ids) >= NUM_RESERVED
    assert len(found.ids) == len(found.given) == len(found.confidence)
    # The given tokens spell the fixed text without the spaces that went to the gaps.
    given_text = writer.tokenizer.decode(i for i, g in zip(found.ids, found.given, strict=True) if g)
    expected = "".join(text.removesuffix(" ") for text, _ in parts) + end
    assert given_text == expected
    if None not in (sizes := [GAPS[gap] for _, gap in parts]):
        assert found.given.count(False) == sum(size for size in sizes if size is not None)


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("on a ___ night", r"on a \S.* night"),  # the space before the gap occurs once
        ("on a ___night", r"on a \S.*night"),
        ("on a  ___ night", r"on a  \S.* night"),
        ("on a___ night", r"on a.* night"),  # no space before: the filling may continue the word
        ("___ was dark.", r"\S.* was dark\."),
        ("It was.\n\n___ came.", r"It was\.\n\n\S.* came\."),
        ("It was.\r\n___ came.", r"It was\.\r\n\S.* came\."),
        ("I beheld my ___.", r"I beheld my \S.*\."),
        ("I beheld my {1 token}, and", r"I beheld my \S.*, and"),
        ("the {1 token}{1 token} end", r"the \S.* .* end"),
        ("___ ___", r"\S.* \S.*"),
        ("___", r"\S.*"),
    ],
)
def test_spaces_beside_a_gap(writer: Writer, template: str, pattern: str) -> None:
    for found in writer.infill(template, FAST.model_copy(update={"num_samples": 6})):
        assert re.fullmatch(pattern, found.text, re.DOTALL), found.text
        whole = writer.tokenizer.decode(found.ids)
        if "\ufffd" not in found.text:  # tokens of untrained models need not be letters
            assert whole == found.text


def gapped(template: str, encode: Callable[[str], list[int]], size: int) -> GappedText:
    """The text of a template whose gaps need ``size`` tokens each."""
    pieces = parse_gaps(template)
    return GappedText.of(pieces, encode, {piece: size for piece in pieces if isinstance(piece, GapRequest)})


def test_text_before_a_gap_is_encoded_as_in_running_text(writer: Writer) -> None:
    encode = lambda text: writer.tokenizer.encode(text, 1)  # noqa: E731
    for before, word in [
        ("It was", " dark"),
        ("It was.\n\n", "Dark"),
        ("It was. ", " Dark"),
        ("one\n", " dark"),
        ("(", "it"),
    ]:
        template = f"{before}{' ' if word[0] == ' ' else ''}___ and"
        parts = gapped(template, encode, 2).own
        assert [*parts[0].ids, *encode(word), *parts[2].ids] == encode(f"{before}{word} and")
    # Two line breaks are one token at the end of a text, and two before a word.
    breaks = BookTokenizer([(10, 10)], "gpt2")
    [fixed, _] = gapped("\n\n___", breaks.encode, 1).own
    assert len(breaks.encode("\n\n")) == 1 and len(fixed.ids) == 2


@pytest.mark.parametrize(
    ("template", "counts"),
    [
        ("The old {1 word} sold it.", [(1, 1)]),
        ("The old {3 words} sold it.", [(3, 3)]),
        ("{2-4 words} sold the {1-2 words}.", [(2, 4), (1, 2)]),
        ("He said “{2 words}” and left.\n\n{1 word}", [(2, 2), (1, 1)]),
        ("un{1 word}able, {1 word}, and ___ it", [(1, 1), (1, 1), (0, 9)]),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_gap_holds_so_many_words(writer: Writer, template: str, counts: list[tuple[int, int]], seed: int) -> None:
    for found in writer.infill(template, FAST.model_copy(update={"seed": seed, "num_samples": 2})):
        for text, (least, most) in zip(fills(template, found.text), counts, strict=True):
            assert least <= len(text.split()) <= most and text.splitlines()[1:] == []


def test_gaps_side_by_side_hold_their_words_apart(writer: Writer) -> None:
    for found in writer.infill("The {2 words}{1 word}{3 words} end", FAST.model_copy(update={"num_samples": 2})):
        assert len(found.text.split()) == 8


def test_a_wrong_number_of_words_is_never_handed_out(writer: Writer) -> None:
    few = FAST.model_copy(update={"gap_candidates": 1, "gap_rounds": 1})
    with pytest.raises(
        UserError, match=r"^none of 1 fillings of \{14 words\} came out with 14 words; ask for less, or"
    ):
        writer.infill("The {14 words} end", few)
    # More rounds find what one draw misses.
    enough = few.model_copy(update={"gap_rounds": 40, "seed": 1})
    assert len(fills("The {2 words} end", writer.infill("The {2 words} end", enough)[0].text)[0].split()) == 2


def test_each_round_learns_the_tokens_a_word_from_the_last(
    writer: Writer, config: ProjectConfig, data: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, float]] = []
    plain = GapRequest.size_range

    def size_range(gap: GapRequest, ratio: float, slack: float, *rest: int) -> tuple[int, int]:
        asked.append((ratio, slack))
        return plain(gap, ratio, slack, *rest)

    monkeypatch.setattr(GapRequest, "size_range", size_range)
    drawn: list[int] = []
    fill = Gap.filled

    def counted(self: Gap, *how: object) -> Gap:
        found = fill(self, *how)  # type: ignore[arg-type]
        drawn.extend((len(found.ids), len(found.text.split())))
        return found

    monkeypatch.setattr(Gap, "filled", counted)
    with pytest.raises(UserError, match="none of 2 fillings"):
        writer.infill("The {14 words} end", FAST.model_copy(update={"gap_candidates": 1, "gap_rounds": 2}))
    usual, *tried = asked  # the size that the gap usually takes comes first
    assert tried[1] == (drawn[0] / drawn[1], SLACK / 2) != (usual[0], SLACK) == tried[0]
    # The first ratio is that of the template, in the tokens that may be written.
    wide = config.model.model_copy(update={"vocab_level": 2})
    other = Writer(Transformer(wide, NUM_RESERVED + data.tokenizer.level_size(2), NUM_RESERVED), data.tokenizer)
    for level in (1, 2):
        asked.clear()
        other.infill("The miller {1 word} the orchard", FAST.model_copy(update={"vocab_level": level}))
        assert asked[0][0] == tokens_per_word(["The miller ", " the orchard"], data.tokenizer, level)


def outcome(writer: Writer, **changes: object) -> str:
    try:
        return writer.infill("The {4 words} end", FAST.model_copy(update=changes))[0].text
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("key", ["gap_candidates", "gap_rounds"])
def test_the_search_is_as_wide_as_its_settings(writer: Writer, key: str) -> None:
    assert "none of 1 fillings" in outcome(writer, gap_candidates=1, gap_rounds=1)
    found = {outcome(writer, **{"gap_candidates": 1, "gap_rounds": 1, key: n}) for n in (2, 20, 40)}
    assert len(found) > 1 and not any("none of 1 " in text for text in found)


def test_of_the_right_fillings_the_likeliest_is_taken(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, list[int]]] = []

    def seen_scores(filler: Filler, rows: list[torch.Tensor], spans: list[tuple[int, int]]) -> list[float]:
        found = scores(filler, rows, spans)
        seen.extend((s, row[a:b].tolist()) for s, row, (a, b) in zip(found, rows, spans, strict=True))
        return found

    monkeypatch.setattr(choice, "scores", seen_scores)
    [found] = writer.infill("The old {1-2 words} sold it.", FAST)
    assert len(seen) > 1
    assert [i for i, g in zip(found.ids, found.given, strict=True) if not g] == max(seen)[1]


@pytest.mark.parametrize("unit", ["sentence", "paragraph"])
def test_sentences_and_paragraphs_come_to_an_end(writer: Writer, unit: str) -> None:
    template = f"It rained. {{{unit}}} He left."
    for found in writer.infill(template, FAST.model_copy(update={"num_samples": 3})):
        [text] = fills(template, found.text)
        assert ends_sentence(text) and text == text.strip() and "\n" not in text
        assert 4 <= found.given.count(False) <= CONTEXT // 2


def test_both_readings_offer_words(config: ProjectConfig, data: Processed, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    shape = config.model.model_copy(update={"dual": True, "init_std": 0.3})
    model = Transformer(shape, NUM_RESERVED + data.tokenizer.level_size(shape.vocab_level), NUM_RESERVED).eval()
    offered: list[bool] = []
    monkeypatch.setattr(infill, "fill", lambda filler, *rest: offered.append(filler.causal) or fill(filler, *rest))
    how = GenerationConfig(gap_candidates=8, precision="float32", words="free")
    [text] = Writer(model, data.tokenizer).infill("The {2-3 words} lantern.", how)
    assert 2 <= len(fills("The {2-3 words} lantern.", text.text)[0].split()) <= 3
    assert offered[:2] == [True, False]
    offered.clear()
    Writer(model, data.tokenizer).infill("The {2-3 words} lantern.", how.model_copy(update={"reading": "masked"}))
    assert not any(offered)


def test_no_mark_meets_a_mark(writer: Writer) -> None:
    for template in ("The ___, old", "The {2-3 words}, old", "The {1 token}; old"):
        for text in writer.infill(template, FAST.model_copy(update={"num_samples": 8, "words": "free"})):
            assert re.search(r"[^\W_][,;] old$", text.text)


def test_a_writer_hands_its_language_on(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(infill, "fulfils", lambda gap, text, language: seen.append(language) or True)
    Writer(writer.model, writer.tokenizer, language="de").infill("The {2 words} sold it.", FAST)
    assert set(seen) == {"de"}


def test_a_required_word_stands_where_the_model_expects_it() -> None:
    word = RequiredWord("x", (NUM_RESERVED + 1, NUM_RESERVED + 2), (NUM_RESERVED + 3,))
    chances = torch.full((6, 5), -9.0)
    chances[2, 1] = chances[3, 2] = -1.0
    numbers = torch.Generator().manual_seed(0)
    places = [place_words([word], chances, 6, numbers) for _ in range(50)]
    assert places.count([MASK, MASK, NUM_RESERVED + 1, NUM_RESERVED + 2, MASK, MASK]) > 45
    chances[0, 3] = 9.0  # at the beginning of the gap it has no space
    assert place_words([word], chances, 6, numbers) == [NUM_RESERVED + 3] + [MASK] * 5
    both = [place_words([word, word], chances, 5, numbers) for _ in range(50)]
    assert all(ids is not None and len(ids) == 6 and ids[5] == MASK and ids.count(MASK) in (2, 3) for ids in both)
    assert place_words([word] * 3, chances, 4, numbers) is None
    assert tokens_needed([word] * 3) == 5 and tokens_needed([]) == 0


@pytest.mark.parametrize(
    ("template", "must"),
    [
        ("The {2-5 words} sold it.", ("miller",)),
        ("The {2-5 words} sold it.", ("garden", "miller")),
        ("{3 words} sold it to the ___.", ("Golden", "miller")),
        ("The {1 word} sold it.", ("miller",)),
        ("“{4-9 tokens}” he said.", ("garden",)),
        ("{sentence} He left.", ("garden",)),
        ("The ______ end", ("a",)),
        ("The {4 words} end", ("the", "the")),
        ("The {1 word}{2 words} end", ("naïve", "the")),
    ],
)
def test_required_words_stand_whole(writer: Writer, template: str, must: tuple[str, ...]) -> None:
    for found in writer.infill(template, FAST.model_copy(update={"num_samples": 2}), must):
        inside = fills(template, found.text)
        for word in set(must):
            count = sum(len(re.findall(rf"(?<!\w){word}(?!['’-]?\w)", text)) for text in inside)
            assert count >= must.count(word), found.text
        assert all(c > 0 for c in found.confidence)


@pytest.mark.parametrize(
    ("template", "must", "words"),
    [
        ("The {1 word} end", ("old", "miller"), "no gap has room for the word 'old'"),
        ("The ___ end", ("unforgettably",), "no gap has room for the word 'unforgettably': widen one, or raise"),
        ("The {2 words} end", ("old miller",), "'old miller' is not one word; give each word"),
        ("The {2 words} end", ("",), "'' is not one word"),
        ("The {2 words} end", "miller", "must='miller' is one string; give a tuple of words"),
        ("The {2 words} end", ("x" * 200,), "no gap has room"),
    ],
)
def test_a_required_word_that_cannot_stand_is_refused(
    writer: Writer, template: str, must: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        writer.infill(template, FAST, must)


def test_a_required_word_goes_to_the_likelier_gap(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The word goes to the gap where the model expects it."""
    [word] = writer.tokenizer.encode(" the", 1)
    for likely in (2, 4):
        monkeypatch.setattr(
            required_words, "expected",
            lambda filler, text, gap, likely=likely: torch.zeros(2, 512).index_fill_(
                1, torch.tensor(word - NUM_RESERVED), 5.0 if gap.place == likely else -5.0
            ),
        )  # fmt: skip
        template = "He {1 word} it {1 word} end"
        inside = fills(template, writer.infill(template, FAST, ("the",))[0].text)
        assert inside[likely // 2 - 1] == "the"


@pytest.mark.parametrize("template", ["The ___ sold ____ it.", "The {1-2 words} sold {2-3 tokens}."])
def test_the_same_seed_gives_the_same_text(writer: Writer, template: str) -> None:
    two = FAST.model_copy(update={"num_samples": 2, "seed": 4})
    found = writer.infill(template, two)
    assert len(found) == 2 and len({text.text for text in found}) == 2
    assert writer.infill(template, two) == found
    assert writer.infill(template, two.model_copy(update={"seed": 5})) != found


@pytest.mark.parametrize(
    "template", ["The ___ of {2 words} here.", "A {3-5 words} day. {sentence}", "{4 tokens}{2 words}"]
)
@pytest.mark.parametrize("must", [(), ("river",)])
def test_a_filled_text_does_not_depend_on_how_many_are_asked_for(
    writer: Writer, template: str, must: tuple[str, ...]
) -> None:
    how = FAST.model_copy(update={"seed": 5, "num_samples": 3, "gap_candidates": 6, "gap_rounds": 20})
    several = {text.sample: text.ids for text in found(writer, template, how, must)}
    assert len(set(several.values())) == len(several) > 1
    for count in (1, 2):
        few = found(writer, template, how.model_copy(update={"num_samples": count}), must)
        assert {text.sample: text.ids for text in few} == {k: ids for k, ids in several.items() if k <= count}


def found(writer: Writer, template: str, how: GenerationConfig, must: tuple[str, ...]) -> list[Written]:
    """The texts that are not refused."""
    try:
        return writer.infill(template, how, must)
    except Refused as refused:
        return refused.texts


def test_only_the_level_asked_for_is_written(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BookTokenizer, "level_size", lambda self, level: 300 if level == 1 else 512)
    for found in writer.infill("The {2 words} ___ end.", FAST.model_copy(update={"vocab_level": 1, "num_samples": 2})):
        written = [i for i, g in zip(found.ids, found.given, strict=True) if not g]
        assert max(written) < NUM_RESERVED + 300


LONG = " ".join(f"The old miller sold garden {i}." for i in range(12))


def test_a_long_text_is_filled_from_left_to_right_in_windows(writer: Writer) -> None:
    template = f"{LONG} He {{5 tokens}} and she {{2 words}} it.\r\n{LONG} {{3 tokens}} end. ___ {LONG}"
    run = writer.filling(template, FAST)
    states, rows = [], []
    while True:
        try:
            states.append(next(run))
        except StopIteration as done:
            [found] = done.value
            break
        rows.append(states[-1].ids)
    assert all(row.shape[1] == CONTEXT for row in rows) and len(found.ids) > 5 * CONTEXT
    fills(template, found.text)
    masked = [int((row == MASK).sum()) for row in rows]
    assert masked[FAST.steps - 1] == 0  # all masks of a window settle, those of later gaps too
    # While the second gap is filled, the filling of the first is visible.
    filled = [i for i, g in zip(found.ids, found.given, strict=True) if not g]
    first = torch.tensor(filled[:5])
    assert all((row[0].unfold(0, 5, 1) == first).all(1).any() for row in rows[FAST.steps : 2 * FAST.steps])


@pytest.mark.parametrize("template", ["The ___ sold {1-3 words} it. {sentence}", f"{LONG} {{2 words}} ___ {LONG} ___."])
def test_states_say_which_text_and_which_part_of_it_they_write(writer: Writer, template: str) -> None:
    run = writer.filling(template, FAST.model_copy(update={"num_samples": 3}))
    last: dict[Stretch, list[int]] = {}
    while True:
        try:
            state = next(run)
        except StopIteration as done:
            texts = done.value
            break
        assert len(state.ids) == len(state.stretches) and bool((state.given <= (state.ids != MASK)).all())
        for row, part in zip(state.ids.tolist(), state.stretches, strict=True):
            last[part] = row[part.first : part.last]
    for number, text in enumerate(texts):
        ids = [i if was_given else MASK for i, was_given in zip(text.ids, text.given, strict=True)]
        for part in text.stretches:
            assert part.text == number
            ids[part.start : part.start + part.last - part.first] = last[part]
        assert tuple(ids) == text.ids


def test_gaps_of_fixed_size_in_one_window_are_filled_at_once(writer: Writer) -> None:
    fast = FAST.model_copy(update={"gap_sampler": "ancestral"})  # takes all its steps even for gaps of fewer tokens
    [short] = writer.infill("The ___ sold {3 tokens} it.", fast)
    assert short.steps == FAST.steps
    [long] = writer.infill(f"The ___ sold {{3 tokens}} it. {LONG} {{2 tokens}} {LONG}", fast)
    assert long.steps == 2 * FAST.steps
    [apart] = writer.infill(f"{LONG} ___ sold it. {LONG[:80]} ___ {LONG}", fast)
    assert apart.steps == 2 * FAST.steps  # one window would hold both, but with little text around them
    [searched] = writer.infill("The ___ sold {1-3 tokens} ___ it.", fast)
    assert searched.steps == 3 * FAST.steps


@pytest.mark.parametrize(
    ("template", "changes", "words"),
    [
        ("The miller.", {}, r"no gap in 'The miller.'; mark one with three or more underscores"),
        (f"{LONG}{LONG}", {}, r"no gap in 'The old miller .{40,60}\.\.\.; mark"),
        ("", {}, "no gap in ''"),
        ("The {33 tokens} end", {}, r"the gap \{33 tokens\} needs 33 tokens at least; the model's context holds 32"),
        ("The {2-99 words} end", {}, r"the gap \{2-99 words\} needs 99 tokens at least"),
        ("The ___ end", {"gap_tokens": 40}, "the gap ___ needs 40 tokens at least"),
        ("The {3 wrods} end", {}, "did you mean"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(
    writer: Writer, template: str, changes: dict[str, int], words: str
) -> None:
    with pytest.raises(UserError, match=words) as error:
        writer.infill(template, FAST.model_copy(update=changes))
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


def test_an_autoregressive_model_is_refused(writer: Writer, config: ProjectConfig) -> None:
    causal = config.model.model_copy(update={"causal": True})
    twin = Writer(Transformer(causal, writer.model.vocab_size, NUM_RESERVED), writer.tokenizer)
    for ask in (twin.infill, twin.rewrite):
        with pytest.raises(UserError, match="^an autoregressive checkpoint cannot fill gaps; train with"):
            ask("The ___ end", FAST)


def test_rows_of_several_lengths_come_back_in_their_order(writer: Writer) -> None:
    filler = Filler(writer.model, writer.tokenizer, FAST)
    rows = [Row(torch.tensor([NUM_RESERVED + i] * i + [MASK] * 2)) for i in (3, 1, 3, 2)]
    filled = finish_fill(filler, rows)
    assert [len(f.ids) for f in filled] == [5, 3, 5, 4]
    assert [int(f.ids[0]) - NUM_RESERVED for f in filled] == [3, 1, 3, 2]


def finish_fill(filler: Filler, rows: list[Row]) -> list[Filled]:
    found = finish(fill(filler, rows))  # type: ignore[arg-type]
    assert [row for row, _ in found] == rows  # type: ignore[misc]
    return [filled for _, filled in found]  # type: ignore[misc]


def test_a_window_around_gaps(writer: Writer) -> None:
    encode = lambda text: [NUM_RESERVED + ord(c) for c in text]  # noqa: E731
    text = gapped("abcdefgh ___ijk___lm", encode, 3)
    first, second = text.gaps
    near, both, wide = text.hole(first, first), text.hole(first, second), text.hole(second, second)
    assert near.window(9) == ([*encode("fgh"), MASK, MASK, MASK, *encode("ijk")], [(3, 6)])
    assert near.behind == encode("ijk") and both.behind == wide.behind == encode("lm") and near.start == 8
    assert both.window(9) == ([MASK] * 3 + encode("ijk") + [MASK] * 3, [(0, 3), (6, 9)])
    assert wide.window(99)[1] == [(8 + 3 + 3, 8 + 3 + 3 + 3)] and near.window(99, [MASK] * 5)[1] == [(8, 13)]


def test_sizes_are_those_of_the_books_sentences(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    request = GapRequest("sentence", 1, 1, "{sentence}", (3, 4, 5, 9, 40))
    assert sizes_of(request, 4, 30, 2.0, 5) == [6, 8, 10, 18, 30]
    assert sizes_of(request, 4, 30, 2.0, 2) == [8, 18] and sizes_of(request, 7, 30, 2.0, 5) == [7, 8, 10, 18, 30]
    assert sizes_of(dataclasses.replace(request, usual=()), 4, 30, 2.0, 2) == spread(4, 30, 2)
    plain, drawn = Gap.filled, list[int]()

    def filled(self: Gap, *how: object) -> Gap:
        found = plain(self, *how)  # type: ignore[arg-type]
        drawn.append(len(found.ids))
        return found

    monkeypatch.setattr(Gap, "filled", filled)
    most = []
    for lengths in ({"sentence": [2, 2, 3]}, None):
        drawn.clear()
        with contextlib.suppress(UserError):
            Writer(writer.model, writer.tokenizer, lengths=lengths).infill("The old miller. {sentence} He left.", FAST)
        most.append(max(drawn))
    assert most[0] < most[1]


def test_sizes_and_tokens_per_word(data: Processed) -> None:
    assert spread(3, 6, 4) == [3, 4, 5, 6] and spread(2, 2, 3) == [2, 2, 2] and spread(1, 9, 3) == [2, 5, 8]
    assert (
        tokens_per_word(["The old", " garden."], data.tokenizer, 5)
        == len(data.tokenizer.encode(" The old garden.")) / 3
    )
    for level in (1, 5):
        assert 1 <= tokens_per_word([], data.tokenizer, level) < 6
    assert tokens_per_word([], data.tokenizer, 1) > tokens_per_word([], data.tokenizer, 5)
