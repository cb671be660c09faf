"""Reads the document of an HTML page from its tree: what tags, roles and classes say about each block."""

import re
from dataclasses import dataclass, field

from .document import REMOVABLE, Block
from .dom import BLOCKS, HEADINGS, Element, parse_html
from .linked_notes import name_notes
from .structure.titles import is_numbered_heading

_SKIPPED = frozenset(
    "script style template noscript svg math rp rt rtc iframe audio video object button select textarea label".split()
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SITE_CLASS = re.compile(r"\b(?:no-?print|noexport|printfooter|headertemplate|navbox|mw-(?:editsection|jump-link))\b")
_PAGE_CLASS = re.compile(
    r"\b(?:page-?num\w*|page-?no|pagebreak|folio|x-ebookmaker-pageno|pgnum|l(?:ine)?-?num\w*|lineno)\b", re.IGNORECASE
)
_NOTE_MARK = re.compile(r"[\[({]?\s*(?:\d{1,4}|[a-z]|[ivx]{1,5}|[*†‡§¶]{1,3}|↩\ufe0e?)\s*[\])}]?", re.IGNORECASE)
_LISTS = frozenset("ul ol table p div blockquote section center".split())
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_WHITE = re.compile(r"[ \t\r\n\f]+")
_FRAME_CLASS = re.compile(r"\bpg(?:-boilerplate|header|footer|-header|-footer)\b", re.IGNORECASE)
_LETTER = re.compile(r"(?:\[?(?:illustration|initial|drop ?cap)?: *)?([\"“‘'«„¿¡—]{0,2}[^\W\d_])\]?", re.IGNORECASE)
_LONGEST_LINE = 70  # mean length from which lines parted by <br> are wrapped prose rather than verse
_MOST_OF_A_HEAD = 200  # signs of a chapter's number, title and summary
_MOST_OF_A_TITLE = 4  # lines of "Chapter I" with its title
_LONGEST_PAGE = 12  # signs in the number of a page, where its class could also be that of a division
_WORDS = re.compile(r"[^\W_]")
# Parts of a book by their epub:type, ARIA role or class. The first that matches decides.
_PARTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(rf"(?:^|\s)(?:doc-)?(?:{names})(?=$|\s)", re.IGNORECASE))
    for kind, names in (
        ("contents", r"toc|landmarks|page-list|loi|lot|index|toc\d?|table-?of-?contents"),
        ("notes", r"footnotes?|endnotes?|rearnotes?|noteentry|fnotes?|(?:side|margin)-?notes?|marginalia"),
        ("pictures", r"caption|figcaption|fig(?:left|right|center|ure)?|illus(?:tration)?"),
        ("pages", r"pagebreak"),
        ("licence", r"transnote|tnote|mynote|transcribers?-?notes?"),
        (
            "front",
            r"titlepage|halftitlepage|halftitle|copyright-page|imprint|imprimatur|cover|other-credits|dedication",
        ),
        ("back", r"colophon|backlink|acknowledge?ments|contributors"),
        ("text", r"epigraph"),
        ("verse", r"z3998:(?:poem|verse|song)|poem|poetry\w*|verse|lyrics|linegroup|line-?block|stanza|lg"),
    )
)
# A paragraph or division of such a class is a title; a span may name a book within a sentence.
_TITLE = re.compile(
    r"(?:^|\s)(?:(?:sub|chapter|part|book|section)[-_]?)?(?:title|titel|titre|titolo|t[ií]tulo|heading|number|h[1-6])(?=$|\s)",
    re.IGNORECASE,
)


