"""Faults of commands that a user may meet: each ends in one line and the right exit code, and nothing is lost."""

import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from click.testing import CliRunner

from tests.cli.running import environment, run
from tiny_diffusion.checkpoint import Checkpoint, load_checkpoint, new_model, save_checkpoint
from tiny_diffusion.cli.main import app
from tiny_diffusion.cli.writing.conversation import answer
from tiny_diffusion.cli.writing.session import Session
from tiny_diffusion.cli.writing.showing import Showing
from tiny_diffusion.config import GenerationConfig, ModelConfig, ProjectConfig
from tiny_diffusion.config.generation_config import Sampler
from tiny_diffusion.data.artefacts import Processed
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.curves import read_curves
from tiny_diffusion.files import fingerprint
from tiny_diffusion.sampling.draw import choose
from tiny_diffusion.writing.results import Run
from tiny_diffusion.writing.writer import Writer

COMMAND = [sys.executable, "-m", "tiny_diffusion"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, config: ProjectConfig, data: Processed) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "model.pt"
    meta = {"data": data.identity, "source": data.source}
    save_checkpoint(path, Checkpoint(config, data.tokenizer, new_model(config, data.tokenizer).state_dict(), meta))
    return str(path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["generate", "--help"],
        ["config"],
        ["config", "--reference"],
        ["generate", "--checkpoint", "MODEL", "--length", "3"],
        ["generate", "--checkpoint", "MODEL", "--length", "3", "--jsonl"],
        ["prepare", "--book", "BOOK", "--output", "DATA"],
    ],
)
def test_a_reader_that_went_away_is_no_failure(
    checkpoint: str, prepared: Path, tmp_path: Path, arguments: list[str]
) -> None:
    names = {"MODEL": checkpoint, "BOOK": str(prepared.parent / "book.txt"), "DATA": str(tmp_path / "processed")}
    reader, writer = os.pipe()
    os.close(reader)  # as where head has read its line and ended
    command = [*COMMAND, *(names.get(each, each) for each in arguments)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment())
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("arguments", [["config"], ["config", "--reference"], ["--help"]])
def test_a_full_disk_behind_the_output_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, env=environment())
    assert done.returncode == 1 and done.stderr.startswith(b"error: cannot write the output: No space left")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["prepare", "--book", "a.txt", "--output", "b", "--output", "c"], "--output"),
        (["generate", "--prompt", "A", "--prompt=B"], "--prompt"),
        (["evaluate", "--checkpoint", "a", "--checkpoint", "b"], "--checkpoint"),
        (["blind-test", "--rate", "--no-rate", "--rater", "a"], "--rate/--no-rate"),
        (["config", "--set", "training.seed=1", "--set", "training.seed=2"], "training.seed"),
        (["prepare", "--book", "a", "--pipeline.seed", "1", "--set", "pipeline.seed=2"], "pipeline.seed"),
        (["generate", "--temperature", "1", "--generation.temperature", "2"], "generation.temperature"),
        (["evaluate", "--eval-batch-size", "1", "--evaluation.batch_size", "2"], "evaluation.batch_size"),
        (["twin", "--seeds", "1", "--set", "study.seeds=2"], "study.seeds"),
    ],
)
def test_what_is_given_twice_is_refused(tmp_path: Path, prepared: Path, arguments: list[str], name: str) -> None:
    data = ["--data-dir", str(prepared)] if arguments[0] == "twin" else []
    assert f"error: {name} is given 2 times" in run(tmp_path, *arguments, *data, code=2).stderr


def test_options_of_many_values_are_not_counted(tmp_path: Path) -> None:
    assert "no checkpoint" in run(tmp_path, "evaluate", "--hf", "a", "--hf", "b", "--fast", "--fast", code=2).stderr


