"""Mixed laws: they sum to one, their weights are the best ones, and their rows stand in the table."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tiny_diffusion.checkpoint import Checkpoint, new_model, save_checkpoint
from tiny_diffusion.cli import main
from tiny_diffusion.config import EvaluationConfig, ModelConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.ngrams import KneserNey, count_tokens
from tiny_diffusion.data.tokenizer import NUM_RESERVED
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.kept import KeptParts
from tiny_diffusion.evaluation.likelihood import experts
from tiny_diffusion.evaluation.likelihood.bound import HeldOut, Likelihood, held_out, ngram_nats
from tiny_diffusion.evaluation.likelihood.comparison import compare
from tiny_diffusion.evaluation.likelihood.experts import (
    CLASSES,
    counted,
    fit_weights,
    laws_of,
    mean_law,
    mixed,
    read_counts,
)
from tiny_diffusion.evaluation.likelihood.mixture import is_mixed
from tiny_diffusion.evaluation.likelihood.readings import causal_nats, chain_rule_nats
from tiny_diffusion.evaluation.report.evaluate import Report, evaluate
from tiny_diffusion.evaluation.report.time_estimate import Expected, mixing_passes
from tiny_diffusion.evaluation.report.verdict import details, rivals
from tiny_diffusion.evaluation.subject import Rivals, Step, Subject
from tiny_diffusion.model.likelihood import likelihood_bound, nats_of_mean
from tiny_diffusion.model.product import fit_exponents
from tiny_diffusion.model.transformer import Transformer
from tiny_diffusion.sampling.counts import ORDER, Counts

KINDS = ("", " with counts", ", mean of 2", ", mean of 2 with counts")
CPU, TOKENS = torch.device("cpu"), 3
SETTINGS = EvaluationConfig(
    draws=2, windows=4, bootstrap=100, ngram_orders=(5,), ppm_order=0, breakdown_draws=0, samples=2, sample_tokens=40,
    novelty_steps=(), temperatures=(), book_pieces=10, expert="ngram", two_sample_words=0,
)  # fmt: skip
DUAL = {"model.dual": True, "training.objective": "dual"}
CAUSAL = {"model.causal": True, "training.objective": "autoregressive"}


def tiny(seed: int) -> Transformer:
    """A dual network over three words that is far from uniform."""
    torch.manual_seed(seed)
    shape = ModelConfig(d_model=8, n_layers=2, n_heads=1, d_ff=16, context=8, dropout=0.0, init_std=0.7, dual=True)
    return Transformer(shape, NUM_RESERVED + TOKENS, NUM_RESERVED).eval().requires_grad_(False)


@pytest.mark.parametrize("read", [causal_nats, chain_rule_nats])
def test_every_mixed_law_sums_to_one(read: Any) -> None:
    length = 4
    texts = list(product(range(TOKENS), repeat=length))
    windows = [torch.tensor(text) + NUM_RESERVED for text in texts]
    shape = (len(texts), length)
    networks = mean_law(np.array([list(read(tiny(seed), windows, 10))[-1] for seed in (0, 1)]))
    rng = np.random.default_rng(0)
    counts = KneserNey(ORDER, TOKENS, [rng.integers(0, 2, 6), np.array([2, 1, 0])])
    known, classes = read_counts(counts, windows)
    assert len(set(classes.tolist())) > 2
    weights = rng.dirichlet((1, 1), CLASSES)
    found = np.exp(-mixed(np.stack((networks, known)), weights, classes)).reshape(shape)
    for at in range(length):
        laws: dict[tuple[int, ...], dict[int, float]] = {}
        seen: dict[tuple[int, ...], set[int]] = {}
        for text, row, of_text in zip(texts, found, classes.reshape(shape), strict=True):
            laws.setdefault(text[:at], {})[text[at]] = row[at]
            seen.setdefault(text[:at], set()).add(int(of_text[at]))
        assert len(laws) == TOKENS**at and all(len(law) == TOKENS for law in laws.values())
        assert [sum(law.values()) for law in laws.values()] == pytest.approx([1.0] * len(laws), abs=1e-6)
        assert all(len(one) == 1 for one in seen.values())  # the weight does not depend on the token predicted


def test_mixtures_of_given_numbers() -> None:
    nats = -np.log([[0.2, 0.5, 0.1], [0.4, 0.1, 0.9]])
    assert np.exp(-mean_law(nats)) == pytest.approx([0.3, 0.3, 0.5])
    weights = np.array([[1.0, 0.0], [0.75, 0.25]])
    assert np.exp(-mixed(nats, weights, np.array([0, 1, 1]))) == pytest.approx([0.2, 0.4, 0.3])
    far = np.array([[2000.0], [2001.0]])  # probabilities that a float cannot hold
    assert mean_law(far)[0] == pytest.approx(2000 + math.log(2 / (1 + math.exp(-1))))
    assert np.isfinite(fit_weights(far, np.array([0]), 1)).all()


def drawn(weights: list[float], tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Nats (2, N) of tokens that two known laws wrote in turns of chance, and the class (N,) of each."""
    rng = np.random.default_rng(0)
    laws = np.array([[0.7, 0.2, 0.05, 0.05], [0.1, 0.1, 0.2, 0.6]])
    classes = rng.integers(0, len(weights), tokens)
    writer = (rng.random(tokens) < np.array(weights)[classes]).astype(int)
    words = np.array([rng.choice(4, p=laws[who]) for who in writer])
    return -np.log(laws[:, words]), classes


