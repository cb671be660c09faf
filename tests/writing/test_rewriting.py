"""Rewriting: kept spans never change, the strength sets the share of hidden tokens; and the commands."""

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_diffusion.checkpoint import Checkpoint, new_model, save_checkpoint
from tiny_diffusion.cli.main import app
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED
from tiny_diffusion.errors import UserError
from tiny_diffusion.writing.infilling.template import escape, parse_kept
from tiny_diffusion.writing.rewriting import kept_tokens
from tiny_diffusion.writing.writer import Writer

FAST = GenerationConfig(steps=2, precision="float32")
PLAIN = "The old miller sold the quiet garden of Kalomi because the winter was long."
LONG = " ".join(PLAIN for _ in range(4))


@pytest.fixture(scope="module")
def checkpoint(config: ProjectConfig, data: Processed) -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint(config, data.tokenizer, new_model(config, data.tokenizer).state_dict())


@pytest.fixture(scope="module")
def writer(checkpoint: Checkpoint) -> Writer:
    return Writer(checkpoint.build(torch.device("cpu")), checkpoint.tokenizer)


TEXTS = st.text(
    st.sampled_from(" \t\n\r\u00a0.,é漢🙂e\u0301_{\\]") | st.characters(exclude_categories=["Cs"]),
    min_size=1,
    max_size=10,
)


@settings(max_examples=60)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), st.floats(0.05, 1.0))
def test_kept_spans_stand_in_their_order_byte_for_byte(
    writer: Writer, parts: list[tuple[str, str]], strength: float
) -> None:
    kept = [span.replace("]", ")") for _, span in parts]
    text = "".join(f"{escape(free)}[[{escape(span)}]]" for (free, _), span in zip(parts, kept, strict=True))
    try:
        [found] = writer.rewrite(text, FAST.model_copy(update={"rewrite_strength": strength}))
    except UserError as error:  # every token reaches into a kept span
        assert "nothing to rewrite" in str(error)
        return
    assert re.fullmatch(".*".join(["", *map(re.escape, kept), ""]), found.text, re.DOTALL), found.text
    assert min(found.ids) >= NUM_RESERVED


