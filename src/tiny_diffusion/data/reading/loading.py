"""Reads a book from any source: text in any encoding, a book format, gzip, a URL or a Project Gutenberg number."""

import gzip
import html
import http.client
import io
import re
import threading
import urllib.request
import zlib
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UserError
from .asciidoc import asciidoc_blocks
from .document import Block, plain
from .encoding import decode
from .epub import read_epub
from .fictionbook import fictionbook_blocks
from .markdown import markdown_blocks
from .markup import html_blocks
from .word import word_blocks

MAX_BYTES = 200_000_000
TIMEOUT = 30.0  # seconds
GUTENBERG = "https://www.gutenberg.org/cache/epub/{id}/pg{id}.txt"
BINARY_MAGIC = {
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x7fELF": "a program",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"Rar!": "an archive",
    b"7z\xbc\xaf": "an archive",
}
READABLE = ".txt, .md, .adoc, .html, .epub, .fb2, .docx or any of these as .gz"
# Formats that are text or archives inside, but not readable as they are: what they are, and what to do.
_WORD_PROCESSOR = "open it in a word processor and save it as .html or plain text"
_REFUSED = {
    ".rst": ("reStructuredText", "convert it to HTML with docutils"),
    ".tex": ("LaTeX", "convert it to HTML or plain text with pandoc"),
    ".rtf": ("RTF", _WORD_PROCESSOR),
    ".odt": ("an OpenDocument text", _WORD_PROCESSOR),
    ".doc": ("an old Word document", _WORD_PROCESSOR),
    ".mobi": ("a Kindle book", "convert it to .epub with Calibre"),
    ".azw3": ("a Kindle book", "convert it to .epub with Calibre"),
    ".azw": ("a Kindle book", "convert it to .epub with Calibre"),
    ".djvu": ("a DjVu scan", "extract its text with djvutxt"),
    ".pdf": ("a PDF", "extract its text with pdftotext, or give the book as .epub"),
    ".org": ("an Org file", "convert it to HTML with pandoc"),
    ".textile": ("Textile", "convert it to HTML with pandoc"),
    ".wiki": ("a wiki page", "convert it to HTML with pandoc"),
    ".json": ("JSON", "give the text that it holds"),
    ".xml": ("XML", "convert it to HTML or .epub"),
}
_STARTS = {b"{\\rtf": ".rtf", b"%PDF": ".pdf", b"\\documentclass": ".tex", b"AT&TFORM": ".djvu"}
_MEMBERS = {b"mimetypeapplication/vnd.oasis": ".odt"}  # bytes that show what a zip is
_HTML = re.compile(r"\ufeff?\s*(?:<\?xml[^>]*>\s*)?(?:<!doctype html|<html)", re.IGNORECASE)


# How a manuscript is read, what it is called, and what shows it in a file that is called otherwise: its headings.
_MANUSCRIPTS = (
    (asciidoc_blocks, (".adoc", ".asciidoc"), re.compile(r"(?:\A|\n)={2,6} [^\n=]+(?=\n\n)")),
    (markdown_blocks, (".md", ".markdown"), re.compile(r"(?:\A|\n\n)#{1,6} [^\s#].*(?=\n\n)")),
)
_MARKS = 2
_FOREIGN = {  # what shows a form that is not read in a file that is called otherwise
    ".rst": re.compile(r"^\.\. (?:[\w-]+::|\[[#*\w]+\] |_[^:\n]+:)|\w\]_(?!\w)|:[a-z]+:`[^`\n]+`", re.MULTILINE),
    ".tex": re.compile(r"\\(?:chapter|section|begin|emph|textit|footnote)\*?\{"),
}
_ENTITY = re.compile(
    r"&(?:amp|quot|nbsp|[mn]dash|[lr][sd]quo|hellip|[A-Za-z](?:acute|grave|circ|uml|cedil|tilde)|#\d+);"
)


@dataclass(frozen=True)
class Book:
    """A book's text with ``\\n`` line ends, its source, and its encoding.

    blocks: what its format says about its parts; None for plain text. warnings: what could not be read.
    """

    text: str
    source: str
    encoding: str
    title: str | None
    blocks: tuple[Block, ...] | None = None
    warnings: tuple[str, ...] = ()


class OutOfReach(UserError):
    """The book cannot be fetched from the network; ``reason`` says why in a few words."""

    def __init__(self, name: str, reason: str) -> None:
        self.reason = reason
        super().__init__(f"cannot fetch {name} ({reason}); download the book yourself and give its path")


def read_book(source: str | Path, patience: float = TIMEOUT) -> Book:
    """Read a book from a path, a URL or ``gutenberg:ID``; a server must start to answer within ``patience`` seconds.

    Raises UserError, with a message of one line, for a source that is missing, empty, binary, damaged, unsafe or out of
    reach.
    """
    name = str(source)
    if re.match(r"gutenberg:", name):
        number = name.removeprefix("gutenberg:")
        if not number.isdigit():
            raise UserError(f"{name!r} should be gutenberg: and the book's number, such as gutenberg:84")
        data = _download(GUTENBERG.format(id=number), name, patience)
    elif re.match(r"https?://", name):
        data = _download(name, name, patience)
    else:
        data = _read(Path(source))
    return parse_book(data, name)


