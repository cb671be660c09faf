"""Fuzz all that reads files of others, guided by the branches that each input reaches; keep what reaches new ones.

    pip install atheris
    python -m tests.storm.guided --minutes 60                # for each reader
    python -m tests.storm.guided --minutes 5 epub config.yaml

A reader takes bytes as the content of a file. It must take them or raise a UserError of one line, within SECONDS.
Inputs that a reader broke on, and few others, lie in ``corpus/READER`` and are read again by ``test_corpus.py``.
"""

import argparse
import base64
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

try:
    import atheris
except ModuleNotFoundError:  # the corpus can be read without it
    atheris = None
OURS = ["tiny_diffusion", "html", "yaml", "tomllib", "markdown_it", "zipfile"]  # whose branches guide

with nullcontext() if atheris is None else atheris.instrument_imports(include=OURS):
    from tests.conftest import make_book
    from tests.storm.fuzz import BOOKS, EPUB, HTML, zipped
    from tiny_diffusion.checkpoint import load_checkpoint
    from tiny_diffusion.config import PipelineConfig, ProjectConfig
    from tiny_diffusion.data.artefacts import load_processed
    from tiny_diffusion.data.gpt2_vocab import read_merges
    from tiny_diffusion.data.pipeline import clean, prepare
    from tiny_diffusion.data.reading.loading import parse_book
    from tiny_diffusion.data.tokenizer import BookTokenizer
    from tiny_diffusion.errors import UserError
    from tiny_diffusion.evaluation.curves import read_curves
    from tiny_diffusion.evaluation.kept import KeptParts
    from tiny_diffusion.exchange.folder import card, read_evaluation, read_folder, write_folder
    from tiny_diffusion.page.run import RunReader
    from tiny_diffusion.page.wishes import Writing, settings_of
    from tiny_diffusion.studies.run_list import find_runs
    from tiny_diffusion.writing.infilling.template import parse_gaps, parse_kept

SECONDS = 20
MEMORY_MB = 4000
CORPUS = Path(__file__).parent / "corpus"
CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "first.pt"
FB2 = (
    b"<FictionBook><body><section><title><p>One</p></title><p>He <emphasis>went</emphasis>.</p></section>"
    b"</body></FictionBook>"
)
ADOC = b"= A book\n\n== One\n\nHe _went_.footnote:[A note.]\n\n----\nx\n----\n"
LOG = b"".join(
    json.dumps({"event": kind, "time": 1.5, "step": 1, "total": 2, "seconds": 0.1, **more}).encode() + b"\n"
    for kind, more in (
        ("StepDone", {"stage_name": "a", "epoch": 1, "loss": 2.5, "tokens": 8}),
        ("Validated", {"bits_per_byte": 2.5, "best": True, "epoch": 1, "stage": 0}),
        ("Sampled", {"text": "A lamp", "path": "a.txt"}),
        ("Finished", {"interrupted": False}),
    )
)
REPORT = {"source": "a", "split": "test", "windows": 2, "window_tokens": 8}
REPORT["likelihood"] = [{"name": "m", "bits_per_byte": 1.5, "low": 1.25, "high": 1.75}]
WISH = {"task": "rewrite", "text": "A lamp", "start": 0, "end": 4, "settings": {"seed": 1, "top_p": 0.5}, "model": 0}


