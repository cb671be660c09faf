"""What a line looks like: a numbered heading, a part with a name, a title; by the line alone."""

import re

from ...language.tables import heading_pattern
from ...language.words import HYPHENATED_WORD
from ..document import Block
from .numbered import ROMAN

_ALONE = rf"\d{{1,3}}\.?|(?!I [abp])(?-i:{ROMAN})\.?"  # before a word; "I act" is a sentence
_NUMBER = rf"(?:(?:no\.?|nr\.?|n°) ?)?(?:\d{{1,3}}(?:st|nd|rd|th|er|[eºª°])?|(?-i:{ROMAN})|(?-i:[ivxl]{{1,7}}))"
_KEYWORDS, ORDINALS = f"{heading_pattern('keywords')}|{heading_pattern('scenes')}", heading_pattern("ordinals")
NUMBERED = re.compile(
    rf"(?:(?:{_KEYWORDS})\.? (?:{_NUMBER}|{ORDINALS})|(?:{ORDINALS}|{_ALONE}) (?:{_KEYWORDS}))"
    r"(?!\w)(?P<tail>.*)",
    re.IGNORECASE,
)
# The same with any word in place of the number: "Kapitola první. Kdo zvonil?"
WORDED = re.compile(rf"(?:(?:{_KEYWORDS}) [^\W\d_]+|[^\W\d_]+ (?:{_KEYWORDS}))(?P<tail>[.:—–-].*\w.*)", re.IGNORECASE)
_SCENE_WORD = re.compile(rf"\b(?:{heading_pattern('scenes')})\b", re.IGNORECASE)
_SENTENCES = re.compile(r"[.!?] +\S")  # more than one
_HAN_HEADING = re.compile(
    r"第[0-9０-９一二三四五六七八九十百千零〇两兩]{1,7}[章回节節卷部篇話话幕]"
    r"|卷[一二三四五六七八九十]{1,3}|(?:제 ?)?\d{1,3} ?[장부편]"
)
_HAN_NUMBER = re.compile(r"[（(〔]?[一二三四五六七八九十百零〇]{1,5}[）)〕]?[、.．]?")
_NAMED = re.compile(heading_pattern("named"), re.IGNORECASE)
_AFTER_NUMBER = ".:—–-)] "
_INITIALS = re.compile(r"(?:[^\W\d_]\.? ?){1,4}")
_MAX_TITLE, _TITLE_WORDS = 120, 12  # characters and words of the longest title
TERMINAL = ".!?…。！？»”\"’'"
QUOTES = "\"“‘'«—„–"


def is_numbered_heading(line: str) -> bool:
    """True for one line such as "CHAPTER I", "Letter 4." or "Zweites Kapitel"; never for a sentence."""
    line = " ".join(line.replace("_", " ").split()).strip("*=~ ")
    line = line[1:-1] if line[:1] + line[-1:] == "[]" and " " in line else line
    if not line or len(line) > _MAX_TITLE:
        return False
    if match := _HAN_HEADING.match(line):
        tail = line[match.end() :]
        spaced = not tail or tail[0] in " 　:：、.．-—"
        return len(line) <= 40 and spaced and "。" not in line
    if _HAN_NUMBER.fullmatch(line):
        return True
    if line[0].islower():
        return False
    match = NUMBERED.fullmatch(line)
    if match is None:
        return re.fullmatch(ROMAN + r"\.?", line) is not None
    tail = re.sub(r"\[\w{1,3}\]", "", match["tail"]).strip()
    if not tail.strip(_AFTER_NUMBER):
        return True
    scene = _SCENE_WORD.search(line[: match.start("tail")])  # "Scene 2. A mill. Night."
    if tail[0] in ".:—–-" and (scene or not _SENTENCES.search(tail[1:].strip())):
        # A sentence that ends in a full stop is a title only if it is as short as one: "CHAPTER 2. Who Rang?"
        return (
            tail[-1] not in ',;"”’»' and (tail[-1] not in ".!?" or len(tail.split()) <= _TITLE_WORDS) or tail.isupper()
        )
    return tail.isupper()


def lacks_title(heading: str) -> bool:
    """True for "CHAPTER I." and "4", whose title may be the next line; false for "CHAPTER I. The Harbour"."""
    match = NUMBERED.fullmatch(heading) or _HAN_HEADING.match(heading)
    tail = heading[match.end() :] + (match.groupdict().get("tail") or "") if match else ""
    return not tail.strip(_AFTER_NUMBER)


def is_named_heading(text: str) -> bool:
    """True for a line that consists of "PREFACE", "Epilogue.", "The End" or the like."""
    return _NAMED.fullmatch(text.strip("*=~ ")) is not None


def is_capitals(text: str) -> bool:
    """True for a short line without lower-case letters that is neither speech nor an exclamation."""
    text = text.replace("º", "").replace("ª", "")
    letters = [c for c in text if c.isalpha()]
    cased = sum(c.isupper() for c in letters)  # one Latin capital among Chinese signs tells nothing
    if cased < 2 or 2 * cased < len(letters) or len(text) > 80 or not text.isupper():
        return False
    if all(len(part) == 1 for part in re.findall(r"[^\W_]+", text)) and _INITIALS.fullmatch(text):
        return False  # the initials that close a letter
    return text[0] not in "\"“‘'«—-„[(" and text[-1] not in "!?\"”’'»"


def is_title_line(block: Block) -> bool:
    """True for one short line that does not end like a sentence."""
    return len(block.lines) == 1 and 0 < len(block.flat) <= 80 and block.flat[-1] not in TERMINAL


def may_be_title(block: Block) -> bool:
    """True for one short line that begins with a capital and does not end within a sentence."""
    opening = next((character for character in block.flat if character.isalnum()), "a")
    return len(block.lines) == 1 and len(block.flat) <= 80 and not opening.islower() and block.flat[-1] not in ".,;:"


def is_titled(line: str) -> bool:
    """True for a title: capitals, or mostly capitalised long words and no sentence end."""
    text = line.replace("_", " ").strip()
    if text.isupper():
        return text[-1] not in "-–—"  # as the first line of a letter ends
    words = [word for word in HYPHENATED_WORD.findall(text) if len(word) > 3]
    capital = sum(word[0].isupper() for word in words)
    return len(text) <= 80 and text[-1] not in '.!?,;"”’»' and bool(words) and capital >= 0.7 * len(words)
