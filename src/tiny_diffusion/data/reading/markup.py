"""Extracts the text of an HTML page, with a blank line between blocks."""

import re
from html.parser import HTMLParser

BLOCKS = frozenset(
    "p div h1 h2 h3 h4 h5 h6 li ul ol dl dt dd blockquote pre section article header footer table tr hr body "
    "figure figcaption aside main nav center address".split()
)
SKIPPED = frozenset("script style head template noscript svg".split())


class _TextParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title: list[str] = []
        self._skip: list[str] = []
        self._in_title = False
        self._pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a block, a skipped part or the title."""
        if tag == "title":
            self._in_title = not self._skip or self._skip == ["head"]  # the title of a picture is not the page's
        elif tag in SKIPPED:
            self._skip.append(tag)
        elif tag == "body":  # an unclosed head ends here
            self._skip.clear()
        if tag == "br":
            self.parts.append("\n")
        elif tag in BLOCKS:
            self.parts.append("\n\n")
        elif tag in ("td", "th"):
            self.parts.append(" ")
        self._pre += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        """Close the block, skipped part or title."""
        if tag == "title":
            self._in_title = False
        if self._skip and tag in self._skip:
            del self._skip[self._skip.index(tag) :]
        if tag in BLOCKS:
            self.parts.append("\n\n")
        self._pre = max(0, self._pre - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        """Keep text; white space is folded except inside <pre>."""
        if self._in_title:
            self.title.append(data)
        elif not self._skip:
            self.parts.append(data if self._pre else re.sub(r"\s+", " ", data))


def html_text(page: str) -> tuple[str, str | None]:
    """Return the text of an HTML page and its title (None if there is none)."""
    parser = _TextParser()
    parser.feed(page)
    parser.close()
    text = "\n".join(line.strip(" ") for line in "".join(parser.parts).split("\n"))
    title = " ".join("".join(parser.title).split())
    return re.sub(r"\n{3,}", "\n\n", text).strip(), title or None
