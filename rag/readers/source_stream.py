"""Decompress and decode a source into lines of text, with bounded memory.

gzip and zstd are detected by their first bytes and decompressed while they are read, in pieces that
cannot expand beyond some 32 MB. Damage ends the text and is stored as `problem`, so that a format
module still yields what it has read so far.
"""

from __future__ import annotations

import codecs
import io
import re
import zlib
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed import WriteableBuffer

HEAD_BYTES = 1 << 16  # used to detect the format
_CHUNK_BYTES = 1 << 16
_RECORD_BYTES = 1 << 26  # longer than any record; a packed file may expand to anything
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP_PIECE = 1 << 14  # deflate expands at most 1032 times: 17 MB
_ZSTD_PIECE = 1 << 10  # and zstd from 4 bytes to 128 KiB: 32 MB
_OTHER_PACKINGS = (b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf")
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class SourceStream(io.RawIOBase):
    """Unpacked bytes of a source, with a head that can be inspected before reading.

    Attributes:
        head: first bytes, `HEAD_BYTES` or a little more unless the source is shorter.
        problem: why reading ended before the source did, else "".
    """

    def __init__(self, file: BinaryIO) -> None:
        self.problem = ""
        self._read_chunks = _read_chunks(file)
        self._since_record = 0
        self.head = b""
        while len(self.head) < HEAD_BYTES and (more := self._read_more()):
            self.head += more
        self._pending = memoryview(self.head)

    @property
    def text(self) -> str:
        """Head as text, with line ends as they will be read."""
        encoding, errors = self._choose_encoding()
        text = _fix_encoding(self.head.decode(encoding, errors=errors))
        return io.StringIO(text, newline=None).read()

    @property
    def is_packed_otherwise(self) -> bool:
        """True for an archive of an unsupported kind."""
        return self.head.startswith(_OTHER_PACKINGS)

    def lines(self) -> Iterator[str]:
        """Yield all lines. Bytes that are not UTF-8 are read as Windows-1252."""
        with self._decode() as text:
            while several := text.readlines(_CHUNK_BYTES):
                yield from (
                    several if all(map(str.isascii, several)) else map(_fix_encoding, several)
                )

    def pieces(self) -> Iterator[str]:
        """Yield pieces of several whole lines, ten times faster."""
        with self._decode() as text:
            while piece := text.read(_CHUNK_BYTES):
                piece += text.readline()
                yield piece if piece.isascii() else _fix_encoding(piece)

    def _decode(self) -> io.TextIOWrapper:
        encoding, errors = self._choose_encoding()
        stream = io.BufferedReader(self, _CHUNK_BYTES)
        return io.TextIOWrapper(stream, encoding=encoding, errors=errors)

    def begin_record(self) -> None:
        """Reset the count of bytes for one record."""
        self._since_record = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer with the next bytes. Return 0 at the end and after damage."""
        if not self._pending:
            self._pending = memoryview(self._read_more())
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._pending))
        view[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        self._since_record += size
        if self._since_record > _RECORD_BYTES:
            self.problem = (
                f"no record ends within {_RECORD_BYTES >> 20} MB. Write one record per line"
            )
            size, self._pending = 0, memoryview(b"")
        return size

    def _read_more(self) -> bytes:
        """Read the next bytes; empty only at the end."""
        if self.problem:
            return b""
        try:
            return next(filter(None, self._read_chunks), b"")
        except (zlib.error, EOFError):
            self.problem = "the packed data is damaged or cut off. Pack or download the file again"
        except OSError as error:
            self.problem = error.strerror or str(error)
        return b""

    def _choose_encoding(self) -> tuple[str, str]:
        wide = self.head.startswith(_WIDE)
        return ("utf-16", "replace") if wide else ("utf-8-sig", "surrogateescape")


class _Frame(Protocol):
    """Decompressor of one stream, as zlib and zstandard provide it."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _read_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the unpacked bytes. Some may be empty."""
    packed = iter(partial(getattr(file, "read1", file.read), _CHUNK_BYTES), b"")
    first = next(packed, b"")
    if first.startswith(_GZIP):
        yield from _unpack(first, packed, partial(zlib.decompressobj, wbits=31), _GZIP_PIECE)
    elif first.startswith(_ZSTD):
        yield from _from_zstd(first, packed)
    else:
        yield from chain([first], packed)


def _from_zstd(first: bytes, packed: Iterable[bytes]) -> Iterator[bytes]:
    from zstandard import ZstdDecompressor, ZstdError

    try:
        yield from _unpack(first, packed, ZstdDecompressor().decompressobj, _ZSTD_PIECE)
    except ZstdError as error:
        raise EOFError from error


def _unpack(
    first: bytes, packed: Iterable[bytes], begin: Callable[[], _Frame], size: int
) -> Iterator[bytes]:
    """Decompress one or more consecutive streams.

    Raises:
        EOFError: the last stream is cut off.
        zlib.error, ZstdError: a stream is damaged.
    """
    frame: _Frame | None = None
    for chunk in chain([first], packed):
        for start in range(0, len(chunk), size):
            piece = chunk[start : start + size]
            while piece := piece if frame else piece.lstrip(b"\0"):  # archives are padded
                frame = frame or begin()
                yield frame.decompress(piece)
                piece, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    if frame:
        raise EOFError


# Bytes that are not UTF-8, as surrogates.
_OLD_BYTES = re.compile("[\udc80-\udcff]+")


def _fix_encoding(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return _OLD_BYTES.sub(_from_windows_1252, text)
    return text


def _from_windows_1252(found: re.Match[str]) -> str:
    # Five bytes are undefined there too.
    return found[0].encode("utf-8", "surrogateescape").decode("cp1252", errors="replace")
