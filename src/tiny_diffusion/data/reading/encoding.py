"""Detects how a text is encoded: by its byte order mark, its bytes, its declaration, or the letters that result."""

import codecs
import re
import unicodedata
from collections import Counter

from charset_normalizer import from_bytes

from ...errors import UserError

SAMPLE = 200_000  # bytes of a text from which the encoding is judged
MARGIN = 0.005  # share of characters by which another encoding must exceed Windows-1252
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WHITE = "\t\n\x0b\r\f\x1a\x1b"  # control characters that occur in texts
_FREQUENT = frozenset(" \n\r,.\u3000\u3001\u3002\uff0c")
_TYPOGRAPHIC = frozenset(
    "\u201a\u2018\u2019\u201c\u201d\u201e\u2013\u2014\u2026\u2020\u2021\u2022\u2039\u203a«»\xa0\xad°§£©·€¡¿"
)
# Non-ASCII letters of the languages that use each one-byte encoding. The first entry joins five languages, because a
# book may quote its neighbours. English fractions have an entry of their own: ISO-8859-15 has French letters there.
_FRACTION = re.compile(rb"[0-9][\xbc-\xbe]|[\xbc-\xbe](?![A-Za-z\xc0-\xff])")  # where a letter is impossible
_ALPHABETS = {
    "cp1252": (
        "àâäæçéèêëîïôöœùûüÿßáíóúñìòªº",
        "éèëïöæñçâê¼½¾",
        "àáâãçéêíóôõúüªº",
        "åäöéàæøüóòô",
        "áéíóúýþæöð",
        "áéíóúàèïüç·ñ",
    ),
    "iso8859_15": ("àâäæçéèêëîïôöœùûüÿßáíóúñìò", "åäöšž"),
    "cp1250": ("ąćęłńóśźżé", "áčďéěíňóřšťúůýžäöüľĺŕô", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
    "iso8859_2": ("ąćęłńóśźżé", "áčďéěíňóřšťúůýžäöüľĺŕô", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
    "cp1254": ("çğıöşüâîûİ",),
}
_ALPHABETS |= {encoding: _ALPHABETS["cp1252"] for encoding in ("mac_roman", "cp850")}  # old Macs, and DOS
_ALPHABETS |= {"cp852": _ALPHABETS["cp1250"], "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "õäöüšž")}
# Rather a small letter in another encoding: a sign, or a capital, within a word.
_MISPLACED = re.compile(r"(?<=[^\W\d_])[„”“«»‹›†‡‚…](?=[^\W\d_])|(?<=[a-z])[À-ÖØ-Þ]")
_ISO_2022 = re.compile(rb"\x1b\$[@B]")  # Japanese begins
_NO_LEAD = re.compile(r"(?<![^\x00-\x7f])[^\x00-\x7f\xc2-\xf4]")  # no first byte of a character in UTF-8
TWICE = "utf-8 twice"


def decode(data: bytes, name: str) -> tuple[str, str]:
    """Return the text of ``data`` and its encoding; ``name`` is how messages refer to it.

    Raises UserError for bytes that are not text, and for Unicode text with damaged bytes.
    """
    text, encoding = _decode(data, name)
    sample = text[:SAMPLE]
    controls = sum(c < " " and c not in _WHITE for c in sample)
    if controls > len(sample) / 100:
        raise UserError(f"{name} is binary, not text: it is full of control characters")
    return text, encoding


def _decode(data: bytes, name: str) -> tuple[str, str]:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _strict(data, encoding, name), encoding
    if b"\0" not in data:
        if _ISO_2022.search(data):
            return _strict(data, "iso2022_jp", name), "iso2022_jp"
        try:
            return _once(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            first = error.start
        if _mostly_utf8(data):
            raise UserError(f"{name} is UTF-8 but damaged at byte {first:,}; save it again as UTF-8")
    if (wide := _utf16_without_mark(data)) is not None:
        return _strict(data, wide, name), wide
    if b"\0" in data:
        raise UserError(f"{name} holds NUL bytes: it is binary, not text")
    encoding = _declared(data) or _legacy(data)
    if encoding == "cp1252" and re.search(rb"[\x81\x8d\x8f\x90\x9d]", data):
        encoding = "latin-1"  # these bytes are undefined in Windows-1252
    return _strict(data, encoding, name), encoding


def _once(text: str) -> tuple[str, str]:
    """``text``, or what it was before its UTF-8 was taken for Windows-1252 and encoded again; and its encoding."""
    if text.isascii() or _NO_LEAD.search(text):
        return text, "utf-8"
    try:
        before = b"".join(_byte(character) for character in text).decode("utf-8")
    except UnicodeError:
        return text, "utf-8"
    return before, TWICE


def _byte(character: str) -> bytes:
    """The byte of Windows-1252, or of Latin-1 where that has none."""
    return character.encode("latin-1" if character < "\xa0" else "cp1252")


def _strict(data: bytes, encoding: str, name: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} seems to be {encoding} but is damaged at byte {error.start:,}; save it again as UTF-8"
        ) from error


def _mostly_utf8(data: bytes) -> bool:
    """Whether damaged bytes are rare among valid UTF-8 sequences: no other encoding looks like that by chance."""
    text = data.decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    proper = len(data) - len(data.translate(None, bytes(range(0xC2, 0xF5)))) - damaged
    return proper > 2 and proper > 3 * damaged


def _utf16_without_mark(data: bytes) -> str | None:
    """Return utf-16-le or utf-16-be if the bytes decode to assigned characters, some of them frequent like spaces."""
    best, best_share = None, 0.01
    for encoding in ("utf-16-le", "utf-16-be"):
        sample = data[:SAMPLE].decode(encoding, errors="replace")
        frequent = sum(c in _FREQUENT for c in sample) / len(sample)
        bad = sum(
            c == "\ufffd" or (c not in _WHITE and unicodedata.category(c) in ("Cc", "Cn", "Co")) for c in sample[:-1]
        )
        if frequent > best_share and bad <= len(sample) / 100:
            best, best_share = encoding, frequent
    return best


def _declared(data: bytes) -> str | None:
    """The encoding that an HTML or XML page declares, if Python knows it and the page can be decoded with it."""
    head = data[:2048]
    if not head.lstrip().startswith(b"<"):
        return None
    match = re.search(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w-]+)""", head, re.IGNORECASE)
    if match is None:
        return None
    try:
        encoding = codecs.lookup(match.group(1).decode("latin-1")).name
        data.decode(encoding)
    except (LookupError, UnicodeError):
        return None
    return "cp1252" if encoding in ("iso8859-1", "ascii") else encoding


def _legacy(data: bytes) -> str:
    """The most likely encoding of a text that is not Unicode, judged from its first non-ASCII byte on.

    Texts of mainly Latin letters are read as Windows-1252, which contains Latin-1's letters and the typographic quotes,
    unless the letters of one language point to another encoding.
    """
    first = re.search(rb"[\x80-\xff]", data)
    start = max(0, first.start() - 1) if first else 0  # one character earlier: a fraction needs its digit
    sample = data[start : start + SAMPLE]
    if len(data) > start + SAMPLE:  # end the sample between two characters
        sample = sample[: max(sample.rfind(b"\n"), sample.rfind(b" ")) + 1] or sample
    beyond = sum(byte >= 0x80 for byte in sample)
    ascii_letters = len(re.findall(rb"[A-Za-z]", sample))
    if beyond < 0.4 * (beyond + ascii_letters):
        return _latin(sample)
    for encoding in ("cp932", "euc_jp"):
        text = sample.decode(encoding, errors="replace")
        if "\ufffd" not in text and sum("\u3040" <= c <= "\u309f" for c in text) > 0.15 * len(text):
            return encoding
    best = from_bytes(sample).best()
    return best.encoding if best is not None else "cp1252"


def _latin(sample: bytes) -> str:
    """The encoding that puts the largest share of non-ASCII characters into the alphabet of one language."""
    best, best_share = "cp1252", -1.0
    for encoding, alphabets in _ALPHABETS.items():
        if encoding == "iso8859_15" and _FRACTION.search(sample):
            continue
        text = _MISPLACED.sub("\ufffd", sample.decode(encoding, errors="replace"))
        counts = Counter(c for c in text if c >= "\x80")
        for alphabet in alphabets:
            known = sum(n for c, n in counts.items() if c in _TYPOGRAPHIC or c in alphabet or c.lower() in alphabet)
            share = known / max(1, sum(counts.values()))
            if share > best_share + (MARGIN if encoding != best else 0.0):
                best, best_share = encoding, share
    return best
