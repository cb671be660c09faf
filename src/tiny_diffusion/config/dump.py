"""The resolved config as text that ``override_from_file`` reads back."""

import json
from typing import Any

import yaml


def to_yaml(data: dict[str, Any]) -> str:
    """Write nested settings as YAML, in their order."""
    return yaml.safe_dump(data, sort_keys=False)  # ASCII: unescaped, U+0085 would be read back as a line break


def to_toml(data: dict[str, Any]) -> str:
    """Write nested settings (texts, numbers, booleans, lists, groups, lists of groups) as TOML."""
    return "\n".join(_table(data, "")).strip() + "\n"


def _table(data: dict[str, Any], path: str) -> list[str]:
    """Lines of one table: plain values first, since what follows a header belongs to it."""
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
