"""The report as JSON and as a page: schema, escaping, charts, verdicts, several checkpoints, the time estimate."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from tiny_diffusion.checkpoint import Checkpoint, new_model, save_checkpoint
from tiny_diffusion.cli import main
from tiny_diffusion.cli.evaluation.report_tables import show
from tiny_diffusion.cli.evaluation.run import ProgressLine
from tiny_diffusion.config import EvaluationConfig, GenerationConfig, ModelConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.blind_test.records import BlindPassage, Origin
from tiny_diffusion.evaluation.blind_test.statistics import report as people_report
from tiny_diffusion.evaluation.blind_test.statistics import wilson_interval
from tiny_diffusion.evaluation.blind_test.store import AnswerStore
from tiny_diffusion.evaluation.curves import POINTS, Curves, read_curves
from tiny_diffusion.evaluation.kept import KeptParts
from tiny_diffusion.evaluation.leaks import Leaks
from tiny_diffusion.evaluation.likelihood.bound import Difference, HeldOut, Likelihood, resample, summarise
from tiny_diffusion.evaluation.likelihood.breakdown import BREAKDOWN, FORMAT_COST
from tiny_diffusion.evaluation.report.charts import Line, Scale, line_chart, row_chart
from tiny_diffusion.evaluation.report.evaluate import evaluate
from tiny_diffusion.evaluation.report.page import render
from tiny_diffusion.evaluation.report.several import combine, main_figures
from tiny_diffusion.evaluation.report.time_estimate import Expected, Remaining, count_passes
from tiny_diffusion.evaluation.report.verdict import details, headline, people, warning
from tiny_diffusion.evaluation.result import VERSION, Report, SeedsReport, schema
from tiny_diffusion.evaluation.style.sentence_lengths import length_shares
from tiny_diffusion.evaluation.style.style_report import DELTA, OtherBook
from tiny_diffusion.evaluation.style.vocabulary import rank_shares
from tiny_diffusion.evaluation.subject import NO_RIVALS, Step
from tiny_diffusion.evaluation.text_quality.samples import WRITING
from tiny_diffusion.evaluation.text_quality.two_sample import TWO_SAMPLE

FEW = {
    "draws": 2, "batch_size": 4, "samples": 2, "sample_tokens": 40, "bootstrap": 100, "ngram_orders": (1, 2, 3),
    "book_pieces": 10, "novelty_steps": (2,), "temperatures": (0.5,), "breakdown_draws": 1, "ppm_order": 2,
    "windows": 8, "chain_rule": False, "two_sample_words": 5,
}  # fmt: skip
HOSTILE = '<script>alert("x")</script> & <img src=x onerror=y>'
SECTIONS = [
    "Likelihood", "Thresholds", "Training", "Style", "Coherence", "Novelty", "Quality against diversity", "Samples",
    "Settings",
]  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(config: ProjectConfig, data: Processed) -> Checkpoint:
    torch.manual_seed(0)
    few = config.override(**{f"evaluation.{key}": value for key, value in FEW.items()})
    weights = new_model(few, data.tokenizer).state_dict()
    return Checkpoint(few, data.tokenizer, weights, {"data": data.identity})


@pytest.fixture(scope="module")
def report(checkpoint: Checkpoint, data: Processed) -> Report:
    settings = checkpoint.config
    *_, found = evaluate(checkpoint, data, settings.evaluation, settings.generation, torch.device("cpu"))
    assert isinstance(found, Report)
    return found


def row(name: str, bits: float, low: float | None = None, high: float | None = None) -> Likelihood:
    """A made-up row; ``low`` to ``high`` is the interval of its difference from the model at 2 bits per byte."""
    against = None if low is None or high is None else Difference(bits - 2.0, low, high)
    return Likelihood(name, bits, bits - 0.1, bits + 0.1, 2.0**bits, 2.0**bits, [], against)


def made_up(report: Report, *rows: Likelihood) -> Report:
    return replace(report, likelihood=[row("diffusion (bound)", 2.0), *rows])


class Page(HTMLParser):
    """Tags seen, tags still open, and all text."""

    VOID = ("meta", "line", "circle", "polyline")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_json_reads_back_as_the_same_report(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path / "evaluation.json")
    text = (tmp_path / "evaluation.json").read_text(encoding="utf-8")
    assert TypeAdapter(Report).validate_json(text) == report


def test_the_schema_names_each_key_and_the_version(report: Report, tmp_path: Path) -> None:
    found = schema()
    report.write(tmp_path / "evaluation.json")
    written = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    own = found["$defs"]["Report"]
    assert own["properties"]["version"]["const"] == VERSION == written["version"]
    assert set(written) == set(own["properties"]) == set(own["required"])
    described = [name for name, each in found["$defs"].items() if each.get("description")]
    assert sorted(described) == sorted(found["$defs"])  # each part says what it is
    with pytest.raises(ValueError, match="windows"):
        TypeAdapter(Report).validate_python({k: v for k, v in written.items() if k != "windows"})


def test_the_page_is_whole_and_asks_for_nothing(report: Report) -> None:
    curves = Curves([(1.0, 5.0), (2.0, 4.0)], [(2.0, 3.5)])
    text = render(report, curves)
    page = Page(text)
    assert page.open == []
    assert all(f"<h2>{name}" in text for name in SECTIONS)
    assert not set(page.tags) & {"script", "img", "link", "iframe", "object", "image", "use"}
    assert not any(
        name in ("src", "href", "xlink:href", "style") or name.startswith("on") for _, name, _ in page.attributes
    )
    assert not re.search(r"https?:|url\(|@import", text)
    assert "nan" not in re.findall(r"\w+", page.text.lower().replace(report.source, ""))
    # Every chart says in words what it shows; the swatches of the legend are hidden from screen readers.
    pictures = [
        (name, value) for tag, name, value in page.attributes if tag == "svg" and name in ("aria-label", "aria-hidden")
    ]
    assert len(pictures) == page.tags.count("svg")
    assert sum(name == "aria-label" and len(value or "") > 20 for name, value in pictures) == 8
    assert "picked by seed, not by hand" in text and "no curves" not in text
    assert "no curves" in render(report, None)


def test_other_books_give_the_scale(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    style = report.style
    stranger = OtherBook("far/stranger.txt", 12.0, {part.name: 34.0 for part in style.parts}, 5.0, 6.0)
    found = replace(report, style=replace(style, other_books=[stranger]))
    delta = next(part.score for part in style.parts if part.name == DELTA)
    rows = Page(render(found, None)).text
    assert f"generated{style.score:.0f}{delta:.0f}" in rows and "far/stranger.txt12345.006.00" in rows
    assert f"this book, held out{style.held_out_score:.0f}{style.held_out_parts[DELTA]:.0f}" in rows
    assert "this book, held out" not in render(report, None)
    show(found, verbose=True)
    printed = capsys.readouterr().out
    assert re.search(r"stranger\.txt +│ 12 +│ 34 +│ 5\.00 +│ 6\.00", printed)
    assert re.search(rf"generated +│ {style.score:.0f} +│ {delta:.0f} ", printed)


def test_texts_are_escaped(report: Report) -> None:
    assert report.novelty.nearest is not None
    nearest = replace(report.novelty.nearest, sample_text=HOSTILE, training_text=HOSTILE)
    hostile = replace(
        report,
        source=HOSTILE,
        samples=[HOSTILE],
        novelty=replace(report.novelty, nearest=nearest),
        coherence=replace(report.coherence, loop=replace(report.coherence.loop, words=2, phrase=HOSTILE)),
        leaks=Leaks(10, 10, 1.0, HOSTILE),
        thresholds=[replace(t, met=False) for t in report.thresholds],
        likelihood=[*report.likelihood, replace(report.likelihood[1], name=HOSTILE)],
    )
    text = render(hostile, None)
    assert "<script" not in text and "<img" not in text
    page = Page(text)
    assert page.text.count(HOSTILE) >= 7 and page.open == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("unigram", 3, 0.9, 1.1), row("5-gram Kneser-Ney", 1.8, -0.3, -0.1)], "loses to the n-grams."),
        ([row("unigram", 3, 0.9, 1.1), row("5-gram Kneser-Ney", 2.2, 0.1, 0.3)], "the model beats the n-grams."),
        ([row("bigram", 2.01, -0.1, 0.12)], "is level with the n-grams."),
        (
            [row("bigram", 1.5, -0.6, -0.4), row("PPMd order 8, primed", 2.5, 0.4, 0.6), row("uniform", 4, 1, 3)],
            "loses to the n-grams, and beats PPMd.",
        ),
        (
            [row("autoregressive twin", 1.9, -0.2, -0.05), row("PPMd order 8, primed", 1.8, -0.3, -0.1)],
            "loses to PPMd and its autoregressive twin.",
        ),
        ([row("diffusion (chain rule)", 1.0, -1.1, -0.9), row("uniform", 4, 1, 3)], "nothing but chance"),
    ],
)
def test_the_verdict_says_who_wins(report: Report, rows: list[Likelihood], said: str) -> None:
    assert said in headline([made_up(report, *rows)])
    assert said in render(made_up(report, *rows), None)


def test_the_verdict_over_checkpoints_counts_them(report: Report) -> None:
    better = made_up(report, row("bigram", 2.5, 0.4, 0.6))
    worse = made_up(report, row("bigram", 1.5, -0.6, -0.4))
    assert headline([better, better]).endswith("the model beats the n-grams, with each of 2 checkpoints.")
    said = headline([better, better, worse])
    assert "loses to the n-grams (1 of 3 checkpoints), and beats the n-grams (2 of 3 checkpoints)" in said


def test_a_model_that_learnt_from_other_books_says_so(report: Report) -> None:
    own = made_up(report, row("bigram", 2.5, 0.4, 0.6))
    after = replace(own, shelf=["emma.txt", "dorian.txt"])
    said = "On this held-out text the model, which has learnt from 2 other books first, beats the n-grams"
    assert headline([after]) == f"{said}." and headline([own, after]) == f"{said}, with each of 2 checkpoints."
    assert said in render(after, None) and "emma.txt, dorian.txt" in render(after, None)
    assert "other books" not in headline([own]) + " ".join(details(own))


def test_the_details_name_the_best_rival_and_what_is_missing(report: Report) -> None:
    found = made_up(report, row("bigram", 1.9, -0.2, -0.05), row("3-gram Kneser-Ney", 1.5, -0.6, -0.4))
    first, missing, *_ = details(found)
    assert "3-gram Kneser-Ney" in first and "0.500 more (95 % interval 0.400 to 0.600 more)" in first
    assert "twin (give --twin)" in missing and "PPMd" in missing
    level = details(made_up(report, row("bigram", 2.01, -0.1, 0.12)))[0]
    assert "-0.120 to +0.100, which leaves it open" in level


def test_leaks_come_first(report: Report) -> None:
    assert warning(report) is None
    leaky = replace(
        report, leaks=Leaks(10, 9, 0.9, "Known words."), thresholds=[replace(t, met=False) for t in report.thresholds]
    )
    said = warning(leaky)
    assert said is not None and "9 of 10" in said
    text = render(leaky, None)
    assert text.index("9 of 10") < text.index("On this held-out text")


def test_a_difference_is_paired() -> None:
    """A rival that is always one bit per byte worse leaves no doubt, however much the windows differ."""
    count = 40
    held = HeldOut([torch.zeros(4)] * count, np.arange(count), np.zeros(count, int), np.full(count, 8), 2.0)
    nats = np.random.default_rng(0).uniform(1, 30, count)
    own = resample(nats, held, 200, 0)
    found = summarise("worse", nats + 8 * np.log(2), held, 200, 0, own)
    assert found.against_model is not None
    figures = (found.against_model.bits_per_byte, found.against_model.low, found.against_model.high)
    assert figures == pytest.approx((1.0, 1.0, 1.0)) and found.high - found.low > 0.1
    assert summarise("own", nats, held, 200, 0).against_model is None


def test_several_checkpoints_have_a_mean_and_a_spread(report: Report, tmp_path: Path) -> None:
    own = report.likelihood[0]
    other = replace(report, likelihood=[replace(own, bits_per_byte=own.bits_per_byte + 1), *report.likelihood[1:]])
    lacking = replace(other, style=replace(other.style, score=7.0), likelihood=other.likelihood[:2])
    seeds = combine(["<a>", "b", "c"], [report, other, lacking])
    figures = {figure.name: figure for figure in seeds.figures}
    bound = figures["bits per byte: diffusion (bound)"]
    assert bound.values == [own.bits_per_byte, own.bits_per_byte + 1, own.bits_per_byte + 1]
    assert bound.spread is not None and bound.spread.mean == pytest.approx(own.bits_per_byte + 2 / 3)
    assert bound.spread.deviation == pytest.approx(3**-0.5)
    assert figures["bits per byte: uniform"].spread is None  # the third lacks the row
    seeds.write(tmp_path / "seeds.json")
    assert TypeAdapter(SeedsReport).validate_json((tmp_path / "seeds.json").read_bytes()) == seeds
    text = render(report, None, seeds)
    # Everything about the first checkpoint alone is under that heading.
    assert text.index("<h2>Checkpoints") < text.index("<h2>The first checkpoint") < text.index(details(report)[0][:40])
    assert "&lt;a&gt;" in text and "<a>" not in text


def test_the_log_beside_a_checkpoint_gives_the_curves(tmp_path: Path) -> None:
    assert read_curves(tmp_path / "best_model.pt") is None
    log = tmp_path / "logs" / "metrics.jsonl"
    log.parent.mkdir()
    every = {"event": "StepDone", "total": 9, "seconds": 1.0}
    steps = [every | {"step": i, "loss": float(i)} for i in range(1, 2 * POINTS + 1)]
    rows = [*steps, {"event": "Validated", "step": 4, "bits_per_byte": 2.5}, {"event": "Sampled", "step": 5}]
    log.write_text("".join(json.dumps(each) + "\n" for each in rows))
    found = read_curves(tmp_path / "best_model.pt")
    assert found is not None and found.validation == [(4.0, 2.5)]
    assert len(found.training) == POINTS and found.training[0] == (1.5, 1.5)
    by_minutes = read_curves(tmp_path / "best_model.pt", minutes=True)
    assert by_minutes is not None and by_minutes.validation == [(4 / 60, 2.5)]
    # A run that crashed and was resumed: a repeated step, a loss that is NaN, a last line cut short.
    again = [every | {"step": 2, "loss": 7.0}, every | {"step": 3, "loss": float("inf")}]
    log.write_text("".join(json.dumps(each) + "\n" for each in [*steps[:3], *again]) + '{"event": "Step')
    assert read_curves(tmp_path / "best_model.pt") == Curves([(1.0, 1.0), (2.0, 7.0)], [])
    log.write_text('{"event": "StepDone", "step"\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl:1"):
        read_curves(tmp_path / "best_model.pt")


def test_scales_and_ticks() -> None:
    plain = Scale(0, 10, 100, 200)
    assert (plain.at(0), plain.at(5), plain.at(10)) == (100, 150, 200)
    assert [text for _, text in plain.ticks()] == ["0", "2", "4", "6", "8", "10"]
    log = Scale(1, 1000, 0, 300, log=True)
    assert (log.at(1), log.at(10), log.at(1000)) == (0, 100, 300)
    assert log.ticks() == [(0, "1"), (100, "10"), (200, "100"), (300, "1000")]
    assert [text for _, text in Scale(2, 20, 0, 1, log=True).ticks()] == ["2", "5", "10", "20"]
    assert [text for _, text in Scale(31, 39, 0, 1, log=True).ticks()] == ["32", "34", "36", "38"]
    assert [text for _, text in Scale(-1, 1, 0, 1).ticks()] == ["-1", "-0.5", "0", "0.5", "1"]
    upright = line_chart("t", "a", "x", "y", [Line("l", [(0, 1), (1, 2)])])
    assert upright.y.at(1) > upright.y.at(2)  # figures rise, pixels fall
    single = line_chart("t", "a", "x", "y", [Line("l", [(3, 3)])])
    assert np.isfinite([single.x.at(3), single.y.at(3)]).all()
    low, middle, high = map(row_chart("t", "a", "x", [row("m", 2.0)], {"m"}).x.at, (1.9, 2.0, 2.1))
    assert low < middle < high and middle - low == pytest.approx(high - middle, abs=0.2)


def test_histogram_and_ranks() -> None:
    shares = length_shares(np.array([1, 4, 5, 59, 60, 900]))
    assert len(shares) == 13 and shares.sum() == pytest.approx(1)
    assert (shares[0], shares[1], shares[11], shares[12]) == pytest.approx((2 / 6, 1 / 6, 1 / 6, 2 / 6))
    assert rank_shares("a b a c a b".split(), (1, 2, 3, 5)) == [3 / 6, 2 / 6, 1 / 6, None]


def test_passes_are_counted(config: ProjectConfig) -> None:
    settings = EvaluationConfig(
        draws=3, chain_rule=False, breakdown_draws=0, samples=2, sample_tokens=20, novelty_steps=(), temperatures=()
    )
    generation = config.generation.model_copy(update={"steps": 5, "temperature": 0.8})

    def count(causal: bool = False, context: int = 20, **changes: object) -> int:
        changed = settings.model_copy(update=changes)
        model = ModelConfig.smoke().model_copy(update={"causal": causal, "context": context})
        return sum(count_passes(7, changed, generation, model).values())

    assert count() == 7 * 3 + 2 * 5
    assert count(breakdown_draws=2) - count() == 2 * 7 * (9 + 3 * FORMAT_COST)
    assert count(novelty_steps=(5, 9)) - count() == 2 * 9
    assert count(temperatures=(0.8, 1.0)) - count() == 2 * 5
    assert count(context=10) - count() == 2 * 5 * 2  # a block of 10, then two of 5
    assert count(causal=True) == count(causal=True, context=10) == 2 * 20  # token by token
    # At least one per block.
    generation = generation.model_copy(update={"sampler": "entropy", "block": 2})
    assert count() == 7 * 3 + 2 * 10 and count(context=10) == 7 * 3 + 2 * (5 + 5 + 5)


def test_the_time_is_told_before_the_work_by_the_steps_own_names(checkpoint: Checkpoint, data: Processed) -> None:
    settings = checkpoint.config.evaluation.model_copy(update={"chain_rule": True, "windows": 2})
    events = evaluate(checkpoint, data, settings, checkpoint.config.generation, torch.device("cpu"))
    names: list[str] = []
    expected = None
    for event in events:
        if isinstance(event, Expected):
            expected, before = event, list(names)
        else:
            names.append(getattr(event, "name", ""))
    assert expected is not None and before[-1] == "timing a batch of each kind"
    assert not any("likelihood" in name for name in before)
    assert all(seconds > 0 for seconds in expected.parts.values())
    assert expected.seconds == pytest.approx(sum(expected.parts.values()))
    # Every part is a step that begins after the estimate; all steps to come were in the estimate.
    assert {name for name in names[len(before) :] if name} == set(expected.parts)


def test_long_steps_tell_how_far_they_are(checkpoint: Checkpoint, data: Processed) -> None:
    settings, generation = checkpoint.config.evaluation, checkpoint.config.generation
    told: dict[str, list[tuple[int, int]]] = {}
    for event in evaluate(checkpoint, data, settings, generation, torch.device("cpu")):
        if isinstance(event, Step) and event.total:
            told.setdefault(event.name, []).append((event.done, event.total))
    assert set(told) == {
        "likelihood of the model", "likelihood by mask rate and by format", "PPMd", "writing samples",
        "writing samples with steps 2", "writing samples with temperature 0.5",
    }  # fmt: skip
    for steps in told.values():
        assert len({total for _, total in steps}) == 1 and len(steps) > 1
        assert [done for done, _ in steps] == sorted({done for done, _ in steps})
        assert steps[-1][0] == steps[-1][1]


def test_the_time_left_follows_how_the_parts_went() -> None:
    left = Remaining(Expected({"a": 10.0, "b": 20.0, "c": 30.0}))
    left.begin("unforeseen", 0.0)
    assert left.left(0, 0, 7.0) == 60  # a step that was not estimated says nothing about the pace
    left.begin("a", 7.0)
    assert left.left(0, 0, 11.0) == 56 and left.left(0, 0, 40.0) == 50  # it cannot take less than nothing
    left.begin("b", 27.0)  # "a" took twice as long as estimated
    assert left.left(0, 0, 27.0) == 100
    assert left.left(5, 20, 37.0) == pytest.approx(90)  # a quarter of "b" in 10 s, at the same pace
    assert left.left(10, 20, 37.0) == pytest.approx(40 * 30 / 20)  # half of it: an estimated 20 took 30
    left.begin("between", 47.0)  # "b" took as long as estimated: an estimated 30 took 40
    assert left.left(0, 0, 47.0) == left.left(0, 0, 50.0) == pytest.approx(40)
    left.begin("c", 50.0)
    left.begin("", 60.0)
    assert left.left(0, 0, 60.0) == 0


def test_the_line_of_progress_tells_step_and_time_left() -> None:
    line = ProgressLine()
    assert str(line.__rich__()) == ""
    line.step(Step("[reading]"))
    assert str(line.__rich__()) == "[reading]"
    line.remaining = Remaining(Expected({"a": 7200.0}))
    line.step(Step("b", 2, 4))
    assert str(line.__rich__()) == "b: 2 of 4; 2h00m left in all"


def test_the_command_takes_several(
    checkpoint: Checkpoint, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / name / "best_model.pt" for name in ("a", "b")]
    for path in paths:
        save_checkpoint(path, checkpoint)

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["evaluate", "--data-dir", str(prepared), "--device", "cpu", *arguments])
        return int(ended.value.code or 0)

    assert run(*map(str, paths)) == 0
    printed = capsys.readouterr().out
    assert "2 checkpoints" in printed and "about" in printed and "On this held-out text" in printed
    seeds = TypeAdapter(SeedsReport).validate_json((tmp_path / "a" / "evaluation_seeds.json").read_bytes())
    assert [Path(p) for p in seeds.checkpoints] == paths and seeds.reports[0] == seeds.reports[1]
    assert all(figure.spread is None or figure.spread.deviation == 0 for figure in seeds.figures)
    assert "<h2>Checkpoints" in (tmp_path / "a" / "report_seeds.html").read_text(encoding="utf-8")
    assert run(str(paths[0])) == 0
    single = TypeAdapter(Report).validate_json((tmp_path / "a" / "evaluation.json").read_bytes())
    assert single == seeds.reports[0] and (tmp_path / "a" / "report.html").exists()
    capsys.readouterr()
    for arguments, said in (
        ((str(paths[0]), "--checkpoint", str(paths[1])), "not both"),
        ((str(paths[0]), str(paths[0])), "twice"),
        ((str(paths[0]), "--fast", "--preset", "default"), "leave one out"),
        ((str(paths[0]), "--output", "x.html"), "for the JSON"),
    ):
        assert run(*arguments) == 2
        assert said in capsys.readouterr().err
    assert run("--schema") == 0
    assert json.loads(capsys.readouterr().out) == schema()


def test_presets_differ_where_they_say() -> None:
    plain = EvaluationConfig.default().model_dump()
    changed = {
        name: {key for key, value in getattr(EvaluationConfig, name)().model_dump().items() if value != plain[key]}
        for name in ("fast", "comprehensive", "memory_efficient")
    }
    assert changed["memory_efficient"] == {"batch_size"}
    assert changed["comprehensive"] == {"draws", "breakdown_draws", "samples", "novelty_steps", "temperatures"}
    left_out = {"windows", "chain_rule", "long_context", "ppm_order", "ngram_orders", "two_sample_words"}
    assert changed["fast"] == changed["comprehensive"] | left_out


BLIND = {"evaluation.seed": 0, "evaluation.blind_passages": 8}


def blind_test(path: Path, hash_of: str, answers: dict[str, int], rates: bool = True) -> AnswerStore:
    """A finished test of four real and four generated passages, with each rater's number of right answers per kind."""
    passages = [BlindPassage(f"{kind} <passage> {n}", kind == "Old") for n in range(4) for kind in ("Old", "New")]
    store = AnswerStore.create(path, Origin(BLIND, "best_model.pt", hash_of, "b.txt", "1" * 64, "2030-01-01"), passages)
    for rater, right in answers.items():
        store.join(rater, rates)
        while (question := store.next_question(rater)) is not None:
            real, number = question.text.startswith("Old"), int(question.text[-1])
            if question.ask == "verdict":
                store.record(question, "real" if real == (number < right) else "generated")
            else:
                store.record(question, 4 if real else 2)
    return store


