"""The novelty guard: copied runs are found and broken or refused, and nothing else changes."""

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.copyist import Copyist
from tiny_diffusion.checkpoint import Checkpoint, new_model, save_checkpoint
from tiny_diffusion.cli.main import app
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.copies import CopyIndex
from tiny_diffusion.data.language.words import split_words, word_spans, words_so_far
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.runtime import generator_for
from tiny_diffusion.sampling.denoise import DenoisingState
from tiny_diffusion.writing import repair as repairing
from tiny_diffusion.writing.copy_guard import NoveltyGuard, breaking_slots, offending_windows
from tiny_diffusion.writing.filler import Filler
from tiny_diffusion.writing.repair import MEND, ROUNDS, WAIVED, Repair, turns
from tiny_diffusion.writing.results import Outcome, Stretch, WritingState
from tiny_diffusion.writing.rules import Place, Rules, Span, token_spans, tokens_of
from tiny_diffusion.writing.writer import Writer, broken

PLAIN = GenerationConfig(sampler="ancestral", temperature=1.0, steps=12, length=60, precision="float32").as_drawn()
LIMIT = 4


def guarded(limit: int = LIMIT, **more: object) -> GenerationConfig:
    return PLAIN.model_copy(update={"max_copied_words": limit, **more})


@pytest.fixture(scope="module")
def book(data: Processed) -> list[int]:
    return data.tokenizer.encode(data.texts("train")[0])


def copyist(book: list[int], data: Processed, index: CopyIndex, grip: float, causal: bool = False) -> Writer:
    return Writer(Copyist(book, data.tokenizer, grip, causal=causal), data.tokenizer, index)


@pytest.mark.parametrize("length", [60, 200])
@pytest.mark.parametrize("how", ["ancestral", "first_hitting", "confidence", "autoregressive"])
def test_a_model_that_copies_is_broken_up(
    book: list[int], data: Processed, index: CopyIndex, how: str, length: int
) -> None:
    writer = copyist(book, data, index, 0.95, causal=how == "autoregressive")
    changes = {"num_samples": 2, "length": length} | ({} if how == "autoregressive" else {"sampler": how})
    free = writer.write("", PLAIN.model_copy(update=changes))
    kept = writer.write("", guarded(**changes))
    assert min(text.longest_copied_words or 0 for text in free) > 2 * LIMIT
    assert max(text.longest_copied_words or 0 for text in kept) <= LIMIT
    for before, after in zip(free, kept, strict=True):
        assert len(after.ids) == length and after.text == data.tokenizer.decode(after.ids)
        assert after.longest_copied_words == index.match([after.text])[0].longest
        same = [a == b for a, b in zip(before.ids, after.ids, strict=True)]
        assert same.count(True) > length / 3 and all(0 < chance < 1 for chance in after.confidence)
    assert kept == writer.write("", guarded(**changes))
    assert kept != writer.write("", guarded(**changes, seed=1))


@pytest.mark.parametrize("causal", [False, True])
def test_a_run_longer_than_a_block_is_seen(data: Processed, book: list[int], causal: bool) -> None:
    # In block after block of 32 tokens, the model repeats the same refrain.
    refrain = book[:32]
    model = Copyist(refrain, data.tokenizer, 0.999, causal=causal)
    words = len(split_words(data.tokenizer.decode(refrain)))
    writer = Writer(model, data.tokenizer, CopyIndex([data.tokenizer.decode(refrain * 9)]))
    settings = PLAIN.model_copy(update={"length": 200, "seed": 1})
    assert (writer.write("", settings)[0].longest_copied_words or 0) > 3 * words
    [kept] = writer.write("", settings.model_copy(update={"max_copied_words": 3 * words}))
    assert words < (kept.longest_copied_words or 0) <= 3 * words


def test_a_finished_text_is_looked_at_once_more(data: Processed, book: list[int], index: CopyIndex) -> None:
    writer = copyist(book, data, index, 0.9)
    rules = writer.guards(guarded())
    ids = torch.tensor([book[:20]])
    for stood in (False, True):
        last = WritingState(ids, ids.float(), 1, 1, torch.full(ids.shape, stood), Stretch.whole(1, 20))
        found = Outcome.of(["x"], last, {})
        if stood:
            assert writer.finished(found, rules)[0].given == 20 * (True,)
        else:
            with pytest.raises(UserError, match="cannot be kept"):
                writer.finished(found, rules)


