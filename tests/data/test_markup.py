"""Books as web pages, EPUBs and manuscripts: what their tags say, and several books at once."""

import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.data.test_loading import CONTAINER
from tiny_diffusion.data.reading.cleaning import Cleaned, clean_book
from tiny_diffusion.data.reading.loading import read_book
from tiny_diffusion.data.reading.several import read_books
from tiny_diffusion.errors import UserError


def read(path: Path) -> Cleaned:
    book = read_book(path)
    assert book.blocks is not None
    return clean_book(book.blocks)


def page(tmp_path: Path, body: str, name: str = "a.html") -> Cleaned:
    path = tmp_path / name
    path.write_text(f"<html><head><title>x</title></head><body>{body}<p>The end of it came soon.</p>", encoding="utf-8")
    return read(path)


@pytest.mark.parametrize(
    ("body", "paragraphs", "removed"),
    [
        ("<h3>The Mare's Sale</h3><p>It <i>was</i> so.", ["It was so."], {"headings": 1}),
        ("<h3>VIII. To Tom<p>I am well.<p>So is Anna.", ["I am well.", "So is Anna."], {"headings": 1}),
        ("<nav><a href='#a'>One mare</a></nav>", [], {"contents": 1}),
        ("<ul><li><a href='#a'>The mare<li><a href='#b'>The cart</a><li><a href='#c'>Tom</a></ul>", [],
         {"contents": 3}),
        ("<p>He sold<a epub:type='noteref' href='#n'>1</a> it<sup><a href='#m'>2</a></sup>.</p>"
         "<aside epub:type='footnote' id='n'><p>For nine crowns.</p></aside>", ["He sold it."], {"notes": 1}),
        ("<p>So he <span class='pagenum'>[Pg 7]</span>went <a id='Page_8'></a>home.", ["So he went home."], {}),
        ("<p style='display: none'>Hidden.</p><p hidden>Also.</p><p>Seen.", ["Seen."], {}),
        ("<p><img alt='N' src='n.png'>obody spoke.</p><p><img alt='A mare'>Then.", ["Nobody spoke.", "Then."], {}),
        ("<p><img alt='[Illustration: N]'>o.</p><p><img alt='“N'>o!”</p>", ["No.", "“No!”"], {}),
        ("<p>He went <span class='sidenote'>He goes.</span>home<span class='footnote'>Or so.</span>.</p>",
         ["He went home."], {"notes": 2}),
        ("<div class='figure'><img><p>A mare</p></div><div class='sidenote'>Of salt</div><p>Here.", ["Here."],
         {"pictures": 1, "notes": 1}),
        ("<h1>Contents</h1><p><a href='#a'>One</a></p><p><a href='#b'>Two</a></p><h2>One</h2><p>So.</p><h2>Two</h2>",
         ["So."], {"headings": 3, "contents": 2}),
        ("<blockquote class='epigraph'><p>One lamp,<br>no more.</p></blockquote><h2>Chapter 1</h2>",
         ["One lamp,\nno more."], {"headings": 1}),
        ("<section><header><p>Chapter 1</p><p>Who rang?</p></header><p>So.</section>", ["So."], {"headings": 2}),
        ("<p>A Tale<p>by A. Writer<p>For Tom, who waited.<h2>ONE</h2><p>So.", ["So."], {"front": 3, "headings": 1}),
        ("<p>So.<p class=v>One lamp,<p class=v>one door<p class=v>and no more,<p class=v>&nbsp;<p class=v>no more.",
         ["So.", "One lamp,\none door\nand no more,", "no more."], {}),
        ("<center><b>CHAPTER II</b><br>Who rang?</center><p>So.<p>II<br>One lamp,<br>no more.",
         ["So.", "II\nOne lamp,\nno more."], {"headings": 1}),
        ("<p class=h2>Of salt; and of eels</p><p>So.<p class='ws-noexport'>Chapter 1 | Chapter 3</p>", ["So."],
         {"headings": 1}),
        ("<div class=lg><p class=l>One lamp,<p class=l>no more.</div>", ["One lamp,\nno more."], {}),
        ("<form><select><option>One</select><p>He went home.</form>", ["He went home."], {}),
        ("<div class=title>" + "<p>He sold the mare, and then the cart, and went home in the snow.</p>" * 6 + "</div>",
         ["He sold the mare, and then the cart, and went home in the snow."] * 6, {}),
        ("<p><ruby>港<rp>(</rp><rt>みなと</rt><rp>)</rp></ruby>は静か。</p>", ["港は静か。"], {}),
        ("<p>The lamp is low,<br>The night is slow.</p>", ["The lamp is low,\nThe night is slow."], {}),
        ("<div class='poem'><div class='stanza'><span class='i0'>One lamp,<br></span><span class='i2'>one door.<br>"
         "</span></div><div class='stanza'><div>No lamp,</div><div>no more.</div></div></div>",
         ["One lamp,\none door.", "No lamp,\nno more."], {}),
        ("<p>" + "a long line of prose " * 5 + "<br>" + "that was wrapped by hand " * 4 + "</p>",
         [("a long line of prose " * 5 + "that was wrapped by hand " * 4).strip()], {}),
        ("<p>One.<br><br>Two.</p>", ["One.", "Two."], {}),
        ("<figure><img alt='x'><figcaption>A mare</figcaption></figure><p>Here.", ["Here."], {"pictures": 1}),
        ("<section class='pg-boilerplate'><p>The Project Gutenberg eBook</p></section>", [], {"licence": 1}),
        ("<pre>\nThe Project Gutenberg EBook of X\n\n*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n</pre><p>So.",
         ["So."], {"licence": 2}),
    ],
)  # fmt: skip
def test_what_tags_say(tmp_path: Path, body: str, paragraphs: list[str], removed: dict[str, int]) -> None:
    found = page(tmp_path, body)
    assert found.paragraphs == [*paragraphs, "The end of it came soon."]
    assert found.removed.counts == removed


