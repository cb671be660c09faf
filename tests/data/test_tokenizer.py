"""Round trips, nesting of levels, pruning of a GPT-2-like vocabulary, and the errors a user can cause."""

import base64
import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_diffusion.data.gpt2_vocab import (
    BYTE_CHARACTERS,
    from_byte_level,
    index_merges,
    prune_merges,
    read_merges,
    to_byte_level,
)
from tiny_diffusion.data.tokenizer import (
    BOS,
    END,
    LEVELS,
    MASK,
    NUM_RESERVED,
    PAD,
    PARAGRAPH,
    SEP,
    BookTokenizer,
    cut_text,
)
from tiny_diffusion.errors import UserError

SAMPLES = [
    "The miller's daughter counted the sacks twice, for the river was rising.",
    "  two spaces, a\ttab,\r\n a line,\n\n\na gap, and blanks at the end   ",
    "Старый мельник вышел к реке и долго смотрел на воду.",
    "Ο γέρος μυλωνάς κοίταζε το ποτάμι που φούσκωνε.",
    "老磨坊主走到河边,看着上涨的水。",
    "川の水が増えていく。カタカナも。",
    "a boat ⛵, a family 👩‍👩‍👧‍👦 and a flag 🇬🇷",
    "e\u0301 is not é, and \ufeff\u200b\u00a0\u3000 are still here \x00\x7f\U0010ffff\ufffd\uffff",
    "<|endoftext|> [MASK] [SEP] are plain text",
    "",
]