@dataclass
class _Reader:
    """Collects blocks while walking over a tree; ``pieces`` is the text of the block that is open."""

    blocks: list[Block] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    gap: int = 0

    def flush(self, kind: str) -> None:
        """Close the open block: two line breaks in a row part it, short lines are kept as lines."""
        text, self.pieces = "".join(self.pieces), []
        for part in _BLANK_LINES.split(text):
            lines = [line.strip(" \t") for line in part.split("\n") if line.strip()]
            if not lines:
                continue
            kind_of = kind
            if len(lines) > 1 and kind in ("", "text"):
                short = sum(map(len, lines)) / len(lines) < _LONGEST_LINE
                kind_of, lines = ("verse", lines) if short else (kind, [" ".join(lines)])
                if short and len(lines) <= _MOST_OF_A_TITLE and " " in lines[0] and is_numbered_heading(lines[0]):
                    kind_of = "headings"
            self.blocks.append(Block(lines, 1 + self.gap, 1, kind_of))
            self.gap = 0

    def walk(self, element: Element, kind: str, pre: bool = False) -> None:
        """Add ``element``, which stands in a part of this kind."""
        if element.tag in _SKIPPED or _is_hidden(element) or _is_page(element) or _is_note_mark(element):
            return
        if element.tag == "br":
            self.pieces.append("\n")
        elif element.tag == "img":
            self.pieces.append(_drop_capital(element, self.pieces))
        elif kind == "verse" and _is_line(element):
            if self.pieces and not self.pieces[-1].endswith("\n"):
                self.pieces.append("\n")
            self._children(element, kind, pre)
        elif element.tag in BLOCKS or element.tag in HEADINGS:
            self._block(element, kind, pre)
        elif _within(kind, element) == "notes" != kind:  # a note within a sentence
            around, self.pieces = self.pieces, []
            self._children(element, "notes", pre)
            self.flush("notes")
            self.pieces = around
        else:
            self._children(element, _within(kind, element), pre)

    def _block(self, element: Element, kind: str, pre: bool) -> None:
        self.flush(kind)
        own = _within(kind, element)
        if element.tag == "hr" or element.tag == "p" and not element.text().strip():
            self.gap = 1
        if not own and element.tag in _LISTS and _is_link_list(element):
            own = "contents"
        self._children(element, own, pre or element.tag == "pre")
        if element.tag == "pre" and not own:  # plain text within a page: cleaning finds out what its lines are
            groups, self.pieces = _BLANK_LINES.split("".join(self.pieces)), []
            self.blocks += [Block(group.strip("\n").split("\n"), 1, 1) for group in groups if group.strip()]
        self.flush(own)

    def _children(self, element: Element, kind: str, pre: bool) -> None:
        for child in element.children:
            if isinstance(child, Element):
                self.walk(child, kind, pre)
            else:
                self.pieces.append(child if pre else _WHITE.sub(" ", child))
        if element.tag in ("td", "th"):
            self.pieces.append(" ")


def html_blocks(page: str) -> tuple[list[Block], str | None]:
    """Return the blocks of an HTML page, and its title (None if there is none)."""
    root = parse_html(page)
    name_notes([("", root)])
    title = next((e.text() for e in root.elements() if e.tag == "title"), "")
    return page_blocks(root), " ".join(title.split()) or None


def page_blocks(root: Element, kind: str = "") -> list[Block]:
    """The blocks of a page whose notes are named; kinds are set where it says them.

    ``kind`` is that of the whole page where its package gives one.
    """
    body = next((e for e in root.elements() if e.tag == "body"), root)
    for head in [e for e in root.elements() if any(isinstance(c, Element) and c.tag == "head" for c in e.children)]:
        head.children = [c for c in head.children if isinstance(c, str) or c.tag != "head"]
    mains = [e for e in body.elements() if e.tag in ("main", "article")]
    if mains and sum(e.tag == mains[-1].tag for e in mains) == 1 and 2 * _signs(mains[-1]) > _signs(body):
        body = mains[-1]  # what a site puts around it is not the book
    return tree_blocks(body, kind or ("contents" if _is_link_list(body) else ""))


def tree_blocks(body: Element, kind: str = "") -> list[Block]:
    """The blocks of a tree of elements; ``kind`` as in ``page_blocks``."""
    reader = _Reader()
    reader.walk(body, kind)
    reader.flush(kind)
    return reader.blocks


