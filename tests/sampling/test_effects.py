"""Each setting of generation and evaluation moves what comes out."""

from dataclasses import asdict, replace

import pytest
import torch

from tiny_diffusion.checkpoint import Checkpoint, new_model
from tiny_diffusion.cli.evaluation.evaluate import command
from tiny_diffusion.config import EvaluationConfig, GenerationConfig, ProjectConfig
from tiny_diffusion.config.generation_config import CONTROLS
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.evaluation.report.evaluate import Report, evaluate
from tiny_diffusion.writing.writer import Writer

GENERATION = {
    "sampler": "confidence", "steps": 3, "temperature": 2.0, "top_k": 1, "top_p": 0.05, "length": 13,
    "num_samples": 2, "vocab_level": 1, "seed": 1, "cache_context": True, "precision": "bfloat16", "min_p": 0.9,
    "choice_noise": 99.0, "block": 4, "repetition_penalty": 9.0, "repetition_window": 1,
}  # fmt: skip
# What else must be set for a setting to count.
TOGETHER = {
    "choice_noise": {"sampler": "confidence"}, "repetition_window": {"repetition_penalty": 9.0},
}  # fmt: skip
EVALUATION = {
    "draws": 3, "batch_size": 1, "windows": 3, "samples": 3, "sample_tokens": 9, "bootstrap": 101,
    "chain_rule": False, "breakdown_draws": 2, "ngram_orders": (1,), "ppm_order": 3, "split": "validation",
    "max_leaked_share": 0.5, "max_bits_per_byte": 99.0, "max_sentence_length_distance": 999.0,
    "max_copied_words": 999, "seed": 1, "book_pieces": 11, "delta_words": 5, "type_token_window": 3,
    "rare_zipf": 7.0, "novelty_orders": (1,), "copied_sentence_words": 1, "novelty_steps": (3,),
    "sentence_gap": 2, "coherence_dim": 3, "distinct_orders": (4,), "repeat_order": 1, "temperatures": (0.5,),
    "judge_order": 2, "two_sample_words": 2,
}  # fmt: skip
# Read where gaps are filled and texts rewritten: see below, test_infilling.py and test_rewriting.py.
FILLING = {"gap_sampler", "gap_tokens", "gap_candidates", "gap_rounds", "rewrite_strength"}
# Read by other commands only: see test_blind_passages.py and test_score.py.
ELSEWHERE = {"blind_passages", "blind_words", "surprising_share", "expert", "long_context"}
FEW = EvaluationConfig(
    draws=2, batch_size=4, samples=2, sample_tokens=16, bootstrap=100, ngram_orders=(1, 2), book_pieces=10,
    novelty_steps=(), temperatures=(), breakdown_draws=1, ppm_order=2, windows=4,
)  # fmt: skip
SHORT = GenerationConfig(length=12, steps=6, top_p=1.0, temperature=1.0, precision="float32").as_drawn()


@pytest.fixture(scope="module")
def checkpoint(config: ProjectConfig, data: Processed) -> Checkpoint:
    config = config.override(**{"model.init_std": 0.3, "model.vocab_level": 2})
    torch.manual_seed(0)
    weights = new_model(config, data.tokenizer).state_dict()
    return Checkpoint(config, data.tokenizer, weights, {"data": data.identity})


def test_every_setting_is_listed() -> None:
    # Those that others test: see test_endings, test_long_text, test_real_words, test_guard, test_drafts, test_controls,
    # test_counts.
    elsewhere = {"ending", "layout", "words", "max_copied_words", "reading", "drafts", "pick", "expert", "guidance"}
    elsewhere |= set(CONTROLS)
    assert set(GENERATION) | FILLING | elsewhere == set(GenerationConfig.model_fields)
    assert set(EVALUATION) | ELSEWHERE == set(EvaluationConfig.model_fields)


@pytest.mark.parametrize("key", GENERATION)
def test_each_generation_setting_changes_what_is_written(checkpoint: Checkpoint, key: str) -> None:
    writer = Writer(checkpoint.build(torch.device("cpu")), checkpoint.tokenizer)
    before = SHORT.model_copy(update=TOGETHER.get(key, {}))
    changed = before.model_copy(update={key: GENERATION[key]})
    assert writer.write("The old", before) == writer.write("The old", before) != writer.write("The old", changed)


def test_a_gap_is_filled_with_so_many_tokens(checkpoint: Checkpoint) -> None:
    writer = Writer(checkpoint.build(torch.device("cpu")), checkpoint.tokenizer)
    greedy = SHORT.model_copy(update={"top_k": 1})
    texts = {n: writer.infill("The ___ sold it.", greedy.model_copy(update={"gap_tokens": n}))[0].text for n in (1, 9)}
    assert len(texts[1]) < len(texts[9])


def test_gaps_have_a_sampler_of_their_own(checkpoint: Checkpoint) -> None:
    writer = Writer(checkpoint.build(torch.device("cpu")), checkpoint.tokenizer)

    def texts(**changes: str) -> list[str]:
        how = SHORT.model_copy(update={"num_samples": 4, "gap_tokens": 8, "gap_sampler": "confidence", **changes})
        return [text.text for text in writer.infill("The ___ sold it.", how)]

    assert texts() == texts(sampler="entropy") != texts(gap_sampler="ancestral")


def measure(checkpoint: Checkpoint, data: Processed, settings: EvaluationConfig) -> Report:
    *_, report = evaluate(checkpoint, data, settings, SHORT, torch.device("cpu"))
    assert isinstance(report, Report)
    return report


@pytest.fixture(scope="module")
def first(checkpoint: Checkpoint, data: Processed) -> Report:
    return measure(checkpoint, data, FEW)


def test_a_report_repeats(checkpoint: Checkpoint, data: Processed, first: Report) -> None:
    assert asdict(first) == asdict(measure(checkpoint, data, FEW))


@pytest.mark.parametrize("key", EVALUATION)
def test_each_evaluation_setting_changes_the_report(
    checkpoint: Checkpoint, data: Processed, first: Report, key: str
) -> None:
    other = measure(checkpoint, data, FEW.model_copy(update={key: EVALUATION[key]}))
    # But for the settings themselves, which the report repeats.
    assert asdict(first) != asdict(replace(other, evaluation=first.evaluation))


def test_evaluate_has_no_flag_for_what_moves_nothing_there(checkpoint: Checkpoint, data: Processed) -> None:
    idle = {"length": 13, "num_samples": 2, "seed": 9, "max_copied_words": 1, "gap_tokens": 9, "rewrite_strength": 0.1}
    few = FEW.model_copy(update={"windows": 2})
    reports = [
        next(r for r in evaluate(checkpoint, data, few, how, torch.device("cpu")) if isinstance(r, Report))
        for how in (SHORT, SHORT.model_copy(update=idle))
    ]
    assert asdict(reports[0]) == asdict(replace(reports[1], generation=SHORT))
    flags = {parameter.name for parameter in command.params}
    assert not flags & {f"generation__{name}" for name in (*idle, *FILLING)} and "generation__steps" in flags


def test_thresholds_are_marked_by_their_limits(checkpoint: Checkpoint, data: Processed) -> None:
    loose = FEW.model_copy(update={k: EVALUATION[k] for k in EVALUATION if k.startswith("max_")})
    tight = FEW.model_copy(
        update={"max_bits_per_byte": 0.1, "max_sentence_length_distance": 1e-9, "max_copied_words": 0}
    )
    assert [t.met for t in measure(checkpoint, data, loose).thresholds] == [True] * 4
    assert not measure(checkpoint, data, tight).thresholds[0].met
