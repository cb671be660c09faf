"""No character is left half spelled, whatever the sampler, the order, the gap or the rewriting."""

import random
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tiny_diffusion.config import GenerationConfig, ModelConfig
from tiny_diffusion.config.generation_config import Sampler
from tiny_diffusion.data.tokenizer import MASK, NUM_RESERVED, BookTokenizer
from tiny_diffusion.errors import UserError
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.sampling.characters import WholeCharacters, moves
from tiny_diffusion.writing.results import Refused, Written
from tiny_diffusion.writing.writer import Writer

TEXT = "静かな港に鐘が鳴った。é→ß 🙂🎉 не спали, 누가 종을 울렸나? 他慢慢地走下楼梯。"
BYTES = [bytes([value]) for value in range(256)]
FAST = GenerationConfig(
    steps=4, temperature=3.0, precision="float32", num_samples=2, gap_candidates=4, gap_rounds=4
).as_drawn()


@given(st.binary(max_size=6))
def test_the_automaton_reads_what_python_reads(token: bytes) -> None:
    try:
        token.decode("utf-8")
        whole = True
    except UnicodeDecodeError:
        whole = False
    assert (moves(token)[0] == 0) == whole
    # A state is where the reading of some bytes ends: the rest of each character leads back to the beginning.
    for character in "é漢🙂":
        spelled = character.encode()
        for cut in range(1, len(spelled)):
            state = moves(spelled[:cut])[0]
            assert state is not None and state != 0 and moves(spelled[cut:])[state] == 0


@pytest.mark.parametrize("given_ids", [(0, 0), (0, 0, 0), (0xC3, 0), (0, 0xA9), (0xE6, 0, 0xA2), (0xF0, 0, 0, 0)])
def test_all_and_only_whole_texts_are_drawn(given_ids: tuple[int, ...]) -> None:
    """Every place has the same law over eight bytes; 0 is an open place. All valid completions come, and no other."""
    some = [0x41, 0x9F, 0x99, 0x82, 0xA2, 0xC3, 0xE6, 0xF0]
    whole = WholeCharacters(BYTES, 256)
    logits = torch.full((256,), -torch.inf)
    logits[some] = 0.0
    ids = torch.tensor([[MASK if byte == 0 else NUM_RESERVED + byte for byte in given_ids]])
    where = ids == MASK
    numbers = torch.Generator().manual_seed(0)
    found = set()
    for _ in range(1000):
        tokens, chances = whole.choose(ids, where, logits.expand(int(where.sum()), -1), FAST, numbers)
        assert (chances > 0).all()
        found.add(bytes((ids.masked_scatter(where, tokens + NUM_RESERVED) - NUM_RESERVED)[0].tolist()))
    valid = {b""}
    for byte in given_ids:
        valid = {text + bytes([each]) for text in valid for each in ([byte] if byte else some)}
    assert found == {text for text in valid if "\ufffd" not in text.decode("utf-8", "replace")}


def test_what_can_stand_is_left_as_drawn() -> None:
    whole = WholeCharacters(BYTES, 256)
    logits = torch.full((1, 256), -torch.inf)
    logits[0, 0x41] = 0.0
    ids = torch.tensor([[NUM_RESERVED + 0xC3, MASK]])  # only a letter can be drawn after half a character
    tokens, chances = whole.choose(ids, ids == MASK, logits, FAST, torch.Generator())
    assert tokens.tolist() == [0x41] and chances.tolist() == [1.0]


def writer_of(causal: bool, merges: int, level: int = 5) -> Writer:
    rng = random.Random(3)
    texts = ["".join(rng.sample(TEXT, len(TEXT))) for _ in range(40)] + 4 * [TEXT]
    tokenizer = BookTokenizer.train(texts, 256 + merges)
    torch.manual_seed(0)
    shape = ModelConfig(
        d_model=32, n_layers=1, n_heads=1, d_ff=32, context=32, dropout=0.0, init_std=0.3, causal=causal
    )
    size = NUM_RESERVED + tokenizer.level_size(level)
    return Writer(Transformer(shape, size, NUM_RESERVED).eval(), tokenizer)


def filled(writer: Writer, template: str, how: GenerationConfig) -> list[Written]:
    """The texts that are not refused."""
    try:
        return writer.infill(template, how)
    except Refused as refused:
        return refused.texts


@pytest.mark.parametrize(
    ("sampler", "merges"), [*((name, 60) for name in (*get_args(Sampler), "causal")), ("entropy", 0)]
)
def test_no_text_holds_a_broken_character(sampler: str, merges: int) -> None:
    writer = writer_of(sampler == "causal", merges)
    order = {} if sampler == "causal" else {"sampler": sampler, "gap_sampler": sampler}
    count = 0
    for changes in ({}, {"block": 5, "top_k": 2, "repetition_penalty": 2.0}):
        how = FAST.model_copy(update={**order, **changes, "length": 40})
        found = writer.write("", how) + writer.write("鐘が", how)
        if sampler != "causal":
            found += writer.rewrite(TEXT, how.model_copy(update={"rewrite_strength": 0.7}))
            for template in ("静___港 {3 tokens}{2 tokens}é", "{2 tokens}🙂___", "a {2 words} b {4 tokens}{2 words}"):
                found += filled(writer, template, how)
        assert [text.text for text in found if "\ufffd" in text.text] == []
        count += sum(len(text.text) < len(text.text.encode()) for text in found)
    assert count > 4  # characters of several bytes are written all the same


def test_repairs_keep_characters_whole() -> None:
    writer = writer_of(causal=False, merges=60)
    how = FAST.model_copy(update={"layout": "book", "length": 60, "sampler": "ancestral"})
    for seed in range(4):
        for text in writer.write("", how.model_copy(update={"seed": seed})):
            assert "\ufffd" not in text.text


def test_gaps_side_by_side_of_which_the_second_is_searched() -> None:
    writer = writer_of(causal=False, merges=0)
    for seed in range(6):
        try:
            [text] = writer.infill("é {2 tokens}{1 word} ß", FAST.model_copy(update={"num_samples": 1, "seed": seed}))
        except UserError:
            continue
        assert "\ufffd" not in text.text
