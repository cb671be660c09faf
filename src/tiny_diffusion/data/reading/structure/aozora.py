"""Takes out the marks of Aozora Bunko: readings, annotations, the guide to them, and the colophon."""

import re

from ..document import Block, Removed

_RULE = r"^-{20,}[ \t]*$"
_TITLE = re.compile(
    r"\A.*?(?=^-{20,}[ \t]*\n【テキスト中に現れる記号)|\A(?:[^\n。「]{1,60}\n){1,4}(?=\n)", re.MULTILINE | re.DOTALL
)
_READ = re.compile(r"[\u4e00-\u9fff々]《[\u3041-\u30ff]+》")  # a reading of the signs before it
_LONGEST_TITLE = 400
_SHORT = 0.8  # share of the longest line, below which no line is wrapped
_RARE_SIGN = re.compile(
    r"※［＃[^［］\n]{0,200}?(?:第[34]水準(\d)-(\d{1,2})-(\d{1,2})|U\+([0-9A-F]{4,5}))[^［］\n]{0,60}］"
)
_TWICE = {"／＼": "〳〵", "／″＼": "〴〵"}  # marks of repetition, written with two signs
_GUIDE = re.compile(rf"{_RULE}\n(?=【テキスト中に現れる記号).*?{_RULE}\n?", re.MULTILINE | re.DOTALL)
_COLOPHON = re.compile(r"^底本：.*?(?:ボランティア[^\n]*|\Z)", re.MULTILINE | re.DOTALL)
_HEADING_LINE = re.compile(
    r"^［＃ここから.{0,8}見出し］(?:.*\n){1,5}?［＃ここで.{0,8}見出し終わり］.*$|^.*見出し(?:終わり)?］.*$",
    re.MULTILINE,
)
_RUBY = re.compile(r"｜([^《》｜\n]{1,60})《[^《》\n]{1,60}》|(?<=[^\s\u3041-\u309f。、「])《[^《》\n]{1,60}》")
_ANNOTATION = re.compile(r"※?［＃[^［］\n]{0,400}(?:［[^［］\n]*］[^［］\n]*)?］")


def is_aozora(text: str) -> bool:
    """Whether a text has the guide, the annotations or the readings of Aozora Bunko."""
    return ("［＃" in text and ("《" in text or "底本：" in text)) or len(_READ.findall(text)) > 1


def drop_marks(text: str, keep: frozenset[str], removed: Removed) -> str:
    """``text`` without the marks; headings, guide and colophon are counted, and stay if their kind is in ``keep``."""
    if (title := _TITLE.match(text)) and 0 < len(title[0].strip()) <= _LONGEST_TITLE and "front" not in keep:
        removed.add("front", title[0])
        text = text[title.end() :]
    text = _RARE_SIGN.sub(_rare_sign, text)
    for marks, sign in _TWICE.items():
        text = text.replace(marks, sign)
    for kind, pattern in (("front", _GUIDE), ("back", _COLOPHON), ("headings", _HEADING_LINE)):
        for found in pattern.findall(text):
            if kind not in keep:
                removed.add(kind, _ANNOTATION.sub("", found).strip("-\n"))
        if kind not in keep:
            text = pattern.sub("\n\n" if kind == "headings" else "", text)
    return _ANNOTATION.sub("", _RUBY.sub(r"\1", text)).replace("｜", "")


def mark_verse(blocks: list[Block]) -> None:
    """Set the kind of blocks of several lines that are shorter than those of prose, which here is seldom wrapped."""
    longest = max((len(line) for block in blocks for line in block.lines), default=0)
    for block in blocks:
        if len(block.lines) > 1 and max(map(len, block.lines)) < _SHORT * longest:
            block.kind = "verse"


def _rare_sign(match: re.Match[str]) -> str:
    """The sign that an annotation describes by its place in JIS X 0213 or its code point."""
    if match[4]:
        return chr(int(match[4], 16))
    plane, row, cell = int(match[1]), int(match[2]), int(match[3])
    if not (plane in (1, 2) and 1 <= row <= 94 and 1 <= cell <= 94):
        return match[0]
    data = bytes([0x8F] * (plane - 1) + [0xA0 + row, 0xA0 + cell])
    return data.decode("euc_jis_2004", errors="ignore") or match[0]
