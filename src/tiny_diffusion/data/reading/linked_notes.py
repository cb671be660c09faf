"""Notes of a page or a book that are known by their links: each links back to its mark in the text."""

import posixpath
import re
import urllib.parse
from collections.abc import Iterator, Sequence

from .dom import BLOCKS, HEADINGS, Element

_LINKED_MARK = re.compile(r"[\[({]?\s*(?:\d{1,4}|[a-z]|[ivx]{1,5}|[*†‡§¶]{1,3})\s*[\])}]?", re.IGNORECASE)
_MOST_OF_A_NOTE = 6  # blocks within a note


def name_notes(pages: Sequence[tuple[str, Element]]) -> None:
    """Give the class ``footnote`` to each block that links back to a mark, and the class ``noteref`` to the mark.

    ``pages``: the path of each page of a book, by which others link to it, and its tree.
    """
    marks: dict[str, Element] = {}
    backs: list[tuple[str, Element]] = []
    for path, root in pages:
        for link, block, names in _links(root):
            target = _target(link, path)
            if target in marks and block.tag not in HEADINGS and not _holds_many(block):
                backs.append((target, block))
            elif _LINKED_MARK.fullmatch(link.text().strip()):
                marks |= {f"{path}#{name}": link for name in names}
    for target, block in backs:
        _add_class(block, "footnote")
        _add_class(marks[target], "noteref")


def _target(link: Element, path: str) -> str:
    page, _, name = link.get("href").partition("#")
    there = posixpath.join(posixpath.dirname(path), urllib.parse.unquote(page)) if page else path
    return f"{posixpath.normpath(there) if there else there}#{name}"


def _holds_many(block: Element) -> bool:
    """Whether a part holds so many paragraphs that it is a chapter, with a link to the contents, and no note."""
    return sum(each.tag in BLOCKS for each in block.elements()) > _MOST_OF_A_NOTE


def _links(
    element: Element, block: Element | None = None, before: str = ""
) -> Iterator[tuple[Element, Element, list[str]]]:
    """Each link to a named place, with the innermost block around it and the names by which it is linked to.

    before: the name of an empty element right before ``element``.
    """
    around = block or element
    for child in element.children:
        if not isinstance(child, Element):
            before = "" if child.strip() else before
            continue
        if child.tag == "a" and "#" in child.get("href"):
            names = [child.get("id"), child.get("name"), element.get("id"), before]
            yield child, around, [name for name in names if name]
        yield from _links(child, child if child.tag in BLOCKS or child.tag in HEADINGS else around, before)
        before = "" if child.text().strip() else child.get("id") or child.get("name")


def _add_class(element: Element, name: str) -> None:
    element.attributes["class"] = f"{element.get('class')} {name}".strip()
