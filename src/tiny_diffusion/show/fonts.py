"""A font for pictures: Pillow's own where it has the text's letters, else one of the system's."""

from collections.abc import Iterator
from typing import Any

# Asked for by name where Pillow's own font, which has English letters only, does not do: free ones, then those of
# macOS and Windows; the last three have Chinese, Japanese and Korean.
SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "segoeui.ttf",
    "NotoSansCJK-Regular.ttc",
    "PingFang.ttc",
    "msyh.ttc",
)
NO_CHARACTER = "\U0010ffff"


def find_font(fonts: Any, text: str, size: int) -> tuple[Any, str]:
    """The first font that has all characters of ``text``, or the one that has most, and those that it lacks.

    fonts: ``PIL.ImageFont``, which whoever asks has imported.
    """
    best, lacking = None, text
    for font in _fonts(fonts, size):
        missing = _missing(font, text)
        if best is None or len(missing) < len(lacking):
            best, lacking = font, missing
        if not missing:
            break
    return best, lacking


def _fonts(fonts: Any, size: int) -> Iterator[Any]:
    yield fonts.load_default(size)
    for name in SYSTEM_FONTS:
        try:
            yield fonts.truetype(name, size)
        except OSError:  # not on this machine
            continue


def _missing(font: Any, text: str) -> str:
    box = bytes(font.getmask(NO_CHARACTER))
    return "".join(c for c in sorted(set(text)) if not c.isspace() and bytes(font.getmask(c)) == box)
