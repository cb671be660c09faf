"""Takes out the marks of Aozora Bunko: readings, annotations, the guide to them, and the colophon."""

import re

from ..document import Removed

_RULE = r"^-{20,}[ \t]*$"
_GUIDE = re.compile(rf"{_RULE}\n(?=【テキスト中に現れる記号).*?{_RULE}\n?", re.MULTILINE | re.DOTALL)
_COLOPHON = re.compile(r"^底本：.*", re.MULTILINE | re.DOTALL)
_HEADING_LINE = re.compile(r"^.*見出し(?:終わり)?］.*$", re.MULTILINE)
_RUBY = re.compile(r"《[^《》\n]{1,60}》")
_ANNOTATION = re.compile(r"※?［＃[^［］\n]{0,400}(?:［[^［］\n]*］[^［］\n]*)?］")


def is_aozora(text: str) -> bool:
    """Whether a text has the guide or the annotations of Aozora Bunko."""
    return "［＃" in text and ("《" in text or "底本：" in text)


def drop_marks(text: str, keep: frozenset[str], removed: Removed) -> str:
    """``text`` without the marks; headings, guide and colophon are counted, and stay if their kind is in ``keep``."""
    for kind, pattern in (("front", _GUIDE), ("back", _COLOPHON), ("headings", _HEADING_LINE)):
        for found in pattern.findall(text):
            if kind not in keep:
                removed.add(kind, _ANNOTATION.sub("", found).strip("-\n"))
        if kind not in keep:
            text = pattern.sub("\n\n" if kind == "headings" else "", text)
    return _ANNOTATION.sub("", _RUBY.sub("", text)).replace("｜", "")
