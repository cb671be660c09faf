"""Feed damaged and hostile input to all that reads files of others: each must be read, or refused by a UserError.

    python -m tests.storm.fuzz                        # 200 inputs for each target
    python -m tests.storm.fuzz --inputs 20000 books   # for one

Inputs are good files with a few edits, shrunk by hypothesis when one of them breaks something. Anything else than a
UserError counts as a failure, as do more than SECONDS and more than MEMORY.
"""

import argparse
import gzip
import io
import json
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.conftest import make_book
from tiny_diffusion.checkpoint import load_checkpoint
from tiny_diffusion.config import PipelineConfig, ProjectConfig
from tiny_diffusion.data.artefacts import load_processed
from tiny_diffusion.data.pipeline import clean, prepare
from tiny_diffusion.data.reading.loading import parse_book
from tiny_diffusion.data.reading.several import read_books
from tiny_diffusion.data.tokenizer import BookTokenizer
from tiny_diffusion.errors import UserError
from tiny_diffusion.evaluation.curves import read_curves
from tiny_diffusion.evaluation.kept import KeptParts
from tiny_diffusion.writing.infilling.template import parse_gaps, parse_kept

SECONDS = 20.0
MEMORY = 3_000_000_000  # bytes that the process may take beyond what it has at the start
HOSTILE: list[Any] = [
    None, True, -1, 0, 1, 10**6, 10**15, 10**40, 1e308, float("nan"), float("inf"), "", "x" * 10_000, "\ud800", "\0",
    "../../etc/passwd", [], [[]], {}, {"": {}}, [[0, 1]] * 1000,
]  # fmt: skip
PIECES = [
    b"", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"<", b">", b"&#0;", b"&#x110000;", b"<!ENTITY a 'b'>", b"<![CDATA[",
    b"<div>" * 3000, b"{" * 3000, b"[" * 3000,
    b"(" * 500, b"> " * 3000, b"*" * 3000, b"9" * 5000, b"-9e999", b"___", b"{3-2 words}",
    b"[[", b"\\", b"&a [*a]", b"\r", b"\xe2\x80\xa8", b"%PDF", b"PK\x03\x04",
    b"\x1f\x8b\x08", b"#" * 200, b"|" * 500, b"=\n",
]  # fmt: skip

Edit = tuple[float, int, bytes]
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(PIECES) | st.binary(max_size=8)), max_size=4
)


def edited(content: bytes, edits: list[Edit]) -> bytes:
    """``content`` with, at each place, so many bytes replaced."""
    for place, length, piece in edits:
        at = int(place * len(content))
        content = content[:at] + piece + content[at + length :]
    return content


