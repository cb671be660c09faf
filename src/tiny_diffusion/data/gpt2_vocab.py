"""Reads GPT-2's merges from a file, a folder or the hub, and prunes them to the tokens that a book needs.

A merge is a pair of byte strings ``(left, right)`` whose token is ``left + right``. Merges are ordered by rank.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError

ByteMerge = tuple[bytes, bytes]
IdMerge = tuple[int, int]


def _byte_alphabet() -> tuple[str, ...]:
    """GPT-2's printable character for each of the 256 bytes, at that byte's index."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    shifted = [byte for byte in range(256) if byte not in set(printable)]
    characters = {byte: chr(byte) for byte in printable}
    characters.update({byte: chr(256 + offset) for offset, byte in enumerate(shifted)})
    return tuple(characters[byte] for byte in range(256))


BYTE_CHARACTERS = _byte_alphabet()
_CHARACTER_BYTES = {character: byte for byte, character in enumerate(BYTE_CHARACTERS)}


def to_byte_level(token: bytes) -> str:
    """Spell bytes in GPT-2's printable alphabet (a space is ``Ġ``)."""
    return "".join(BYTE_CHARACTERS[byte] for byte in token)


def from_byte_level(token: str) -> bytes:
    """Undo ``to_byte_level``; raises UserError for a character outside the byte alphabet."""
    try:
        return bytes(_CHARACTER_BYTES[character] for character in token)
    except KeyError as error:
        raise UserError(
            f"token {token!r} holds {error.args[0]!r}, which is not in GPT-2's byte alphabet: "
            "a byte-level BPE vocabulary is needed"
        ) from error


def parse_merges(entries: Sequence[Any], where: str) -> list[ByteMerge]:
    """Read merges spelled ``"a b"`` or ``["a", "b"]`` in the byte alphabet; errors call their source ``where``."""
    merges = []
    for entry in entries:
        pair = entry.split(" ") if isinstance(entry, str) else entry
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(p, str) and p for p in pair):
            raise UserError(f"{where}: merge {entry!r} is not a pair of tokens")
        merges.append((from_byte_level(pair[0]), from_byte_level(pair[1])))
    return merges


def read_merges(path: str | Path) -> list[ByteMerge]:
    """Return GPT-2's merges in rank order.

    ``path`` is a tiktoken rank file, a folder with ``vocab.json`` and ``merges.txt`` or with ``tokenizer.json``, one of
    these files, or the name of a model on the Hugging Face hub. Raises UserError if it cannot be read as any of them.
    """
    place = Path(path)
    if not place.exists():
        if place.is_absolute() or place.suffix or len(place.parts) > 2:
            raise UserError(f"GPT-2 vocabulary {str(path)!r} does not exist; give a file, a folder or 'gpt2'")
        place = _download(str(path))
    if place.name in ("merges.txt", "vocab.json"):
        place = place.parent
    if place.is_dir():
        if (place / "merges.txt").is_file() and (place / "vocab.json").is_file():
            return _read_vocab_and_merges(place)
        if (place / "tokenizer.json").is_file():
            return _read_tokenizer_json(place / "tokenizer.json")
        raise UserError(f"folder {str(place)!r} holds neither vocab.json and merges.txt nor tokenizer.json")
    if place.suffix == ".json":
        return _read_tokenizer_json(place)
    return _recover_merges(_read_tiktoken_ranks(place), place)


