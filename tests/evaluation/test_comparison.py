"""The rivals in the table, the breakdowns and the check for leaks."""

import lzma
import math
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tiny_diffusion.checkpoint import Checkpoint, new_model
from tiny_diffusion.config import EvaluationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import BOS
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.leaks import find_leaks, leaks_of
from tiny_diffusion.evaluation.likelihood.bound import HeldOut, held_out, model_nats, ngram_nats, summarise
from tiny_diffusion.evaluation.likelihood.breakdown import (
    RATES,
    format_examples,
    format_likelihood,
    mask_rate_curve,
    score_held_out,
    window_books,
    window_thirds,
)
from tiny_diffusion.evaluation.likelihood.comparison import check_twin, compare, whole_characters
from tiny_diffusion.evaluation.likelihood.compressor import PHASES, compressed_size, ppm_bits
from tiny_diffusion.evaluation.likelihood.hugging_face import load_local, local_nats
from tiny_diffusion.evaluation.likelihood.surprisal import Surprisal, score_text
from tiny_diffusion.evaluation.subject import Rivals, Subject
from tiny_diffusion.model.autoregressive import autoregressive_nats

CPU = torch.device("cpu")
SETTINGS = EvaluationConfig(draws=2, windows=6, bootstrap=100, ngram_orders=(1,), ppm_order=0, breakdown_draws=0)


def untrained(config: ProjectConfig, data: Processed, **changes: object) -> Checkpoint:
    config = config.override(**changes)
    torch.manual_seed(0)
    return Checkpoint(config, data.tokenizer, new_model(config, data.tokenizer).state_dict(), {"data": data.identity})


CAUSAL = {"model.causal": True, "training.objective": "autoregressive"}


@pytest.fixture(scope="module")
def held(data: Processed) -> HeldOut:
    return held_out(data.texts("test"), data.tokenizer, 1, 32, 12)


def test_a_dual_model_has_a_row_for_each_reading(config: ProjectConfig, data: Processed) -> None:
    checkpoint = untrained(config, data, **{"model.dual": True, "training.objective": "dual"})
    held = held_out(data.texts("test"), data.tokenizer, 1, 32, 6)
    model = checkpoint.build(CPU)
    found = rows(checkpoint, data, held, SETTINGS, Rivals())
    assert list(found)[:3] == ["diffusion (causal reading)", "diffusion (bound)", "diffusion (chain rule)"]
    exact = float(autoregressive_nats(model, held.windows, BOS, 6).sum()) / math.log(2) / held.bytes.sum()
    assert found["diffusion (causal reading)"].bits_per_byte == pytest.approx(exact, rel=1e-5)
    text = data.texts("test")[0]
    *_, scored = score_text(model, data.tokenizer, text, 1, SETTINGS)
    assert isinstance(scored, Surprisal) and scored.bound_bits_per_byte is not None
    windows = list(torch.tensor(data.tokenizer.encode(text, 1)).split(32))
    nats = float(autoregressive_nats(model, windows, BOS, 6).sum())
    assert scored.bits_per_byte == pytest.approx(nats / math.log(2) / len(text.encode()), rel=1e-5)


def leaking(data: Processed) -> Processed:
    """A split whose test passages are copies of training passages."""
    training = [p for p in data.passages if p.split == "train"]
    copies = iter(training)
    return replace(
        data,
        passages=[p if p.split != "test" else replace(p, paragraphs=next(copies).paragraphs) for p in data.passages],
    )


def test_a_leaking_split_is_caught_by_its_sentences_and_shows_in_the_bits(data: Processed) -> None:
    leaky = leaking(data)
    honest, caught = leaks_of(data, "test"), leaks_of(leaky, "test")
    assert honest.found == 0 and honest.checked > 10 and honest.example is None
    assert caught.share == 1 and caught.example in leaky.texts("train")[0]
    bits = []
    for each in (data, leaky):
        windows = held_out(each.texts("test"), data.tokenizer, 1, 32, 0)
        nats = ngram_nats(each.texts("train"), windows, data.tokenizer, 1, 5)
        bits.append(summarise("5-gram", nats, windows, 100, 0).bits_per_byte)
    assert bits[1] < 0.7 * bits[0]