def test_what_cannot_be_broken_is_refused_with_its_words(
    book: list[int], data: Processed, index: CopyIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairing, "ROUNDS", 0)
    copied = " ".join(data.tokenizer.decode(book).split()[: LIMIT + 1])
    words = rf'max_copied_words={LIMIT} cannot be kept: .*"{re.escape(copied.lower())}.*temperature'
    with pytest.raises(UserError, match=words):
        copyist(book, data, index, 1 - 1e-6).write("", guarded(length=60))


def test_a_text_within_the_limit_is_the_same_to_the_bit(data: Processed, index: CopyIndex) -> None:
    torch.manual_seed(0)
    config = ProjectConfig.smoke().override(**{"model.init_std": 0.3})
    writer = Writer(new_model(config, data.tokenizer).eval(), data.tokenizer, index)
    for seed in range(3):
        settings = PLAIN.model_copy(update={"num_samples": 2, "length": 100, "seed": seed})
        free = writer.write("The old", settings)
        copied = max(text.longest_copied_words or 0 for text in free)
        assert writer.write("The old", settings.model_copy(update={"max_copied_words": max(copied, 1)})) == free


def test_only_the_row_that_offends_changes(book: list[int], data: Processed, index: CopyIndex) -> None:
    writer = copyist(book, data, index, 0.8)
    settings = PLAIN.model_copy(update={"num_samples": 6, "length": 100})
    free = writer.write("", settings)
    copied = [text.longest_copied_words or 0 for text in free]
    limit = sorted(copied)[2]
    kept = writer.write("", settings.model_copy(update={"max_copied_words": limit}))
    assert sorted(copied)[-1] > limit
    for before, after, words in zip(free, kept, copied, strict=True):
        assert (before.ids == after.ids and before.confidence == after.confidence) == (words <= limit)


@pytest.mark.parametrize("causal", [False, True])
def test_given_text_stays_though_it_is_copied(book: list[int], data: Processed, index: CopyIndex, causal: bool) -> None:
    writer = copyist(book, data, index, 0.9, causal)
    prompt = data.tokenizer.decode(book[:30])
    words = len(split_words(prompt))
    assert words > 2 * LIMIT
    for seed in range(3):
        [text] = writer.write(prompt, guarded(seed=seed, length=25))
        assert text.text.startswith(prompt) and list(text.ids[:30]) == book[:30]
        assert text.longest_copied_words in (words, words - 1)  # the last word may be continued
        free = [not was_given for was_given in text.given]
        assert broken([NoveltyGuard(index, data.tokenizer, LIMIT)], text.ids, free) is None


def test_mending_shows_its_states(book: list[int], data: Processed, index: CopyIndex) -> None:
    writer = copyist(book, data, index, 0.95)
    run = writer.writing("", guarded(num_samples=2, seed=5))
    states: list[DenoisingState] = []
    try:
        while True:
            states.append(next(run))
    except StopIteration as done:
        texts = done.value
    assert len(states) == texts[0].steps > PLAIN.steps
    assert {tuple(state.ids.shape) for state in states} == {(2, 60)}
    settled = [int((state.ids != MASK).sum()) for state in states]
    assert settled[PLAIN.steps - 1] == settled[-1] == 120 and min(settled[PLAIN.steps :]) < 120
    assert [tuple(row) for row in states[-1].ids.tolist()] == [text.ids for text in texts]
    assert [tuple(row) for row in states[-1].confidence.tolist()] == [text.confidence for text in texts]


# Runs that are too long, and the places that break them.

LENGTHS = st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=9)


@given(LENGTHS, st.integers(1, 4))
def test_every_offending_window_is_hit_with_few_changes(words: list[tuple[int, bool, bool]], limit: int) -> None:
    # Runs as an index gives them: none goes beyond the text, and the rest of a run is a run.
    lengths = [min(length, len(words) - i) for i, (length, _, _) in enumerate(words)]
    for i in range(1, len(lengths)):
        lengths[i] = max(lengths[i], lengths[i - 1] - 1)
    free = [own for word in words for own in word[1:]]
    windows = [set(range(2 * i, 2 * (i + limit) + 1)) for i, n in enumerate(lengths) if n > limit]
    windows = [window for window in windows if any(free[slot] for slot in window)]
    assert [(min(window), max(window)) for window in windows] == list(offending_windows(lengths, limit, free))
    chosen = breaking_slots(lengths, limit, free)
    assert all(free[slot] for slot in chosen) and all(window & set(chosen) for window in windows)
    if all(slot % 2 == 0 for slot in chosen):
        own = [slot for slot in range(0, len(free), 2) if free[slot]]
        for fewer in combinations(own, max(0, len(chosen) - 1)):
            assert not windows or not all(window & set(fewer) for window in windows)


