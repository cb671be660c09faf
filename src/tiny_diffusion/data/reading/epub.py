"""Reads the text of an EPUB in reading order. The file is a zip from an unknown source, so nothing in it is trusted."""

import io
import lzma
import posixpath
import re
import struct
import urllib.parse
import zipfile
import zlib
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ...errors import UserError
from ..language.tables import heading_pattern
from .document import Block
from .dom import Element as Page
from .dom import parse_html
from .encoding import decode
from .linked_notes import name_notes
from .markup import page_blocks
from .structure.notes import NOTES_HEAD
from .structure.titles import is_numbered_heading

MAX_FILES = 10_000
MAX_UNPACKED = 200_000_000
MAX_RATIO = 200  # prose compresses three- or fourfold, a zip bomb a thousandfold and more
CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
# Errors that zipfile raises, besides its own, for damaged sizes, offsets, names and streams.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, OSError, ValueError,
    OverflowError,
)  # fmt: skip
_PUBLISHER = re.compile(heading_pattern("publisher"), re.IGNORECASE)
_RIGHTS = re.compile(
    r"\bISBN\b|\ball rights reserved|©|\bcopyright (?:© ?)?\d{4}|first published|no part of this|\bprinted in"
    r"|library of congress|sold subject to|alle rechte|tous droits|dépôt légal|todos los derechos|tutti i diritti"
    r"|todos os direitos|все права",
    re.IGNORECASE,
)
_SAID = re.compile(r"printed|no part|first published|library")  # phrases that a story may hold
_FEW_RIGHTS, _MOST_RIGHTS = 1_000, 5_000  # characters of a page of rights that one such phrase tells, and two tell
# Types of a page in the package: the nav of EPUB 3, and references of the guide of EPUB 2.
_GUIDE = {
    "toc": "contents", "loi": "contents", "lot": "contents", "index": "contents", "cover": "front",
    "title-page": "front", "copyright-page": "front", "colophon": "back", "notes": "notes",
}  # fmt: skip


def read_epub(data: bytes, name: str) -> tuple[list[Block], str | None, tuple[str, ...]]:
    """Return an EPUB's blocks in the order of its spine, its title, and a warning for each page left out as missing.

    Raises UserError if the file is not an EPUB, is damaged, unpacks to too many bytes, names paths outside itself,
    holds XML with entities, or no page with text.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive, name)
            package_path = _package_path(archive, name)
            package = _xml(archive, package_path, name)
            title = package.findtext(".//{*}title", default=None)
            spine, kinds = _spine(package, package_path, name), _kinds(package, package_path)
            warnings = [] if spine else [f"{name}: the EPUB gives no order of its pages; read as it lists them"]
            spine = spine or _listed(package, package_path, name)
            missing = [path for path in spine if path not in archive.NameToInfo]
            _refuse_encrypted(archive, spine, name)
            pages: list[tuple[str, Page]] = []
            for path in (path for path in spine if path not in missing):
                content = _member(archive, path, name)
                if content.strip():
                    text = decode(content, f"{name}: {path}")[0]
                    _refuse_entities(text, path, name)
                    pages.append((path, parse_html(text)))
            name_notes(pages)
            signs = {path: len(page.text()) for path, page in pages}
            kinds = {path: kind for path, kind in kinds.items() if 2 * signs.get(path, 0) <= sum(signs.values())}
            blocks = [block for path, page in pages for block in _own(page_blocks(page, kinds.get(path, "")))]
    except UserError:
        raise  # a refusal from below; UserError is a ValueError, so the next line would catch it
    except _DAMAGE as error:
        raise UserError(f"{name} is not an EPUB, or it is damaged ({error})") from error
    if not blocks:
        raise UserError(f"{name}: the EPUB holds no text")
    warnings += [f"{name}: {path} is listed in the EPUB but missing; left out" for path in missing]
    return blocks, title, tuple(warnings)


def _own(page: list[Block]) -> list[Block]:
    """The blocks of ``page``, marked if it names rights, is the publisher's own, or holds notes under their heading."""
    text = "\n".join(block.flat for block in page)
    found = {match[0].casefold() for match in _RIGHTS.finditer(text)} if len(text) <= _MOST_RIGHTS else set()
    sure = len(text) <= _FEW_RIGHTS and any(not _SAID.match(phrase) for phrase in found)
    rights = (sure or len(found) > 1) and not is_numbered_heading(page[0].flat)
    published = page and page[0].heading and _PUBLISHER.fullmatch(page[0].flat.rstrip(" .:"))
    noted = page and NOTES_HEAD.fullmatch(page[0].flat) and any(block.kind == "notes" for block in page)
    if rights or published or noted:
        for block in page:
            block.kind = block.kind or ("front" if rights else "back" if published else "notes")
    return page