def test_leaks_compare_words_and_leave_short_sentences_out() -> None:
    training = ["The old miller forgot the narrow garden by the river.", "Well, well."]
    copy = "the old miller -- forgot the NARROW garden, by the river!"
    found = find_leaks([copy, "Well, well.", "The old miller forgot the wide garden by the river."], training)
    assert (found.checked, found.found, found.share, found.example) == (2, 1, 0.5, copy)


def test_compressor_is_off_by_less_than_a_byte_and_right_in_the_mean() -> None:
    rng = np.random.default_rng(0)
    training = bytes(rng.integers(97, 101, 3000, dtype=np.uint8))
    # Nothing can be learnt from uniform noise over four letters: two bits per byte, and a little for PPM's prior.
    windows = [bytes(rng.integers(97, 101, 50, dtype=np.uint8)) for _ in range(3 * PHASES)]
    bits = np.array(list(ppm_bits(training, windows, 3)))
    assert (bits % 8 == 0).all()
    together = 8 * (compressed_size(training + b"".join(windows), 3) - compressed_size(training, 3))
    # Appended together, only one rounding remains; the model has then learnt a little more of the noise.
    assert bits.sum() == pytest.approx(together, rel=0.03)
    # The phases spread over a byte: with each of them a window grows by one of two neighbouring sizes.
    same = np.array(list(ppm_bits(training, [windows[0]] * PHASES, 3))) / 8
    assert len(set(same.tolist())) > 1 and same.std() < 1.5


def test_compressor_learns_from_its_priming(data: Processed) -> None:
    training = "\n\n".join(data.texts("train")).encode()
    window = data.texts("test")[0].encode()
    (primed,), (alone,) = ppm_bits(training, [window], 8), ppm_bits(b"", [window], 8)
    assert primed < 0.6 * alone
    assert primed < 8 * len(lzma.compress(window))
    (copied,) = ppm_bits(training, [training[500:1500]], 8)
    assert copied < 0.25 * 8 * 1000


def test_thirds_are_even_and_harder_text_is_in_the_harder_ones(data: Processed, held: HeldOut) -> None:
    scored = score_held_out(data, "test")
    passages = [p for p in data.passages if p.split == "test"]
    third = window_thirds(held, passages, scored)
    assert third is not None and np.bincount(third).tolist() == [4, 4, 4]
    # With only the first sentence of a passage hard, the window that begins with it is the hardest of all.
    first = next(i for i, start in enumerate(held.start.tolist()) if start == 0)
    index = passages[held.passage[first]].index
    opens = [i for i, s in enumerate(scored.sentences) if s.passage == index][0]
    hard = np.zeros(len(scored.sentences))
    hard[opens] = 1.0
    found = window_thirds(held, passages, replace(scored, difficulty=replace(scored.difficulty, combined=hard)))
    assert found is not None and found[first] == 2
    assert window_thirds(replace(held, windows=held.windows[:2]), passages, scored) is None


def test_thirds_make_up_the_whole(held: HeldOut) -> None:
    third = np.repeat([0, 1, 2], 4)
    row = summarise("x", held.bytes * (third + 1.0) * math.log(2), replace(held, third=third), 100, 0)
    assert row.thirds == pytest.approx([1, 2, 3])
    share = held.bytes / held.bytes.sum()
    assert row.bits_per_byte == pytest.approx(float((share * (third + 1)).sum()))
    assert row.perplexity_level_1 == pytest.approx(2 ** (row.bits_per_byte * held.level_1_bytes))


def test_books_that_were_prepared_together_are_measured_each_by_itself(data: Processed, held: HeldOut) -> None:
    passages = [p for p in data.passages if p.split == "test"]
    assert window_books(held, passages, "one.txt") == (None, [])
    parted = [replace(p, book=2 * (i > 0)) for i, p in enumerate(passages)]  # of the second book no window is scored
    place, names = window_books(held, parted, "one.txt + two.txt + three.txt")
    assert names == ["one.txt", "three.txt"] and place is not None
    assert place.tolist() == [int(i > 0) for i in held.passage]
    row = summarise("x", held.bytes * (place + 1.0) * math.log(2), replace(held, book=place), 100, 0)
    assert row.books == pytest.approx([1, 2])


def test_level_1_perplexity_is_that_of_level_1_itself(data: Processed) -> None:
    windows = held_out(data.texts("test"), data.tokenizer, 1, 32, 0)
    row = summarise("x", np.full(len(windows.windows), 40.0), windows, 100, 0)
    assert row.perplexity_level_1 == pytest.approx(row.perplexity)