def test_notes_are_told_by_links_that_go_there_and_back(tmp_path: Path) -> None:
    body = (
        "<p>He sold <a href='#n1' name='r1'>1</a> it.</p><p><a name='n1'></a></p>"
        "<p class='x'>1 (<a href='#r1'>back</a>)<br>For nine crowns.</p>"
        "<p>See <a href='#c2' id='t2'>the second part</a>.</p>"
        "<h2 id='c2'><a href='#t2'>i</a> Rain</h2>"
    )
    found = page(tmp_path, body)
    assert found.paragraphs == ["He sold it.", "See the second part.", "The end of it came soon."]
    assert found.removed.counts == {"headings": 1, "notes": 1}


def test_a_poem_in_a_note_is_a_part_of_the_note_and_numbers_of_lines_go(tmp_path: Path) -> None:
    body = (
        "<div class='linegroup'><div>One lamp,</div><div>one door.<span class='lnum'>10</span></div></div>"
        "<section epub:type='endnotes'><p>So he sang:</p>"
        "<blockquote class='poem'><p>No lamp,<br>no more.</p></blockquote></section>"
    )
    found = page(tmp_path, body)
    assert found.paragraphs == ["One lamp,\none door.", "The end of it came soon."]
    assert found.removed.counts == {"notes": 2}


FICTION = """<?xml version="1.0" encoding="utf-8"?>
<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0" xmlns:l="http://www.w3.org/1999/xlink">
<description><title-info><book-title>The Mare</book-title><annotation><p>About it.</p></annotation></title-info>
</description>
<body><title><p>The Mare</p></title><section><title><p>I</p></title>
<p>He <emphasis>sold</emphasis> it<a l:href="#n1" type="note">[1]</a>.</p><empty-line/>
<poem><stanza><v>One lamp,</v><v>one door.</v></stanza></poem><p>Then rain.</p></section></body>
<body name="notes"><section id="n1"><title><p>1</p></title><p>For nine crowns.</p></section></body>
<binary id="c.png">AAAA</binary></FictionBook>"""


