"""Books as people have them, and files that are none."""

import gzip
import io
import os
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tiny_diffusion.data.loading import read_book
from tiny_diffusion.errors import UserError

FRENCH = "L'été dernier, la forêt était brûlée ; où êtes-vous allé ? « À Noël », dit-elle, naïve. Ça va, garçon.\n" * 40
RUSSIAN = "Старый мельник шёл по узкой дороге и думал о доме, о саде и о своём брате.\n" * 40
CHINESE = "老磨坊主走在狭窄的路上，想着家和花园。\n" * 40
QUOTES = "“Well,” said he—“the miller’s gone…” and so it was.\n" * 40


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "utf-8"), (FRENCH, "utf-8-sig"), (FRENCH, "latin-1"), (FRENCH, "cp1252"), (QUOTES, "cp1252"),
        (FRENCH, "utf-16"), (FRENCH, "utf-16-le"), (FRENCH, "utf-16-be"), (FRENCH, "utf-32"), (RUSSIAN, "utf-8"),
        (RUSSIAN, "cp1251"), (CHINESE, "utf-8"), (CHINESE, "utf-16"),
    ],
)  # fmt: skip
def test_encodings_are_found_out(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "a book, très vieux.txt"
    path.write_bytes(text.encode(encoding))
    assert read_book(path).text == text


def test_line_ends_become_one(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_bytes(b"one\r\ntwo\rthree\nfour")
    assert read_book(path).text == "one\ntwo\nthree\nfour"


def test_gzip_and_html(tmp_path: Path) -> None:
    page = (
        "<html><head><title>T</title><style>p{}</style></head><body><p>One &amp; two.</p><script>x()</script>"
        "<p>Three<br>four.</p></body></html>"
    )
    (tmp_path / "b.html").write_text(page, encoding="utf-8")
    book = read_book(tmp_path / "b.html")
    assert book.text == "One & two.\n\nThree\nfour." and book.title == "T"
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(FRENCH.encode("latin-1")))
    assert read_book(tmp_path / "b.txt.gz").text == FRENCH


CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="{package}"/></rootfiles></container>'
)
PACKAGE = (
    '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
    "<dc:title>Tales</dc:title></metadata><manifest>"
    '<item id="b" href="two.xhtml"/><item id="a" href="{first}"/></manifest>'
    '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>'
)


def epub(path: Path, **changes: str) -> Path:
    files = {
        "META-INF/container.xml": CONTAINER.format(package=changes.get("package", "OPS/p.opf")),
        "OPS/p.opf": changes.get("opf", PACKAGE.format(first=changes.get("first", "one.xhtml"))),
        "OPS/one.xhtml": changes.get("one", "<html><body><p>First chapter.</p></body></html>"),
        "OPS/two.xhtml": "<html><body><p>Second chapter.</p></body></html>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        for name in filter(None, [changes.get("extra")]):
            archive.writestr(name, "x")
    return path


def test_epub_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    book = read_book(epub(tmp_path / "b.epub"))
    assert book.text == "First chapter.\n\nSecond chapter." and book.title == "Tales"


ENTITY = '<!DOCTYPE package [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"extra": "../../out.txt"}, "outside"),
        ({"package": "../p.opf"}, "outside"),
        ({"first": "../../one.xhtml"}, "outside"),
        ({"opf": ENTITY + PACKAGE.format(first="one.xhtml")}, "entities"),
        ({"one": ENTITY + "<html><body>&x;</body></html>"}, "entities"),
        ({"one": "<p>" + " " * 40_000_000 + "</p>"}, "bomb"),
        ({"opf": "<package"}, "damaged"),
        ({"package": "OPS/none.opf"}, "missing"),
    ],
)
def test_epubs_not_to_be_trusted(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_book(epub(tmp_path / "b.epub", **changes))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b"  \n \n", "no text"),
        ("a.txt", bytes(range(256)) * 50, "NUL"),
        ("a.txt", b"\0" * 1000, "NUL"),
        ("a.txt", bytes(range(1, 32)) * 100 + b"\xff", "binary"),
        ("a.txt", b"%PDF-1.7 \xff", "PDF"),
        ("a.epub", b"no zip at all", "EPUB"),
        ("a.txt.gz", gzip.compress(b"text " * 99)[:20], "gzip"),
        ("a.gz", b"plain", "no gzip"),
    ],
)
def test_files_that_are_no_books(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        read_book(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_missing_folder_and_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no file"):
        read_book(tmp_path / "none.txt")
    with pytest.raises(UserError, match="folder"):
        read_book(tmp_path)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, os.strerror(13))

    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything: the refusal is played
    with pytest.raises(UserError, match="permission"):
        read_book(tmp_path / "a.txt")


def test_from_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        asked.append(request.full_url)
        if len(asked) == 1:
            raise urllib.error.URLError("no route")
        return io.BytesIO(b"Some text.")

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    with pytest.raises(UserError, match="download the book yourself"):
        read_book("gutenberg:84")
    assert read_book("https://example.org/b.txt").text == "Some text."
    assert "84" in asked[0] and asked[1] == "https://example.org/b.txt"
    with pytest.raises(UserError, match="number"):
        read_book("gutenberg:frankenstein")