def _kind(element: Element) -> str:
    """The kind that a tag, ``epub:type``, role or class gives; empty if none does."""
    if element.tag in HEADINGS:
        return "headings"
    if element.tag == "nav":
        return "contents"
    if element.tag == "header" and _signs(element) <= _MOST_OF_A_HEAD:
        return "headings"
    if element.tag in ("figcaption", "caption"):
        return "pictures"
    said = f"{element.get('epub:type')} {element.get('role')} {element.get('class')}"
    if _FRAME_CLASS.search(said):
        return "licence"
    if element.get("id") in ("pg-header", "pg-footer"):
        return "licence"
    if element.tag in ("p", "div") and _TITLE.search(element.get("class")) and _signs(element) <= _MOST_OF_A_HEAD:
        return "headings"
    return next((kind for kind, names in _PARTS if names.search(said)), "")


def _within(kind: str, element: Element) -> str:
    """The kind of an element in a part of this kind: a poem within a note stays a part of the note."""
    own = _kind(element)
    return own if own in ("headings", "text") or (own and kind not in REMOVABLE) else kind


def _is_hidden(element: Element) -> bool:
    site = _SITE_CLASS.search(element.get("class"))
    return "hidden" in element.attributes or bool(site or _HIDDEN.search(element.get("style")))


def _is_page(element: Element) -> bool:
    said = f"{element.get('class')} {element.get('epub:type')} {element.get('role')}"
    if element.tag not in ("span", "a", "sup", "div", "p", "small"):
        return False
    return bool(_PAGE_CLASS.search(said)) or ("page" in said.split() and len(element.text()) <= _LONGEST_PAGE)


def _is_note_mark(element: Element) -> bool:
    """Whether it is a reference to a note, or a note's link back: by type, class, or a link that is only a mark."""
    said = f"{element.get('epub:type')} {element.get('role')} {element.get('class')}"
    if re.search(r"\b(?:noteref|backlink|fnanchor|footnote-?ref|footnote-?backref|doc-backlink)\b", said):
        return True
    if element.tag == "sup":
        return any(e.tag == "a" for e in element.elements()) and bool(_NOTE_MARK.fullmatch(element.text().strip()))
    if element.tag != "a" or "#" not in element.get("href"):  # reading the text of all would take long in deep pages
        return False
    text = element.text().strip()
    bracketed = text[:1] in "[({" or any(e.tag == "sup" for e in element.elements()) or not text[:1].isalnum()
    return bracketed and bool(text) and bool(_NOTE_MARK.fullmatch(text))


def _drop_capital(image: Element, before: list[str]) -> str:
    """The letter that a picture shows at the beginning of a block; nothing for any other picture."""
    letter = _LETTER.fullmatch(image.get("alt").strip())
    return letter[1] if letter and not letter[1].islower() and not "".join(before).strip() else ""


def _is_link_list(element: Element) -> bool:
    """Whether nearly all text of a part with three or more links is in the links: a list of contents."""
    links = [e for e in element.elements() if e.tag == "a" and e.get("href") and _WORDS.search(e.text())]
    if len(links) < 3:
        return False
    return sum(_signs(link) for link in links) >= 0.8 * _signs(element)


def _signs(element: Element) -> int:
    """Number of letters and digits below an element."""
    return sum(len(word) for word in re.findall(r"[^\W_]+", element.text()))


def _is_line(element: Element) -> bool:
    """Whether an element within a poem is one of its lines, rather than a stanza or a few words."""
    if element.tag == "span":
        return re.fullmatch(r"(?:i|in|indent|l|line|vers)\d*\w*", element.get("class")) is not None
    stanza = re.search(r"\b(?:stanza|linegroup|line-?block)\b", element.get("class"))
    lines = any(each.tag in BLOCKS or each.tag == "br" for each in element.elements() if each is not element)
    return element.tag == "li" or (element.tag in ("div", "p") and not stanza and not lines)
