"""Finds the speeches of plays by the names of their speakers: on a line of their own, or before the speech."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from ..document import Block
from .blocks import parted
from .lines import is_han
from .titles import is_numbered_heading

_SPEAKERS = 3  # speeches under a name from which a book is taken for a play
_PARTED = 6  # the same where no blank line parts them
_SPOKEN = 0.1  # share of all lines of a play that begin with a name such as "Keeper."
_HAN_NAME = 5  # signs in the longest name of a speaker in Chinese or Japanese
_CAPITALS = r"(?=\w['’]?\w)[^\W\d_a-zß-öø-ÿ][^\Wa-zß-öø-ÿ]*(?:[ .,'’&-]+[^\W\d_a-zß-öø-ÿ][^\Wa-zß-öø-ÿ]*){0,4}"
_WORDS = r"[^\W\d_a-zß-öø-ÿ][^\W\d_]*+(?:[ '’-](?:of |the |de |la |von )?[^\W\d_a-zß-öø-ÿ][^\W\d_]*+){0,3}"
_DIRECTION = r"(?:[.:]? ?[\[(][^\])]{1,60}[\])])?[.:]?"
_NAME = re.compile(rf"({_CAPITALS}|{_WORDS}){_DIRECTION}|({_CAPITALS}), [^.:,]{{1,60}}[.:]?")
_BEFORE_SPEECH = re.compile(rf"({_CAPITALS}|{_WORDS})(?: ?[\[(][^\])]{{1,60}}[\])])?[.:](?=[ \t—–]|--|$)")


def part_speeches(blocks: Sequence[Block]) -> list[Block]:
    """``blocks``, of which those that hold several speeches without a blank line between them are parted."""
    lines = [line for block in blocks if not block.kind for line in block.lines]
    names = _recurring(_before_speech(line) for line in lines)
    small = Counter({name: n for name, n in names.items() if not name.isupper()})
    if small.total() < _SPOKEN * len(lines):  # in prose a line begins with "Tom." now and then
        names -= small
    if len(names) < 2 or names.total() < _PARTED:
        return list(blocks)
    return [part for block in blocks for part in _parted_speeches(block, names)]


def _parted_speeches(block: Block, names: Counter[str]) -> list[Block]:
    # A name that ends a block is the signature of a letter.
    opens = [_before_speech(line) in names for line in block.lines[1:-1]]
    opens += [_before_speech(line) in names and not _speaker(line) for line in block.lines[1:][-1:]]
    return [block] if block.kind or not any(opens) else parted(block, opens)


def mark_speeches(blocks: Iterable[Block]) -> None:
    """Set the kind of blocks whose first line is a speaker's name, perhaps with what he does: "ANNA [aside]"."""
    named = [(b, name) for b in blocks if len(b.lines) > 1 and not b.kind and (name := _speaker(b.lines[0]))]
    names = _recurring(name for _, name in named)
    capitals = [name for _, name in named if name.isupper()]
    for block, name in named:
        if name in names and names.total() >= _SPEAKERS or name.isupper() and names and len(capitals) >= _SPEAKERS:
            block.kind = "speech"


def _recurring(names: Iterable[str]) -> Counter[str]:
    return Counter({name: count for name, count in Counter(names).items() if name and count > 1})


def _before_speech(line: str) -> str:
    """The name with which a line begins or of which it consists; empty if there is none."""
    text = line.replace("_", "").strip()
    found = _BEFORE_SPEECH.match(text)
    return _speaker(found[1] if found else text)


def _speaker(line: str) -> str:
    """The name of which a line consists, with or without a direction; empty if there is none."""
    found = _NAME.fullmatch(line.replace("_", "").strip())
    name = found[1] or found[2] if found else ""
    return "" if is_numbered_heading(name) or (name and is_han(name[0]) and len(name) > _HAN_NAME) else name