class Readers:
    """Functions that read bytes as the content of a file, and good contents, each by the reader's name."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.of: dict[str, tuple[Callable[[bytes], object], list[bytes]]] = {}
        for name, good in [
            ("txt", BOOKS["a.txt"]),
            ("md", BOOKS["b.md"]),
            ("html", HTML),
            ("fb2", FB2),
            ("adoc", ADOC),
        ]:
            self.of[name] = (lambda content, name=name: self._book(content, f"book.{name}"), [good])
        self.of["txt"][1].append(BOOKS["d.txt"])
        for member, good in EPUB.items():
            self.of[f"epub-{Path(member).name}"] = (self._in_epub(member), [good])
        self.of["epub"] = (lambda content: self._book(content, "book.epub"), [zipped(EPUB)])
        self.of["template"] = (self._template, [b"The ___ of {3-5 words} \\{ [[kept]] {sentence}."])
        settings = {
            "toml": ProjectConfig.smoke().to_toml().encode(),
            "yaml": b"model:\n  d_model: 64\ntraining: {seed: 3, teachers: [a, b]}\n",
            "py": b"model = {'d_model': 64}\noverrides = {'training.seed': 3}\n",
        }
        for kind, good in settings.items():
            self.of[f"config.{kind}"] = self._at(f"c.{kind}", lambda path: ProjectConfig.preset(str(path))), [good]
        checkpoint = load_checkpoint(CHECKPOINT)
        self.of["checkpoint"] = self._at("c.pt", load_checkpoint), [CHECKPOINT.read_bytes()]
        pickled = zipfile.ZipFile(CHECKPOINT).read(_pickle_of(CHECKPOINT))
        self.of["checkpoint-pickle"] = self._in_checkpoint, [pickled]
        self.of["tokenizer"] = self._tokenizer, [checkpoint.tokenizer.to_json().encode()]
        ranks = b"".join(b"%s %d\n" % (base64.b64encode(bytes([i])), i) for i in range(256))
        self.of["gpt2.tiktoken"] = self._at("gpt2.tiktoken", read_merges), [ranks + b"YWI= 256\n"]
        merges = json.dumps({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}).encode()
        self.of["gpt2.json"] = self._at("tokenizer.json", read_merges), [merges]
        log = self._at("run/logs/metrics.jsonl", self._read_log)
        self.of["log"] = log, [LOG]
        self.of["parts"] = (
            self._at("parts.json", lambda path: KeptParts(path, "key")),
            [b'{"key": {"style": {"a": [1]}}}'],
        )

        def report(path: Path) -> object:
            return card("a", checkpoint, read_evaluation(path))

        self.of["evaluation"] = self._at("evaluation.json", report), [json.dumps(REPORT).encode()]
        write_folder(place / "model", checkpoint)
        for name in ("config.json", "model.safetensors"):
            read = self._at(f"model/{name}", lambda path: read_folder(path.parent).build(torch.device("cpu")))
            self.of[f"folder-{name}"] = read, [(place / "model" / name).read_bytes()]
        (place / "book.txt").write_text(make_book(16_000))
        for _ in prepare(place / "book.txt", place / "data", PipelineConfig(vocab_size=512)):
            pass
        for name in ("meta.json", "passages.jsonl", "sentences.jsonl", "difficulty.safetensors"):
            read = self._at(f"data/{name}", lambda path: load_processed(path.parent).keeps_lines)
            self.of[f"data-{name}"] = read, [(place / "data" / name).read_bytes()]
        self.of["wish"] = self._wish, [json.dumps(WISH).encode()]

    def read(self, name: str, content: bytes) -> None:
        """Read bytes as the reader of that name does; raises what a user would see as a traceback."""
        try:
            self.of[name][0](content)
        except UserError as error:
            assert "\n" not in str(error).strip(), f"more than one line: {error}"

    def _at(self, name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
        def reader(content: bytes) -> object:
            path = self.place / name
            before = path.read_bytes() if path.exists() else content
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            try:
                return read(path)
            finally:
                path.write_bytes(before)

        return reader

    def _book(self, content: bytes, name: str) -> None:
        clean(parse_book(content, name), PipelineConfig())

    def _in_epub(self, member: str) -> Callable[[bytes], object]:
        return lambda content: self._book(zipped({**EPUB, member: content}), "book.epub")

    def _in_checkpoint(self, content: bytes) -> None:
        path = self.place / "p.pt"
        with zipfile.ZipFile(CHECKPOINT) as whole, zipfile.ZipFile(path, "w") as changed:
            for name in whole.namelist():
                changed.writestr(name, content if name.endswith("data.pkl") else whole.read(name))
        load_checkpoint(path)

    def _template(self, content: bytes) -> None:
        for parse in (parse_gaps, parse_kept):
            try:
                parse(content.decode("utf-8", "replace"))
            except UserError:
                continue

    def _tokenizer(self, content: bytes) -> None:
        found = BookTokenizer.from_json(content.decode("utf-8", "replace"))
        found.decode(found.encode("A lantern, \u8001\n", 1))

    def _read_log(self, path: Path) -> None:
        run = path.parents[1]
        RunReader(run, None).look()
        for read in (lambda: read_curves(run / "best_model.pt"), lambda: [*find_runs(run)]):
            try:
                read()
            except UserError:
                continue

    def _wish(self, content: bytes) -> None:
        try:
            data = json.loads(content)
        except (ValueError, RecursionError):
            return
        if isinstance(data, dict) and all(isinstance(key, str) for key in data):
            config = ProjectConfig.smoke()
            settings_of(Writing(**data), config.generation, config.page, causal=False)


def _pickle_of(checkpoint: Path) -> str:
    return next(name for name in zipfile.ZipFile(checkpoint).namelist() if name.endswith("data.pkl"))


def fuzz(name: str, readers: Readers, seconds: float, found: Path) -> bool:
    """Try inputs for so long, in a process of its own; returns whether nothing broke."""
    folder = found / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(readers.of[name][1]):
        (folder / f"good-{number}").write_bytes(content)
    (folder / "deep").write_bytes(b"[" * 15_000)
    for path in (CORPUS / name).glob("*"):
        shutil.copy(path, folder)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        most = {"max_total_time": int(seconds), "timeout": SECONDS, "rss_limit_mb": MEMORY_MB, "max_len": 20_000}
        options = [f"-{key}={value}" for key, value in most.items()]
        atheris.Setup(
            [sys.argv[0], *options, f"-artifact_prefix={found}/broke-{name}-", "-print_final_stats=1", str(folder)],
            lambda content: readers.read(name, content),
        )
        atheris.Fuzz()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*")
    parser.add_argument("--minutes", type=float, default=60, help="for each reader")
    parser.add_argument("--found", type=Path, default=Path("found"), help="folder of what reaches new branches")
    given = parser.parse_args()
    broke = []
    with tempfile.TemporaryDirectory() as place:
        readers = Readers(Path(place))
        for name in given.readers or readers.of:
            if not fuzz(name, readers, 60 * given.minutes, given.found):
                broke.append(name)
            print(f"{name}: {'BROKE' if name in broke else 'nothing broke'}", flush=True)
    return int(bool(broke))


if __name__ == "__main__":
    sys.exit(main())
