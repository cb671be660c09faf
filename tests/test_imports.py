"""The architecture's rules, read from the source with ``ast``: who may import whom, and what no module does."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "tiny_diffusion"
ROOT = Path(__file__).parents[1] / "src" / PACKAGE
# A part imports itself and parts of lower rank. Parts of equal rank do not know each other.
RANK = {
    "errors": 0,
    "version": 0,
    "allocator": 1,
    "files": 1,
    "wording": 1,
    "runtime": 2,
    "config": 2,
    "data": 3,
    "model": 3,
    "checkpoint": 4,
    "sampling": 4,
    "writing": 5,
    "exchange": 5,
    "training": 6,
    "evaluation": 6,
    "show": 6,
    "studies": 7,
    "page": 8,
    "cli": 9,
    "__main__": 10,
}
OPTIONAL = (
    "sentence_transformers",
    "huggingface_hub",
    "matplotlib",
    "transformers",
    "PIL",
    "onnx",
    "mammoth",
    "spacy",
    "resource",  # not on Windows
)
TORCHLESS = ("config", "data")


@dataclass(frozen=True)
class Import:
    """One imported name, absolute; ``late`` within a function, ``typing`` under ``if TYPE_CHECKING``."""

    target: str
    line: int
    late: bool = False
    typing: bool = False


def module_name(path: Path, root: Path = ROOT) -> str:
    parts = (root.name, *path.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, package: str, late: bool = False, typing: bool = False) -> Iterator[Import]:
    """Each name that ``tree`` imports; ``package`` is where its relative imports start."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, late, typing)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{base}.{alias.name}", node.lineno, late, typing)
        else:
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            checking = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
            yield from imports(node, package, late or function, typing or checking)


def part(name: str) -> str | None:
    """The part of the project that an absolute name belongs to; None outside it and for the package itself."""
    pieces = name.split(".")
    return pieces[1] if pieces[0] == PACKAGE and len(pieces) > 1 else None


def package_of(name: str, path: Path) -> str:
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def wrong_imports(name: str, found: list[Import]) -> list[str]:
    """Lines about imports that go up, sideways, to a private name, or hide in a function."""
    own = part(name)
    wrong = []
    for each in found:
        other = part(each.target)
        where = f"{name}:{each.line}: {each.target}"
        if other is not None and other not in RANK:
            wrong.append(f"{where} has no rank")
        elif own is None and each.typing:
            continue  # the package's own names are loaded when they are asked for
        elif other is not None and other != own and (own is None or RANK[other] >= RANK[own]):
            wrong.append(f"{where} goes up or sideways")
        if other is not None and other != own and each.target.rpartition(".")[2].startswith("_"):
            wrong.append(f"{where} is private to {other}")
        if each.late and own != "cli" and not each.target.startswith(OPTIONAL):
            wrong.append(f"{where} is imported within a function")
    return wrong


def wrong_habits(name: str, tree: ast.AST) -> list[str]:
    """Lines about prints outside the command line, broad excepts, pickles and unsafe loads."""
    wrong = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "print" and part(name) != "cli":
                wrong.append(f"{name}:{node.lineno}: print")
            safe = any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
            if called == "torch.load" and not safe:
                wrong.append(f"{name}:{node.lineno}: torch.load without weights_only=True")
        elif isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            raises = any(isinstance(n, ast.Raise) and n.exc is None for n in node.body)
            if caught in ("everything", "Exception") or (caught == "BaseException" and not raises):
                wrong.append(f"{name}:{node.lineno}: except {caught}")
        elif isinstance(node, ast.Import) and any(a.name in ("pickle", "shelve", "dill") for a in node.names):
            wrong.append(f"{name}:{node.lineno}: pickle")
        elif isinstance(node, ast.ImportFrom) and node.module == "pickle":
            # The error's name alone is harmless: torch raises it for a file that it refuses.
            if [a.name for a in node.names] != ["UnpicklingError"]:
                wrong.append(f"{name}:{node.lineno}: pickle")
    return wrong


