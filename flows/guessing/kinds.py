"""What a file is, by its name and, where that does not tell, by its first bytes."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal, TypeAlias

Sort: TypeAlias = Literal["table", "text", "image", "audio", "sqlite", "duckdb"]

_BY_SUFFIX: dict[Sort, str] = {
    "table": ".csv .tsv .jsonl .ndjson .parquet .pq .csv.gz .tsv.gz .jsonl.gz .ndjson.gz",
    "text": ".txt .md .markdown .rst .text",
    "image": ".jpg .jpeg .png .webp .gif .bmp .tif .tiff .avif .jp2 .ppm .tga .qoi",
    "audio": ".wav .flac .mp3 .ogg .oga .opus .aiff .aif .au .caf .w64",
    "sqlite": ".sqlite .sqlite3",
    "duckdb": ".duckdb",
}
SORTS: dict[str, Sort] = {end: sort for sort, ends in _BY_SUFFIX.items() for end in ends.split()}

FORMATS = {
    ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".pq": "parquet",
}  # fmt: skip

_AS_TEXT = "write the text of each to a .txt file beside it"
UNREAD = {
    ".pdf": _AS_TEXT, ".docx": _AS_TEXT, ".doc": _AS_TEXT, ".odt": _AS_TEXT, ".epub": _AS_TEXT,
    ".html": _AS_TEXT, ".htm": _AS_TEXT, ".rtf": _AS_TEXT,
    ".json": "write an object a line (`jq -c '.[]' FILE.json > FILE.jsonl`)",
    ".xlsx": "save each sheet as CSV", ".xls": "save each sheet as CSV",
    ".ods": "save each sheet as CSV",
    ".feather": "write Parquet", ".arrow": "write Parquet", ".avro": "write Parquet",
    ".orc": "write Parquet", ".pkl": "write Parquet", ".npy": "write Parquet",
    ".zip": "unpack it", ".tar": "unpack it", ".tgz": "unpack it", ".7z": "unpack it",
    ".rar": "unpack it", ".gz": "unpack it",
    ".mp4": "take out frames as pictures or the sound as .wav (ffmpeg does)",
    ".mov": "take out frames as pictures or the sound as .wav (ffmpeg does)",
    ".mkv": "take out frames as pictures or the sound as .wav (ffmpeg does)",
    ".webm": "take out frames as pictures or the sound as .wav (ffmpeg does)",
    ".m4a": "convert to .wav or .flac (ffmpeg does)",
    ".aac": "convert to .wav or .flac (ffmpeg does)",
    ".wma": "convert to .wav or .flac (ffmpeg does)",
    ".heic": "convert to .jpg", ".raw": "convert to .jpg", ".cr2": "convert to .jpg",
    ".nef": "convert to .jpg", ".svg": "draw it as .png", ".psd": "convert to .jpg",
}  # fmt: skip
"""Endings of what holds records and is not read, with what to do."""

PLURAL = {"text": "texts", "image": "images", "audio": "recordings", "table": "tables"}

_MAGIC: tuple[tuple[int, bytes, Sort], ...] = (
    (0, b"SQLite format 3\0", "sqlite"),
    (8, b"DUCK", "duckdb"),
    (0, b"\xff\xd8\xff", "image"),
    (0, b"\x89PNG\r\n", "image"),
    (0, b"GIF8", "image"),
    (8, b"WEBP", "image"),
    (8, b"WAVE", "audio"),
    (0, b"fLaC", "audio"),
    (0, b"OggS", "audio"),
    (0, b"ID3", "audio"),
    (0, b"PAR1", "table"),
)
HEAD = 512
"""Bytes that `by_bytes` wants to see."""


def suffix(name: str) -> str:
    """The ending of a name as it is written: ``.JPG``, ``.csv.gz``; empty where there is none."""
    path = PurePosixPath(name)
    ends = path.suffixes
    if len(ends) > 1 and ends[-1].lower() == ".gz":
        return "".join(ends[-2:])
    return path.suffix


def by_name(name: str) -> Sort | None:
    """What the ending says; None where it says nothing."""
    return SORTS.get(suffix(name).lower())


def by_bytes(head: bytes) -> Sort | None:
    """What the first bytes say; None where they are neither of a known format nor text."""
    for place, magic, sort in _MAGIC:
        if head[place : place + len(magic)] == magic:
            return sort
    if not head or b"\0" in head:
        return None
    try:
        head[: HEAD - 4].decode()  # a character may be cut at the end
    except UnicodeDecodeError:
        return None
    return "text"


def form(name: str) -> str | None:
    """The format of a table by its ending."""
    return FORMATS.get(suffix(name).lower().removesuffix(".gz"))
