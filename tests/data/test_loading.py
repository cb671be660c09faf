"""Books in the forms that people have them, and files that are not books."""

import gzip
import http.client
import io
import os
import re
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tiny_diffusion.data.reading import loading
from tiny_diffusion.data.reading.cleaning import clean_book
from tiny_diffusion.data.reading.loading import read_book
from tiny_diffusion.errors import UserError

FRENCH = "L'été dernier, la forêt était brûlée ; où êtes-vous allé ? « À Noël », dit-elle, naïve. Ça va, garçon.\n" * 40
RUSSIAN = "Старый мельник шёл по узкой дороге и думал о доме, о саде и о своём брате.\n" * 40
CHINESE = "老磨坊主走在狭窄的路上，想着家和花园。\n" * 40
QUOTES = "“Well,” said he—“the miller’s gone…” and so it was.\n" * 40
JAPANESE = "古い粉屋の主人は、せまい道を歩きながら、家と庭のことを考えていた。\n" * 40
POLISH = "Stary młynarz szedł wąską drogą i myślał o ogrodzie i o bracie, który już dawno wyjechał gdzieś.\n" * 40
CZECH = "Starý mlynář šel úzkou cestou a přemýšlel o domě a o svém bratrovi, který už dávno odešel.\n" * 40
HUNGARIAN = "Az öreg molnár a szűk úton ment, és a bátyjára gondolt, aki már régen elment, ő is.\n" * 40
GERMAN = "Die Möwen gingen über die große Mauer, und er fragte, wer läutete.\n" * 20
SWEDISH = "Måsarna flög över den stora muren, och han frågade vem som ringde. Ännu är det för tidigt.\n" * 20
LITHUANIAN = "Žuvėdros skrido virš sienos, o sargas paklausė, kas čia skambina. Ąžuolas šlama, vėjas pučia.\n" * 20
PLAIN = "A plain line of English words.\n" * 10_000  # longer than the sample


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "utf-8"), (FRENCH, "utf-8-sig"), (FRENCH, "latin-1"), (FRENCH, "cp1252"), (QUOTES, "cp1252"),
        (FRENCH, "utf-16"), (FRENCH, "utf-16-le"), (FRENCH, "utf-16-be"), (FRENCH, "utf-32"), (RUSSIAN, "utf-8"),
        (RUSSIAN, "cp1251"), (CHINESE, "utf-8"), (CHINESE, "utf-16"),
        (RUSSIAN, "utf-16-le"), (CHINESE, "utf-16-be"), (CHINESE, "gb18030"), (CHINESE * 200, "gb18030"),
        (JAPANESE, "shift_jis"), (JAPANESE, "euc_jp"), (JAPANESE, "utf-16-le"), (POLISH, "cp1250"),
        (POLISH, "iso8859-2"), (CZECH, "cp1250"), (HUNGARIAN, "cp1250"), (FRENCH.replace("Ça", "Cœur"), "iso8859-15"),
        ("It cost 3½d., said Zoë, for crème brûlée.\n", "latin-1"), (PLAIN + FRENCH, "latin-1"),
        (PLAIN + RUSSIAN, "cp1251"), (FRENCH, "mac_roman"), (QUOTES, "mac_roman"), (GERMAN, "cp850"),
        (GERMAN, "cp1252"), (JAPANESE, "iso2022_jp"), (SWEDISH, "cp437"), (SWEDISH, "cp865"), (SWEDISH, "mac_roman"),
        (POLISH, "cp852"), (HUNGARIAN, "cp852"), (LITHUANIAN, "cp1257"), (RUSSIAN, "koi8-r"),
    ],
)  # fmt: skip
def test_encodings_are_found_out(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "a book, très vieux.txt"
    path.write_bytes(text.encode(encoding))
    assert read_book(path).text == text


@pytest.mark.parametrize("text", [FRENCH, GERMAN, "Who rang?\N{RIGHT DOUBLE QUOTATION MARK} he said.\n", RUSSIAN])
def test_a_text_that_was_encoded_twice(tmp_path: Path, text: str) -> None:
    path = tmp_path / "b.txt"
    # What an editor makes of UTF-8 that it takes for Windows-1252, where five bytes mean nothing and stay.
    seen = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.encode())
    path.write_bytes(seen.encode())
    assert read_book(path).text == text