def _many_words(seed: int, words: int) -> list[str]:
    """Sentences of invented words, drawn so that thousands of pairs of letters and syllables repeat."""
    draw = random.Random(seed)
    syllables = [a + b + c for a in "bdfgklmnprstvz" for b in "aeiou" for c in ("", "n", "r", "st")]
    lexicon = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(2500)]
    return [" ".join(draw.choices(lexicon, k=12)) + "." for _ in range(words // 12)]


TRAINING = _many_words(0, 24000) + SAMPLES * 3
BOOK = BookTokenizer.train(TRAINING, 6000)


def _full_gpt2_like() -> list[tuple[bytes, bytes]]:
    """A general vocabulary instead of GPT-2's: merges as bytes, learnt on other text."""
    general = BookTokenizer.train(_many_words(1, 9000) + TRAINING[:300], 1500)
    pairs = json.loads(general.to_json())["merges"]
    return [tuple(general.token_bytes(i + NUM_RESERVED) for i in pair) for pair in pairs]  # type: ignore[misc]


FULL = _full_gpt2_like()


def _write_tiktoken(path: Path, merges: list[tuple[bytes, bytes]]) -> Path:
    byte_order = sorted(range(256), key=lambda byte: BYTE_CHARACTERS[byte])  # as in the real file: '!' first
    tokens = [bytes([byte]) for byte in byte_order] + [left + right for left, right in merges]
    lines = [f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(tokens)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _spelled(merges: list[tuple[bytes, bytes]]) -> list[str]:
    return [f"{to_byte_level(left)} {to_byte_level(right)}" for left, right in merges]


@pytest.fixture(scope="module")
def tiktoken_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_tiktoken(tmp_path_factory.mktemp("gpt2") / "gpt2.tiktoken", FULL)


def test_reserved_ids_are_fixed() -> None:
    assert (MASK, PAD, BOS, PARAGRAPH, SEP, END, NUM_RESERVED) == (0, 1, 2, 3, 4, 15, 16)


def test_byte_alphabet_is_a_bijection() -> None:
    assert len(set(BYTE_CHARACTERS)) == 256
    assert BYTE_CHARACTERS[0x20] == "Ġ" and BYTE_CHARACTERS[0x0A] == "Ċ" and BYTE_CHARACTERS[0x41] == "A"
    assert from_byte_level(to_byte_level(bytes(range(256)))) == bytes(range(256))


def test_the_bytes_come_first_in_byte_order() -> None:
    assert [BOOK.token_bytes(NUM_RESERVED + b) for b in range(256)] == [bytes([b]) for b in range(256)]
    ascii_only = BookTokenizer.train(["only ascii here"], 256)
    assert ascii_only.encode("é") == [NUM_RESERVED + 0xC3, NUM_RESERVED + 0xA9]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("text", SAMPLES)
def test_samples_survive_each_level(text: str, level: int) -> None:
    assert BOOK.decode(BOOK.encode(text, level)) == text


@settings(max_examples=150, deadline=None)
@given(text=st.text(), level=st.sampled_from(LEVELS))
def test_any_text_survives_each_level(text: str, level: int) -> None:
    ids = BOOK.encode(text, level)
    assert BOOK.decode(ids) == text
    assert all(NUM_RESERVED <= index < BOOK.level_size(level) + NUM_RESERVED for index in ids)


@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.integers(0, BOOK.vocab_size - 1)))
def test_any_ids_decode(ids: list[int]) -> None:
    joined = b"".join(BOOK.token_bytes(index) for index in ids)
    assert BOOK.decode(ids) == joined.decode("utf-8", errors="replace")


def test_levels_grow_and_shorten_the_text() -> None:
    assert BOOK.text_vocab_size > 4096
    assert [BOOK.level_size(level) for level in LEVELS] == [512, 1024, 2048, 4096, BOOK.text_vocab_size]
    lengths = [sum(len(BOOK.encode(text, level)) for text in TRAINING[:200]) for level in LEVELS]
    assert lengths == sorted(lengths, reverse=True) and len(set(lengths)) == 5


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_a_level_equals_a_tokenizer_trained_to_its_size(level: int) -> None:
    small = BookTokenizer.train(TRAINING, BOOK.level_size(level))
    assert small.text_vocab_size == BOOK.level_size(level)
    for text in TRAINING[:50] + SAMPLES:
        assert BOOK.encode(text, level) == small.encode(text)


def test_levels_are_capped_by_a_small_vocabulary() -> None:
    tiny = BookTokenizer.train(["la la la la lo lo"], 2000)
    assert 256 < tiny.text_vocab_size < 300
    assert {tiny.level_size(level) for level in LEVELS} == {tiny.text_vocab_size}


def test_pairs_met_once_are_not_learnt() -> None:
    assert BookTokenizer.train(["abcdefg"], 1000).text_vocab_size == 256
    assert BookTokenizer.train(["ab", "ab"], 1000).text_vocab_size == 257


def test_two_merges_of_one_token_keep_one_id() -> None:
    a, b, c, d = b"abcd"
    # ab=256, bc=257, abc=258 (twice: ab+c and a+bc), abcd=259
    twin = BookTokenizer([(a, b), (b, c), (256, c), (a, 257), (258, d)], "bpe")
    assert twin.text_vocab_size == 260
    assert twin.token_bytes(NUM_RESERVED + 259) == b"abcd"
    assert twin.encode("abcd") == [NUM_RESERVED + 259]
    assert BookTokenizer.from_json(twin.to_json()).encode("abcd") == [NUM_RESERVED + 259]


def test_a_twin_merge_stays_out_of_levels_that_lack_its_parts() -> None:
    a, b, c, d = b"abcd"
    early = [(a, b), (256, c), (257, d)]  # abcd = 258, in level 1
    fill = [(x, y) for x in range(101, 123) for y in range(101, 123)][:300]  # ids 259..558
    late = [(c, d), (b, 559), (a, 560)]  # cd, bcd, and abcd a second time, from a part of level 2
    tokenizer = BookTokenizer([*early, *fill, *late], "bpe")
    assert tokenizer.text_vocab_size == 561
    assert [tokenizer.level_size(level) for level in (1, 2)] == [512, 561]
    for level in LEVELS:
        assert tokenizer.encode("abcd", level) == [258 + NUM_RESERVED]
    assert tokenizer.encode("bcd", 1) == [index + NUM_RESERVED for index in b"bcd"]
    assert tokenizer.encode("bcd", 2) == [560 + NUM_RESERVED]


def test_training_is_deterministic_and_json_is_byte_exact() -> None:
    again = BookTokenizer.train(TRAINING, 6000)
    assert again.to_json() == BOOK.to_json()
    loaded = BookTokenizer.from_json(BOOK.to_json())
    assert loaded.to_json() == BOOK.to_json()
    assert loaded.kind == "bpe" and loaded.vocab_size == BOOK.vocab_size
    assert np.array_equal(loaded.word_starts, BOOK.word_starts)
    for level in LEVELS:
        assert loaded.encode(SAMPLES[0], level) == BOOK.encode(SAMPLES[0], level)


def test_no_prefix_space_is_added() -> None:
    assert BOOK.decode(BOOK.encode("word")) == "word"
    assert BOOK.encode("bana")[0] != BOOK.encode(" bana")[0]


def test_decode_skips_reserved_ids_and_replaces_broken_utf8() -> None:
    ids = [BOS, *BOOK.encode("ab"), MASK, PAD, SEP, END, *BOOK.encode("c"), PARAGRAPH]
    assert BOOK.decode(ids) == "abc"
    assert BOOK.decode([NUM_RESERVED + 0xC3, NUM_RESERVED + ord("x")]) == "\ufffdx"
    assert BOOK.decode(np.array(BOOK.encode("né"))) == "né"


@pytest.mark.parametrize("index", [-1, BOOK.vocab_size])
def test_ids_out_of_range_are_refused(index: int) -> None:
    with pytest.raises(ValueError, match=f"{index} is not in 0..{BOOK.vocab_size - 1}"):
        BOOK.decode([index])


def test_word_starts() -> None:
    starts = BOOK.word_starts
    assert starts.dtype == bool and starts.shape == (BOOK.vocab_size,)
    assert starts[:NUM_RESERVED].all()
    assert starts[[NUM_RESERVED + byte for byte in b" \n\t\r"]].all()
    assert not starts[[NUM_RESERVED + byte for byte in b"a.,'\xd0"]].any()
    ids = BOOK.encode(" the river's rising")
    opened = [BOOK.token_bytes(index)[:1] == b" " for index in ids]
    assert starts[ids].tolist() == opened and sum(opened) == 3
    assert starts[BOOK.encode("磨", 1)[0]]


@pytest.mark.parametrize("level", [0, 6, -1])
def test_unknown_levels_name_the_range(level: int) -> None:
    with pytest.raises(UserError, match=r"1\.\.5"):
        BOOK.encode("text", level)


def test_bad_training_input_is_refused() -> None:
    with pytest.raises(UserError, match="vocab_size 255"):
        BookTokenizer.train(["text"], 255)
    with pytest.raises(UserError, match="no text"):
        BookTokenizer.train(["", ""], 512)
    with pytest.raises(TypeError):
        BookTokenizer.train("one string", 512)
    with pytest.raises(UserError, match=r"U\+D800 at character 2"):
        BOOK.encode("ab\ud800")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"kind": "x"},
        {"num_reserved": 5},
        {"merges": [[1]]},
        {"merges": [[999, 1]]},
        {"merges": [[1, 2], [1, 2]]},
        {"merges": [[True, 1]]},
    ],
)
def test_broken_json_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UserError):
        BookTokenizer.from_json(json.dumps(json.loads(BOOK.to_json()) | change))


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(UserError, match="not JSON"):
        BookTokenizer.from_json("{")