def test_mask_rates_of_a_uniform_model_are_log_v(config: ProjectConfig, data: Processed, held: HeldOut) -> None:
    model = untrained(config, data).build(CPU)
    torch.nn.init.zeros_(model.embedding.weight)
    curve = list(mask_rate_curve(model, held.windows, EvaluationConfig(breakdown_draws=1, batch_size=8)))
    assert tuple(r.rate for r in curve) == RATES
    assert [r.nats_per_token for r in curve] == pytest.approx([math.log(model.text_vocab_size)] * 9, rel=1e-5)


def test_formats_hold_the_held_out_text(config: ProjectConfig, data: Processed) -> None:
    scored = score_held_out(data, "test")
    examples = format_examples(data, "test", scored)
    text = " ".join(data.texts("test"))
    assert all(segment in text for e in examples["sentences"] + examples["pairs"] for segment in e)
    assert examples["paragraphs"] == [(t,) for t in data.texts("test")]
    assert {len(e) for e in examples["pairs"]} == {2}
    model = untrained(config, data, **{"model.vocab_level": 1}).build(CPU)
    torch.nn.init.zeros_(model.embedding.weight)
    settings = EvaluationConfig(breakdown_draws=1, batch_size=8)
    for name, found in examples.items():
        row = format_likelihood(model, data.tokenizer, name, found[:5], settings)
        # All text tokens are scored and equally likely, SEP is neither counted nor scored.
        tokens = sum(len(data.tokenizer.encode(segment, 1)) for e in found[:5] for segment in e)
        size = sum(len(segment.encode()) for e in found[:5] for segment in e)
        assert (row.examples, row.tokens) == (5 if len(found) >= 5 else len(found), tokens)
        assert row.bits_per_byte == pytest.approx(tokens * 9 / size, rel=1e-5)


def test_held_out_scores_leave_the_training_scores_alone(data: Processed) -> None:
    before = {name: values.copy() for name, values in data.difficulty.scores.items()}
    scored = score_held_out(data, "test")
    assert len(scored.sentences) == len(scored.difficulty.combined)
    assert all((data.difficulty.scores[n] == before[n]).all() for n in before)


def rows(checkpoint: Checkpoint, data: Processed, held: HeldOut, settings: EvaluationConfig, rivals: Rivals) -> dict:
    events = compare(Subject(checkpoint, checkpoint.build(CPU), data, settings, rivals), held)
    while True:
        try:
            next(events)
        except StopIteration as end:
            return {row.name: row for row in end.value}


def test_the_table_has_every_rival_once(config: ProjectConfig, data: Processed) -> None:
    settings = SETTINGS.model_copy(update={"ngram_orders": (1, 2, 3, 6), "ppm_order": 4})
    model, twin = untrained(config, data), untrained(config, data, **CAUSAL)
    held = held_out(data.texts("test"), data.tokenizer, config.model.vocab_level, 32, 6)
    found = rows(model, data, held, settings, Rivals(twin))
    names = ["diffusion (bound)", "diffusion (chain rule)", "autoregressive twin", "unigram", "bigram"]
    assert list(found) == [*names, "3-gram Kneser-Ney", "6-gram Kneser-Ney", "PPMd order 4, primed", "uniform"]
    # Untrained models know nothing; models that count do.
    for name in names[:3]:
        assert found[name].bits_per_byte == pytest.approx(found["uniform"].bits_per_byte, rel=0.05)
    assert found["PPMd order 4, primed"].bits_per_byte < found["unigram"].bits_per_byte
    expected = model_nats(twin.build(CPU), held.windows, 1, 4, 0).sum() / held.bytes.sum() / math.log(2)
    assert found["autoregressive twin"].bits_per_byte == pytest.approx(expected)
    without = settings.model_copy(update={"chain_rule": False, "ppm_order": 0})
    assert set(found) - set(rows(model, data, held, without, Rivals(twin))) == {names[1], "PPMd order 4, primed"}
    assert list(rows(twin, data, held, SETTINGS, Rivals())) == ["autoregressive twin", "unigram", "uniform"]