def test_a_fiction_book(tmp_path: Path) -> None:
    (tmp_path / "a.fb2").write_text(FICTION, encoding="utf-8")
    found = read(tmp_path / "a.fb2")
    assert found.paragraphs == ["He sold it.", "One lamp,\none door.", "Then rain."]
    assert found.removed.counts == {"headings": 3, "notes": 1}
    assert read_book(tmp_path / "a.fb2").title == "The Mare"


ASCIIDOC = """= The Mare
A. Rook
:toc: left

// nobody sees this
[preface]
== Before it began

He _sold_ the *mare*.footnote:[For nine link:x.html[crowns].] It was the
"`last`" of them, says https://example.org[Rook]. Who (((mare))) knew?

[verse, Rook, Songs]
____
One lamp,
one door.

No lamp.
____

.The list
* Hay.
* Oats.

'''

Tom.:: So he went. +
"""


def test_a_manuscript_in_asciidoc(tmp_path: Path) -> None:
    (tmp_path / "a.adoc").write_text(ASCIIDOC, encoding="utf-8")
    found = read(tmp_path / "a.adoc")
    assert found.paragraphs == [
        "He sold the mare. It was the “last” of them, says Rook. Who knew?",
        "One lamp,\none door.",
        "No lamp.",
        "Hay.",
        "Oats.",
        "Tom.:: So he went.",
    ]
    assert found.removed.counts == {"headings": 2, "front": 1, "notes": 1, "pictures": 1, "separators": 1}
    assert found.removed.examples["notes"] == "For nine crowns."


def test_a_word_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.docx").write_bytes(b"no zip")
    monkeypatch.setitem(sys.modules, "mammoth", None)
    with pytest.raises(UserError, match=r"tiny-diffusion\[docx\]"):
        read_book(tmp_path / "a.docx")

    class Converted:
        value = "<h1>The Mare</h1><p>He sold it.<sup><a href='#footnote-1' id='footnote-ref-1'>[1]</a></sup></p><ol>"
        value += "<li id='footnote-1'><p>For nine crowns. <a href='#footnote-ref-1'>↑</a></p></li></ol>"

    def convert(file: object) -> Converted:
        return Converted()

    monkeypatch.setitem(sys.modules, "mammoth", SimpleNamespace(convert_to_html=convert))  # an extra, not installed
    found = read(tmp_path / "a.docx")
    assert found.paragraphs == ["He sold it."] and found.removed.counts == {"headings": 1, "notes": 1}


def book_of(path: Path, pages: dict[str, str], missing: str = "") -> Path:
    """An EPUB of ``pages``: names with their bodies. A page whose name begins with "nav" is its nav."""
    items = "".join(
        f'<item id="{name}" href="{name}.xhtml"{" properties=" + chr(34) + "nav" + chr(34) if name == "nav" else ""}/>'
        for name in pages
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in pages)
    opf = f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/container.xml", CONTAINER.format(package="OPS/p.opf"))
        archive.writestr("OPS/p.opf", opf)
        for name, body in pages.items():
            if name != missing:
                archive.writestr(f"OPS/{name}.xhtml", f"<html><head><title>t</title></head>{body}</html>")
    return path


PAGES = {
    "nav": "<body><p>All the tales</p></body>",
    "cover": "<body epub:type='frontmatter titlepage'><h1>Tales</h1><p>By nobody</p></body>",
    "rights": "<body epub:type='frontmatter copyright-page'><p>All rights.</p></body>",
    "preface": "<body epub:type='frontmatter preface'><h2>Preface</h2><p>I wrote this.</p></body>",
    "one": "<body epub:type='bodymatter chapter'><h2>The Mare</h2><p>He sold the mare.</p></body>",
    "notes": "<body epub:type='backmatter endnotes'><ol><li>For nine crowns.</li></ol></body>",
    "colophon": "<body epub:type='backmatter colophon'><p>Set in type.</p></body>",
}


