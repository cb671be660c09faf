"""A model goes to other programs and comes back unchanged."""

import ast
import json
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from tiny_diffusion import exchange
from tiny_diffusion.checkpoint import Checkpoint, load_checkpoint, new_model, save_checkpoint
from tiny_diffusion.config import GenerationConfig, ProjectConfig
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.data.tokenizer import BOS, END, MASK, NUM_RESERVED
from tiny_diffusion.errors import UserError
from tiny_diffusion.exchange.folder import card as made_card
from tiny_diffusion.exchange.folder import read_evaluation, read_folder, write_folder
from tiny_diffusion.exchange.tokens import converted
from tiny_diffusion.model.autoregressive import next_token_logits
from tiny_diffusion.writing.judge import Judge

from ..cli.running import run

SHAPES: dict[str, dict[str, object]] = {
    "masked": {"model.controls": True, "model.tie_embeddings": False},
    "causal": {"training.objective": "autoregressive", "model.causal": True, "model.value_residual": True},
    "dual": {"training.objective": "dual", "model.dual": True, "model.controls": True, "model.qk_norm": False},
    "marked": {"training.objective": "dual", "model.dual": True},
}
TEXT = "The old miller carried the lantern of Kalomi, although the sailor forgot 3 “letters”."


@pytest.fixture(params=SHAPES)
def checkpoint(request: pytest.FixtureRequest, config: ProjectConfig, data: Processed) -> Checkpoint:
    """Of each reading, with weights large enough that all parts matter."""
    torch.manual_seed(1)
    changed = config.override(**SHAPES[request.param], **{"model.init_std": 0.3})
    model = new_model(changed, data.tokenizer)
    for name, weight in model.named_parameters():
        if weight.dim() == 1 or name.startswith("controls."):
            weight.data += 0.3 * torch.randn_like(weight)
    if model.controls is not None:
        model.controls.table.weight.data[0] = 0
    meta = {"source": "book.txt", "language": "en", "validation_bits_per_byte": 2.5, "words": "a b c", "lines": True}
    return Checkpoint(changed, data.tokenizer, model.state_dict(), meta | {"marks": request.param == "marked"})


def text_ids(checkpoint: Checkpoint, count: int = 24) -> torch.Tensor:
    return torch.tensor([checkpoint.tokenizer.encode(TEXT, checkpoint.config.model.vocab_level)[:count]])


def test_a_folder_comes_back_as_the_same_checkpoint(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_folder(tmp_path / "model", checkpoint)
    back = read_folder(tmp_path / "model")
    assert (back.config, back.meta) == (checkpoint.config, checkpoint.meta)
    assert back.tokenizer.to_json() == checkpoint.tokenizer.to_json()
    assert back.weights.keys() == checkpoint.weights.keys()
    assert all(torch.equal(back.weights[name], weight) for name, weight in checkpoint.weights.items())


def test_the_tokenizer_has_the_same_ids(checkpoint: Checkpoint) -> None:
    shape = checkpoint.config.model
    found = converted(checkpoint.tokenizer, shape)
    begin = [BOS] if shape.dual or shape.causal else []
    ids = checkpoint.tokenizer.encode(TEXT, shape.vocab_level)
    assert found.encode(TEXT).ids == begin + ids
    assert found.decode(found.encode(TEXT).ids) == TEXT
    assert found.get_vocab_size() == len(checkpoint.weights["embedding.weight"])
    one = checkpoint.tokenizer.encode("The", shape.vocab_level)
    assert found.encode("The <mask>").ids == [*begin, *one, MASK]


def test_foreign_and_damaged_folders_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no config.json"):
        read_folder(tmp_path)
    write_folder(tmp_path, checkpoint)
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match="damaged"):
        read_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="another program"):
        read_folder(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UserError, match="damaged"):
        read_folder(tmp_path)


def test_the_copied_code_needs_torch_and_transformers_only() -> None:
    tree = ast.parse((Path(exchange.__file__).parent / "modeling_tiny_diffusion.py").read_text(encoding="utf-8"))
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in found} == {"typing", "torch", "transformers"}