@pytest.mark.parametrize(
    ("changes", "meta", "words"),
    [
        (CAUSAL, {"data": "another", "source": "b.txt"}, "b.txt"),
        ({}, None, "not an autoregressive"),
        ({**CAUSAL, "model.context": 16}, None, "context=16"),
        ({**CAUSAL, "model.vocab_level": 2}, None, "vocab_level=2"),
    ],
)
def test_a_twin_that_cannot_be_compared_is_refused(
    config: ProjectConfig, data: Processed, changes: dict, meta: dict | None, words: str
) -> None:
    twin = untrained(config, data, **changes)
    twin = twin if meta is None else replace(twin, meta=meta)
    with pytest.raises(UserError, match=words):
        check_twin(twin, untrained(config, data), data)


def test_rows_of_one_name_are_refused(config: ProjectConfig, data: Processed, tmp_path: Path) -> None:
    held = held_out(data.texts("test"), data.tokenizer, 1, 8, 3)
    twin = untrained(config, data, **CAUSAL)
    with pytest.raises(UserError, match="is itself an autoregressive model"):
        rows(twin, data, held, SETTINGS, Rivals(twin))
    with pytest.raises(UserError, match="two folders of one name"):
        rows(untrained(config, data), data, held, SETTINGS, Rivals(None, (tmp_path / "a" / "x", tmp_path / "b" / "x")))


def test_windows_as_text_cut_no_character(data: Processed) -> None:
    texts = ["é\u20ac\U0001f600 " * 9, "plain"]
    held = held_out(texts, data.tokenizer, 1, 3, 0)
    pieces = whole_characters(texts, held)
    assert "".join(pieces) == "".join(texts) and len(pieces) == len(held.windows)


def local_folder(folder: Path, kind: str) -> Path:
    """A tiny random model of the transformers library, with a tokenizer over the bytes."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "</s>", "<mask>"]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate([*special, *alphabet])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = (
        {"bos_token": "<s>"} if kind == "gpt2" else {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    )
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    size = len(special) + len(alphabet)
    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(vocab_size=size, n_positions=64, n_embd=16, n_layer=1, n_head=2)
        model = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.BertConfig(
            vocab_size=size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            max_position_embeddings=64,
        )  # fmt: skip
        model = transformers.BertForMaskedLM(config)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_a_hugging_face_model_is_scored_exactly(tmp_path: Path, kind: str) -> None:
    local = load_local(local_folder(tmp_path / kind, kind), CPU)
    assert local.causal == (kind == "gpt2")
    text = "Ab \u00e9."
    *counts, nats = local_nats(local, [text, text[:2]], 3)
    assert counts == [1, 2]
    ids = local.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(text.encode())
    expected = 0.0
    for i, token in enumerate(ids):  # one pass per token, written out
        masked = [*ids[:i], *[2] * (len(ids) - i)]
        row = [0, *ids[:i]] if kind == "gpt2" else [0, *masked, 1]
        with torch.no_grad():
            logits = local.network(torch.tensor([row])).logits[0, i if kind == "gpt2" else i + 1]
        expected -= float(logits.log_softmax(0)[token])
    assert nats[0] == pytest.approx(expected, abs=1e-4)


def test_a_hugging_face_row_stands_in_the_table(config: ProjectConfig, data: Processed, tmp_path: Path) -> None:
    folder = local_folder(tmp_path / "tiny", "gpt2")
    held = held_out(data.texts("test"), data.tokenizer, 1, 8, 3)
    checkpoint = untrained(config, data, **{"model.vocab_level": 1})
    found = rows(checkpoint, data, held, SETTINGS, Rivals(None, (folder,)))
    assert found["tiny"].bits_per_byte == pytest.approx(math.log2(259), rel=0.05)
    too_long = held_out(data.texts("test"), data.tokenizer, 1, 32, 3)
    subject = Subject(checkpoint, checkpoint.build(CPU), data, SETTINGS, Rivals(None, (folder,)))
    deque(compare(subject, too_long), maxlen=0)
    assert [reason for reason in subject.missing.values() if "tiny accepts 64 tokens, too few" in reason]


def test_folders_without_a_model_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(UserError, match="no folder"):
        load_local(tmp_path / "none", CPU)
    with pytest.raises(UserError, match="no config.json"):
        load_local(tmp_path, CPU)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot read"):
        load_local(tmp_path, CPU)