def test_a_page_that_only_links_is_a_list_of_contents(tmp_path: Path) -> None:
    links = "".join(f"<p><a href='one.xhtml#{word}'>The {word} mare</a></p>" for word in ("grey", "old", "long"))
    found = read(book_of(tmp_path / "b.epub", {"list": f"<body><h1>Inhalt</h1>{links}</body>", "one": PAGES["one"]}))
    assert found.paragraphs == ["He sold the mare."] and found.removed.counts == {"headings": 2, "contents": 3}


def test_an_epub_gives_only_the_author_s_text(tmp_path: Path) -> None:
    path = book_of(tmp_path / "b.epub", PAGES)
    found = read(path)
    assert found.paragraphs == ["I wrote this.", "He sold the mare."]
    assert found.removed.counts == {"headings": 3, "front": 2, "back": 1, "contents": 1, "notes": 1}
    assert clean_book(read_book(path).blocks or "", keep=["notes"]).paragraphs[-1] == "For nine crowns."


def test_an_epub_that_names_no_types(tmp_path: Path) -> None:
    pages = {
        "rights": "<body><p>Copyright © 2020 by Nobody</p><p>All rights reserved.</p></body>",
        "given": "<body epub:type='dedication'><p>For my mare.</p></body>",
        "one": "<body><div class='title'>The Mare</div><p>He sold <span class='title'>The Ox</span>.</p></body>",
        "about": "<body><h1>About the Author</h1><p>Nobody lives in a mill.</p></body>",
        "also": "<body><h2>Also by Nobody:</h2><p>The Ox</p></body>",
    }
    found = read(book_of(tmp_path / "b.epub", pages))
    assert found.paragraphs == ["He sold The Ox."]
    assert found.removed.counts == {"front": 3, "headings": 3, "back": 2}


def test_notes_on_a_page_of_their_own_go_with_their_marks(tmp_path: Path) -> None:
    pages = {
        "one": "<h1>One</h1><p>He sold the mare.<a id='r1'></a><sup><a href='n.xhtml#n1'>1</a></sup></p>",
        "two": "<h1>Two</h1><p>He went home,<a href='n.xhtml#n2' id='r2'>2</a> they say.</p>",
        "n": "<h1>Notes</h1><p id='n1'><a href='one.xhtml#r1'>1.</a> For nine crowns.</p><p>And the saddle.</p>"
        "<p id='n2'><a href='two.xhtml#r2'>2</a> By the quay.</p>",
    }
    found = read(book_of(tmp_path / "b.epub", {name: f"<body>{page}</body>" for name, page in pages.items()}))
    assert found.paragraphs == ["He sold the mare.", "He went home, they say."]
    assert found.removed.counts == {"headings": 3, "notes": 3}


def test_a_chapter_with_a_link_back_to_the_contents_is_no_note(tmp_path: Path) -> None:
    pages = {
        "toc": "<p><a id='c' href='one.xhtml#t'>1</a></p>",
        "one": "<div id='t'><a href='toc.xhtml#c'>Back</a>" + "<p>He sold a mare.</p>" * 9 + "</div>",
    }
    found = read(book_of(tmp_path / "b.epub", {name: f"<body>{page}</body>" for name, page in pages.items()}))
    assert found.paragraphs.count("He sold a mare.") == 9


@pytest.mark.parametrize(
    ("body", "stays"),
    [
        ("<h2>Chapter 4</h2><p>“All rights reserved,” said he.</p><p>So she laughed.</p>", True),
        ("<p>The printer held it, he said: first published was first paid.</p>" + "<p>He sold a mare.</p>" * 99, True),
        ("<p>First published by Nobody. No part of this may be sold.</p>" + "<p>A saddler's line.</p>" * 99, False),
        ("<p>The crow sat on a book that was printed in Leiden.</p>", True),
        ("<p>Dear Tom, no part of this letter is for Anna.</p>", True),
        ("<p>Alle Rechte vorbehalten.</p><p>Gedruckt bei Niemand.</p>", False),
    ],
)
def test_pages_that_name_rights(tmp_path: Path, body: str, stays: bool) -> None:
    found = read(book_of(tmp_path / "b.epub", {"a": "<body><p>One mare.</p></body>", "b": f"<body>{body}</body>"}))
    assert (len(found.paragraphs) > 1) == stays