def test_the_commands(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "outputs" / "best_model.pt", checkpoint)
    row = {"name": "diffusion model", "bits_per_byte": 1.5, "low": 1.4, "high": 1.6}
    figures = {"source": "book.txt", "split": "test", "windows": 3, "window_tokens": 32, "likelihood": [row]}
    assert "no evaluation" in run(tmp_path, "export", "--to", "out").text
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "2.500 bits per byte on the validation" in card
    assert all((text in card) == checkpoint.marks for text in ("<chapter>", "`<eos>`, where `generate` stops"))
    assert ("No token ends a text" in card) != checkpoint.marks and "trained on one book only" in card
    learnt = replace(checkpoint, meta={**checkpoint.meta, "shelf": ["emma", "persuasion"]})
    assert "other books first: emma, persuasion." in made_card("model", learnt, None)
    (tmp_path / "outputs" / "evaluation.json").write_text(json.dumps(figures))
    run(tmp_path, "export", "--to", "out")
    assert "| diffusion model | 1.500 | 1.400-1.600 |" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    run(tmp_path, "import", "out", "--output", "back.pt")
    assert load_checkpoint(tmp_path / "back.pt").meta == checkpoint.meta
    (tmp_path / "other.json").write_text("{}")
    assert "not the report" in run(tmp_path, "export", "--to", "out", "--evaluation", "other.json", code=2).stderr
    assert "no evaluation at" in run(tmp_path, "export", "--to", "out", "--evaluation", "none.json", code=2).stderr


@pytest.mark.parametrize(
    "rows",
    [None, [None], [{"name": "m"}], [{"name": "m", "bits_per_byte": 1.5, "low": "x", "high": 2.0}]],
    ids=["no list", "no row", "no figures", "no number"],
)
def test_reports_without_what_the_card_shows_are_refused(tmp_path: Path, rows: object) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({"source": "a", "split": "test", "windows": 1, "window_tokens": 8, "likelihood": rows}))
    with pytest.raises(UserError, match="is not the report of one checkpoint"):
        read_evaluation(path)


