"""Reads a Word document by ``mammoth``, which makes HTML of it."""

import io
import zipfile

from ...errors import UserError
from .document import Block
from .markup import html_blocks


def word_blocks(data: bytes, name: str) -> list[Block]:
    """The blocks of a .docx file. Raises UserError if it is damaged, or if the extra ``docx`` is not installed."""
    try:
        import mammoth
    except ImportError as error:
        raise UserError(
            f"{name} is a Word document: install tiny-diffusion[docx], or save it as .html or plain text"
        ) from error
    try:
        page = mammoth.convert_to_html(io.BytesIO(data)).value
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, AttributeError, EOFError) as error:
        raise UserError(f"{name} is a damaged Word document ({error})") from error
    return html_blocks(f"<body>{page}</body>")[0]
