"""Several books: files given by name, all readable files of a folder, or those in a zip."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError
from .epub import unpacked
from .loading import MAX_BYTES, Book, parse_book, read_book

SUFFIXES = tuple(".txt .md .markdown .adoc .asciidoc .html .htm .xhtml .epub .fb2 .docx .gz".split())
_MAX_FILES = 1000
_MAX_RATIO = 200  # as in an EPUB: prose compresses three- or fourfold


def read_books(sources: Sequence[str | Path]) -> list[Book]:
    """Read the books of ``sources`` in order: files, URLs, ``gutenberg:ID``, folders and zips of books.

    Files of a folder and of a zip come in the order of their names. Raises UserError for a source without a book, for
    two equal books, and as ``read_book`` does.
    """
    books: list[Book] = []
    for source in sources:
        path = Path(source)
        if "\0" not in str(source) and path.is_dir():
            books += _of_folder(path)
        elif path.suffix.lower() == ".zip" and path.is_file():
            books += _of_zip(path)
        else:
            books.append(read_book(source))
    seen: dict[str, str] = {}
    for book in books:
        if book.text in seen:
            raise UserError(f"{book.source} is the same text as {seen[book.text]}; give each book once")
        seen[book.text] = book.source
    return books


def _of_folder(folder: Path) -> list[Book]:
    try:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror}") from error
    if not files:
        raise UserError(f"{folder} is a folder without a book in it: put {', '.join(SUFFIXES)} files there")
    return [read_book(path) for path in files]


def _of_zip(path: Path) -> list[Book]:
    """The books in a zip; an EPUB that is called .zip is read as the EPUB it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            files = [f for f in archive.infolist() if not f.is_dir()]
            names = {f.filename for f in files}
            if "META-INF/container.xml" in names or any(name.startswith("word/") for name in names):
                return [read_book(path)]
            found = sorted((f for f in files if Path(f.filename).suffix.lower() in SUFFIXES), key=lambda f: f.filename)
            size = sum(f.file_size for f in found)
            if len(found) > _MAX_FILES or size > min(MAX_BYTES, _MAX_RATIO * max(path.stat().st_size, 10_000)):
                raise UserError(f"{path} would unpack to {size:,} bytes in {len(found):,} files, too many for books")
            found = [file for file in found if "__MACOSX" not in file.filename]
            books = [(f"{path.name}:{file.filename}", unpacked(archive, file, str(path))) for file in found]
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        raise UserError(f"{path} is not a zip of books, or it is damaged ({error})") from error
    if not books:
        raise UserError(f"{path} is a zip without a book in it: put {', '.join(SUFFIXES)} files there")
    return [parse_book(data, name) for name, data in books]
