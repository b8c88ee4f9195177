"""Files of word vectors, in the formats that they are published in.

========================  ==========================================================
word2vec, binary          a line ``count width``, then each word and its floats
word2vec, text; ``.vec``  the same line, then a line ``word number …`` each
GloVe                     such lines, without the first
fastText ``.bin``         a model with its subwords, as Facebook's program saves it
========================  ==========================================================

Which of them a file is, is found by looking into it; any may be compressed with gzip.
"""

from __future__ import annotations

import gzip
import mmap
import shutil
import struct
import zlib
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from encoders._paths import as_path
from encoders._wordtable import Subwords, Table
from encoders.base import EncoderError, EncoderUsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_FASTTEXT = 793_712_314
_GZIP = b"\x1f\x8b"
_PEEK = 1 << 16
_CHUNK = 1 << 20
_FLOAT = 4
_LONGEST_SHOWN = 60
_PAIR = 2
_PRINTED = frozenset(b"\t\n\r") | frozenset(range(0x20, 0x7F))


def located(vectors: str) -> Path:
    """The file that a parameter names.

    Raises:
        EncoderUsageError: if there is none.
    """
    path = as_path(vectors)
    if path is None or not path.is_file():
        raise EncoderUsageError(
            f"vectors = {vectors!r} is no file here; expected the path of word vectors in the "
            "format of word2vec, GloVe or fastText: absolute, or in a configuration from the "
            "project folder; or leave it out, to learn from your own records"
        )
    return path


def read(file: Path, limit: int | None = None) -> Table:
    """Read a file of word vectors, whatever its format.

    Args:
        file: may be compressed with gzip, whatever it is called.
        limit: read so many words at most, from the beginning; published files are sorted by
            frequency.

    Raises:
        EncoderError: if it is of none of the formats, or broken; says where.
    """
    try:
        with _opened(file) as stream:
            start = stream.read(_PEEK)
        if len(start) >= _FLOAT and struct.unpack("<i", start[:_FLOAT])[0] == _FASTTEXT:
            return _fasttext(file, limit)
        header = _header(start)
        if header is not None and _is_binary(start, header):
            return _binary(file, header, limit)
        return _text(file, header, limit)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise EncoderError(
            f"{file} is a gzip file that breaks off or is damaged ({error}); download it again"
        ) from error


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    with file.open("rb") as raw:
        packed = raw.read(2) == _GZIP
    with cast("IO[bytes]", gzip.open(file)) if packed else file.open("rb") as stream:
        yield stream


def _header(start: bytes) -> tuple[int, int] | None:
    """Count and width, where the first line is just these."""
    parts = start.split(b"\n", 1)[0].split()
    if len(parts) != _PAIR or not all(part.isdigit() for part in parts):
        return None
    return int(parts[0]), int(parts[1])


def _is_binary(start: bytes, header: tuple[int, int]) -> bool:
    """Whether the first vector is floats as they lie in memory, and not numbers to be read."""
    body = start.partition(b"\n")[2]
    parts = body.partition(b"\n")[0].rstrip().rsplit(b" ", header[1])
    with suppress(ValueError):
        if len([float(part) for part in parts[1:]]) == header[1]:
            return False
    vector = body.partition(b" ")[2][: _FLOAT * header[1]]
    return any(byte not in _PRINTED for byte in vector)


def _binary(file: Path, header: tuple[int, int], limit: int | None) -> Table:
    count, width = header
    if not count or not width:
        raise EncoderError(f"{file} promises {count} words of {width} numbers; expected some")
    words: dict[str, None] = {}
    # one buffer for all of them: an array a word would keep the chunk alive that it looks into
    numbers = bytearray()
    length = _FLOAT * width
    with _opened(file) as stream:
        stream.readline()
        chunk, at = b"", 0
        for nth in range(1, min(count, limit or count) + 1):
            while (end := chunk.find(b" ", at)) < 0 or len(chunk) < end + 1 + length:
                more = stream.read(_CHUNK)
                if not more:
                    raise EncoderError(
                        f"{file} breaks off in word {nth} of the {count} of {width} numbers that "
                        "its first line promises; copy or download it again"
                    )
                chunk, at = chunk[at:] + more, 0
            # the original program ends a vector with a newline, gensim's writer does not
            word = chunk[at:end].lstrip(b"\n").decode(errors="replace")
            at = end + 1 + length
            _finite(np.frombuffer(chunk, "<f4", width, end + 1), f"word {nth} ({word!r}) of {file}")
            if word not in words:  # files cut words within a character: two may look the same
                words[word] = None
                numbers += chunk[end + 1 : at]
    vectors = np.frombuffer(numbers, "<f4").reshape(len(words), width)
    return Table(tuple(words), vectors.astype(np.float32, copy=False))