def test_entities_and_overstruck_letters_in_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_text(f"&quot;Go &amp; see,&quot; said Zo&euml;. N\bNo\bo.\n\n{PLAIN[:900]}", encoding="utf-8")
    assert clean_book(read_book(path).text).paragraphs[0] == '"Go & see," said Zoë. No.'
    path.write_text("He wrote &amp; in it.\n", encoding="utf-8")
    assert read_book(path).text == "He wrote &amp; in it.\n"


def test_a_text_with_few_letters_beyond_ascii_is_not_garbled(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_bytes((PLAIN[:900] + "Zoë, Chloë, Noël and René\n").encode() + b"Zo\xeb\n")
    with pytest.raises(UserError, match="UTF-8 but damaged"):
        read_book(path)


def test_letters_that_look_like_bytes_stay(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    for text in ("NÃO, À VENDA: ÂNGELO.\n", "Â© is what became of ©.\n"):
        path.write_bytes(text.encode())
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


def test_a_page_says_its_encoding_and_its_kind(tmp_path: Path) -> None:
    head = '<html><head><meta charset="windows-1251"></head><body>'
    path = tmp_path / "page"  # no suffix: the content shows that it is a page
    path.write_bytes((head + "<p class='a'>Да.</p><table><tr><td>он</td><td>и</td></tr></table>").encode("cp1251"))
    assert read_book(path).text == "Да.\n\nон и"
    (tmp_path / "a.html.txt").write_text("a < b and <i>so</i> on")
    assert read_book(tmp_path / "a.html.txt").text == "a < b and <i>so</i> on"


def test_a_long_line_and_a_long_book_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    line = FRENCH.replace("\n", " ") * 1300  # over 5 MB in one line
    for text in (line, (FRENCH * 12_000)):  # and a book of 50 MB
        path.write_bytes(text.encode("latin-1"))
        assert read_book(path).text == text
    path.write_text("<html><body><pre>" + " " * 400_000 + "x</pre>")  # spaces over which a careless pattern backtracks
    assert read_book(path).text == "x"


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


def epub(path: Path, **changes: str | bytes) -> Path:
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


def test_an_epub_without_a_spine_is_read_as_its_pages_are_listed(tmp_path: Path) -> None:
    opf = re.sub("<itemref[^>]*>", "", PACKAGE.format(first="one.xhtml"))
    book = read_book(epub(tmp_path / "b.epub", opf=opf))
    assert book.text == "Second chapter.\n\nFirst chapter." and "no order" in book.warnings[0]
    falling = opf.replace("one.xhtml", "c1.xhtml").replace("two.xhtml", "c2.xhtml")
    with pytest.raises(UserError, match="spine is empty"):
        read_book(epub(tmp_path / "c.epub", opf=falling))


def test_epub_chapters_in_other_encodings_and_repeated(tmp_path: Path) -> None:
    opf = PACKAGE.format(first="one.xhtml").replace("</spine>", '<itemref idref="a"/>' * 50 + "</spine>")
    page = '<?xml version="1.0" encoding="iso-8859-1"?><html><body><p>Été.</p></body></html>'
    path = epub(tmp_path / "b.epub", opf=opf, one=page.encode("latin-1"))
    assert read_book(path).text == "Été.\n\nSecond chapter."
    assert read_book(epub(path, one=page.replace("iso-8859-1", "utf-16").encode("utf-16"))).text.startswith("Été.")


def test_an_encrypted_epub_is_named_but_encrypted_fonts_do_no_harm(tmp_path: Path) -> None:
    for uri, refused in (("OPS/font.otf", False), ("OPS/one.xhtml", True)):
        path = epub(tmp_path / f"{refused}.epub")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("META-INF/encryption.xml", f"<encryption><CipherReference URI='{uri}'/></encryption>")
        if refused:
            with pytest.raises(UserError, match="encrypted"):
                read_book(path)
        else:
            assert read_book(path).text.startswith("First")


def test_no_damage_to_an_epub_escapes_as_another_error(tmp_path: Path) -> None:
    whole = epub(tmp_path / "b.epub").read_bytes()
    path = tmp_path / "damaged.epub"
    refused = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            read_book(path)
        except UserError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > len(whole) / 10


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
        ({"opf": '<?xml version="1.0" encoding="none-such"?><package/>'}, "damaged"),
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
        ("a.txt", bytes(range(1, 32)) * 100, "binary"),
        ("a.txt", FRENCH.encode()[:900] + b"\xff" + FRENCH.encode()[900:], "UTF-8 but damaged"),
        ("a.txt", FRENCH.encode("utf-16-le")[:-1], "damaged"),
        ("a.zip", b"PK\x03\x04 and no more", "EPUB"),
        ("a.txt", b"%PDF-1.7 \xff", "PDF"),
        ("a.epub", b"no zip at all", "EPUB"),
        ("a.txt.gz", gzip.compress(b"text " * 99, mtime=0)[:20], "gzip"),
        ("a.gz", b"plain", "not a gzip"),
        # Books in forms that are not read: each is named, with what to do.
        ("a.rtf", rb"{\rtf1 x}", "RTF.*word processor"),
        ("a", rb"{\rtf1 x}", "RTF"),
        ("a.fb2", b"<FictionBook>", "damaged FictionBook"),
        ("a.fb2", b"<!DOCTYPE x [<!ENTITY a 'b'>]><FictionBook>&a;</FictionBook>", "entities"),
        ("a.odt", b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.text", "OpenDocument.*word processor"),
        ("a.pdf", b"%PDF-1.4", "PDF.*pdftotext"),
        ("a.tex", b"\\documentclass{book}", "LaTeX.*pandoc"),
        ("a.txt", b"\\documentclass{book}", "LaTeX.*pandoc"),
        ("a.txt", b".. contents::\n\nOne [1]_ mare.\n\n.. [1] A grey one.\n", "reStructuredText.*docutils"),
        ("a.txt", b"\\chapter{One}\n\nA \\emph{grey} mare.\n", "LaTeX.*pandoc"),
        ("a.org", b"* Chapter", "Org.*pandoc"),
        ("a.xml", b"<TEI/>", "XML.*HTML"),
        ("a.azw", b"\0\0", "Kindle.*Calibre"),
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
    with pytest.raises(UserError, match="not a file name"):
        read_book("a\0b")

    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, os.strerror(13))

    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setattr(Path, "open", refuse)  # root may read everything, so the refusal is simulated
    with pytest.raises(UserError, match="permission"):
        read_book(tmp_path / "a.txt")


def test_more_than_a_book_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_BYTES", 1000)
    for name, data in (("a.txt", b"word " * 201), ("a.gz", gzip.compress(b"word " * 201, mtime=0))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match="1,000 bytes"):
            read_book(tmp_path / name)
    monkeypatch.setattr(urllib.request, "urlopen", lambda request, timeout: io.BytesIO(b"word " * 201))
    with pytest.raises(UserError, match="larger"):
        read_book("https://example.org/b.txt")


@pytest.mark.parametrize("failure", [http.client.IncompleteRead(b""), http.client.InvalidURL("x"), TimeoutError("x")])
def test_broken_connections(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail(request: urllib.request.Request, timeout: float) -> None:
        raise failure

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(UserError, match="download the book yourself"):
        read_book("https://example.org/b.txt")


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