def leaves(value: Any, path: tuple = ()) -> list[tuple]:
    """The ways to all parts of nested dicts and lists."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(way for key, part in inner for way in leaves(part, (*path, key)))]


def replaced(value: Any, way: tuple, new: Any) -> Any:
    """A copy of nested dicts and lists in which the part at the end of ``way`` is another."""
    if not way:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[way[0]] = replaced(value[way[0]], way[1:], new)
    return copied


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


HTML = (
    b"<html><head><title>A</title></head><body><h1>One</h1>"
    b"<p>He &amp; she<sup>1</sup> <i>went</i>.</p><pre>a\nb</pre></body></html>"
)
EPUB = {
    "META-INF/container.xml": b'<container><rootfiles><rootfile full-path="o/p.opf"/></rootfiles></container>',
    "o/p.opf": b'<package><metadata><title>T</title></metadata><manifest><item id="a" href="a.xhtml"/>'
    b'<item id="n" href="n.xhtml" properties="nav"/></manifest><spine><itemref idref="a"/><itemref idref="n"/></spine>'
    b'<guide><reference type="toc" href="n.xhtml"/></guide></package>',
    "o/a.xhtml": HTML,
    "o/n.xhtml": HTML,
}
BOOKS: dict[str, bytes] = {
    "a.txt": make_book(1500).encode(),
    "b.md": b"# One\n\nHe *went*[^1].\n\n> It rang.\n\n- a\n- b\n\n[^1]: A note.\n\n| a | b |\n|---|---|\n| c | d |\n",
    "c.html": HTML,
    "d.txt": "第一章\n\n朝になると、《あさ》港は静かであった。［＃改ページ］\n".encode("shift_jis"),
}


class Targets:
    """A function for each kind of file, which takes hypothesis' source of choices."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "book.txt").write_text(make_book(9000), encoding="utf-8")
        for _ in prepare(place / "book.txt", place / "data", PipelineConfig(vocab_size=512)):
            pass
        self.tokenizer = (place / "data" / "tokenizer" / "compressed_tokenizer.json").read_text()
        self.saved = torch.load(Path(__file__).parents[1] / "checkpoints" / "first.pt", weights_only=True)

    def books(self, data: st.DataObject) -> None:
        """Texts, pages, EPUBs, gzip and zips of them."""
        name = data.draw(st.sampled_from([*BOOKS, "e.epub", "f.zip", "g.txt.gz"]))
        edits = data.draw(EDITS)
        if name == "e.epub":
            member = data.draw(st.sampled_from([*EPUB]))
            content = zipped({**EPUB, member: edited(EPUB[member], edits)})
        elif name == "f.zip":
            content = edited(zipped(BOOKS), edits)
        elif name == "g.txt.gz":
            content = gzip.compress(edited(BOOKS["a.txt"], edits))
        else:
            content = edited(BOOKS[name], edits)
        path = self.place / name
        path.write_bytes(edited(content, data.draw(EDITS)) if data.draw(st.booleans()) else content)
        for book in read_books([path]) if name == "f.zip" else [parse_book(path.read_bytes(), name)]:
            clean(book, PipelineConfig())

    def templates(self, data: st.DataObject) -> None:
        """Gap templates, and texts with kept spans."""
        text = edited(b"The ___ of {3-5 words} \\{ [[kept]] {sentence}.", data.draw(EDITS)).decode("utf-8", "replace")
        for parse in (parse_gaps, parse_kept):
            try:
                parse(text)
            except UserError:
                continue

    def configs(self, data: st.DataObject) -> None:
        """TOML, YAML and Python files of settings."""
        kinds = {
            ".toml": ProjectConfig.smoke().to_toml().encode(),
            ".yaml": b"model:\n  d_model: &a 64\n  n_layers: 2\ntraining: {seed: 3, teachers: [a, b]}\n",
            ".py": b"model = {'d_model': 64}\noverrides = {'training.seed': 3, 'curriculum.stages[0].epochs': 3}\n",
        }
        kind = data.draw(st.sampled_from([*kinds]))
        path = self.place / f"c{kind}"
        path.write_bytes(edited(kinds[kind], data.draw(EDITS)))
        ProjectConfig.preset(str(path))

    def tokenizers(self, data: st.DataObject) -> None:
        """The tokenizer's JSON, as text and as a structure."""
        if data.draw(st.booleans()):
            text = edited(self.tokenizer.encode(), data.draw(EDITS)).decode("utf-8", "replace")
        else:
            content = json.loads(self.tokenizer)
            content["merges"] = content["merges"][:4]
            new = data.draw(st.sampled_from(HOSTILE))
            text = json.dumps(replaced(content, data.draw(st.sampled_from(leaves(content))), new))
        found = BookTokenizer.from_json(text)
        found.decode(found.encode("A lantern, \u8001\n", data.draw(st.integers(1, 5))))

    def checkpoints(self, data: st.DataObject) -> None:
        """Damaged files, and files with hostile parts."""
        path = self.place / "c.pt"
        if data.draw(st.booleans()):
            whole = (Path(__file__).parents[1] / "checkpoints" / "first.pt").read_bytes()
            path.write_bytes(edited(whole, data.draw(EDITS)))
        else:
            parts = {key: value for key, value in self.saved.items() if key != "tokenizer" or data.draw(st.booleans())}
            ways = st.sampled_from(leaves(parts))
            huge = torch.zeros(1).expand(10**7, 10**7)
            new = st.sampled_from([*HOSTILE, huge, torch.zeros(3), torch.zeros(2, 2, dtype=torch.int8)])
            for _ in range(data.draw(st.integers(1, 2))):
                way = data.draw(ways)
                try:
                    parts = replaced(parts, way, data.draw(new))
                except (KeyError, IndexError, TypeError):  # the part was replaced as a whole before
                    continue
            torch.save(parts, path)
        load_checkpoint(path).build(torch.device("cpu"))

    def prepared(self, data: st.DataObject) -> None:
        """The files of a prepared book."""
        files = ["meta.json", "passages.jsonl", "sentences.jsonl", "difficulty.safetensors"]
        name = data.draw(st.sampled_from([*files, "tokenizer/compressed_tokenizer.json"]))
        path = self.place / "data" / name
        whole = path.read_bytes()
        try:
            path.write_bytes(edited(whole, data.draw(EDITS)))
            load_processed(self.place / "data").keeps_lines  # noqa: B018
        finally:
            path.write_bytes(whole)

    def results(self, data: st.DataObject) -> None:
        """Finished parts of an evaluation, and the log of a run."""
        good = b'{"key": {"style": {"a": [1, 2]}}}', b'{"event": "StepDone", "step": 1, "loss": 2.5, "time": 1}\n' * 3
        parts, log = self.place / "parts.json", self.place / "logs" / "metrics.jsonl"
        log.parent.mkdir(exist_ok=True)
        parts.write_bytes(edited(good[0], data.draw(EDITS)))
        log.write_bytes(edited(good[1], data.draw(EDITS)))
        for read in (lambda: KeptParts(parts, "key"), lambda: read_curves(self.place / "best_model.pt")):
            try:
                read()
            except UserError:
                continue


TARGETS = [name for name in vars(Targets) if not name.startswith("_")]


def fuzz(target: Callable[[st.DataObject], None], inputs: int, number: int) -> None:
    """Try ``inputs``; raises what the target raised for the smallest input that breaks it."""

    @seed(number)
    @settings(max_examples=inputs, database=None, deadline=None, suppress_health_check=[*HealthCheck])
    @given(st.data())
    def attempt(data: st.DataObject) -> None:
        began = time.process_time()
        try:
            target(data)
        except UserError as error:
            assert "\n" not in str(error).strip(), f"more than one line: {error}"
        seconds = time.process_time() - began
        assert seconds < SECONDS, f"took {seconds:.0f} s"

    attempt()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=TARGETS)
    parser.add_argument("--inputs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        targets = Targets(Path(folder))
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
        for name in wanted.targets:
            try:
                fuzz(getattr(targets, name), wanted.inputs, wanted.seed)
                print(f"{name}: {wanted.inputs} inputs, nothing broke", flush=True)
            except BaseException as error:  # noqa: B036  # whatever comes is the finding
                failed += 1
                print(
                    f"{name}: {type(error).__name__}: {error}", *getattr(error, "__notes__", []), sep="\n", flush=True
                )
                if isinstance(error, KeyboardInterrupt):
                    raise
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
