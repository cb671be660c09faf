"""Lines of a text: joining wrapped ones to a paragraph, and what their ends tell."""

import re
from collections import Counter

from ...language.words import HYPHENATED_WORD

_HYPHENATED = re.compile(
    rf"(?<![^\W\d_])({HYPHENATED_WORD.pattern})([-‐¬=])$"
)  # the last two in scans, for a broken word
BROKEN_WORD = re.compile(r"(?<![^\W\d_])[^\W\d_]++[-‐¬=][ \t]*\n[ \t\n]*[^\W\d_]+")
_DASHED = re.compile(r"(?<! )(?:--|—)\n|\d[-–]\n\d")  # a dash without a space before it, or 1871-1873
_CLOSERS = "\"'”’»)]_*」』"
_HAN_SIGNS = "“”‘’—…―─"  # punctuation of Chinese and Japanese that other scripts use too
HAN_QUOTES = "「『（〈《【“‘—―─"  # what opens a paragraph of Chinese or Japanese where it is not indented
_SEVERAL = 3  # words that have the same tail behind a hyphen, from which another has it
_SENTENCE_END = ".!?…。．｡！？:："


def known_words(text: str) -> frozenset[str]:
    """The words and hyphenated words of the text, without the halves of words that a line end breaks.

    With its hyphen, what follows several words: "-moi", "-t-il".
    """
    words = {word.casefold() for word in HYPHENATED_WORD.findall(BROKEN_WORD.sub(" ", text))}
    tails = Counter(word[word.index("-") :] for word in words if "-" in word)
    return frozenset(words | {tail for tail, count in tails.items() if count >= _SEVERAL})


def fold(text: str) -> str:
    """``text`` with runs of white space as one space, without soft hyphens.

    A wide space stays wide, so that no narrow one comes between Chinese or Japanese signs.
    """
    parts = (" ".join(part.split()) for part in text.replace("\u00ad", "").split("\u3000"))
    return "\u3000".join(part for part in parts if part)


def ends_sentence(line: str) -> bool:
    """Whether a line ends like a sentence, or is empty."""
    stripped = line.rstrip(_CLOSERS + " ")
    return not stripped or stripped[-1] in _SENTENCE_END


def goes_on(before: str, line: str) -> bool:
    """Whether ``line``, after a page number or a note, is a part of the sentence that ``before`` leaves unfinished."""
    led = line[:1].isspace() or line[:1] in HAN_QUOTES
    return not ends_sentence(before) and (line.strip()[:1].islower() or (not led and _both_han(before, line)))


def join_lines(lines: list[str], known: frozenset[str]) -> str:
    """Join wrapped lines, without a space inside a hyphenated word, after a dash or between Han characters."""
    out = [lines[0].strip()]
    for line in lines[1:]:
        line, before = line.strip(), out[-1]
        if before.endswith("\u00ad"):
            out[-1] = before[:-1]
        elif match := _HYPHENATED.search(before[-80:]):
            if match[2] in "¬=" or not _keeps_hyphen(match[1], line, known):
                out[-1] = before[:-1]
        elif not (_DASHED.search(before[-3:] + "\n" + line[:1]) or _both_han(before, line)):
            out.append(" ")
        out.append(line)
    return "".join(out)


def _keeps_hyphen(left: str, line: str, known: frozenset[str]) -> bool:
    """Whether a hyphen at the end of a line belongs to the word, judged by the words that the book itself uses."""
    match = HYPHENATED_WORD.match(line)
    if match is None or (line[0].isupper() and not (left.isupper() and match[0].isupper() and len(left) > 1)):
        return True
    left, right = left.casefold(), match[0].casefold()
    if f"{left}-{right}" in known:
        return True
    if left + right in known:
        return False
    return "-" in left or f"-{right}" in known or (left in known and right in known and len(left) > 1)


def _both_han(before: str, line: str) -> bool:
    """Whether no space belongs between two lines: both are of a script without spaces."""
    signs = before[-1:] + line[:1]
    spaceless = [sign for sign in signs if is_han(sign) or "\u0e00" <= sign <= "\u0eff"]
    return len(signs) == 2 and bool(spaceless) and all(sign in [*spaceless, *_HAN_SIGNS] for sign in signs)


def is_han(char: str) -> bool:
    """Whether a character is kana, Han or their punctuation, which are written without spaces."""
    return "\u3000" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uff00" <= char <= "\uffef"