def test_the_weights_that_wrote_a_text_are_found() -> None:
    nats, classes = drawn([0.1, 0.5, 0.9], 20_000)
    found = fit_weights(nats, classes, 4)
    assert found[:3, 1] == pytest.approx([0.1, 0.5, 0.9], abs=0.03)
    assert found.sum(1) == pytest.approx(np.ones(4))
    common = fit_weights(nats, np.zeros_like(classes), 1)
    assert found[3] == pytest.approx(common[0], abs=1e-4)  # a class without a token
    grid = [mixed(nats, np.array([[1 - w, w]]), np.zeros_like(classes)).sum() for w in np.linspace(0.01, 0.99, 99)]
    assert common[0, 1] == pytest.approx(0.01 + 0.01 * int(np.argmin(grid)), abs=0.01)


def test_no_round_lowers_the_likelihood_of_the_fitting_text(monkeypatch: pytest.MonkeyPatch) -> None:
    nats, classes = drawn([0.02, 0.6], 500)
    found = []
    for rounds in range(12):
        monkeypatch.setattr(experts, "MOST_ROUNDS", rounds)
        found.append(mixed(nats, fit_weights(nats, classes, 2), classes).sum())
    assert found == sorted(found, reverse=True) and found[-1] < found[0] - 1
    assert found[0] == pytest.approx(mean_law(nats).sum())  # it begins with equal weights


def test_the_bound_of_a_mean_of_laws() -> None:
    networks, windows = [tiny(0), tiny(1)], [torch.tensor([NUM_RESERVED + i]) for i in range(TOKENS)]

    def bound(model: Transformer, *members: Transformer) -> np.ndarray:
        law = nats_of_mean((model, *members))
        return likelihood_bound(model, windows, 4, 8, torch.Generator().manual_seed(0), law).numpy()

    alone = np.array([bound(network) for network in networks])
    both = bound(*networks)
    assert both == pytest.approx(mean_law(alone), abs=1e-6)  # one token: the bound is its law
    assert np.exp(-both).sum() == pytest.approx(1, abs=1e-6) and abs(both - alone).max() > 0.05
    windows = [torch.tensor(text) + NUM_RESERVED for text in product(range(TOKENS), repeat=3)]
    each = [bound(networks[0]), bound(networks[1])]
    assert np.allclose(bound(networks[0], networks[0]), each[0], atol=1e-6)
    assert (bound(*networks) <= (each[0] + each[1]) / 2 + 1e-9).all()  # the logarithm is concave