def test_a_gap_without_a_word_joins_the_words_around_it(data: Processed) -> None:
    guard = NoveltyGuard(CopyIndex(["He saw the old end"]), data.tokenizer, 3)
    ids = data.tokenizer.encode("saw the old") + data.tokenizer.encode(",") + data.tokenizer.encode(" end")
    comma = len(data.tokenizer.encode("saw the old"))
    assert guard.places(ids, [i == comma for i in range(len(ids))]) == [(comma, comma + 1)]
    assert guard.places(ids, [False] * len(ids)) == []


def test_places_are_the_tokens_of_the_breaking_words(data: Processed) -> None:
    source = "The old miller carried the quiet lantern of Kalomi by the river."
    guard = NoveltyGuard(CopyIndex([source]), data.tokenizer, 3)
    # Case, marks and line breaks do not matter, as in the novelty figures.
    ids = data.tokenizer.encode("So THE OLD -- miller,\n\ncarried the lantern, of Kalomi by")
    places = guard.places(ids, [True] * len(ids))
    assert [data.tokenizer.decode(ids[a:b]).strip() for a, b in places] == ["carried", "by"]
    assert guard.places(ids, [False] * len(ids)) == []
    half = data.tokenizer.encode("So THE OLD -- miller,\n\ncarried")
    free = [i >= len(half) for i in range(len(ids))]
    assert [data.tokenizer.decode(ids[a:b]).strip() for a, b in guard.places(ids, free)] == ["the", "by"]
    assert NoveltyGuard(guard.index, data.tokenizer, 5).places(ids, [True] * len(ids)) == []
    short = NoveltyGuard(CopyIndex(["the old miller carried the"]), data.tokenizer, 3)
    assert '"the old miller carried the"' in short.refusal(ids, [True] * len(ids))


def test_a_run_is_seen_across_blocks(data: Processed) -> None:
    guard = NoveltyGuard(CopyIndex(["a b c d e f g h"]), data.tokenizer, 5)
    ids = data.tokenizer.encode("x y z " * 200 + "a b c d")
    reach = guard.reach(ids)
    assert 7 <= len(split_words(data.tokenizer.decode(ids[-reach:]))) < 100
    more = ids[-reach:] + data.tokenizer.encode(" e f")
    assert len(guard.places(more, [i >= reach for i in range(len(more))])) == 1
    assert guard.reach(ids[:5]) == 5
    assert guard.reach(data.tokenizer.encode("?!" * 500)) == len(data.tokenizer.encode("?!" * 500))
    # The same from the other side.
    ids = data.tokenizer.encode(" e f g h" + " x y z" * 200)
    reach = guard.reach(ids, behind=True)
    assert 7 <= len(split_words(data.tokenizer.decode(ids[:reach]))) < 100
    assert guard.run_across([], data.tokenizer.encode("b c d"), ids) == "b c d e f g h".split()
    assert guard.run_across([], data.tokenizer.encode("d"), ids) == []


SIGNS = st.text(
    st.sampled_from("abÉé'’ -.,\n\u0301\u3099か山ßİﬁ\u00ad3\u037e\u1161\u1100") | st.characters(), max_size=20
)


@given(SIGNS)
def test_words_stand_where_their_spans_say(text: str) -> None:
    spans, words = word_spans(text), split_words(text)
    assert len(spans) == len(words)
    assert all(0 <= a < b <= len(text) for a, b in spans) and spans == sorted(spans)
    assert all(word in split_words(text[a:b]) for (a, b), word in zip(spans, words, strict=True))


def test_spans_of_words() -> None:
    assert word_spans("Don't go,山は") == [(0, 5), (6, 8), (9, 10), (10, 11)]


@given(st.text(max_size=12), st.integers(0, 40), st.integers(0, 40))
def test_tokens_stand_where_their_spans_say(text: str, cut: int, end: int) -> None:
    tokenizer = BookTokenizer.train(["Ab. Ab. Éé"], 258)
    ids = tokenizer.encode(text.encode("utf-8", "ignore").decode())[cut:][:end]  # may begin or end in a character
    spans, whole = token_spans(tokenizer, ids), tokenizer.decode(ids)
    assert (spans[-1][1] if spans else 0) == len(whole)
    for i in range(len(ids) - 1):
        assert spans[i][0] <= spans[i][1] and spans[i + 1][0] in (spans[i][1], spans[i][1] - 1)
        if spans[i + 1][0] == spans[i][1]:
            assert tokenizer.decode(ids[: i + 1]) == whole[: spans[i][1]]
    for place, own in enumerate(tokens_of(spans, [(i, i + 1) for i in range(len(whole))])):
        assert list(own) == [i for i, (a, b) in enumerate(spans) if a <= place < b]