def _download(name: str) -> Path:
    """Fetch ``vocab.json`` and ``merges.txt`` of a hub model; return their folder."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise UserError(
            f"GPT-2 vocabulary {name!r} is not a local file; for the hub: pip install 'tiny-diffusion[hub]'"
        ) from error
    try:
        hf_hub_download(name, "vocab.json")
        return Path(hf_hub_download(name, "merges.txt")).parent
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise UserError(
            f"GPT-2 vocabulary {name!r} is not a local file, and the hub did not give it "
            f"({type(error).__name__}); give the path of gpt2.tiktoken or of vocab.json and merges.txt"
        ) from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"cannot read GPT-2 vocabulary {str(path)!r}: {reason}") from error


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{str(path)!r} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{str(path)!r} must hold a JSON object, not {type(content).__name__}")
    return content


def _read_vocab_and_merges(folder: Path) -> list[ByteMerge]:
    vocabulary = _read_object(folder / "vocab.json")
    lines = _read_text(folder / "merges.txt").split("\n")
    if lines[0].startswith("#version"):
        lines = lines[1:]
    lines = [line.rstrip("\r") for line in lines]
    merges = parse_merges([line for line in lines if line], str(folder / "merges.txt"))
    for left, right in merges:
        if to_byte_level(left + right) not in vocabulary:
            raise UserError(f"{folder}: merges.txt makes {to_byte_level(left + right)!r}, not in vocab.json")
    return merges


def _read_tokenizer_json(path: Path) -> list[ByteMerge]:
    model = _read_object(path).get("model")
    if not isinstance(model, dict) or not isinstance(model.get("merges"), list):
        raise UserError(f"{str(path)!r} is not the tokenizer.json of a BPE model: it has no model.merges")
    return parse_merges(model["merges"], str(path))


def _read_tiktoken_ranks(path: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        if not line:
            continue
        try:
            encoded, rank = line.split(" ")
            token = base64.b64decode(encoded, validate=True)
            value = int(rank)
        except (ValueError, binascii.Error) as error:
            raise UserError(f"{path}, line {number}: wanted 'base64 rank', got {line[:60]!r}") from error
        if token in ranks:
            raise UserError(f"{path}, line {number}: token {token!r} appears twice")
        ranks[token] = value
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise UserError(f"{path}: no rank for byte {missing[0]:#04x}; a byte-level vocabulary has all 256")
    return ranks


def _recover_merges(ranks: Mapping[bytes, int], path: Path) -> list[ByteMerge]:
    """The merges behind tiktoken ranks: a token's last merge joins the two parts that all lower ranks leave."""
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) == 1:
            continue
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            best, at = min((ranks.get(parts[i] + parts[i + 1], rank), i) for i in range(len(parts) - 1))
            if best >= rank:
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        if len(parts) != 2 or any(ranks[part] >= rank and len(part) > 1 for part in parts):
            raise UserError(f"{path}: token {token!r} (rank {rank}) is not a merge of two earlier tokens")
        merges.append((parts[0], parts[1]))
    return merges


def index_merges(merges: Sequence[ByteMerge], where: str) -> list[IdMerge]:
    """Return merges as pairs of text ids: 0..255 are the bytes, then each new token in the order of its first merge.

    Raises UserError, which calls the source ``where``, if a part is used before it is made.
    """
    ids = {bytes([byte]): byte for byte in range(256)}
    indexed: list[IdMerge] = []
    for left, right in merges:
        for part in (left, right):
            if part not in ids:
                raise UserError(f"{where}: merge uses {to_byte_level(part)!r} before any merge makes it")
        indexed.append((ids[left], ids[right]))
        ids.setdefault(left + right, len(ids))
    return indexed


def prune_merges(merges: Sequence[ByteMerge], counts: Mapping[bytes, int], vocab_size: int) -> list[ByteMerge]:
    """Keep the merges of the most frequent tokens (by ``counts``) and of all tokens that these are built from.

    The 256 bytes always stay, and at most ``vocab_size`` tokens do. A token whose parts no longer fit is left out, and
    a rarer one may take its place. The original order is kept, so that the kept merges work as before.
    """
    recipe: dict[bytes, ByteMerge] = {}
    rank: dict[bytes, int] = {}
    for position, (left, right) in enumerate(merges):
        recipe.setdefault(left + right, (left, right))
        rank.setdefault(left + right, position)
    kept = {bytes([byte]) for byte in range(256)}
    seen = [token for token, count in counts.items() if count > 0 and token in recipe]
    for token in sorted(seen, key=lambda token: (-counts[token], rank[token])):
        needed: set[bytes] = set()
        pending = [token]
        while pending:
            piece = pending.pop()
            if piece not in kept and piece not in needed:
                needed.add(piece)
                pending.extend(recipe[piece])
        if len(kept) + len(needed) <= vocab_size:
            kept |= needed
    return [(a, b) for a, b in merges if a in kept and b in kept and a + b in kept]
