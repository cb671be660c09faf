"""Finds the notes of an HTML page by their links: a mark in the text links to a note, and the note links back to it."""

import re
from collections.abc import Iterator

from .dom import BLOCKS, HEADINGS, Element

_MARK = re.compile(r"[\[({]?\s*(?:\d{1,4}|[a-z]|[ivx]{1,5}|[*†‡§¶]{1,3})\s*[\])}]?", re.IGNORECASE)


def name_notes(root: Element) -> None:
    """Give the class ``footnote`` to each block that links back to a mark, and the class ``noteref`` to the mark."""
    marks: dict[str, Element] = {}
    backs: list[tuple[str, Element]] = []
    for link, block, names in _links(root):
        target = link.get("href")[1:]
        if target in marks and block.tag not in HEADINGS:
            backs.append((target, block))
        elif _MARK.fullmatch(link.text().strip()):
            marks |= dict.fromkeys(names, link)
    for target, block in backs:
        _add_class(block, "footnote")
        _add_class(marks[target], "noteref")


def _links(element: Element, block: Element | None = None) -> Iterator[tuple[Element, Element, list[str]]]:
    """Each link within its page, with the innermost block around it and the names by which it is linked to."""
    around, before = block or element, ""
    for child in element.children:
        if not isinstance(child, Element):
            before = "" if child.strip() else before
            continue
        if child.tag == "a" and child.get("href").startswith("#"):
            names = [child.get("id"), child.get("name"), element.get("id"), before]
            yield child, around, [name for name in names if name]
        yield from _links(child, child if child.tag in BLOCKS or child.tag in HEADINGS else around)
        before = "" if child.text().strip() else child.get("id") or child.get("name")


def _add_class(element: Element, name: str) -> None:
    element.attributes["class"] = f"{element.get('class')} {name}".strip()