@pytest.mark.long
@torch.no_grad()
def test_transformers_gives_the_same_logits(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers = pytest.importorskip("transformers")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    write_folder(tmp_path / "model", checkpoint)
    trust = {"trust_remote_code": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model", **trust)
    model, shape = checkpoint.build(torch.device("cpu")), checkpoint.config.model
    ids = text_ids(checkpoint)
    begun = torch.tensor([tokenizer(TEXT)["input_ids"][: ids.shape[1] + (shape.dual or shape.causal)]])
    padded = {
        "input_ids": torch.cat((torch.full((1, 3), tokenizer.pad_token_id), begun), dim=1),
        "attention_mask": torch.cat((torch.zeros(1, 3), torch.ones_like(begun)), dim=1),
    }
    if not shape.causal:
        masked = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "model", **trust)
        hidden, levels = ids.clone(), torch.tensor([[[1, 0, 2, 0]]])
        hidden[:, 3:7] = MASK
        rows = torch.cat((begun[:, : begun.shape[1] - ids.shape[1]], hidden), dim=1)
        for controls in (None, levels) if shape.controls else (None,):
            for dtype, error in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
                ours, theirs = deepcopy(model).to(dtype), deepcopy(masked).to(dtype)
                wanted = ours.logits(ours.hidden(ours.input_of(hidden), controls=controls)[:, : ids.shape[1]])
                found = theirs(rows, controls=controls).logits[:, -ids.shape[1] :, NUM_RESERVED:]
                torch.testing.assert_close(found, wanted, rtol=error, atol=error)
        filled = transformers.pipeline("fill-mask", model=masked, tokenizer=tokenizer)("The old <mask> carried.")
        assert len(filled) == 5 and all(0 < guess["score"] < 1 for guess in filled)
    if shape.causal or shape.dual:
        causal = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model", **trust)
        wanted = next_token_logits(model, ids, BOS)
        torch.testing.assert_close(causal(begun).logits[:, :-1, NUM_RESERVED:], wanted, rtol=1e-5, atol=1e-5)
        shifted = causal(**padded).logits[:, 3:-1, NUM_RESERVED:]
        torch.testing.assert_close(shifted, wanted, rtol=1e-4, atol=1e-4)
        if not checkpoint.marks:
            loss = torch.nn.functional.cross_entropy(wanted[0], ids[0] - NUM_RESERVED)
            torch.testing.assert_close(causal(begun, labels=begun).loss, loss)
        most = shape.context + 5
        written = causal.generate(begun[:, :5], min_new_tokens=most, max_new_tokens=most, do_sample=False)
        assert written.shape[1] == 5 + most and int(written[:, 1:].min()) >= NUM_RESERVED
        check_ends(checkpoint, causal, begun)
        assert torch.equal(written[:, 5], model_next(model, begun[:, :5]))
        causal.save_pretrained(tmp_path / "again")  # as after more training with transformers
        again = read_folder(tmp_path / "again")
        assert again.config == checkpoint.config
        assert all(torch.equal(again.weights[name], weight) for name, weight in checkpoint.weights.items())


def check_ends(checkpoint: Checkpoint, causal: torch.nn.Module, begun: torch.Tensor) -> None:
    """The law of END is ours, no other reserved id has one, and ``generate`` stops at END."""
    logits = causal(begun).logits
    lowest = END if checkpoint.marks else NUM_RESERVED
    assert bool(logits[..., :lowest].isneginf().all()) and bool(logits[..., lowest:].isfinite().all())
    assert causal.generation_config.eos_token_id == (END if checkpoint.marks else None)
    if not checkpoint.marks:
        return
    exact = GenerationConfig(precision="float32")
    judge = Judge(checkpoint.build(torch.device("cpu")), exact, logits.shape[-1] - NUM_RESERVED)
    torch.testing.assert_close(logits.softmax(-1)[0, :, END], judge.ends(begun[0, 1:]), rtol=1e-5, atol=1e-7)
    ends = torch.tensor([[*begun[0, 1:].tolist(), END]])
    wanted = -logits[0].log_softmax(-1).gather(1, ends.T).mean()
    labelled = torch.cat((begun, torch.tensor([[END]])), dim=1)
    torch.testing.assert_close(causal(labelled, labels=labelled).loss, wanted)
    state = causal.hidden(begun[:, :5], None, None, causal=True)[0, -1]
    causal.embedding.weight[END] = 100 * state
    assert causal.generate(begun[:, :5], max_new_tokens=9, do_sample=True).tolist() == [[*begun[0, :5].tolist(), END]]
    causal.embedding.weight[END] = checkpoint.weights["embedding.weight"][END]


def model_next(model: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """The likeliest token after ``rows``, which begin with BOS."""
    return model.logits(model.hidden(rows, causal=True)[:, -1]).argmax(-1) + NUM_RESERVED


@pytest.mark.long
@torch.no_grad()
def test_onnxruntime_gives_the_same_logits(checkpoint: Checkpoint, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    run(tmp_path, "export", "--checkpoint", "model.pt", "--to", "out", "--format", "onnx")
    session = runtime.InferenceSession(tmp_path / "out" / "model.onnx")
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    model = checkpoint.build(torch.device("cpu"))
    row = torch.tensor([tokenizer.encode(TEXT).ids[:20]])
    for rows, pads in ((row, 0), (row.expand(3, -1), 2)):
        padded = torch.nn.functional.pad(rows, (0, pads), value=1)
        mask = torch.nn.functional.pad(torch.ones_like(rows), (0, pads))
        (found,) = session.run(None, {"input_ids": padded.numpy(), "attention_mask": mask.numpy()})
        end = rows.shape[1] - model.shift
        wanted = model(rows)[:, :end]
        got = torch.from_numpy(found)[:, model.shift : model.shift + end, NUM_RESERVED:]
        assert found.shape == (*padded.shape, len(checkpoint.weights["embedding.weight"]))
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_onnx_needs_its_extra(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    done = run(tmp_path, "export", "--checkpoint", "model.pt", "--to", "out", "--format", "onnx", code=2)
    assert "tiny-diffusion[onnx]" in done.stderr and not (tmp_path / "out").exists()