HUGE = str(10**20)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "--seed", HUGE], "generation.seed"),
        (["generate", "--set", f"training.seed={HUGE}"], "training.seed"),
        (["config", "--set", f"pipeline.seed={2**32}"], "pipeline.seed"),
        (["config", "--set", f"evaluation.seed={2**32}"], "evaluation.seed"),
        (["generate", "--temperature", "1e-40"], "generation.temperature=1e-40 should be greater than"),
        (["generate", "--temperature", "1e300"], "generation.temperature"),
        (["generate", "--generation.top_p", "1e-320"], "generation.top_p"),
        (["generate", "--guidance", "1e30"], "generation.guidance"),
        (["generate", "--generation.repetition_penalty", "1e40"], "generation.repetition_penalty"),
        (["config", "--set", "evaluation.temperatures=[1, 0]"], "evaluation.temperatures"),
        (["config", "--set", "evaluation.novelty_steps=[0]"], "evaluation.novelty_steps"),
        (["generate", "--prompt", "caf\udce9"], "--prompt is not UTF-8 at character 4"),
        (["infill", "caf\udce9 ___"], "TEMPLATE is not UTF-8"),
        (["infill", "A ___.", "--must", "caf\udce9"], "--must is not UTF-8"),
        (["rewrite", "caf\udce9"], "TEXT is not UTF-8"),
        (["infill", "A ___.", "--output", "folder"], "folder is a folder"),
        (["rewrite", "A", "--output", "file/x.txt"], "cannot make the folder file"),
        (["generate", "--html", "file/x.html"], "cannot make the folder file"),
        (["generate", "--interactive", "--history", "folder"], "folder is a folder"),
        (["evaluate", "--output", "folder"], "folder is a folder"),
        (["evaluate", "--output", "file/x.json"], "cannot make the folder file"),
        (["twin", "--output", "file"], "is a file"),
        (["twin", "--twin-output", "file"], "is a file"),
        (["compare", "--no-plot", "--output", "file/new"], "is a file"),
        (["ablation", "--output", "file"], "is a file"),
        (["blind-test", "--rater", "anna", "--answers", "folder"], "folder is a folder"),
        (["prepare", "--book", "none.txt", "--output", "file"], "is a file"),
        (["prepare", "--book", ""], "need a name"),
    ],
)
def test_settings_and_places_that_cannot_be_are_refused_before_the_work(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    assert words in run(tmp_path, *arguments, code=2).stderr  # no model is there, and none is asked for


def test_a_refused_resume_leaves_no_folder(tmp_path: Path, prepared: Path) -> None:
    given = ["--config", "smoke", "--data-dir", str(prepared), "--output", "new"]
    assert "nothing to resume" in run(tmp_path, "train", "--resume", *given, code=2).stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("temperature", [1e-6, 1e6])
@pytest.mark.parametrize("guidance", [0.0, 1e6])
def test_the_bounds_of_what_multiplies_logits_give_a_law(temperature: float, guidance: float) -> None:
    settings = GenerationConfig(temperature=temperature, guidance=guidance, top_p=1e-6, repetition_penalty=1e6)
    logits = torch.tensor([[80.0, -80.0, 0.0], [3.0, 3.0, -torch.inf]])
    logits = logits * max(1.0, settings.guidance) / torch.tensor([[1.0], [settings.repetition_penalty]])
    ids, chances = choose(logits, settings, torch.Generator().manual_seed(0))
    assert ids[0] == 0 and bool(chances.isfinite().all())


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "zip", "folder", "pickle", "foreign", "parts"])
def test_a_checkpoint_that_is_none(checkpoint: str, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "some.pt"
    whole = Path(checkpoint).read_bytes()
    if kind == "folder":
        path.mkdir()
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("a.txt", "text")
    elif kind == "foreign":
        torch.save([1, 2], path)
    elif kind == "parts":
        torch.save({"format": "tiny_diffusion", "version": 1, "weights": {}}, path)
    else:
        kinds = {"text": b"Dear diary,\n" * 40, "empty": b"", "cut": whole[: len(whole) // 2]}
        path.write_bytes(kinds.get(kind) or (b"" if kind == "empty" else pickle.dumps({"a": Path()})))
    with pytest.raises(UserError, match=re.escape(str(path))):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\n", b'{"event": "StepDone"}\n', b'{"event": "StepDone", "step": 1e999, "loss": 1}\n']
)
def test_a_log_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.jsonl").write_bytes(content)
    with pytest.raises(UserError, match="move the file away"):
        read_curves(tmp_path / "best_model.pt")


BYTES_KEPT = (
    "\ufeff\x1b[31mred\x1b[0m\r\nThe old \x07\x0bmiller\tsold {} it.\r\n\x1b]0;title\x1b\\é\u0085 " + "end " * 25
)


def test_infill_and_rewrite_keep_each_byte(checkpoint: str, tmp_path: Path) -> None:
    before, after = BYTES_KEPT.split("{}")
    (tmp_path / "in.txt").write_bytes((before + "___" + after).encode())
    options = ["--checkpoint", checkpoint, "--device", "cpu", "--steps", "2"]
    source = ["infill", "--file", str(tmp_path / "in.txt"), *options]
    printed = run(None, *source).stdout
    run(None, *source, "--output", str(tmp_path / "out.txt"))
    assert printed == (tmp_path / "out.txt").read_bytes()
    kept = before.removeprefix("\ufeff").encode()  # the mark says that it is UTF-8, and is no part of the text
    assert printed.startswith(kept) and printed.endswith(after.encode()), printed
    spans = ["rewrite", f"[[{before[1:]}]]now [[{after}]]", "--strength", "1", *options]
    printed = run(None, *spans).stdout
    assert printed.startswith(kept) and printed.endswith(after.encode() + b"\n"), printed
    written = ["generate", "--prompt", before[1:].rstrip(), *options[:4], "--length", "3", "--steps", "2"]
    printed = run(None, *written).stdout
    assert printed.startswith(kept.rstrip()), printed


def test_what_a_session_cannot_do_ends_no_session(checkpoint: str, tmp_path: Path) -> None:
    lines = ["/set generation.length=3", "The old", "/save ~nobody-at-all/x", f"/save {tmp_path}", "/save a\0b"]
    lines += [f"/save {'x' * 5000}", "/set generation.seed=" + "[" * 5000, "/infill {" + "9" * 5000 + " words}"]
    typed = "\n".join(lines).encode() + b"\ncaf\xe9\nA new\n/save texts.txt\n\n"
    command = [*COMMAND, "generate", "--interactive", "--history", "lines", "--checkpoint", checkpoint]
    done = subprocess.run(command, capture_output=True, input=typed, env=environment(), cwd=tmp_path)
    said = done.stdout.decode()
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert said.count("error: ") == len(lines) - 1 and "2 texts saved" in said, said
    assert (tmp_path / "texts.txt").exists() and (tmp_path / "lines").exists()


class Failing:
    """A writer whose machine fails in one of its ways."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    model = SimpleNamespace(config=ModelConfig())

    def writing(self, prompt: str, settings: GenerationConfig) -> Run:
        raise self.error
        yield


@pytest.mark.parametrize("error", [RuntimeError("inf"), OSError(28, "full"), MemoryError(), RecursionError("deep")])
def test_a_failing_machine_ends_no_session(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(Failing(error), GenerationConfig(), Showing(watch=False, pace=0))  # type: ignore[arg-type]
    session.texts.append("kept")
    answer(session, "The old")
    assert session.texts == ["kept"] and f"error: {type(error).__name__}" in capsys.readouterr().out
    with pytest.raises(BrokenPipeError):
        session.writer = Failing(BrokenPipeError())  # type: ignore[assignment]
        answer(session, "A")


def rows_of(checkpoint: str, *arguments: str) -> list[dict[str, Any]]:
    fixed = ["--checkpoint", checkpoint, "--device", "cpu", "--jsonl"]
    done = CliRunner().invoke(app, [*arguments, *fixed], standalone_mode=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "--prompt", "The old", "--length", "9", "--temperature", "0.7"],
        ["infill", "The {2 words} sold ___.", "--must", "river", "--generation.gap_sampler", "ancestral"],
        ["rewrite", "The [[old]] miller sold the quiet lantern.", "--strength", "0.6"],
    ],
)
def test_a_text_can_be_had_again_from_its_json_line(checkpoint: str, arguments: list[str]) -> None:
    for row in rows_of(checkpoint, *arguments, "--num-samples", "2", "--seed", "5", "--steps", "3"):
        writer = Writer.load(row["checkpoint"], "cpu")
        settings = GenerationConfig(**row["generation"])
        assert (settings.seed, settings.num_samples) == (row["seed"], row["num_samples"]) == (5, 2)
        if "prompt" in row:
            texts = writer.write(row["prompt"], settings)
        elif "template" in row:
            texts = writer.infill(row["template"], settings, tuple(row["must"]))
        else:
            texts = writer.rewrite(row["original"], settings)
        assert row["text"] == texts[row["sample"] - 1].text
        assert row["checkpoint_sha256"] == fingerprint(Path(checkpoint)) and row["version"] == version("tiny-diffusion")


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_a_sample_is_the_same_however_many_are_asked_for(checkpoint: str, sampler: str) -> None:
    writer = Writer.load(checkpoint, "cpu")
    how = GenerationConfig(sampler=sampler, length=15, steps=9, seed=7, precision="float32")
    texts = [[t.text for t in writer.write("The", how.model_copy(update={"num_samples": n}))] for n in (1, 2, 3)]
    assert texts[0] == texts[2][:1] and texts[1] == texts[2][:2] and len(set(texts[2])) == 3


def test_saved_animations_are_told_and_count_all_steps(checkpoint: str, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    written = ["generate", "--prompt", "The", "--length", "50", "--steps", "4", "--html", str(page)]
    done = CliRunner().invoke(app, [*written, "--checkpoint", checkpoint], standalone_mode=False)
    assert f"animation saved in {page}" in done.output
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.S)
    assert data is not None
    [film] = json.loads(data[1])["films"]  # 50 tokens go beyond the context of 32: two blocks, each of four steps
    assert [frame["step"] for frame in film][: len(film) - 1] == list(range(len(film) - 1)) and len(film) > 8
    assert {frame["steps"] for frame in film} == {film[-1]["step"]}
