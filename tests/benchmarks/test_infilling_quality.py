"""The benchmark of infilling: gaps are cut as asked, the figures of each rival are correct, and the script runs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tiny_diffusion.checkpoint import Checkpoint, new_model, save_checkpoint
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.language.words import split_words
from tiny_diffusion.data.ngrams import KneserNey
from tiny_diffusion.model.likelihood import chain_rule
from tiny_diffusion.model.transformer import Transformer

CAUSAL = {"model.causal": True, "training.objective": "autoregressive"}
CONTEXT = 64
LEVEL = 2


@pytest.fixture(scope="module")
def shape(config: ProjectConfig) -> ProjectConfig:
    return config.override(**{"model.context": CONTEXT, "model.vocab_level": LEVEL, "model.init_std": 0.3})


def built(shape: ProjectConfig, data: Processed, causal: bool = False) -> Transformer:
    torch.manual_seed(0)
    return new_model(shape.override(**CAUSAL) if causal else shape, data.tokenizer).eval()


def cut(data: Processed, most: int = 5, seed: int = 0) -> dict:  # type: ignore[type-arg]
    from gaps import cut_gaps

    return cut_gaps(data.texts("test"), data.tokenizer, LEVEL, CONTEXT, most, data.language, seed)


def test_gaps_are_whole_words_and_sentences_in_the_middle(data: Processed) -> None:
    found = cut(data, most=10**6)
    for kind, gaps in found.items():
        assert gaps
        for gap in gaps:
            assert data.tokenizer.decode(gap.filling) == gap.text and "\n" not in gap.text
            assert gap.bytes == len(gap.text.encode())
            assert len(gap.left) >= 8 and len(gap.right) >= 8 and len(gap.ids) <= CONTEXT
            words = len(split_words(gap.text))
            if kind == "sentence":
                assert gap.text.strip()[0].isupper() and gap.text[-1] == "."
            else:
                assert words == int(kind.split()[0]) and gap.text[-1].isalpha()
            whole = data.tokenizer.decode([*gap.before.tolist(), *gap.ids.tolist()])
            assert any(text.startswith(whole) for text in data.texts("test"))
            if len(gap.before) and not any(text == whole for text in data.texts("test")):
                assert abs(len(gap.left) - len(gap.right)) <= 1
    # Every word from the middle of a passage is present.
    assert len(found["1 word"]) > 0.9 * sum(len(split_words(text)) for text in data.texts("test")) - 100


def test_gaps_are_drawn_by_their_seed(data: Processed) -> None:
    texts = [[gap.text for gap in cut(data, seed=seed)["3 words"]] for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2] and len(texts[0]) == 5


def test_a_diffusion_model_is_scored_by_the_chain_rule(data: Processed, shape: ProjectConfig) -> None:
    from gap_rivals import Diffusion

    model, gaps = built(shape, data), cut(data)["3 words"]
    diffusion = Diffusion(model, data.tokenizer, data.training_text)
    found = diffusion.nats(gaps, right=False)
    for gap, nats in zip(gaps, found, strict=True):
        whole = {int(at): float(loss) for _, ats, ls in chain_rule(model, [gap.ids], 8) for at, loss in zip(ats, ls)}  # noqa: B905
        assert nats == pytest.approx(sum(whole[at] for at in range(gap.start, gap.end)), abs=1e-4)
    both = diffusion.nats(gaps, right=True)
    assert not np.allclose(both, found)
    # By the definition, for the first gap: its tokens from the left, with the rest of the window visible.
    gap, nats = gaps[0], 0.0
    for at in range(gap.start, gap.end):
        row = gap.ids.clone()
        row[at : gap.end] = 0
        with torch.no_grad():
            nats -= float(model(row[None])[0, at].log_softmax(-1)[gap.ids[at] - model.reserved])
    assert both[0] == pytest.approx(nats, abs=1e-4)


def test_the_twin_sees_the_left_side_alone(data: Processed, shape: ProjectConfig) -> None:
    from gap_rivals import Twin

    twin, gaps = Twin(built(shape, data, causal=True)), cut(data)["10 words"]
    for long in (False, True):
        for gap, nats in zip(gaps, twin.nats(gaps, long), strict=True):
            left = twin.left(gap, long).tolist()
            assert left == ([*gap.before.tolist(), *gap.left] if long else gap.left)[-(CONTEXT - gap.size) :]
            with torch.no_grad():
                logits = twin.model(torch.tensor([[2, *left, *gap.filling[:-1]]]))[0].log_softmax(-1)
            own = sum(float(logits[len(left) + i, t - 16]) for i, t in enumerate(gap.filling))
            assert nats == pytest.approx(-own, abs=1e-3)
    greedy = twin.fill(gaps, GenerationConfig(top_k=1, precision="float32"))
    assert [len(ids) for ids in greedy] == [gap.size for gap in gaps]
    with torch.no_grad():
        logits = twin.model(torch.tensor([[2, *twin.left(gaps[0], True).tolist()]]))[0, -1]
    assert greedy[0][0] == int(logits.argmax()) + 16


def test_counts_score_and_fill(data: Processed) -> None:
    from gap_rivals import Counts

    counts, gaps = Counts(data.texts("train"), data.tokenizer, LEVEL, 3), cut(data)["3 words"]
    model = KneserNey(
        3,
        data.tokenizer.level_size(LEVEL),
        [np.array(data.tokenizer.encode(text, LEVEL)) - 16 for text in data.texts("train")],
    )
    left = [-model.log_probs(gap.ids[: gap.end].numpy() - 16)[gap.start :].sum() for gap in gaps]
    np.testing.assert_allclose(counts.nats(gaps, right=False), left, rtol=1e-9)
    both = counts.nats(gaps, right=True)
    assert sum(both) < sum(left)  # in a made-up book with one pattern the right side is informative
    filled = counts.fill(gaps, right=True, beam=8)
    assert [len(ids) for ids in filled] == [gap.size for gap in gaps]
    likelier = [
        counts.two_sided.log_prob(*([i - 16 for i in ids] for ids in (gap.left, fill, gap.right)))
        for gap, fill in zip(gaps, filled, strict=True)
    ]
    assert all(a >= -b - 1e-9 for a, b in zip(likelier, both, strict=True))
    same, apart = (data.tokenizer.decode(counts.commonest(gaps, a)[0]).split() for a in (False, True))
    assert same == [counts.words[0]] * 3 and apart == counts.words[:3]


def test_words_are_compared_in_their_places_and_sentences_as_bags() -> None:
    from infilling_quality import agreement, measured

    assert agreement("3 words", " The old, Man", "the young man") == (200, 3)
    assert agreement("3 words", "old the", "the old man") == (0, 3)
    assert agreement("sentence", "The man, the man.", "A man saw the man.") == (200 * 3, 9)
    pairs, first = [(0.0, 1.0), (100.0, 1.0), (100.0, 2.0)], [(0.0, 1.0), (0.0, 1.0), (100.0, 2.0)]
    figure = measured("words", "a", "1 word", pairs, first, 2000)
    assert figure.value == 50 and figure.difference == 25
    assert figure.low == 0 and figure.high == 100 and figure.difference_low == 0 and str(figure) == "50.0 (0-100)"
    sure = measured("likelihood", "a", "1 word", [(2.0, 1.0)] * 3, [(1.0, 1.0)] * 3, 10)
    assert str(sure) == "2.00 (2.00-2.00)*" and sure.difference == sure.difference_low == 1


@pytest.mark.long
def test_it_runs(
    data: Processed, prepared: Path, shape: ProjectConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import infilling_quality

    for name, changes in (("model.pt", {}), ("twin.pt", CAUSAL)):
        config = shape.override(**changes)
        weights = new_model(config, data.tokenizer).state_dict()
        save_checkpoint(tmp_path / name, Checkpoint(config, data.tokenizer, weights, {"data": data.identity}))
    told = ["--checkpoint", tmp_path / "model.pt", "--twin", tmp_path / "twin.pt", "--data-dir", prepared]
    told += ["--gaps", "1", "--samplers", "entropy", "--steps", "--device", "cpu", "--json", tmp_path / "found.json"]
    monkeypatch.setattr("sys.argv", ["infilling_quality.py", *map(str, told)])
    infilling_quality.main()
    lines = capsys.readouterr().out.splitlines()
    assert any("| the text itself | 100.0 (100-100)" in line for line in lines)
    found = json.loads((tmp_path / "found.json").read_text())
    assert {f["table"] for f in found} == {"likelihood", "words", "infill", "judge"}
    ways = {(f["table"], f["way"]) for f in found}
    for table, kinds in (("likelihood", 4), ("words", 4), ("infill", 2)):
        assert sum(f["table"] == table for f in found) == kinds * sum(t == table for t, _ in ways)
    assert {"diffusion, both sides", "Kneser-Ney 5, both sides", "infill, entropy"} <= {way for _, way in ways}
    assert all(f["low"] <= f["high"] for f in found)