def test_merges_come_back_from_tiktoken_ranks(tiktoken_file: Path) -> None:
    assert len(FULL) > 1000
    assert read_merges(tiktoken_file) == FULL


def test_all_file_kinds_give_the_same_tokenizer(tiktoken_file: Path, tmp_path: Path) -> None:
    vocabulary = {to_byte_level(left + right): rank for rank, (left, right) in enumerate(FULL)}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    merges_text = "#version: 0.2\n" + "\n".join(_spelled(FULL)) + "\n"
    (tmp_path / "merges.txt").write_text(merges_text, encoding="utf-8")
    old, new = tmp_path / "old" / "tokenizer.json", tmp_path / "new.json"
    old.parent.mkdir()
    old.write_text(json.dumps({"model": {"merges": _spelled(FULL)}}), encoding="utf-8")
    pairs = [merge.split(" ") for merge in _spelled(FULL)]
    new.write_text(json.dumps({"model": {"merges": pairs}}), encoding="utf-8")
    wanted = BookTokenizer.from_gpt2(TRAINING, 1200, tiktoken_file).to_json()
    for path in (tmp_path, tmp_path / "merges.txt", old, old.parent, new, str(new)):
        assert BookTokenizer.from_gpt2(TRAINING, 1200, path).to_json() == wanted


def test_pruned_vocabulary_keeps_how_the_book_is_cut(tiktoken_file: Path) -> None:
    texts = TRAINING[:40]
    whole = BookTokenizer(index_merges(FULL, "test"), "gpt2")
    pruned = BookTokenizer.from_gpt2(texts, 25000, tiktoken_file)
    assert pruned.kind == "gpt2" and 256 < pruned.text_vocab_size < whole.text_vocab_size
    for text in texts:
        assert [pruned.token_bytes(i) for i in pruned.encode(text)] == [
            whole.token_bytes(i) for i in whole.encode(text)
        ]


def test_pruned_vocabulary_splits_unseen_tokens(tiktoken_file: Path) -> None:
    whole = BookTokenizer(index_merges(FULL, "test"), "gpt2")
    pruned = BookTokenizer.from_gpt2(TRAINING[:5], 600, tiktoken_file)
    kept = {pruned.token_bytes(i) for i in range(NUM_RESERVED, pruned.vocab_size)}
    unseen = [t for t in TRAINING[100:200] if any(whole.token_bytes(i) not in kept for i in whole.encode(t))]
    assert unseen
    for text in unseen + SAMPLES:
        for level in LEVELS:
            ids = pruned.encode(text, level)
            assert pruned.decode(ids) == text
            assert all(index < pruned.level_size(level) + NUM_RESERVED for index in ids)


