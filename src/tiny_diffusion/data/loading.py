"""Reading a book, whatever it comes as: text in any encoding, HTML, EPUB, gzip, a URL, a Gutenberg number."""

import codecs
import gzip
import io
import re
import unicodedata
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

from charset_normalizer import from_bytes

from ..errors import UserError
from .epub import epub_text
from .markup import html_text

MAX_BYTES = 200_000_000
SAMPLE = 200_000  # bytes of a text that the encoding is judged by
TIMEOUT = 30.0  # seconds
GUTENBERG = "https://www.gutenberg.org/cache/epub/{id}/pg{id}.txt"
BINARY_MAGIC = {
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x7fELF": "a program",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"Rar!": "an archive",
    b"7z\xbc\xaf": "an archive",
}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Book:
    """A book's text with ``\\n`` line ends, where it came from, and how it was encoded."""

    text: str
    source: str
    encoding: str
    title: str | None


def read_book(source: str | Path) -> Book:
    """Read a book from a path, a URL or ``gutenberg:ID``.

    Raises UserError, in one line, for what is missing, empty, binary, damaged, unsafe or out of reach.
    """
    name = str(source)
    if re.match(r"gutenberg:", name):
        number = name.removeprefix("gutenberg:")
        if not number.isdigit():
            raise UserError(f"{name!r} should be gutenberg: and the book's number, such as gutenberg:84")
        data = _download(GUTENBERG.format(id=number), name)
    elif re.match(r"https?://", name):
        data = _download(name, name)
    else:
        data = _read(Path(source))
    return _book(data, name)


def _read(path: Path) -> bytes:
    """A file's bytes."""
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the book's file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{path} has {size:,} bytes; a book may have {MAX_BYTES:,} at most")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"no file at {path}") from error
    except PermissionError as error:
        raise UserError(f"cannot read {path}: permission denied") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _download(url: str, name: str) -> bytes:
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "tiny-diffusion"})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            data: bytes = response.read(MAX_BYTES + 1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"cannot fetch {name} ({reason}); download the book yourself and give its path") from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{name} is larger than {MAX_BYTES:,} bytes")
    return data


def _book(data: bytes, name: str) -> Book:
    if not data:
        raise UserError(f"{name} is empty")
    suffixes = [s.lower() for s in Path(name.split("?")[0]).suffixes]
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data, name)
    elif suffixes[-1:] == [".gz"]:
        raise UserError(f"{name} is called .gz but is no gzip file")
    if data[:4] == b"PK\x03\x04" or suffixes[-1:] == [".epub"]:
        text, title = epub_text(data, name)
        return Book(_normalise(text, name), name, "epub", title)
    for magic, kind in BINARY_MAGIC.items():
        if data.startswith(magic):
            raise UserError(f"{name} is {kind}, not text; give .txt, .epub, .html or .gz")
    text, encoding = decode(data, name)
    title = None
    if {".html", ".htm", ".xhtml"} & set(suffixes) or re.match(r"\s*(<!doctype html|<html)", text[:500], re.I):
        text, title = html_text(text)
    return Book(_normalise(text, name), name, encoding, title)


def _gunzip(data: bytes, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name} is a damaged gzip file ({error})") from error
    if len(text) > MAX_BYTES:
        raise UserError(f"{name} unpacks to more than {MAX_BYTES:,} bytes")
    return text


def decode(data: bytes, name: str) -> tuple[str, str]:
    """Text and encoding of ``data``: by its mark, as UTF-8 or UTF-16 by its bytes, else by statistics.

    Raises UserError for bytes that are no text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _strict(data, encoding, name), encoding
    wide = _utf16_without_mark(data)
    if wide is not None:
        return _strict(data, wide, name), wide
    if b"\0" in data:
        raise UserError(f"{name} holds NUL bytes: it is binary, not text")
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass  # a legacy encoding, found below
    sample = data[:SAMPLE]
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1a\x1b" for byte in sample)
    if controls > len(sample) / 100:
        raise UserError(f"{name} is binary, not text")
    encoding = _legacy(sample)
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"  # every byte has a meaning there


def _strict(data: bytes, encoding: str, name: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{name} begins as {encoding} but is damaged at byte {error.start}") from error


def _utf16_without_mark(data: bytes) -> str | None:
    """utf-16-le or -be when one of each two bytes is nearly always zero, and the other nearly never."""
    sample = data[: SAMPLE & ~1]
    if len(data) % 2 or len(sample) < 4:
        return None
    half = len(sample) // 2
    even, odd = sample[0::2].count(0) / half, sample[1::2].count(0) / half
    if odd > 0.4 and even < 0.02:
        return "utf-16-le"
    if even > 0.4 and odd < 0.02:
        return "utf-16-be"
    return None


def _legacy(sample: bytes) -> str:
    """The likeliest one-byte (or East Asian) encoding of ``sample``.

    Western text is read as Windows-1252, which holds Latin-1's letters and the typographic quotes.
    """
    letters = sum(byte >= 0xC0 for byte in sample)
    marks = sum(0x80 <= byte < 0xC0 for byte in sample)
    if letters + marks < 0.3 * len(sample):
        undefined = any(byte in b"\x81\x8d\x8f\x90\x9d" for byte in sample)
        western = sample.decode("latin-1" if undefined else "cp1252", errors="replace")
        odd = sum(unicodedata.category(c) in ("Cc", "So", "Sc") and c not in "\t\n\r\f" for c in western)
        if odd <= 0.2 * (letters + marks):
            return "latin-1" if undefined else "cp1252"
    best = from_bytes(sample).best()
    return best.encoding if best is not None else "cp1252"


def _normalise(text: str, name: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    if not text.strip():
        raise UserError(f"{name} holds no text")
    return text
