"""A tree of elements from HTML as it is found: unclosed paragraphs and lists are closed, nothing is refused."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
HEADINGS = frozenset("h1 h2 h3 h4 h5 h6".split())
BLOCKS = frozenset(
    "p div h1 h2 h3 h4 h5 h6 li ul ol dl dt dd blockquote pre section article header footer table tr hr body html "
    "figure figcaption aside main nav center address details summary form fieldset caption thead tbody tfoot".split()
)
_SIBLINGS = {"li": {"li"}, "dt": {"dt", "dd"}, "dd": {"dt", "dd"}, "tr": {"tr"}, "td": {"td", "th"}, "th": {"td", "th"}}
_SCOPES = frozenset("ul ol dl table body html".split())
_DEEPEST = 200  # elements within each other; deeper ones are attached to this depth


@dataclass
class Element:
    """An element with its attributes, and its children: elements and text in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element | str"] = field(default_factory=list)

    def get(self, name: str) -> str:
        """The value of an attribute; empty if there is none."""
        return self.attributes.get(name, "")

    def elements(self) -> Iterator["Element"]:
        """This element and all below it, in document order."""
        left = [self]
        while left:
            element = left.pop()
            yield element
            left += [child for child in reversed(element.children) if isinstance(child, Element)]

    def text(self) -> str:
        """All text below this element."""
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("document")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element, after closing those that it ends."""
        if tag == "body":  # an unclosed head ends here
            del self.open[next((i for i, e in enumerate(self.open) if e.tag == "head"), len(self.open)) :]
        if tag in BLOCKS:
            self._close("p", _SCOPES | {"td", "th", "li", "div"})
        if tag == "p" or tag in HEADINGS:
            self._close_headings()
        for sibling in _SIBLINGS.get(tag, ()):
            self._close(sibling, _SCOPES)
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID and len(self.open) < _DEEPEST:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """``<a id="x"/>`` is empty, as in XHTML."""
        self.handle_starttag(tag, attrs)
        if self.open[-1].tag == tag and tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close the nearest such element and all within it."""
        self._close(tag, frozenset())

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.open[-1].children.append(data)

    def _close_headings(self) -> None:
        """End a heading that was never closed, if it has its text: what follows is not a part of it."""
        at = next((i for i, element in enumerate(self.open) if element.tag in HEADINGS), None)
        if at is not None and self.open[at].text().strip():
            del self.open[at:]

    def _close(self, tag: str, scope: frozenset[str]) -> None:
        for i in range(len(self.open) - 1, 0, -1):
            if self.open[i].tag == tag:
                del self.open[i:]
                return
            if self.open[i].tag in scope:
                return


def parse_html(page: str) -> Element:
    """The tree of a page in HTML or XHTML."""
    builder = _Builder()
    builder.feed(page)
    builder.close()
    return builder.root
