"""Changes to a config by dotted keys, from code or from the command line."""

import argparse
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_origin

from pydantic import BaseModel

from tiny_diffusion.errors import UserError

from .messages import Token, all_keys, child_annotation, is_group, join_key, show_value, unknown_key

_PART = re.compile(r"([^\W\d]\w*)((?:\[\d+\])*)")


def parse_key(key: str) -> tuple[Token, ...]:
    """Split ``curriculum.stages[0].epochs`` into ``("curriculum", "stages", 0, "epochs")``.

    Raises:
        UserError: the key is not a dotted path.
    """
    tokens: list[Token] = []
    for part in key.split("."):
        match = _PART.fullmatch(part)
        if match is None:
            raise UserError(f"{key!r} is no key: write it like model.d_model or curriculum.stages[0].epochs")
        tokens.append(match[1])
        tokens.extend(int(index) for index in re.findall(r"\d+", match[2]))
    return tuple(tokens)


def flatten(data: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves of nested dicts and lists by dotted key, ``curriculum.stages[0].epochs``."""
    if isinstance(data, dict):
        parts = [(f"{prefix}.{key}" if prefix else key, value) for key, value in data.items()]
    elif isinstance(data, list):
        parts = [(f"{prefix}[{index}]", value) for index, value in enumerate(data)]
    else:
        return {prefix: data}
    return {key: leaf for name, value in parts for key, leaf in flatten(value, name).items()}


def group_presets(cls: type[BaseModel]) -> list[str]:
    """Names of the class's presets: its own classmethods without arguments."""
    names = [name for name, member in vars(cls).items() if isinstance(member, classmethod)]
    return [name for name in names if not name.startswith("_") and not inspect.signature(getattr(cls, name)).parameters]


def apply_overrides(cls: type[BaseModel], data: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data``, the JSON form of a ``cls``, with the overrides applied in order; not yet validated.

    A group takes a mapping, which changes only what it names, a preset's name, or a config object.

    Raises:
        UserError: a key does not exist (the nearest one is named), or an index is out of range.
    """
    result: dict[str, Any] = json.loads(json.dumps(data))
    _set_all(cls, result, (), overrides)
    return result


def _set_all(root: type[BaseModel], data: dict[str, Any], prefix: tuple[Token, ...], items: Mapping[Any, Any]) -> None:
    for key, value in items.items():
        if not isinstance(key, str):
            raise UserError(f"{key!r} is no key: keys are text such as model.d_model")
        _set(root, data, (*prefix, *parse_key(key)), value)


def _set(root: type[BaseModel], data: dict[str, Any], tokens: tuple[Token, ...], value: Any) -> None:
    node: Any = data
    annotation: Any = root
    for depth, token in enumerate(tokens):
        annotation = _child(root, annotation, node, tokens[: depth + 1])
        if depth < len(tokens) - 1:
            node = node[token]
    if is_group(annotation):
        value = _read_group(annotation, join_key(tokens), value)
        if isinstance(value, Mapping):
            _set_all(root, data, tokens, value)
            return
    # A field of text takes a text unchanged; for all others it is JSON if it can be.
    node[tokens[-1]] = _from_json(value) if isinstance(value, str) and annotation is not str else value


def _child(root: type[BaseModel], annotation: Any, node: Any, path: tuple[Token, ...]) -> Any:
    """The type of ``path``, whose parent has the type ``annotation`` and the data ``node``."""
    token, where = path[-1], join_key(path[:-1])
    if isinstance(token, str):
        if not is_group(annotation):
            hint = f"write {where}[0].{token}" if isinstance(node, list) and node else f"it has no key {token!r}"
            raise UserError(f"{join_key(path)}: {where} is not a group of settings; {hint}")
        if token not in annotation.model_fields:
            raise UserError(unknown_key(root, path))
    elif get_origin(annotation) is not tuple or not isinstance(node, list):
        raise UserError(f"{join_key(path)}: {where} is not a list, so it has no index {token}")
    elif token >= len(node):
        raise UserError(f"{join_key(path)}: {where} has {len(node)} items; the last index is {len(node) - 1}")
    return child_annotation(annotation, token)


def _read_group(cls: type[BaseModel], key: str, value: Any) -> Any:
    """A group's new values as a mapping: from a mapping, a config object, a preset's name, or JSON text."""
    if isinstance(value, cls):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return value
    presets = group_presets(cls)
    if isinstance(value, str):
        if value in presets:
            return getattr(cls, value)().model_dump(mode="json")
        parsed = _from_json(value)
        if isinstance(parsed, dict):
            return parsed
    named = f"the name of a preset ({', '.join(presets)}) or " if presets else ""
    raise UserError(f"{key}={show_value(value)} should be {named}a group of settings such as {{...}}")


def _from_json(text: str) -> Any:
    """The JSON value of ``text``, or ``text`` itself, which the validation reads or refuses."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def arguments_to_overrides(
    cls: type[BaseModel], args: argparse.Namespace | Mapping[str, Any] | Sequence[str]
) -> dict[str, Any]:
    """Overrides from the command line; None counts as not given.

    A list holds ``key=value`` texts, a mapping holds keys and values. A Namespace may also hold plain names, such as
    ``n_layers`` for ``model.n_layers``.

    Raises:
        UserError: a text is not of the form ``key=value``, or a plain name is no setting or fits several.
    """
    if isinstance(args, argparse.Namespace):
        given = {key: value for key, value in vars(args).items() if value is not None}
        return {full_key(cls, key): value for key, value in given.items()}
    if isinstance(args, Mapping):
        return {key: value for key, value in args.items() if value is not None}
    if isinstance(args, str):
        args = [args]
    overrides: dict[str, Any] = {}
    for item in args:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise UserError(f"{item!r} is no override: write key=value, such as model.d_model=512")
        overrides.pop(key.strip(), None)
        overrides[key.strip()] = value
    return overrides


def full_key(cls: type[BaseModel], name: str) -> str:
    """The dotted key of ``name``, which is a key already or the last part of exactly one.

    Raises:
        UserError: no setting has that name, or several have it.
    """
    if "." in name or name in cls.model_fields:
        return name
    keys = [path for path in all_keys(cls) if path[-1] == name]
    if not keys:
        near = get_close_matches(name, sorted({str(path[-1]) for path in all_keys(cls)}), n=1, cutoff=0.7)
        hint = f"did you mean {near[0]}?" if near else "pass only arguments that are settings"
        raise UserError(f"{name} is no setting: {hint}")
    if len(keys) > 1 or any(isinstance(token, int) for token in keys[0]):
        raise UserError(f"{name} may be a setting of several groups: write {' or '.join(map(join_key, keys))}")
    return join_key(keys[0])