def test_people_stand_on_the_page_and_in_the_verdict(report: Report, tmp_path: Path) -> None:
    assert report.blind is None and "Blind test" not in render(report, None)
    with blind_test(tmp_path / "b.sqlite", "0" * 64, {"<anna>": 4, "bob": 3}) as store:
        store.join("cem", False)
        found = replace(report, blind=people_report(store, 100))
    assert found.blind is not None
    low, high = wilson_interval(14, 16)
    said = f"2 raters told book and model apart in 14 of 16 answers, 88% (95 % interval {low:.0%} to {high:.0%}"
    assert any(said in line and "people tell it from the book" in line for line in details(found))
    page = Page(render(found, None))
    assert page.open == [] and page.text.count(said) == 2  # at the top and in its own part
    assert "<anna>8 of 8100 %" in page.text and "all raters14 of 1688 %" in page.text
    assert "style24.002.00+2.00+2.00 to +2.00" in page.text and "style undefined" not in page.text
    assert "real or generated 0." in page.text and "cem: 0 of 8 passages, not finished" in page.text
    found.write(tmp_path / "evaluation.json")
    assert TypeAdapter(Report).validate_json((tmp_path / "evaluation.json").read_bytes()) == found


@pytest.mark.parametrize(
    ("right", "told", "said"),
    [
        ({"a": 4}, True, "One rater told book and model apart in 8 of 8 answers, 100%"),
        ({"a": 0}, False, "people take it for the book"),
        ({"a": 2}, None, "50% (95 % interval 22% to 78%): that may be guessing"),
        ({}, None, "nobody has finished yet"),
    ],
)
def test_guessing_is_told_from_telling(tmp_path: Path, right: dict[str, int], told: bool | None, said: str) -> None:
    with blind_test(tmp_path / "b.sqlite", "0" * 64, right, rates=False) as store:
        found = people_report(store, 100)
    assert found.told_apart is told and said in people(found)