def _read(path: Path) -> bytes:
    """A file's bytes."""
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give a file, or let prepare read all books in it")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)  # a device or a pipe has no size to check beforehand
    except FileNotFoundError as error:
        raise UserError(f"no file at {path}") from error
    except PermissionError as error:
        raise UserError(f"cannot read {path}: permission denied") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise UserError(f"{str(path)!r} is not a file name ({error})") from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES:,} bytes, the limit for a book")
    return data


def _download(url: str, name: str, patience: float) -> bytes:
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "tiny-diffusion"})
        with _answer(request, patience) as response:
            data: bytes = response.read(MAX_BYTES + 1)
    except (http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise OutOfReach(name, str(getattr(reason, "strerror", None) or reason)) from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{name} is larger than {MAX_BYTES:,} bytes")
    return data


def _answer(request: urllib.request.Request, patience: float) -> Any:
    """Return the open response; raises OSError, HTTPException or ValueError if none starts within ``patience`` seconds.

    A thread does the waiting, because looking up a host name has no time-out of its own.
    """
    answer: Future[Any] = Future()

    def ask() -> None:
        try:
            answer.set_result(urllib.request.urlopen(request, timeout=patience))
        except (http.client.HTTPException, OSError, ValueError) as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.result(timeout=patience)
    except TimeoutError as error:
        raise TimeoutError(f"no answer within {patience:g} seconds") from error


def parse_book(data: bytes, name: str) -> Book:
    """The book in a file's bytes; ``name`` tells its format where the bytes do not, and stands in messages."""
    if not data:
        raise UserError(f"{name} is empty")
    suffixes = [s.lower() for s in Path(name.split("?")[0]).suffixes]
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data, name)
    elif suffixes[-1:] == [".gz"]:
        raise UserError(f"{name} is called .gz but is not a gzip file")
    last = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    _refuse(data, last, name)
    if last == ".docx" or data.startswith(b"PK\x03\x04") and b"word/document.xml" in data:
        return _of_blocks(word_blocks(data, name), name, "docx", None)
    if last == ".fb2" or b"<FictionBook" in data[:1000]:
        blocks, title = fictionbook_blocks(data, name)
        return _of_blocks(blocks, name, "fb2", title)
    if data[:4] == b"PK\x03\x04" or last == ".epub":
        blocks, title, warnings = read_epub(data, name)
        return _of_blocks(blocks, name, "epub", title, warnings)
    text, encoding = decode(data, name)
    text = _normalise(text, name)
    if last in (".html", ".htm", ".xhtml") or _HTML.match(text[:2000]):
        blocks, title = html_blocks(text)
        return _of_blocks(blocks, name, encoding, title)
    for read, suffixes_of, mark in _MANUSCRIPTS:
        if last in suffixes_of or len(mark.findall(text)) >= _MARKS:
            return _of_blocks(read(text), name, encoding, None)
    for suffix, mark in _FOREIGN.items():
        if len(mark.findall(text)) >= _MARKS:
            _refuse(b"", suffix, name)
    if len(_ENTITY.findall(text)) >= _MARKS:
        text = html.unescape(text)
    return Book(text, name, encoding, None)


def _refuse(data: bytes, suffix: str, name: str) -> None:
    """Raise UserError for a format that is not read, by its first bytes, its members or its suffix."""
    kind = next((end for start, end in _STARTS.items() if data.startswith(start)), suffix)
    if data.startswith(b"PK\x03\x04"):
        kind = next((end for member, end in _MEMBERS.items() if member in data), "")
    if kind in _REFUSED:
        what, advice = _REFUSED[kind]
        raise UserError(f"{name} is {what}, which is not read; {advice}")
    for magic, what in BINARY_MAGIC.items():
        if data.startswith(magic):
            raise UserError(f"{name} is {what}, not text; give {READABLE}")


def _of_blocks(
    blocks: list[Block], name: str, encoding: str, title: str | None, warnings: tuple[str, ...] = ()
) -> Book:
    return Book(_normalise(plain(blocks), name), name, encoding, title, tuple(blocks), warnings)


def _gunzip(data: bytes, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name} is a damaged gzip file ({error})") from error
    if len(text) > MAX_BYTES:
        raise UserError(f"{name} unpacks to more than {MAX_BYTES:,} bytes")
    return text


def _normalise(text: str, name: str) -> str:
    text = re.sub(r"\r+\n|\r", "\n", text).removeprefix("\ufeff")
    if not text.strip():
        raise UserError(f"{name} holds no text")
    return text