def _check(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse zip bombs and paths outside the archive, by the sizes and names in the zip's directory."""
    files = archive.infolist()
    total = sum(f.file_size for f in files)
    packed = sum(f.compress_size for f in files)
    if len(files) > MAX_FILES or total > MAX_UNPACKED or total > MAX_RATIO * max(packed, 10_000):
        raise UserError(f"{name} would unpack to {total:,} bytes in {len(files):,} files: refused as a zip bomb")
    for file in files:
        _safe(file.filename, name)


def _safe(path: str, name: str) -> str:
    parts = path.replace("\\", "/").split("/")
    if path.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise UserError(f"{name} names a path outside itself ({path!r}): refused")
    return path


def _member(archive: zipfile.ZipFile, path: str, name: str) -> bytes:
    try:
        info = archive.getinfo(path)
    except KeyError as error:
        raise UserError(f"{name} is not a complete EPUB: {path} is missing") from error
    return unpacked(archive, info, name)


def unpacked(archive: zipfile.ZipFile, file: zipfile.ZipInfo, name: str) -> bytes:
    """The bytes of a file in the zip ``name``; raises UserError if they are more than the zip declares."""
    with archive.open(file) as stream:
        data = stream.read(file.file_size + 1)
    if len(data) > file.file_size:
        raise UserError(f"{name}: {file.filename} unpacks to more than it declares: refused as a zip bomb")
    return data


def _xml(archive: zipfile.ZipFile, path: str, name: str) -> Element:
    data = _member(archive, path, name)
    try:
        return fromstring(data, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise UserError(f"{name}: {path} holds XML entities: refused") from error
    except (ParseError, LookupError, ValueError) as error:
        raise UserError(f"{name}: {path} is damaged XML ({error})") from error


def _refuse_encrypted(archive: zipfile.ZipFile, spine: list[str], name: str) -> None:
    """Refuse an EPUB whose pages are encrypted; in many others only the fonts are."""
    if ENCRYPTION in archive.NameToInfo:
        found = _xml(archive, ENCRYPTION, name).findall(".//{*}CipherReference")
        if {urllib.parse.unquote(each.get("URI", "")) for each in found} & set(spine):
            raise UserError(f"{name} is encrypted (DRM); give a copy without encryption")


def _refuse_entities(page: str, path: str, name: str) -> None:
    """Refuse a chapter that declares entities too, although the HTML parser would not expand them."""
    if "<!ENTITY" in page[:100_000].upper():
        raise UserError(f"{name}: {path} holds XML entities: refused")


def _package_path(archive: zipfile.ZipFile, name: str) -> str:
    root = _xml(archive, CONTAINER, name).find(".//{*}rootfile")
    path = root.get("full-path") if root is not None else None
    if not path:
        raise UserError(f"{name} is not an EPUB: {CONTAINER} names no package")
    return _safe(path, name)


def _spine(package: Element, package_path: str, name: str) -> list[str]:
    items = {item.get("id"): item.get("href", "") for item in package.findall(".//{*}manifest/{*}item")}
    paths = []
    for reference in package.findall(".//{*}spine/{*}itemref"):
        if href := items.get(reference.get("idref")):
            paths.append(_safe(_path(href, package_path), name))
    return list(dict.fromkeys(paths))  # each chapter once, even if a forged spine repeats it


def _listed(package: Element, package_path: str, name: str) -> list[str]:
    """The pages in the order of the manifest; refused if there are none, or if the numbers in their names fall."""
    hrefs = [item.get("href", "") for item in package.findall(".//{*}manifest/{*}item")]
    paths = [_safe(_path(href, package_path), name) for href in hrefs if re.search(r"\.x?html?(?:#|$)", href)]
    numbers = [int(found[0]) for path in paths if (found := re.search(r"\d+", posixpath.basename(path)))]
    if not paths or numbers != sorted(numbers):
        raise UserError(f"{name} is not a complete EPUB: its spine is empty")
    return paths


def _kinds(package: Element, package_path: str) -> dict[str, str]:
    """The kinds of the pages that the package itself names: contents, title page, notes."""
    kinds = {}
    for reference in package.findall(".//{*}guide/{*}reference"):
        # A reference to a place within a page says nothing about the whole page.
        if (kind := _GUIDE.get(reference.get("type", "").lower())) and "#" not in reference.get("href", "#"):
            kinds[_path(reference.get("href", ""), package_path)] = kind
    aside = {each.get("idref") for each in package.findall(".//{*}spine/{*}itemref") if each.get("linear") == "no"}
    for item in package.findall(".//{*}manifest/{*}item"):
        path = _path(item.get("href", ""), package_path)
        if "nav" in item.get("properties", "").split():
            kinds[path] = "contents"
        elif item.get("id") in aside:  # a note that opens in a window, or a cover
            kinds.setdefault(path, "notes")
    return kinds


def _path(href: str, package_path: str) -> str:
    path = urllib.parse.unquote(href.split("#")[0])
    return posixpath.normpath(posixpath.join(posixpath.dirname(package_path), path))