def test_a_product_of_laws_sums_to_one_and_has_the_best_exponents() -> None:
    rng = np.random.default_rng(0)
    counts = KneserNey(3, TOKENS, [rng.integers(0, 2, 6), np.array([2, 1, 0])])
    texts = list(product(range(TOKENS), repeat=3))
    windows = [torch.tensor(text) + NUM_RESERVED for text in texts]
    laws = list(laws_of([tiny(0), tiny(1)], counts, windows))
    powers = (0.6, 0.3, 0.7)
    exponents = torch.tensor(powers, dtype=torch.float64)
    nats = np.array([float(each.nats(exponents).sum()) for each in laws])
    assert np.exp(-nats).sum() == pytest.approx(1, abs=1e-6)
    # Each factor alone is the law that the other modules give.
    each_network = [list(causal_nats(tiny(seed), windows, 10))[-1] for seed in (0, 1)]
    known = np.concatenate([-counts.log_probs(np.array(text)) for text in texts])
    for alone, expected in zip(torch.eye(3), (*each_network, known), strict=True):
        found = torch.cat([each.nats(alone) for each in laws])
        assert found.numpy() == pytest.approx(expected, abs=1e-5)
    # By hand for one place.
    factors = laws[5].log_probs[:, 1].double()
    by_hand = sum(power * factor for power, factor in zip(powers, factors, strict=True)).exp()
    assert float(laws[5].nats(exponents)[1].exp() ** -1) == pytest.approx(float(by_hand[texts[5][1]] / by_hand.sum()))
    assert [len(each.log_probs) for each in laws_of([tiny(0)], None, windows[:1])] == [1]
    some = laws[:7]
    best = fit_exponents(some)

    def total(*powers: float) -> float:
        return float(sum(each.nats(torch.tensor(powers)).sum() for each in some))

    steps = list(product((-0.05, 0, 0.05), repeat=3))
    around = [total(*(b + step for b, step in zip(best, each, strict=True))) for each in steps]
    assert min(around) == around[len(steps) // 2]


def untrained(config: ProjectConfig, data: Processed, seed: int = 0, **changes: object) -> Checkpoint:
    config = config.override(**changes)
    torch.manual_seed(seed)
    model = new_model(config, data.tokenizer)
    torch.nn.init.normal_(model.embedding.weight, std=0.3)  # far from uniform, so that networks differ
    meta = {"data": data.identity, "source": "x"}
    return Checkpoint(config, data.tokenizer, model.state_dict(), meta)


@pytest.fixture(scope="module")
def held(data: Processed, config: ProjectConfig) -> HeldOut:
    return held_out(data.texts("test"), data.tokenizer, config.model.vocab_level, 32, 4)


def subject_of(data: Processed, first: Checkpoint, *members: Checkpoint, kept: KeptParts | None = None) -> Subject:
    return Subject(first, first.build(CPU), data, SETTINGS, Rivals(members=members), kept or KeptParts())


def test_hidden_tokens_cost_what_the_product_with_two_sided_counts_says() -> None:
    rng = np.random.default_rng(1)
    ngrams = KneserNey(ORDER, TOKENS, [rng.integers(0, TOKENS, 40)])
    networks, windows = [tiny(0), tiny(1)], list(torch.from_numpy(rng.integers(0, TOKENS, (8, 8))) + NUM_RESERVED)
    counts = Counts(networks, ngrams, windows)
    row, masked = windows[0][None], torch.tensor([[False, True, True, False, True, True, True, True]])
    found = counted(counts, "float32")(row, masked)
    own = torch.stack(
        [nats_of_mean(networks)(row.masked_fill(masked, NUM_RESERVED + w), masked) for w in range(TOKENS)], 1
    )
    text = (row[0] - NUM_RESERVED).tolist()
    for number, (place, left, right) in enumerate(
        [(1, text[:1], []), (2, [], text[3:4]), (4, text[3:4], []), (5, [], []), (6, [], []), (7, [], [])]
    ):
        law = -own[number]
        if left or right:
            a, b = counts.masked["left" if left else "right"]
            law = a * law + b * torch.from_numpy(np.log(ngrams.law_between(left, right)))
        assert float(found[number]) == pytest.approx(float(-law.log_softmax(0)[text[place]]), rel=1e-4)


def rows_of(subject: Subject, held: HeldOut) -> dict[str, Likelihood]:
    events = compare(subject, held)
    while True:
        try:
            next(events)
        except StopIteration as end:
            return {row.name: row for row in end.value}


def test_each_reading_has_a_row_for_every_mixture(config: ProjectConfig, data: Processed, held: HeldOut) -> None:
    networks = [untrained(config, data, seed, **DUAL) for seed in (0, 1)]
    subject = subject_of(data, *networks)
    found = rows_of(subject, held)
    exact = [f"diffusion ({reading}){kind}" for reading in ("causal reading", "chain rule") for kind in KINDS]
    exact += ["diffusion (causal reading), product of 2"]
    exact += [f"diffusion (causal reading){kind} times counts" for kind in ("", ", product of 2")]
    bounds = [f"diffusion (bound){mean}{counts}" for mean in ("", ", mean of 2") for counts in ("", " times counts")]
    assert set(found) == {*bounds, *exact, "5-gram Kneser-Ney", "uniform"}
    assert not subject.missing and {name for name in found if is_mixed(name)} == {
        name for name in found if "counts" in name or "mean" in name or "product" in name
    }
    passes = mixing_passes(subject, held)
    assert passes["chain rule of the model"] == ("chain rule of the model", held.tokens)
    assert passes["causal reading of the model, network 2"] == ("causal reading of the model", len(held.windows))
    assert passes["likelihood of the mean of the networks"] == ("likelihood of the model", 2 * 2 * len(held.windows))
    # By hand: two networks token by token, the weights from the validation text.
    fitting = held_out(data.texts("validation"), data.tokenizer, config.model.vocab_level, 32, 4)
    level = config.model.vocab_level
    counts = count_tokens(data.texts("train"), data.tokenizer, level, ORDER)
    nats = [
        mean_law(np.array([list(causal_nats(each.build(CPU), windows, 5))[-1] for each in networks]))
        for windows in (fitting.windows, held.windows)
    ]
    (known, seen), (scored, classes) = (read_counts(counts, each.windows) for each in (fitting, held))
    weights = fit_weights(np.stack((nats[0], known)), seen, CLASSES)
    expected = mixed(np.stack((nats[1], scored)), weights, classes).sum() / math.log(2) / held.bytes.sum()
    last = exact[3]
    assert found[last].bits_per_byte == pytest.approx(expected, rel=1e-6)
    assert subject.weights[last] == pytest.approx(weights[:, 1].tolist(), abs=1e-4)
    weighted = {name for name in (*bounds, *exact) if name.endswith("counts") or "product" in name}
    assert set(subject.weights) == weighted
    for name in bounds[1::2]:  # a pair of exponents for the left, the right and both sides
        assert len(subject.weights[name]) == 6 and found[name].bits_per_byte < found[bounds[0]].bits_per_byte - 0.5
    for factors, name in ((2, exact[-2]), (3, exact[-1])):  # exponents near 0 and 1 too are among what is tried
        assert (
            len(subject.weights[name]) == factors
            and found[name].bits_per_byte < found["5-gram Kneser-Ney"].bits_per_byte
        )
    # Networks that know nothing leave nearly all to the counts.
    assert found[last].bits_per_byte < found["uniform"].bits_per_byte - 1
    alone = ngram_nats(data.texts("train"), held, data.tokenizer, level, ORDER).sum()
    assert scored.sum() == pytest.approx(alone)


def test_what_cannot_be_read_from_left_to_right_has_a_mean_bound_only(
    config: ProjectConfig, data: Processed, held: HeldOut
) -> None:
    networks = [untrained(config, data, seed) for seed in (0, 1)]
    plain = SETTINGS.model_copy(update={"chain_rule": False, "expert": "none"})
    found = rows_of(replace(subject_of(data, *networks), settings=plain), held)
    assert set(found) == {"diffusion (bound)", "diffusion (bound), mean of 2", "5-gram Kneser-Ney", "uniform"}
    beside = SETTINGS.model_copy(update={"chain_rule": False})
    found = rows_of(replace(subject_of(data, networks[0]), settings=beside), held)
    assert set(found) == {"diffusion (bound)", "diffusion (bound) times counts", "5-gram Kneser-Ney", "uniform"}


def test_twins_are_mixed_as_well(config: ProjectConfig, data: Processed, held: HeldOut) -> None:
    twins = [untrained(config, data, seed, **CAUSAL) for seed in (0, 1)]
    found = rows_of(subject_of(data, *twins), held)
    products = (" times counts", ", product of 2", ", product of 2 times counts")
    names = ["autoregressive twin" + kind for kind in (*KINDS, *products)]
    assert sorted(found) == sorted([*names, "5-gram Kneser-Ney", "uniform"])
    beside = replace(subject_of(data, untrained(config, data, **DUAL)), rivals=Rivals(twins[0]))
    again = rows_of(beside, held)
    for name in (names[0], names[1], names[4]):
        assert again[name].bits_per_byte == pytest.approx(found[name].bits_per_byte, rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "not what the checkpoint was trained on"),
        ({"model.context": 16}, r"network 2 has model.context=16, the first one 32"),
        ({"model.vocab_level": 2}, "network 2 has model.vocab_level=2"),
        (DUAL, "network 2 has model.dual=True"),
        (CAUSAL, "network 2 has model.causal=True"),
    ],
)
def test_members_of_another_kind_are_refused(
    config: ProjectConfig, data: Processed, held: HeldOut, changes: dict[str, object], words: str
) -> None:
    member = untrained(config, data, 1, **changes)
    if not changes:
        member = replace(member, meta={"data": "another", "source": "x"})
    with pytest.raises(UserError, match=words) as error:
        rows_of(subject_of(data, untrained(config, data), member), held)
    assert "\n" not in str(error.value)