def _text(file: Path, header: tuple[int, int] | None, limit: int | None) -> Table:
    words: dict[str, None] = {}
    rows: list[NDArray[np.float32]] = []
    first, promised, width = (1, None, None) if header is None else (2, *header)
    most = min((n for n in (promised, limit) if n is not None), default=None)
    number = first - 1
    with _opened(file) as stream:
        lines = islice(stream, first - 1, None if most is None else first - 1 + most)
        for number, line in enumerate(lines, start=first):
            # Some words of published files hold spaces, so the numbers are counted from the end.
            parts = line.rstrip().rsplit(b" ", -1 if width is None else width)
            width = len(parts) - 1 if width is None else width
            if width < 1 or len(parts) - 1 != width:
                raise EncoderError(
                    f"line {number} of {file} is {_shown(line)}: expected a word and "
                    f"{width or 'its'} numbers, parted by single spaces, got {len(parts) - 1} of "
                    "them; is it a file of word vectors, and whole?"
                )
            try:
                with np.errstate(over="ignore"):  # told below
                    vector = np.array([float(part) for part in parts[1:]]).astype(np.float32)
            except ValueError as error:
                raise EncoderError(
                    f"line {number} of {file} is {_shown(line)}: {error}; expected a word and "
                    f"{width} numbers; is it a file of word vectors?"
                ) from error
            _finite(vector, f"line {number} of {file}")
            word = parts[0].decode(errors="replace")
            if word not in words:
                words[word] = None
                rows.append(vector)
    given = number - first + 1
    if not rows or (promised is not None and given < min(promised, most or promised)):
        raise EncoderError(
            f"{file} has {given} words, expected {promised or 'some'}; it is cut off or "
            "empty: copy or download it again"
        )
    return Table(tuple(words), np.stack(rows))


def _finite(numbers: NDArray[np.float32], where: str) -> None:
    if not np.isfinite(numbers).all():
        raise EncoderError(
            f"{where} holds NaN, infinity or a number too large for float32; expected finite "
            "numbers: the file is damaged, or not what it seems"
        )


def _shown(line: bytes) -> str:
    text = line.rstrip(b"\r\n").decode(errors="replace")
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")


def _fasttext(file: Path, limit: int | None) -> Table:
    from gensim.models.fasttext import load_facebook_vectors

    with TemporaryDirectory() as folder:
        plain = file
        with _opened(file) as stream:
            if isinstance(stream, gzip.GzipFile):
                # gensim reads packed floats one by one
                plain = Path(folder) / "model.bin"
                with plain.open("wb") as unpacked:
                    shutil.copyfileobj(stream, unpacked)
        _check_fasttext(plain, file)
        try:
            found = load_facebook_vectors(str(plain))
        except (
            ValueError,
            AssertionError,
            struct.error,
            NotImplementedError,
            MemoryError,
        ) as error:
            raise EncoderError(
                f"gensim cannot read the fastText model {file}: {type(error).__name__} {error}; "
                "expected what fasttext skipgram or cbow saves, not quantized"
            ) from error
    _finite(found.vectors, f"the table of words of {file}")
    _finite(found.vectors_ngrams, f"the table of subwords of {file}")
    kept = slice(limit)
    subwords = Subwords(found.vectors_ngrams, found.min_n, found.max_n) if found.bucket else None
    return Table(tuple(found.index_to_key[kept]), found.vectors[kept], subwords)


def _check_fasttext(plain: Path, file: Path) -> None:
    """Walk over the words, since gensim reads on for ever where one of them has no end.

    The layout is that of fastText's args.cc and dictionary.cc, version 12.
    """
    with plain.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        head = struct.Struct("<2i12id3i2q")
        try:
            fields = head.unpack_from(data)
            width, buckets, (size, words, labels) = fields[2], fields[10], fields[15:18]
            at = head.size
            for _ in range(0 if labels else size):
                at = data.find(b"\0", at) + 10
                if at < 10:  # noqa: PLR2004 - not found
                    raise EncoderError(
                        f"{file} breaks off among its {size} words; copy or download it again"
                    )
            least = at + _FLOAT * width * (words + buckets)
        except struct.error as error:
            raise EncoderError(
                f"{file} begins as a fastText model but breaks off after {len(data)} bytes; copy "
                "or download it again"
            ) from error
        if labels:
            raise EncoderError(
                f"{file} is a fastText classifier of {labels} labels; expected a model of word "
                "vectors, as fasttext skipgram or cbow saves it"
            )
        if len(data) < least:
            raise EncoderError(
                f"{file} has {len(data)} bytes, expected at least {least} for {words} words and "
                f"{buckets} buckets of {width} numbers; it breaks off: copy or download it again"
            )