# Rounds of repair.


class NoSevens:
    """A rule: no 7 among the free tokens."""

    def __init__(self, stern: bool) -> None:
        self.stern, self.gave_up = stern, 0

    def allowed(self, place: Place) -> None:
        return None

    def places(self, ids: list[int], free: list[bool]) -> list[Span]:
        return [(i, i + 1) for i, token in enumerate(ids) if token == 7 and free[i]]

    def refusal(self, ids: list[int], free: list[bool]) -> str | None:
        self.gave_up += 1
        return "sevens" if self.stern else None

    def reach(self, ids: list[int], *, behind: bool = False) -> int:
        return 1


def rounds(
    answers: list[int], stern: bool = True
) -> tuple[list[int], list[list[int]], list[dict[int, set[int]]], NoSevens]:
    """Repair (5, 7, 7, 6), the second 7 given, between two 7s; ``answers`` are drawn, the last one again and again.

    A second row, given up before, is left alone.
    """
    asked: list[list[int]] = []
    bars: list[dict[int, set[int]]] = []

    class Answered(Filler):
        """A filler with given draws."""

        def in_order(
            self, ids: Tensor, turns: list[Tensor], numbers: list[torch.Generator], permit: Rules
        ) -> Iterator[DenoisingState]:
            asked.append(ids[0].tolist())
            assert numbers[0].initial_seed() == generator_for(3, MEND, 9, 0, len(asked)).initial_seed()
            assert (
                permit.ahead == [[7]] and permit.after == [[7]] and (not stern or permit.finished == [len(asked) > 1])
            )
            assert sum(turns).equal((ids == MASK).long())  # type: ignore[union-attr]
            bars.append({place: set(tokens) for place, tokens in permit.barred[0].items()})
            drawn = ids.masked_fill(ids == MASK, answers[min(len(asked), len(answers)) - 1])
            yield DenoisingState(drawn, torch.full(ids.shape, 0.5), 2, 2)

    state = DenoisingState(torch.tensor([[5, 7, 7, 6], [7, 7, 7, 7]]), torch.ones(2, 4), 9, 9)
    free = torch.tensor([[True, True, False, True]] * 2)
    rule = NoSevens(stern)
    refused = {1: "before"}
    model = Copyist([NUM_RESERVED], BookTokenizer([], "bpe"), 0.5)
    repair = Repair(Answered(model, BookTokenizer([], "bpe"), PLAIN.model_copy(update={"seed": 3})), [rule], place=9)
    for latest in repair.states(state, free, refused, [[3, 7]] * 2, [[7, 3]] * 2):
        state = latest
    assert refused.pop(1) == "before" and state.ids[1].tolist() == [7, 7, 7, 7]
    assert refused == ({0: "sevens"} if stern and len(asked) == ROUNDS else {})
    assert (state.confidence[0] < 1).tolist() == [any(row[i] == MASK for row in asked) for i in range(4)]
    return state.ids[0].tolist(), asked, bars, rule


def test_a_place_is_drawn_again_ever_wider_until_it_is_mended() -> None:
    assert rounds([8])[:2] == ([5, 8, 7, 6], [[5, MASK, 7, 6]])
    # Free neighbours are drawn too, given ones are not; from the second draw on, the tokens found there are barred.
    final, asked, bars, _ = rounds([7, 7, 8])
    assert asked == [[5, MASK, 7, 6], [MASK, MASK, 7, 6], [MASK, MASK, 7, MASK]] and final == [8, 8, 7, 8]
    assert bars == [{}, {1: {7}}, {0: {7}, 1: {7}}]


def test_rounds_are_bounded() -> None:
    final, asked, _, rule = rounds([7])
    assert final == [7, 7, 7, 7] and rule.gave_up and len(asked) == ROUNDS
    final, asked, _, rule = rounds([7], stern=False)
    assert final == [7, 7, 7, 7] and rule.gave_up == 3 and WAIVED <= len(asked) <= 3 * WAIVED  # three free places