def test_pruning_takes_the_most_frequent_with_their_parts() -> None:
    merges = [(b"a", b"b"), (b"c", b"d"), (b"ab", b"cd"), (b"e", b"f"), (b"x", b"y")]
    counts = {b"abcd": 9, b"ef": 5, b"xy": 1, b"a": 100}
    assert prune_merges(merges, counts, 256) == []
    assert prune_merges(merges, counts, 257) == [(b"e", b"f")]  # abcd needs three places
    assert prune_merges(merges, counts, 259) == merges[:3]
    assert prune_merges(merges, counts, 260) == merges[:4]
    assert prune_merges(merges, counts, 300) == merges


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tiktoken", "IQ== zero\n", "line 1"),
        ("b.tiktoken", "IQ== 0\nIQ== 1\n", "appears twice"),
        ("c.tiktoken", "IQ== 0\n", "no rank for byte 0x00"),
        ("d.json", "[]", "JSON object"),
        ("e.json", "{}", "model.merges"),
        ("f.json", '{"model": {"merges": ["a"]}}', "not a pair"),
        ("g.json", '{"model": {"merges": ["a \u4e2d"]}}', "byte-level"),
        ("h.json", '{"model": {"merges": ["ab c"]}}', "before any merge"),
    ],
)
def test_broken_gpt2_files_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        BookTokenizer.from_gpt2(["text"], 512, tmp_path / name)


def test_ranks_that_no_merge_explains_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a merge of two earlier"):
        read_merges(_write_tiktoken(tmp_path / "x.tiktoken", [(b"ab", b"c")]))


def test_missing_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_merges(tmp_path / "nowhere")
    with pytest.raises(UserError, match="neither"):
        read_merges(tmp_path)


def test_hub_name_without_the_hub_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"tiny-diffusion\[hub\]"):
        read_merges("gpt2")


def test_hub_name_offline_and_online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.chdir(tmp_path)

    def offline(*_: str) -> str:
        raise hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(hub, "hf_hub_download", offline)
    with pytest.raises(UserError, match="hub did not give it"):
        read_merges("gpt2")

    def online(name: str, file: str) -> str:
        assert name == "gpt2"
        content = {"vocab.json": '{"ab": 256}', "merges.txt": "#version: 0.2\na b\n"}[file]
        (tmp_path / "cache").mkdir(exist_ok=True)
        (tmp_path / "cache" / file).write_text(content, encoding="utf-8")
        return str(tmp_path / "cache" / file)

    monkeypatch.setattr(hub, "hf_hub_download", online)
    assert read_merges("gpt2") == [(b"a", b"b")]


@given(st.text(alphabet="ab 1.,'\n\t\u00a0\u3000\x1c老é", max_size=60) | st.text(max_size=40), st.integers(1, 12))
def test_pieces_of_a_text_give_the_ids_of_the_whole(text: str, size: int) -> None:
    pieces = list(cut_text(text, size))
    assert "".join(pieces) == text
    assert [i for piece in pieces for i in BOOK.encode(piece, 3)] == BOOK.encode(text, 3)


def test_a_long_text_is_cut() -> None:
    pieces = list(cut_text("word " * 1000, 100))
    assert len(pieces) > 40 and max(map(len, pieces)) < 110


@pytest.mark.parametrize("content", ["[" * 100_000, None], ids=["nested", "doubling"])
def test_json_that_grows_without_end_is_refused(content: str | None) -> None:
    doubling = {**json.loads(BOOK.to_json()), "merges": [[97, 97], *([i, i] for i in range(256, 300))]}
    with pytest.raises(UserError, match="not JSON" if content else "more than"):
        BookTokenizer.from_json(content or json.dumps(doubling))


@given(text=st.text(), level=st.sampled_from([1, 3, 5]), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_without_some_merges_the_text_is_the_same_in_other_tokens(
    text: str, level: int, share: float, seed: int
) -> None:
    ids = BOOK.thinned(level, share, np.random.default_rng(seed)).encode(text).ids
    assert BOOK.decode(ids) == text
    assert all(NUM_RESERVED <= i < NUM_RESERVED + BOOK.level_size(level) for i in ids)


def test_the_share_of_merges_goes_from_all_to_none() -> None:
    text = " ".join(TRAINING[:40])
    lengths = [
        len(BOOK.thinned(5, share, np.random.default_rng(0)).encode(text).ids) for share in (0.0, 0.05, 0.2, 1.0)
    ]
    assert lengths[0] == len(BOOK.encode(text)) and lengths[-1] == len(text.encode())
    assert lengths == sorted(set(lengths))
