"""The novelty guard beside given text, in gaps and in rewriting; one refused text does not cost the others."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.copyist import Copyist
from tiny_diffusion.checkpoint import Checkpoint, new_model, save_checkpoint
from tiny_diffusion.cli.main import app, main
from tiny_diffusion.cli.writing import generate, infill, rewrite
from tiny_diffusion.cli.writing.showing import Showing
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.copies import CopyIndex
from tiny_diffusion.data.tokenizer import MASK, BookTokenizer
from tiny_diffusion.errors import UserError
from tiny_diffusion.show import page
from tiny_diffusion.show.frames import Frame, Recording, film
from tiny_diffusion.writing import repair
from tiny_diffusion.writing.copy_guard import NoveltyGuard
from tiny_diffusion.writing.infilling.template import Fixed, parse_gaps
from tiny_diffusion.writing.results import Refused, Run, WritingState, Written
from tiny_diffusion.writing.writer import Writer

LIMIT = 4
PLAIN = GenerationConfig(
    sampler="ancestral",
    gap_sampler="ancestral",
    temperature=1.0,
    steps=6,
    gap_candidates=6,
    gap_rounds=3,
    precision="float32",
).as_drawn()


def guarded(limit: int = LIMIT, **more: object) -> GenerationConfig:
    return PLAIN.model_copy(update={"max_copied_words": limit, **more})


@pytest.fixture(scope="module")
def book(data: Processed) -> str:
    return data.texts("train")[0]


def copyist(book: str, data: Processed, index: CopyIndex, grip: float, context: int = 64) -> Writer:
    """A writer that knows the book by heart, token by token."""
    return Writer(Copyist(data.tokenizer.encode(book), data.tokenizer, grip, context=context), data.tokenizer, index)


def gaps_in(book: str, tokenizer: BookTokenizer, *sizes: int) -> str:
    """The book with gaps of these sizes in tokens, about ten given tokens before each; gaps begin at spaces."""
    ids, place, parts = tokenizer.encode(book), 0, []
    for size in sizes:
        start = next(i for i in range(place + 10, len(ids)) if tokenizer.decode([ids[i]]).startswith(" "))
        parts.append(tokenizer.decode(ids[place:start]) + " {" + f"{size} tokens" + "}")
        place = start + size
    return "".join(parts) + tokenizer.decode(ids[place : place + 10])


def is_kept(text: Written, tokenizer: BookTokenizer, index: CopyIndex, limit: int) -> bool:
    """Whether no run of more than ``limit`` words holds a written token."""
    free = [not was_given for was_given in text.given]
    assert text.text == tokenizer.decode(text.ids)
    return not NoveltyGuard(index, tokenizer, limit).places(text.ids, free)


def outside(template: str) -> re.Pattern[str]:
    pieces = (re.escape(p.text) if isinstance(p, Fixed) else ".*" for p in parse_gaps(template))
    return re.compile("".join(pieces), re.DOTALL)


@pytest.mark.parametrize("sampler", ["ancestral", "entropy", "confidence"])
@pytest.mark.parametrize("sizes", [(16,), (5, 2, 6), (20, 20, 20)])
def test_gaps_of_fixed_size_are_mended(
    book: str, data: Processed, index: CopyIndex, sampler: str, sizes: tuple[int, ...]
) -> None:
    writer, template = copyist(book, data, index, 0.9), gaps_in(book, data.tokenizer, *sizes)
    how = {"sampler": sampler, "gap_sampler": sampler, "num_samples": 2, "seed": 3}
    free = writer.infill(template, PLAIN.model_copy(update=how))
    kept = writer.infill(template, guarded(**how))
    for before, after in zip(free, kept, strict=True):
        assert not is_kept(before, data.tokenizer, index, LIMIT) and is_kept(after, data.tokenizer, index, LIMIT)
        assert outside(template).fullmatch(after.text) and after.given == before.given
        assert after.longest_copied_words == index.match([after.text])[0].longest
        assert after.given.count(False) == sum(sizes) and min(after.confidence) > 0
        assert after.steps > before.steps
    if len(sizes) < 3 or sum(sizes) < 60:  # within the context, only the copied run changes
        same = [a == b for a, b in zip(free[0].ids, kept[0].ids, strict=True)]
        assert same.count(True) > len(same) * 2 / 3
    assert writer.infill(template, guarded(**how)) == kept


def test_only_the_sample_that_offends_changes(book: str, data: Processed, index: CopyIndex) -> None:
    writer, template = copyist(book, data, index, 0.7), gaps_in(book, data.tokenizer, 12)
    free = writer.infill(template, PLAIN.model_copy(update={"num_samples": 8}))
    limit = sorted(text.longest_copied_words or 0 for text in free)[4]
    kept = writer.infill(template, guarded(limit, num_samples=8))
    good = [is_kept(text, data.tokenizer, index, limit) for text in free]
    assert set(good) == {True, False}
    assert [a == b for a, b in zip(free, kept, strict=True)] == good
    assert [text.sample for text in kept] == list(range(1, 9))


@pytest.mark.parametrize("strength", [0.3, 1.0])
@pytest.mark.parametrize("tokens", [50, 150])
def test_rewriting_is_mended(book: str, data: Processed, index: CopyIndex, strength: float, tokens: int) -> None:
    writer = copyist(book[:200], data, index, 0.9)
    words = data.tokenizer.decode(data.tokenizer.encode(book)[:tokens]).split(" ")
    words[3], words[9] = f"[[{words[3]}]]", f"[[{words[9]}]]"
    how = {"rewrite_strength": strength, "num_samples": 2}
    free = writer.rewrite(" ".join(words), PLAIN.model_copy(update=how))
    kept = writer.rewrite(" ".join(words), guarded(**how))
    for before, after in zip(free, kept, strict=True):
        assert not is_kept(before, data.tokenizer, index, LIMIT) and is_kept(after, data.tokenizer, index, LIMIT)
        assert after.given == before.given
        assert all(a == b for a, b, g in zip(before.ids, after.ids, before.given, strict=True) if g)
        pattern = ".*".join(re.escape(word[2:-2]) for word in (words[3], words[9]))
        assert re.search(pattern, after.text, re.DOTALL)
        assert after.longest_copied_words == index.match([after.text])[0].longest
    assert writer.rewrite(" ".join(words), guarded(**how)) == kept


@pytest.mark.parametrize("gap", ["{2 words}", "{1-3 words}", "{5-9 tokens}", "{sentence}"])
def test_searched_fillings_that_copy_are_thrown_away(book: str, data: Processed, index: CopyIndex, gap: str) -> None:
    # The model is sometimes right about the book, which is on both sides of the gap.
    words = book.split(" ")
    template = f"{' '.join(words[:5])} {gap} {' '.join(words[7:12])}"
    writer = copyist(book, data, CopyIndex([book]), 0.75)
    how = {"seed": 1, "gap_rounds": 30}
    free = writer.infill(template, PLAIN.model_copy(update=how))[0]
    [kept] = writer.infill(template, guarded(**how))
    assert is_kept(kept, data.tokenizer, CopyIndex([book]), LIMIT) and outside(template).fullmatch(kept.text)
    if gap == "{2 words}":
        assert not is_kept(free, data.tokenizer, CopyIndex([book]), LIMIT)
    else:
        assert free.text != kept.text or is_kept(free, data.tokenizer, CopyIndex([book]), LIMIT)


def test_a_search_says_that_the_guard_refused(book: str, data: Processed) -> None:
    words = book.split(" ")
    writer = copyist(book, data, CopyIndex([book]), 1 - 1e-7)
    template = f"{' '.join(words[:5])} {{2 words}} {' '.join(words[7:9])}"
    run = re.escape(" ".join(words[:9]).lower().replace(",", ""))
    line = (
        r"^generation\.max_copied_words=4 cannot be kept: of 18 fillings of \{2 words\}, every one that is as "
        rf'requested copies a longer run of the training text, such as "{run}.*"; raise the limit, '
    )
    with pytest.raises(UserError, match=line):
        writer.infill(template, guarded())


def test_given_text_may_be_copied_and_runs_beside_other_gaps_are_seen(data: Processed) -> None:
    source = "one two three four five six seven eight nine ten"
    writer = copyist(source, data, CopyIndex([source]), 0.5)
    [text] = writer.infill("one two three four five six ___, seven", guarded(2, gap_tokens=1))
    assert text.longest_copied_words == 6 and is_kept(text, data.tokenizer, CopyIndex([source]), 2)
    # Two words of one gap and two of the next, which is filled later, form a run.
    for seed in range(4):
        [text] = writer.infill("one {2 tokens} {1-2 words} {2 words}", guarded(2, seed=seed, gap_rounds=30))
        assert is_kept(text, data.tokenizer, CopyIndex([source]), 2)


WORDS = st.lists(st.sampled_from("the old miller sold it, and he wept.".split()), min_size=1, max_size=4).map(" ".join)
GAPS = st.sampled_from(["___", "{1 token}", "{6 tokens}", "{1-3 words}", "{2-5 tokens}", "___{2 tokens}"])


@settings(max_examples=15)
@given(st.lists(st.tuples(WORDS, GAPS), min_size=1, max_size=3), WORDS, st.integers(1, 3), st.integers(0, 9))
def test_no_longer_run_is_left(
    config: ProjectConfig, data: Processed, parts: list[tuple[str, str]], end: str, limit: int, seed: int
) -> None:
    # The text that the model writes freely becomes the text that it must not copy.
    torch.manual_seed(seed % 3)
    model = new_model(config.override(**{"model.init_std": 0.5}), data.tokenizer).eval()
    template = " ".join(f"{text} {gap}" for text, gap in parts) + f" {end}"
    how = PLAIN.model_copy(update={"steps": 3, "temperature": 0.5, "seed": seed, "rewrite_strength": 0.6})
    plain = Writer(model, data.tokenizer)
    for begin, given_text in ((Writer.infill, template), (Writer.rewrite, f"{template.replace('{', '')} [[{end}]]")):
        try:
            source = CopyIndex([text.text for text in begin(plain, given_text, how)])  # type: ignore[operator]
            writer = Writer(model, data.tokenizer, source)
            texts = begin(writer, given_text, how.model_copy(update={"max_copied_words": limit}))  # type: ignore[operator]
        except UserError as error:
            assert "cannot be kept" in str(error) or "none of" in str(error)
            continue
        for text in texts:
            assert is_kept(text, data.tokenizer, source, limit)
            fixed = outside(template) if begin is Writer.infill else re.compile(rf".*{re.escape(end)}", re.DOTALL)
            assert fixed.fullmatch(text.text)


def states_of(run: Run) -> tuple[list[WritingState], list[Written]]:
    recording = Recording(run)
    list(recording)
    return recording.states, recording.texts


def test_mending_is_shown_and_counted(book: str, data: Processed, index: CopyIndex) -> None:
    writer, template = copyist(book, data, index, 0.95), gaps_in(book, data.tokenizer, 16)
    text = book[:150]
    for run in (writer.filling(template, guarded()), writer.rewriting(text, guarded(rewrite_strength=0.9))):
        states, [found] = states_of(run)
        assert len(states) == found.steps > PLAIN.steps
        assert tuple(states[-1].ids[0].tolist()) == found.ids
        assert bool((states[PLAIN.steps - 1].ids != MASK).all())
        assert len(film(states, found, data.tokenizer)) > PLAIN.steps


def test_a_reader_may_write_into_the_states_of_repair(book: str, data: Processed, index: CopyIndex) -> None:
    writer, template = copyist(book, data, index, 0.95), gaps_in(book, data.tokenizer, 16)
    how = guarded(rewrite_strength=0.9)
    for run, expected in (
        (writer.filling(template, how), writer.infill(template, how)),
        (writer.rewriting(book[:150], how), writer.rewrite(book[:150], how)),
    ):
        while True:
            try:
                state = next(run)
            except StopIteration as done:
                assert done.value == expected
                break
            state.ids.zero_()
            state.confidence.zero_()


@pytest.mark.parametrize("sampler", ["first_hitting", "entropy", "ancestral"])
def test_steps_are_those_really_taken(config: ProjectConfig, data: Processed, sampler: str) -> None:
    torch.manual_seed(0)
    writer = Writer(new_model(config, data.tokenizer).eval(), data.tokenizer)
    how = PLAIN.model_copy(update={"sampler": sampler, "gap_sampler": sampler, "steps": 3})
    for run in (writer.filling("The old {9 tokens} sold it.", how), writer.rewriting("The old miller sold it", how)):
        states, [found] = states_of(run)
        draws = Counter(state.stretches[0].draw for state in states)  # a filling with a lone bracket is drawn again
        assert found.steps == states[-1].step and set(draws.values()) == {found.steps}
    # Of a search, only the steps of the chosen filling count; gaps filled by one draw count once.
    [searched] = writer.infill("The {7 tokens}{2 tokens} sold {2-2 words} it.", how)
    if sampler == "ancestral":
        assert searched.steps == 6


# Refused texts.


def test_of_several_texts_only_those_that_offend_are_refused(
    book: str, data: Processed, index: CopyIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "ROUNDS", 0)
    writer, template = copyist(book, data, index, 0.8), gaps_in(book, data.tokenizer, 16)
    how = {"num_samples": 8, "length": 100, "rewrite_strength": 0.4}
    for write, text in ((Writer.write, ""), (Writer.infill, template), (Writer.rewrite, book[:180])):
        free = write(writer, text, PLAIN.model_copy(update=how))
        limit = sorted(each.longest_copied_words or 0 for each in free)[3]
        good = [each for each in free if is_kept(each, data.tokenizer, index, limit)]
        assert 0 < len(good) < 8
        with pytest.raises(Refused) as refused:
            write(writer, text, guarded(limit, **how))
        assert refused.value.texts == good
        numbers = sorted(set(range(1, 9)) - {each.sample for each in good})
        assert list(refused.value.reasons) == numbers
        more = f" ({len(numbers) - 1} more were refused: {', '.join(map(str, numbers[1:]))})" if numbers[1:] else ""
        line = f"text {numbers[0]} of 8: generation.max_copied_words={limit} cannot be kept: "
        assert str(refused.value).startswith(line) and str(refused.value).endswith(f"generation.temperature{more}")


def test_no_step_is_taken_for_a_text_that_is_refused(
    book: str, data: Processed, index: CopyIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "ROUNDS", 0)
    writer = copyist(book, data, index, 1 - 1e-7)
    states, texts = states_of(writer.writing("", guarded(length=500, num_samples=2)))
    assert len(states) == PLAIN.steps and texts == []
    states, texts = states_of(writer.filling("The ___ old {2 words}", guarded(1)))
    assert len(states) == PLAIN.steps and texts == []


def test_an_animation_holds_the_texts_that_are_not_refused(
    book: str, data: Processed, index: CopyIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(repair, "ROUNDS", 0)
    writer, how = copyist(book, data, index, 0.7), guarded(9, num_samples=6, length=60)
    kept: list[list[Frame]] = []
    monkeypatch.setattr(page, "write_page", lambda path, films, pace: kept.extend(films))
    texts, refused = Showing(False, 0.1, html=tmp_path / "a.html").write(writer.writing("", how), writer, how)
    assert refused is not None and refused.texts == texts and 0 < len(texts) < 6
    assert [film[-1].text for film in kept] == [text.text for text in texts]


@pytest.fixture
def saved(tmp_path: Path, data: Processed, config: ProjectConfig) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "model.pt"
    weights = new_model(config, data.tokenizer).state_dict()
    save_checkpoint(path, Checkpoint(config, data.tokenizer, weights, {"data": data.identity, "language": "en"}))
    return path


COMMANDS = {
    "generate": ["generate", "--length", "60"],
    "infill": ["infill", "The ___ end"],
    "rewrite": ["rewrite", "The old miller sold it"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_print_the_others_and_a_line_of_what_is_refused(
    command: str, saved: Path, prepared: Path, book: str, data: Processed, index: CopyIndex,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr(repair, "ROUNDS", 0)
    writer, template = copyist(book, data, index, 0.8), gaps_in(book, data.tokenizer, 16)
    how = guarded(num_samples=6, length=100, rewrite_strength=0.4)
    given_text = {"generate": "", "infill": template, "rewrite": book[:180]}[command]
    write = {"generate": Writer.write, "infill": Writer.infill, "rewrite": Writer.rewrite}[command]
    free = write(writer, given_text, how.model_copy(update={"max_copied_words": 0}))
    limit = sorted(each.longest_copied_words or 0 for each in free)[2]
    how = how.model_copy(update={"max_copied_words": limit})
    numbers = [each.sample for each in free if is_kept(each, data.tokenizer, index, limit)]
    for module in (generate, infill, rewrite):
        monkeypatch.setattr(module, "open_writer", lambda *given: (writer, how))
    text = [] if command == "generate" else [given_text]
    with pytest.raises(SystemExit) as end:
        main([command, *text, "--jsonl", "--checkpoint", str(saved)])
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["sample"] for row in rows] == numbers and 0 < len(numbers) < 6 and end.value.code == 2
    assert all(row["longest_copied_words"] <= 30 for row in rows)
    assert len(err.splitlines()) == 1 and "cannot be kept" in err
    if command != "generate":
        with pytest.raises(SystemExit):
            main([command, *text, "--output", str(tmp_path / "out.txt")])
        assert sorted(path.name for path in tmp_path.glob("out*")) == [f"out.{n}.txt" for n in numbers]
    else:
        (tmp_path / "prompts.txt").write_text("The old\nA young\n", encoding="utf-8")
        with pytest.raises(SystemExit):
            file = str(tmp_path / "prompts.txt")
            main([command, "--prompts-file", file, "--jsonl", "--checkpoint", str(saved)])
        assert "prompt 1 of 2: " in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_json_lines_tell_the_longest_copied_run(
    command: str, saved: Path, prepared: Path, index: CopyIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved.parent)
    common = [*COMMANDS[command], "--checkpoint", str(saved), "--device", "cpu", "--steps", "2", "--jsonl"]
    [line] = CliRunner().invoke(app, common).stdout.splitlines()
    assert json.loads(line)["longest_copied_words"] is None
    found = CliRunner().invoke(app, [*common, "--data-dir", str(prepared)])
    row = json.loads(found.stdout)
    assert row["longest_copied_words"] == index.match([row["text"]])[0].longest
    found = CliRunner().invoke(app, [*common, "--data-dir", str(prepared), "--generation.max_copied_words", "3"])
    assert json.loads(found.stdout)["longest_copied_words"] <= 3
    found = CliRunner().invoke(app, [*common, "--generation.max_copied_words", "3"])
    assert isinstance(found.exception, UserError) and "no prepared book in data/processed" in str(found.exception)