def test_holes_are_drawn_from_their_first_tokens_on() -> None:
    hidden = torch.tensor([[True, True, False, True], [False, False, True, False]])
    assert [turn.nonzero().tolist() for turn in turns(hidden)] == [[[0, 0], [0, 3], [1, 2]], [[0, 1]]]


def test_no_token_begins_a_word_that_would_make_a_run_too_long() -> None:
    """By enumeration: a token is barred after which the text could be completed to a run of three words."""
    letters = BookTokenizer.train(["ab cd ab ce dab ab cd 山川 山川"] * 9, 266)
    guard = NoveltyGuard(CopyIndex(["ab cd ab ce", "dab cd", "山川山"]), letters, 2)
    tokens = [letters.token_bytes(NUM_RESERVED + i).decode("utf-8", "ignore") for i in range(letters.text_vocab_size)]
    for before in (
        "ab cd",
        "ab cd ",
        "ab cd a",
        "xab cd",
        "Ab, cd -",
        "cd ab c",
        "cd",
        "",
        "dab cd ",
        "山",
        "山川",
        "ab",
    ):
        mask = guard.allowed(Place(before))
        for token, text in enumerate(tokens):
            whole, begun = words_so_far(before + text)
            copied = guard.index.match([" ".join([*whole, *([begun] if begun else [])])])[0].longest > 2
            old = len(split_words(before))
            first_new = len(whole) + bool(begun) > old or words_so_far(before)[1] != (begun or words_so_far(before)[1])
            coming = guard.index.following(whole[-2:]) if len(whole) > 1 else frozenset()
            towards = bool(text) and bool(begun) and any(word.startswith(begun) for word in coming)
            expected = first_new and (copied or towards)
            assert (mask is None or bool(mask[token])) == (not expected), (before, text)


# The index and where it comes from.


def test_the_guard_asks_for_the_training_text(writer_file: Path, prepared: Path, config: ProjectConfig) -> None:
    writer = Writer.load(writer_file, "cpu")
    with pytest.raises(UserError, match="--data-dir"):
        writer.write("The", guarded())
    assert writer.write("The", PLAIN)[0].longest_copied_words is None
    writer = Writer.load(writer_file, "cpu", data_dir=prepared)
    [text] = writer.write("The", PLAIN)
    [same] = writer.write("The", guarded(99))
    assert text == same and text.longest_copied_words is not None


def test_another_book_is_refused(tmp_path: Path, prepared: Path, data: Processed, config: ProjectConfig) -> None:
    weights = new_model(config, data.tokenizer).state_dict()
    save_checkpoint(tmp_path / "m.pt", Checkpoint(config, data.tokenizer, weights, {"data": "x", "source": "b.txt"}))
    with pytest.raises(UserError, match="b.txt"):
        Writer.load(tmp_path / "m.pt", "cpu", data_dir=prepared)
    with pytest.raises(UserError, match="no prepared book"):
        Writer.load(tmp_path / "m.pt", "cpu", data_dir=tmp_path)


@pytest.fixture(scope="module")
def writer_file(tmp_path_factory: pytest.TempPathFactory, data: Processed, config: ProjectConfig) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.pt"
    weights = new_model(config, data.tokenizer).state_dict()
    save_checkpoint(path, Checkpoint(config, data.tokenizer, weights, {"data": data.identity, "language": "en"}))
    return path


def test_the_command_line_reads_the_data_where_it_is_needed_or_given(
    writer_file: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, data: Processed
) -> None:
    def refuse(self: Transformer, *given: object, **named: object) -> Tensor:
        raise AssertionError("the model was asked")

    common = ["--checkpoint", str(writer_file), "--device", "cpu"]
    guard = ["--generation.max_copied_words", "3"]
    command = ["generate", "--prompt", "The old", "--length", "9", *common]
    monkeypatch.chdir(writer_file.parent)  # the default folder does not exist here
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and done.output.startswith("The")
    done = CliRunner().invoke(app, [*command, "--data-dir", "nowhere"])
    assert isinstance(done.exception, UserError) and "no prepared book in nowhere" in str(done.exception)
    done = CliRunner().invoke(app, [*command, *guard, "--data-dir", str(prepared)])
    assert done.exit_code == 0 and CopyIndex(data.texts("train")).match([done.output])[0].longest <= 3
    with monkeypatch.context() as patched:
        patched.setattr(Transformer, "hidden", refuse)
        done = CliRunner().invoke(app, [*command, *guard, "--data-dir", "nowhere"])
    assert isinstance(done.exception, UserError) and "no prepared book in nowhere" in str(done.exception)