def test_a_page_beside_the_spine_is_a_note(tmp_path: Path) -> None:
    path = book_of(tmp_path / "b.epub", {"a": "<body><p>One mare.</p></body>", "b": "<body><p>Aside.</p></body>"})
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content.replace(b'<itemref idref="b"', b'<itemref linear="no" idref="b"'))
    assert read(path).paragraphs == ["One mare."]


@pytest.mark.parametrize("kind", ["cover", "toc", "notes"])
def test_a_book_in_one_page_is_not_what_the_package_calls_that_page(tmp_path: Path, kind: str) -> None:
    told = "He sold it in the winter, when nobody buys a mare."
    path = book_of(tmp_path / "b.epub", {"a": f"<body><h2>One</h2><p>{told}</p></body>"})
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    guide = f'<guide><reference type="{kind}" href="a.xhtml"/></guide></package>'.encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content.replace(b"</package>", guide))
    assert read(path).paragraphs == [told]


def test_what_a_site_puts_around_a_book_is_left_out(tmp_path: Path) -> None:
    told = "He sold it in the winter, when nobody buys a mare, and was glad of it."
    body = f"<header><p>My Site</p></header><main><h1>A Mare</h1><p>{told}</p></main><footer>Privacy"
    assert page(tmp_path, body).paragraphs == [told]
    two = "<article><p>One mare.</p></article><article><p>Two carts, and a saddle, and a rope.</p></article>"
    assert len(page(tmp_path, two).paragraphs) == 3


def test_a_long_page_with_rights_stays(tmp_path: Path) -> None:
    long = "".join(f"<p>He sold {n} mares, and nobody asked him for the reason of it.</p>" for n in range(100))
    found = read(book_of(tmp_path / "b.epub", {"all": f"<body>{long}<p>All rights reserved.</p></body>"}))
    assert len(found.paragraphs) == 101


def test_an_epub_with_a_missing_page_is_read_with_a_warning(tmp_path: Path) -> None:
    book = read_book(book_of(tmp_path / "b.epub", PAGES, missing="preface"))
    assert "He sold the mare." in book.text and "I wrote this" not in book.text
    assert len(book.warnings) == 1 and "preface.xhtml" in book.warnings[0]


def test_a_manuscript_in_markdown(tmp_path: Path) -> None:
    path = tmp_path / "b.md"
    path.write_text(
        "---\ntitle: Tales\n---\n\n# Tales {#top}\n\nHe *sold* the\n**mare**.[^n] See [the deed](http://x.org).\n\n"
        "![A mare](m.png)\n\n***\n\n> ~~Nobody~~ spoke.^[Not [even] Tom.]\n\n[^n]: For nine crowns.\n"
    )
    found = read(path)
    assert found.paragraphs == ["He sold the mare. See the deed.", "Nobody spoke."]
    assert found.removed.counts == {"headings": 1, "front": 1, "notes": 2}


LONG = "A long paragraph of prose that stands on one line, as it does in most manuscripts."


def manuscript(tmp_path: Path, text: str, name: str = "b.md") -> list[str]:
    (tmp_path / name).write_text(text, encoding="utf-8")
    book = read_book(tmp_path / name)
    return clean_book(book.text if book.blocks is None else book.blocks).paragraphs


@pytest.mark.parametrize(
    ("text", "paragraphs"),
    [
        ("---\n\nHe sold the mare.\n\n---\n\nSo.\n", ["He sold the mare.", "So."]),
        ("+++\ntitle = 'Tales'\n+++\n\nSo.\n", ["So."]),
        ("1871. A bad year.\n\n1. Hay.\n", ["1871. A bad year.", "Hay."]),
        ("::: {.note}\nHay.\n:::\n\n{{< mare >}}\n\n\\newpage\n\nSo.\n", ["Hay.", "So."]),
        ("| One lamp,\n|   one door.\n\nSo.\n", ["One lamp,\none door.", "So."]),
        ("> One lamp and one door,\n> no lamp and no\n> river at night." + f"\n\n{LONG}" * 9,
         ["One lamp and one door,\nno lamp and no\nriver at night.", *[LONG] * 9]),
        ("He sold the mare in spring.\nNobody knew it." + f"\n\n{LONG}" * 9,
         ["He sold the mare in spring. Nobody knew it.", *[LONG] * 9]),
    ],
)  # fmt: skip
def test_dialects_of_markdown(tmp_path: Path, text: str, paragraphs: list[str]) -> None:
    assert manuscript(tmp_path, text) == paragraphs


