"""Config files: read as Python, TOML or YAML, and written as TOML."""

import ast
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tiny_diffusion.errors import UserError

from .messages import show_value


def _parse_python(text: str) -> dict[str, Any]:
    """Top-level assignments of literals; the items of ``overrides = {...}`` count as assignments."""
    result: dict[str, Any] = {}
    for node in ast.parse(text).body:
        match node:
            case ast.Expr(value=ast.Constant()):
                continue
            case ast.Assign(targets=[ast.Name(id=name)], value=expression):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as expression):
                pass
            case _:
                raise ValueError(f"line {node.lineno}: only assignments to names are read: model = {{'d_model': 512}}")
        try:
            value = ast.literal_eval(expression)
        except (ValueError, TypeError):
            raise ValueError(f"line {node.lineno}: {name} should be a literal; the file is not run") from None
        result.update(value if name == "overrides" and isinstance(value, dict) else {name: value})
    return result


DEEPEST = 50  # open brackets


class _Plain(yaml.SafeLoader):
    """YAML without aliases, by which a few lines can hold gigabytes, or themselves, and without deep nesting."""

    def fetch_flow_collection_start(self, token: Any) -> None:
        """Begin a list or a group; raises YAMLError where so many are open that reading would take quadratic time."""
        if self.flow_level >= DEEPEST:
            raise yaml.YAMLError(f"more than {DEEPEST} brackets are open")
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node; raises YAMLError for an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read: write the value again")
        return super().compose_node(parent, index)


def _parse_yaml(text: str) -> Any:
    return yaml.load(text, _Plain)  # a SafeLoader


READERS: dict[str, Callable[[str], Any]] = {
    ".py": _parse_python,
    ".toml": tomllib.loads,
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
}
SUFFIXES = tuple(READERS)


def read_overrides(path: str | Path) -> dict[str, Any]:
    """Read overrides from a .py, .toml or .yaml file.

    A ``.py`` file is parsed, never run. It holds assignments of literals: ``model = {"d_model": 512}`` or
    ``overrides = {"model.d_model": 512}``.

    Raises:
        UserError: the file cannot be read, has another suffix, or is not well formed.
    """
    path = Path(path)
    parse = READERS.get(path.suffix.lower())
    if parse is None:
        raise UserError(f"config file {path} should end in one of {', '.join(SUFFIXES)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read config file {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"config file {path} should be text in UTF-8") from None
    try:
        content = parse(text)
    except (ValueError, SyntaxError, yaml.YAMLError, RecursionError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"config file {path} is not well formed: {reason or type(error).__name__}") from None
    if content is None:  # an empty YAML file
        return {}
    if not isinstance(content, dict):
        raise UserError(f"config file {path} should hold keys and values, not {show_value(content)}")
    return content


def to_toml(data: dict[str, Any]) -> str:
    """Write nested settings (texts, numbers, booleans, lists, groups, lists of groups) as TOML."""
    return "\n".join(_table(data, "")).strip() + "\n"


def _table(data: dict[str, Any], path: str) -> list[str]:
    """Lines of one table. Plain values come first: whatever follows a header belongs to that header."""
    lines: list[str] = []
    later: list[str] = []
    for key, value in data.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            later += ["", f"[{name}]", *_table(value, name)]
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for item in value:
                later += ["", f"[[{name}]]", *_table(item, name)]
        else:
            lines.append(f"{key} = {_value(value)}")
    return lines + later


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)