def test_the_command_reads_the_answers_about_its_checkpoint(
    checkpoint: Checkpoint, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, answers = tmp_path / "best_model.pt", tmp_path / "answers.sqlite"
    save_checkpoint(path, checkpoint)
    save_checkpoint(tmp_path / "other.pt", replace(checkpoint, meta=checkpoint.meta | {"step": 7}))
    blind_test(answers, hashlib.sha256(path.read_bytes()).hexdigest(), {"anna": 4}).close()

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["evaluate", "--data-dir", str(prepared), "--device", "cpu", "--blind-answers", *arguments])
        return int(ended.value.code or 0)

    assert run(str(answers), str(path)) == 0
    printed = capsys.readouterr().out
    assert "who can tell the book from the model" in printed and "One rater told book and model apart" in printed
    written = TypeAdapter(Report).validate_json((tmp_path / "evaluation.json").read_bytes())
    assert written.blind is not None and written.blind.scores[0].rater == "anna"
    assert "<h2>Blind test" in (tmp_path / "report.html").read_text(encoding="utf-8")
    for arguments, said in (
        ((str(answers), str(tmp_path / "other.pt")), "another model"),
        ((str(answers), str(path), str(tmp_path / "other.pt")), "one checkpoint"),
        ((str(tmp_path / "none.sqlite"), str(path)), "no blind test"),
    ):
        assert run(*arguments) == 2
        assert said in capsys.readouterr().err