def test_rules_around_the_first_scene_are_no_head_of_yaml(tmp_path: Path) -> None:
    assert manuscript(tmp_path, "---\n\n# The Mare\n\nHe sold it.\n\n---\n\nHe wept.\n") == ["He sold it.", "He wept."]
    head = "---\n# a comment\ntitle: The Mare\nkeywords:\n  - a mare\n- a cart\n\nlang: en\n---\n"
    assert manuscript(tmp_path, f"{head}\nHe sold it.\n") == ["He sold it."]


def test_manuscripts_that_are_called_txt(tmp_path: Path) -> None:
    markdown = "# Tales\n\nHe *sold* it.\n\n## Two\n\nSo **it** was.\n"
    assert manuscript(tmp_path, markdown, "a.txt") == ["He sold it.", "So it was."]
    asciidoc = "= Tales\n\n== One\n\nHe _sold_ it.\n\n== Two\n\nSo *it* was.\n"
    assert manuscript(tmp_path, asciidoc, "b.txt") == ["He sold it.", "So it was."]
    stars = "He sold it.\n\n# # #\n\n    So it was.\n\n# # #\n\nIt was so.\n"
    assert manuscript(tmp_path, stars, "c.txt") == ["He sold it.", "So it was.", "It was so."]


def test_more_marks_of_asciidoc(tmp_path: Path) -> None:
    text = (
        "ifdef::web[]\nHe sold{nbsp}it.\nendif::[]\n\n[%hardbreaks]\nOne lamp\none door\n\n|===\n|Hay |Oats\n"
        "|2 |4\n|===\n\nThe mare`'s kbd:[X] [[[r]]]place.\n"
    )
    wanted = ["He sold it.", "One lamp\none door", "Hay Oats\n2 4", "The mare’s X place."]
    assert manuscript(tmp_path, text, "a.adoc") == wanted


@pytest.mark.parametrize(("member", "words"), [("word/document.xml", "Word"), ("content.xml", "OpenDocument")])
def test_office_documents_are_refused_by_name(tmp_path: Path, member: str, words: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.bin", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text" if words == "OpenDocument" else "x")
        archive.writestr(member, "<x/>")
    with pytest.raises(UserError, match=words):
        read_book(tmp_path / "a.bin")


def test_a_folder_a_zip_and_several_files(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name, text in (("b.txt", "Second."), ("a.txt", "First."), ("c.png", "no book")):
        (shelf / name).write_text(text)
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("d/four.txt", "Fourth.")
        archive.writestr("d/cover.jpg", "x")
    (tmp_path / "own.txt").write_text("Third.")
    books = read_books([shelf, tmp_path / "own.txt", tmp_path / "more.zip"])
    assert [book.text for book in books] == ["First.", "Second.", "Third.", "Fourth."]
    assert books[3].source == "more.zip:d/four.txt"


def test_shelves_without_a_book_and_books_twice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="without a book"):
        read_books([tmp_path])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.jpg", "x")
    with pytest.raises(UserError, match="without a book"):
        read_books([tmp_path / "a.zip"])
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match="damaged"):
        read_books([tmp_path / "b.zip"])
    (tmp_path / "a.txt").write_text("One.")
    with pytest.raises(UserError, match="same text"):
        read_books([tmp_path / "a.txt", tmp_path / "a.txt"])
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.txt", " " * 30_000_000)
    with pytest.raises(UserError, match="too many"):
        read_books([tmp_path / "c.zip"])