@pytest.mark.parametrize("text", [PLAIN, LONG, "The [[old miller]] sold the quiet [[garden]] of Kalomi.", "Go"])
@pytest.mark.parametrize("strength", [0.01, 0.4, 1.0])
def test_that_share_of_the_free_tokens_is_written_anew(writer: Writer, text: str, strength: float) -> None:
    pieces = parse_kept(text)
    before = writer.tokenizer.encode("".join(p.text for p in pieces), 1)
    free = ~kept_tokens(pieces, before, writer.tokenizer)
    chosen = FAST.model_copy(update={"rewrite_strength": strength, "num_samples": 3})
    found = writer.rewrite(text, chosen)
    for each in found:
        hidden = ~torch.tensor(each.given)
        assert int(hidden.sum()) == -(-int(free.sum()) * round(strength * 100) // 100)  # rounded up
        assert not bool((hidden & ~free).any())
        assert all(a == b for a, b, g in zip(before, each.ids, each.given, strict=True) if g)
        changed = sum(a != b for a, b in zip(before, each.ids, strict=True))
        assert changed > 0.8 * int(hidden.sum())  # an untrained model seldom draws the same token
        assert each.text == writer.tokenizer.decode(each.ids)
        assert all((c == 1) == g for c, g in zip(each.confidence, each.given, strict=True))
    if strength == 0.4 and text != "Go":
        assert len({each.given for each in found}) > 1  # each sample hides tokens of its own
    assert writer.rewrite(text, chosen) == found
    assert writer.rewrite(text, chosen.model_copy(update={"seed": 1})) != found


def test_a_token_that_reaches_into_a_kept_span_is_kept_whole(writer: Writer) -> None:
    text = "The [[old]] garden"
    ids = writer.tokenizer.encode("The old garden", 1)
    spelled = [writer.tokenizer.decode([i]) for i in ids]
    kept = kept_tokens(parse_kept(text), ids, writer.tokenizer).tolist()
    assert "".join(t for t, k in zip(spelled, kept, strict=True) if k) == " old"


def test_a_long_text_is_rewritten_block_by_block(writer: Writer) -> None:
    run = writer.rewriting(LONG, FAST.model_copy(update={"rewrite_strength": 1.0}))
    states = []
    while True:
        try:
            states.append(next(run))
        except StopIteration as done:
            [found] = done.value
            break
    tokens, half = len(found.ids), writer.model.config.context // 2
    assert tokens > 3 * half and found.steps == len(states) == FAST.steps * -(-tokens // half)
    for number, state in enumerate(states[FAST.steps - 1 :: FAST.steps], start=1):
        settled = (state.ids[0] != MASK).tolist()
        assert settled == [i < number * half for i in range(tokens)]
    assert tuple(states[-1].ids[0].tolist()) == found.ids


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing to rewrite"),
        ("[[all of it]]", r"nothing to rewrite: give some text outside \[\[kept spans\]\]"),
        ("The [[old miller", r"a \[\[ is never closed: end the kept span with \]\]"),
    ],
)
def test_what_cannot_be_rewritten_is_refused(writer: Writer, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        writer.rewrite(text, FAST)


@pytest.mark.parametrize("strength", [0.0, -0.1, 1.5])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(UserError, match="rewrite_strength"):
        GenerationConfig(rewrite_strength=strength)


@pytest.fixture(scope="module")
def saved(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model.pt"
    save_checkpoint(path, checkpoint)
    return path


def run(saved: Path, command: str, *arguments: str, text: bytes = b"") -> Result:
    flags = ["--checkpoint", str(saved), "--steps", "2", "--device", "cpu"]
    return CliRunner().invoke(app, [command, *arguments, *flags], input=text)


@pytest.mark.parametrize("command", ["infill", "rewrite"])
def test_a_file_goes_in_and_a_file_comes_out(saved: Path, tmp_path: Path, command: str) -> None:
    # Old encodings and Windows line ends are read; text outside the gaps comes out unchanged, in UTF-8.
    text = "Le vieux ___ né\r\nici.\r\n[[fin]]\r\n"
    (tmp_path / "in.txt").write_bytes(text.encode("cp1252"))
    place = tmp_path / "new" / "out.txt"
    common = ("--file", str(tmp_path / "in.txt"), "--output", str(place))
    done = run(saved, command, *common, "--seed", "3")
    assert done.exit_code == 0 and str(place) in done.stderr and done.stdout == ""
    found = place.read_bytes().decode("utf-8")
    if command == "infill":
        assert found.startswith("Le vieux ") and found.endswith(" né\r\nici.\r\n[[fin]]\r\n") and "___" not in found
    else:
        assert "fin" in found and "[[" not in found
    assert run(saved, command, *common[:2], "--seed", "3", "--output", "-").stdout_bytes == place.read_bytes()
    several = run(saved, command, *common, "--num-samples", "2")
    assert several.exit_code == 0
    texts = [(place.parent / f"out.{n}.txt").read_bytes() for n in (1, 2)]
    assert texts[0] != texts[1] and place.read_bytes().decode("utf-8") == found


def test_texts_are_printed_and_flags_are_heard(saved: Path) -> None:
    printed = run(saved, "infill", "The {2 words} sold it.", "--must", "miller", "--num-samples", "2").stdout
    texts = printed.removesuffix("\n").split("\n\n")
    assert len(texts) == 2 and all(re.search(r"^The .*\bmiller\b.* sold it\.$", text) for text in texts)
    little, much = (
        run(saved, "rewrite", PLAIN, "--strength", strength, "--seed", "1").stdout for strength in ("0.1", "0.9")
    )
    words = set(PLAIN.split())
    assert little != PLAIN + "\n" and len(words & set(little.split())) > len(words & set(much.split()))
    piped = run(saved, "rewrite", "--file", "-", "--strength", "0.1", "--seed", "1", text=PLAIN.encode())
    assert piped.stdout == little.removesuffix("\n")  # each byte of a file is unchanged, and none is added


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["infill"], "give either TEMPLATE or --file"),
        (["infill", "a ___", "--file", "b.txt"], "give either TEMPLATE or --file"),
        (["rewrite"], "give either TEXT or --file"),
        (["rewrite", "--file", "none.txt"], "none.txt': No such file"),
        (["rewrite", "--file", "."], "'.': Is a directory"),
        (["rewrite", "a", "--strength", "2"], "rewrite_strength"),
        (["infill", "The {0 words}"], "may come out empty"),
        (["rewrite", "a", "--jsonl", "--output", "b.txt"], "either --jsonl or --output"),
    ],
)
def test_wrong_usage_is_refused(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.txt").write_text("a ___", encoding="utf-8")
    done = run(saved, *arguments)
    # click ends with a message of its own for a file that it cannot open.
    said = str(done.exception) if isinstance(done.exception, UserError) else done.output
    assert isinstance(done.exception, UserError) or done.exit_code == 2
    assert words in said


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_a_variant_does_not_depend_on_how_many_are_asked_for(writer: Writer, strength: float) -> None:
    how = FAST.model_copy(update={"rewrite_strength": strength, "seed": 5, "num_samples": 3})
    several = writer.rewrite(LONG, how)
    for count in (1, 2):
        few = writer.rewrite(LONG, how.model_copy(update={"num_samples": count}))
        assert [text.ids for text in few] == [text.ids for text in several[:count]]
    assert len({text.ids for text in several}) == 3