@pytest.fixture(scope="module")
def few(checkpoint: Checkpoint) -> EvaluationConfig:
    return checkpoint.config.evaluation.model_copy(update={"windows": 3, "ngram_orders": (2,), "sample_tokens": 24})


def measure(checkpoint: Checkpoint, data: Processed, settings: EvaluationConfig, *more: Any) -> Iterator[Any]:
    how = GenerationConfig(steps=4, precision="float32")
    return evaluate(checkpoint, data, settings, how, torch.device("cpu"), *more)


def test_finished_parts_are_kept_and_used_again(
    checkpoint: Checkpoint, data: Processed, few: EvaluationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = tmp_path / "parts.json", list(measure(checkpoint, data, few))[-1]
    other = (NO_RIVALS, None, None)
    with pytest.raises(KeyboardInterrupt):  # in the last part
        for event in measure(checkpoint, data, few, *other, KeptParts(path, "a")):
            if isinstance(event, Step) and event.name == "frontier":
                raise KeyboardInterrupt
    kept = KeptParts(path, "a")
    assert {"likelihood of the model", "PPMd", BREAKDOWN, WRITING} < kept.names and not KeptParts(path, "b").names
    for name in ("mixture.bound_in_batches", "comparison.ngram_nats", "comparison.ppm_bits"):
        monkeypatch.setattr(f"tiny_diffusion.evaluation.likelihood.{name}", None)  # not callable
    monkeypatch.setattr("tiny_diffusion.evaluation.report.evaluate.write_samples", lambda *_: iter(()))
    monkeypatch.setattr("tiny_diffusion.evaluation.report.evaluate.break_down", lambda *_: iter(()))
    events = list(measure(checkpoint, data, few, *other, kept))
    assert events[-1] == whole
    [expected] = [event for event in events if isinstance(event, Expected)]
    assert not expected.parts.keys() & kept.names


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', "\ud800"])
def test_a_damaged_file_of_parts_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "parts.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match="delete it"):
        KeptParts(path, "a")


PARTS = {
    "style": "tiny_diffusion.evaluation.report.evaluate.measure_style",
    "coherence": "tiny_diffusion.evaluation.report.evaluate.measure_coherence",
    "novelty": "tiny_diffusion.evaluation.report.evaluate.measure_novelty",
    TWO_SAMPLE: "tiny_diffusion.evaluation.report.evaluate.measure_two_sample",
    "frontier": "tiny_diffusion.evaluation.report.evaluate.measure_frontier",
    WRITING: "tiny_diffusion.evaluation.report.evaluate.write_samples",
    BREAKDOWN: "tiny_diffusion.evaluation.report.evaluate.break_down",
    "bigram": "tiny_diffusion.evaluation.likelihood.comparison.ngram_nats",
    "PPMd order 2, primed": "tiny_diffusion.evaluation.likelihood.comparison.ppm_bits",
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_cannot_be_measured_says_so_in_its_place(
    checkpoint: Checkpoint,
    data: Processed,
    few: EvaluationConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    part: str,
) -> None:
    def fails(*_: object, **__: object) -> Any:
        raise UserError("there is too little of it")

    def fails_on_the_way(*_: object) -> Iterator[Step]:
        yield Step("first")
        raise UserError("there is too little of it")

    monkeypatch.setattr(PARTS[part], fails_on_the_way if part in (WRITING, BREAKDOWN) else fails)
    report = list(measure(checkpoint, data, few))[-1]
    assert report.missing[part] == "there is too little of it"
    gone = {"style", "coherence", "novelty", "frontier"} if part == WRITING else {part}
    for name in ("style", "coherence", "novelty", "frontier"):
        assert (getattr(report, name) is None) == (name in gone)
    assert report.likelihood[0].name == "diffusion (bound)" and report.likelihood[-1].name == "uniform"
    show(report)
    assert "there is too little of it" in " ".join(capsys.readouterr().out.split())
    report.write(tmp_path / "evaluation.json")
    read = TypeAdapter(Report).validate_json((tmp_path / "evaluation.json").read_bytes())
    assert read.missing == report.missing and "there is too little of it" in render(read, None)
    assert main_figures(report)


def test_the_two_sample_test_can_be_turned_off(checkpoint: Checkpoint, data: Processed, few: EvaluationConfig) -> None:
    settings = few.model_copy(update={"two_sample_words": 0})
    expected, *_, report = (e for e in measure(checkpoint, data, settings) if isinstance(e, Expected | Report))
    assert report.two_sample is None and TWO_SAMPLE not in {*expected.parts, *report.missing}


def test_a_file_of_version_4_is_read(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path / "evaluation.json")
    old = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8")) | {"version": 4}
    del old["missing"]
    assert TypeAdapter(Report).validate_python(old).missing == {}


def test_an_evaluation_is_saved_before_it_is_shown(
    checkpoint: Checkpoint, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Report, verbose: bool) -> None:
        raise SystemExit(0)  # as if the reader of the output had gone away

    monkeypatch.setattr("tiny_diffusion.cli.evaluation.report_tables.show", gone)
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    with pytest.raises(SystemExit):
        main(["evaluate", "--checkpoint", str(tmp_path / "model.pt"), "--data-dir", str(prepared)])
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt", "evaluation.json", "report.html"}