def test_counts_are_not_fitted_on_the_text_that_is_scored() -> None:
    with pytest.raises(ValueError, match="it needs split=test"):
        EvaluationConfig(expert="ngram", split="validation")


def measured(data: Processed, networks: list[Checkpoint], kept: KeptParts | None = None) -> Iterator[Any]:
    how = networks[0].config.generation.model_copy(update={"steps": 4, "precision": "float32"})
    return evaluate(networks[0], data, SETTINGS, how, CPU, Rivals(members=tuple(networks[1:])), None, None, kept)


def test_mixtures_are_kept_foretold_and_told(
    config: ProjectConfig, data: Processed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks, path = [untrained(config, data, seed, **DUAL) for seed in (0, 1)], tmp_path / "parts.json"
    events = list(measured(data, networks, KeptParts(path, "a")))
    [at] = [i for i, event in enumerate(events) if isinstance(event, Expected)]
    assert {event.name for event in events[at:] if isinstance(event, Step)} == set(events[at].parts)
    report = events[-1]
    assert isinstance(report, Report) and not report.missing
    assert {
        "causal reading of the model, network 2, validation text", "chain rule of the model, network 2",
        "likelihood of the mean of the networks",
    } < KeptParts(path, "a").names  # fmt: skip
    for name in ("causal_nats", "chain_rule_nats"):
        monkeypatch.setattr(f"tiny_diffusion.evaluation.likelihood.readings.{name}", None)  # not callable
    for name in ("laws_of", "bound_in_batches"):
        monkeypatch.setattr(f"tiny_diffusion.evaluation.likelihood.mixture.{name}", None)
    again = list(measured(data, networks, KeptParts(path, "a")))[-1]
    assert again == report
    # A mixture is no rival of the network alone; its weights are told.
    assert set(rivals(report)) == {"the n-grams"}
    told = [line for line in details(report) if "the weight of the counts" in line]
    assert len(told) == 4 and told[0].startswith("diffusion (causal reading) with counts: ")
    assert sum("the exponents of network and counts are" in line for line in details(report)) == 1
    assert sum("the exponents of networks are" in line for line in details(report)) == 1
    assert sum("the exponents of networks and counts are" in line for line in details(report)) == 1


def test_a_folder_of_checkpoints_is_evaluated_as_their_mean(
    config: ProjectConfig, data: Processed, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {f"evaluation.{key}": getattr(SETTINGS, key) for key in SETTINGS.model_dump() if key != "seed"}
    few = {**settings, "evaluation.chain_rule": False, "evaluation.expert": "none", **DUAL}
    for seed in (0, 1):
        (tmp_path / f"member-{seed}").mkdir()
        save_checkpoint(tmp_path / f"member-{seed}" / "best_model.pt", untrained(config, data, seed, **few))

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["evaluate", "--data-dir", str(prepared), "--device", "cpu", *arguments])
        return int(ended.value.code or 0)

    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "best_model.pt").touch()  # no member
    assert run(str(tmp_path)) == 0
    names = [row["name"] for row in json.loads((tmp_path / "evaluation.json").read_text("utf-8"))["likelihood"]]
    mixtures = ("causal reading), mean of 2", "causal reading), product of 2", "bound), mean of 2")
    assert {name for name in names if is_mixed(name)} == {f"diffusion ({each}" for each in mixtures}
    assert (tmp_path / "report.html").exists() and not (tmp_path / "evaluation.parts.json").exists()
    one, other = (str(tmp_path / f"member-{seed}" / "best_model.pt") for seed in (0, 1))
    capsys.readouterr()
    for given, words in (
        ([one, "--member", one], "given twice"),
        ([one, other, "--member", str(tmp_path / "x.pt")], "--member belongs to one model"),
    ):
        assert run(*given) == 2
        assert words in capsys.readouterr().err