def owner(target: str, names: set[str]) -> str | None:
    """The longest module name that ``target`` starts with."""
    pieces = target.split(".")
    candidates = (".".join(pieces[:n]) for n in range(len(pieces), 1, -1))
    return next((c for c in candidates if c in names), None)


FILES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
IMPORTS = {name: list(imports(tree, package_of(name, FILES[name]))) for name, tree in TREES.items()}


def first_cycle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_walk_sees_the_project() -> None:
    parts = {part(name) for name in FILES}
    assert {"config", "data", "model", "training", "evaluation", "cli"} <= parts
    assert sum(part(i.target) is not None for found in IMPORTS.values() for i in found) > 100


def test_imports_go_down() -> None:
    assert [name for name in FILES if part(name) is not None and part(name) not in RANK] == []  # give its part a rank
    assert [line for name in FILES for line in wrong_imports(name, IMPORTS[name])] == []


def test_habits() -> None:
    assert [line for name in FILES for line in wrong_habits(name, TREES[name])] == []


def test_no_module_imports_itself_in_a_circle() -> None:
    names = set(FILES)
    graph = {}
    for name, found in IMPORTS.items():
        owners = {owner(i.target, names) for i in found if not i.late}  # typing imports count too
        graph[name] = {o for o in owners if o is not None and o != name}
    assert first_cycle(graph) == []


def test_config_and_data_never_reach_torch() -> None:
    names = set(FILES)
    for start in (n for n in FILES if part(n) in TORCHLESS):
        seen, waiting = {start}, [start]
        while waiting:
            module = waiting.pop()
            for each in IMPORTS[module]:
                assert each.target.split(".")[0] != "torch", f"{start} reaches torch through {module}:{each.line}"
                below = owner(each.target, names)
                if below is not None and below not in seen:
                    seen.add(below)
                    waiting.append(below)


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("tiny_diffusion.data.x", "from ..training.trainer import Trainer", "goes up or sideways"),
        ("tiny_diffusion.data.x", "from tiny_diffusion.model import diffusion", "goes up or sideways"),
        ("tiny_diffusion.evaluation.x", "import tiny_diffusion.training.events", "goes up or sideways"),
        ("tiny_diffusion.model.x", "from ..novel import part", "has no rank"),
        ("tiny_diffusion.sampling.x", "from ..config.base import _hidden", "private"),
        ("tiny_diffusion.data.x", "def f():\n    import json", "within a function"),
        ("tiny_diffusion.data.x", "def f():\n    import sentence_transformers", ""),
        ("tiny_diffusion.cli.x", "def f():\n    from ..training.trainer import Trainer", ""),
        ("tiny_diffusion.data.x", "from .splitting import Passage", ""),
    ],
)
def test_wrong_imports_are_seen(name: str, source: str, said: str) -> None:
    found = list(imports(ast.parse(source), name.rpartition(".")[0]))
    wrong = wrong_imports(name, found)
    assert bool(wrong) == bool(said) and all(said in line for line in wrong)


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("print('x')", True),
        ("try:\n    f()\nexcept Exception:\n    raise", True),
        ("try:\n    f()\nexcept:\n    raise", True),
        ("try:\n    f()\nexcept BaseException:\n    pass", True),
        ("try:\n    f()\nexcept BaseException:\n    g()\n    raise", False),
        ("try:\n    f()\nexcept OSError:\n    pass", False),
        ("import pickle", True),
        ("from pickle import UnpicklingError", False),
        ("torch.load(p)", True),
        ("torch.load(p, weights_only=True)", False),
    ],
)
def test_wrong_habits_are_seen(source: str, bad: bool) -> None:
    assert bool(wrong_habits("tiny_diffusion.data.x", ast.parse(source))) == bad


def test_a_circle_is_seen() -> None:
    assert set(first_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}
