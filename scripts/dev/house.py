"""Count how the house is built: packages, lines of code, circles, and how many modules a reader opens for one task.

    python scripts/dev/house.py            # sizes, circles and the three walks
    python scripts/dev/house.py --walk gap # the functions of one walk, in the order in which they are first called

A walk is one run of a task on a tiny model under ``sys.setprofile``: every function of the package in the order of its
first call. Functions that follow each other in one module are one visit. A walk enters so many modules, and turns back
as often as a visit is to a module that was seen before. Constructors of data classes and comprehensions count with the
function that calls them.
"""

import argparse
import ast
import sys
import tempfile
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "tiny_diffusion"
IGNORED = {"<module>", "<lambda>", "<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>"}


def code_lines(path: Path) -> int:
    """Lines of ``path`` that hold code: no blank lines, comments or docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type not in skipped and token.type != tokenize.ENCODING:
                lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - prose)


def module_name(path: Path) -> str:
    """The dotted name of a module below the package, such as ``sampling.denoise``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Modules of the package that ``path`` imports at its top, typing imports included."""
    package = path.relative_to(PACKAGE).parent.parts
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.If))]
    for node in (node for block in blocks for node in block):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
        target = ".".join(part for part in base if part)
        for alias in node.names:
            inner = (
                PACKAGE.joinpath(*target.split("."), alias.name + ".py") if target else PACKAGE / (alias.name + ".py")
            )
            yield f"{target}.{alias.name}".strip(".") if inner.exists() else target


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other (Tarjan's strongly connected components of more than one)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = []
            while not group or group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def trace(task: Callable[[], Any]) -> list[tuple[str, str]]:
    """(module, function) of the package in the order of their first calls while ``task`` runs."""
    seen: dict[tuple[str, str], None] = {}

    def profile(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or code.co_name in IGNORED or not code.co_filename.startswith(str(PACKAGE)):
            return
        if code.co_name.startswith("__") and code.co_name not in {"__call__", "__iter__"}:
            return
        seen.setdefault((module_name(Path(code.co_filename)), code.co_qualname))

    sys.setprofile(profile)
    try:
        task()
    finally:
        sys.setprofile(None)
    return list(seen)


def visits(walk: list[tuple[str, str]]) -> list[str]:
    """The modules of a walk, one entry a visit."""
    modules: list[str] = []
    for module, _ in walk:
        if not modules or modules[-1] != module:
            modules.append(module)
    return modules


def tasks(folder: Path) -> dict[str, Callable[[], Any]]:
    """Three tasks on a tiny model: the second training step, a text of 16 tokens, a gap of two words.

    The model is the ``smoke`` preset after one step on a text of its own; the gap's walk begins with a template.
    """
    from tiny_diffusion import Writer
    from tiny_diffusion.config import ProjectConfig
    from tiny_diffusion.data.artefacts import load_processed
    from tiny_diffusion.data.pipeline import prepare
    from tiny_diffusion.data.reading.example import write_reference_text
    from tiny_diffusion.training.trainer import Trainer

    config = ProjectConfig.smoke().override(**{"training.device": "cpu", "generation.length": 16})
    for _ in prepare(write_reference_text(folder / "book.txt", characters=60_000), folder / "data", config.pipeline):
        pass
    trainer = Trainer(config, load_processed(folder / "data"), folder / "run")
    events = trainer.run()
    next(events)
    writer = Writer(trainer.model, trainer.data.tokenizer)
    return {
        "step": lambda: next(events),
        "text": lambda: writer.write("The", config.generation),
        "gap": lambda: writer.infill("The value is {2 words} of the list.", config.generation),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--walk", choices=("step", "text", "gap"), help="print the functions of one walk")
    asked = parser.parse_args().walk
    with tempfile.TemporaryDirectory() as folder:
        walks = {name: trace(task) for name, task in tasks(Path(folder)).items() if asked in (None, name)}
    if asked:
        last = None
        for module, function in walks[asked]:
            print(f"{module if module != last else '':32} {function}")
            last = module
        return
    files = sorted(PACKAGE.rglob("*.py"))
    sizes: defaultdict[str, int] = defaultdict(int)
    for path in files:
        sizes[str(path.parent.relative_to(PACKAGE))] += 1
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in files]
    code = [code_lines(path) for path in files]
    print(f"modules {len(files)}, lines {sum(lines):,}, of code {sum(code):,}, longest file {max(lines)}")
    print(
        "files directly in a package: " + ", ".join(f"{k} {v}" for k, v in sorted(sizes.items(), key=lambda x: -x[1]))
    )
    found = circles({module_name(path): set(imports(path)) for path in files})
    print(f"circles, typing imports counted: {len(found)}" + "".join(f"\n  {' '.join(group)}" for group in found))
    for name, walk in walks.items():
        order = visits(walk)
        modules = set(order)
        print(f"{name}: {len(walk)} functions in {len(modules)} modules, turns back {len(order) - len(modules)} times")
        own = visits([step for step in walk if step[0].startswith("writing.")])
        if name == "gap":
            print(f"  of these in writing: {len(set(own))} modules, turns back {len(own) - len(set(own))} times")


if __name__ == "__main__":
    main()
