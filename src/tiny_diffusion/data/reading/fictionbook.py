"""Reads a FictionBook, the e-book format of Russian libraries: its elements become those of an HTML page."""

from xml.etree.ElementTree import Element as XmlElement
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ...errors import UserError
from .document import Block
from .dom import Element
from .markup import tree_blocks

_TAGS = {"title": "h2", "subtitle": "h3", "epigraph": "blockquote", "cite": "blockquote", "annotation": "blockquote",
         "text-author": "p", "empty-line": "hr", "v": "p", "date": "p"}  # fmt: skip
_CLASSES = {"poem": "poem", "stanza": "stanza"}
_KEPT = frozenset("body section p h2 h3 blockquote table tr td th sub sup a".split())
_DROPPED = frozenset("description binary image stylesheet".split())


def fictionbook_blocks(data: bytes, name: str) -> tuple[list[Block], str | None]:
    """Return the blocks of a FictionBook, and its title. Raises UserError for XML that is damaged or holds entities."""
    try:
        book = fromstring(data, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise UserError(f"{name} holds XML entities: refused") from error
    except (ParseError, LookupError, ValueError) as error:
        raise UserError(f"{name} is a damaged FictionBook ({error})") from error
    title = book.findtext(".//{*}book-title", default="")
    root = Element("body")
    root.children = [_element(body) for body in book.findall("{*}body")]
    return tree_blocks(root), " ".join(title.split()) or None


def _element(source: XmlElement) -> Element:
    tag = source.tag.rpartition("}")[2] if isinstance(source.tag, str) else "comment"
    name = _TAGS.get(tag, tag if tag in _KEPT else "div" if tag in _CLASSES else "span")
    made = Element(name, {"class": _CLASSES.get(tag, "")})
    if tag == "body" and source.get("name"):  # the first body has no name; the others hold notes and comments
        made = Element("section", {"class": "footnotes"})
    if tag == "a" and source.get("type") == "note":
        made.attributes["class"] = "noteref"
    if source.text:
        made.children.append(source.text)
    for child in source:
        if not (isinstance(child.tag, str) and child.tag.rpartition("}")[2] in _DROPPED):
            made.children.append(_element(child))
        if child.tail:
            made.children.append(child.tail)
    return made
