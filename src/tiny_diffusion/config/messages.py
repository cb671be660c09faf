"""Dotted keys of nested config classes, and pydantic's complaints in one line."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Token = str | int
SHOWN_ERRORS = 3
LONGEST_VALUE = 60


def is_group(annotation: Any) -> bool:
    """Whether ``annotation`` is a config class."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def child_annotation(annotation: Any, token: Token) -> Any:
    """Type of a type's child ``token``, a field's name or an index; None if there is no such child."""
    if isinstance(token, str):
        field = annotation.model_fields.get(token) if is_group(annotation) else None
        return field.annotation if field is not None else None
    args = get_args(annotation) if get_origin(annotation) is tuple else ()
    if len(args) == 2 and args[1] is Ellipsis:
        return args[0]
    return args[token] if token < len(args) else None


def join_key(tokens: tuple[Token, ...]) -> str:
    """Write tokens as a dotted key: ``("curriculum", "stages", 0)`` -> ``curriculum.stages[0]``."""
    key = ""
    for token in tokens:
        key += f"[{token}]" if isinstance(token, int) else f".{token}" if key else token
    return key


def all_keys(cls: type[BaseModel], prefix: tuple[Token, ...] = ()) -> Iterator[tuple[Token, ...]]:
    """Every key of ``cls`` and of its groups, as tokens; a list of groups counts at index 0."""
    for name, field in cls.model_fields.items():
        path: tuple[Token, ...] = (*prefix, name)
        yield path
        if is_group(field.annotation):
            yield from all_keys(field.annotation, path)  # type: ignore[arg-type]
        else:
            element = child_annotation(field.annotation, 0)
            if is_group(element):
                yield from all_keys(element, (*path, 0))


def unknown_key(root: type[BaseModel], tokens: tuple[Token, ...]) -> str:
    """One line about the unknown key ``tokens`` of ``root``, with the nearest key that exists."""
    known = list(_annotation(root, tokens[:-1]).model_fields)
    leaf = str(tokens[-1])
    near = [join_key((*tokens[:-1], name)) for name in get_close_matches(leaf, known, n=1, cutoff=0.7)]
    if not near:
        near = [join_key(path) for path in all_keys(root) if path[-1] == leaf]
    if not near:
        near = get_close_matches(join_key(tokens), [join_key(path) for path in all_keys(root)], n=1, cutoff=0.6)
    line = f"unknown key {join_key(tokens)}: "
    if near:
        return line + f"did you mean {' or '.join(near)}?"
    return line + f"{join_key(tokens[:-1]) or 'the top level'} has {', '.join(known)}"


def show_value(value: Any) -> str:
    """A value for an error line, cut short."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..."


def describe_errors(cls: type[BaseModel], error: ValidationError) -> str:
    """Say in one line what is wrong: key, value, and what would be right; at most SHOWN_ERRORS complaints."""
    details = error.errors(include_url=False)
    # Pydantic counts only the valid items of a list: a wrong item makes it seem too short as well.
    inner = {tuple(item["loc"][:depth]) for item in details for depth in range(len(item["loc"]))}
    details = [item for item in details if item["type"] != "too_short" or tuple(item["loc"]) not in inner]
    # A misspelt key is often the reason for a missing one.
    details.sort(key=lambda item: item["type"] != "extra_forbidden")
    lines = [_describe(cls, item) for item in details[:SHOWN_ERRORS]]
    if len(details) > SHOWN_ERRORS:
        lines.append(f"and {len(details) - SHOWN_ERRORS} more")
    return " ".join("; ".join(lines).split())


def _describe(root: type[BaseModel], item: ErrorDetails) -> str:
    tokens: tuple[Token, ...] = tuple(item["loc"])
    key, kind = join_key(tokens), item["type"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return unknown_key(root, tokens)
    if kind == "missing":
        return f"{key} is missing{_meaning(root, tokens)}"
    if kind == "value_error":
        return _own_message(root, tokens, item)
    said = item["msg"].replace("Input should be", "should be", 1).split(", unable to ")[0]
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        said = "should be a group of settings"
    elif kind == "tuple_type":
        said = "should be a list, such as [1, 2]"
    elif kind == "literal_error" and isinstance(item["input"], str):
        choices = [str(choice) for choice in get_args(_annotation(root, tokens))]
        near = get_close_matches(item["input"], choices, n=1)
        said += f"; did you mean {near[0]}?" if near else ""
    elif kind == "too_long" or kind == "too_short":
        said = "has the wrong number of items: " + said[0].lower() + said[1:]
    return f"{key}={show_value(item['input'])} {said[0].lower()}{said[1:]}"


def _own_message(root: type[BaseModel], tokens: tuple[Token, ...], item: ErrorDetails) -> str:
    """The line of one of our validators. A group's validator begins with its field: put the group before it."""
    message = item["msg"].removeprefix("Value error, ")
    group = _annotation(root, tokens)
    if not tokens:
        return message
    if not is_group(group):
        return f"{join_key(tokens)}={show_value(item['input'])} {message}"
    starts_with_field = message.split("=")[0] in group.model_fields
    return f"{join_key(tokens)}{'.' if starts_with_field else ': '}{message}"


def _annotation(root: Any, tokens: tuple[Token, ...]) -> Any:
    for token in tokens:
        root = child_annotation(root, token)
    return root


def _meaning(root: type[BaseModel], tokens: tuple[Token, ...]) -> str:
    """The description of a field, to explain what is missing; empty for an item of a list."""
    group = _annotation(root, tokens[:-1])
    field = group.model_fields.get(tokens[-1]) if is_group(group) else None
    return f" ({field.description.rstrip('.')})" if field is not None and field.description else ""
