"""The bytes of a source as lines of text: unpacked, decoded, and never too many at a time.

gzip and zstd are told by their first bytes and unpacked while they are read, in pieces so small
that none can swell beyond some 32 MB. Damage ends the text and is kept as the `problem`, so that a
format module still gives what it has read so far. Called by `rag.readers`.
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

HEAD_BYTES = 1 << 16  # looked at to tell the format
_CHUNK_BYTES = 1 << 16
_RECORD_BYTES = 1 << 26  # longer than any record; a packed file may claim to hold anything
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP_PIECE = 1 << 14  # deflate swells to 1032 times the size at most: 17 MB
_ZSTD_PIECE = 1 << 10  # and zstd 4 bytes to 128 KiB: 32 MB
_OTHER_PACKINGS = (b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf")
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Opened(io.RawIOBase):
    """A source's unpacked bytes, whose beginning can be looked at before it is read.

    Attributes:
        head: the first bytes, `HEAD_BYTES` or a little more unless the source is shorter.
        problem: why reading ended before the source did; "" while it has not.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.problem = ""
        self._chunks = _chunks(file)
        self._since_record = 0
        self.head = b""
        while len(self.head) < HEAD_BYTES and (more := self._more()):
            self.head += more
        self._pending = memoryview(self.head)

    @property
    def text(self) -> str:
        """The head as text, its line ends as they will be read."""
        encoding, errors = self._decoding()
        text = _mended(self.head.decode(encoding, errors=errors))
        return io.StringIO(text, newline=None).read()

    @property
    def is_packed_otherwise(self) -> bool:
        """Whether it is an archive of a kind that is not unpacked here."""
        return self.head.startswith(_OTHER_PACKINGS)

    def lines(self) -> Iterator[str]:
        """All lines; bytes that are no UTF-8 are read as Windows-1252."""
        with self._decoded() as text:
            while several := text.readlines(_CHUNK_BYTES):
                yield from several if all(map(str.isascii, several)) else map(_mended, several)

    def pieces(self) -> Iterator[str]:
        """The same in pieces of several lines, for a tenth of the time."""
        with self._decoded() as text:
            while piece := text.read(_CHUNK_BYTES):
                piece += text.readline()
                yield piece if piece.isascii() else _mended(piece)

    def _decoded(self) -> io.TextIOWrapper:
        encoding, errors = self._decoding()
        stream = io.BufferedReader(self, _CHUNK_BYTES)
        return io.TextIOWrapper(stream, encoding=encoding, errors=errors)

    def begin_record(self) -> None:
        """Says that a record was read, so that as many bytes may follow for the next."""
        self._since_record = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fills the buffer as far as the next bytes go; 0 at the end and after damage."""
        if not self._pending:
            self._pending = memoryview(self._more())
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._pending))
        view[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        self._since_record += size
        if self._since_record > _RECORD_BYTES:
            self.problem = (
                f"no record ends within {_RECORD_BYTES >> 20} MB; write one record a line"
            )
            size, self._pending = 0, memoryview(b"")
        return size

    def _more(self) -> bytes:
        """The next bytes, none of them empty but the last."""
        if self.problem:
            return b""
        try:
            return next(filter(None, self._chunks), b"")
        except (zlib.error, EOFError):
            self.problem = "the packed data is damaged or cut off; pack or fetch the file again"
        except OSError as error:
            self.problem = error.strerror or str(error)
        return b""

    def _decoding(self) -> tuple[str, str]:
        wide = self.head.startswith(_WIDE)
        return ("utf-16", "replace") if wide else ("utf-8-sig", "surrogateescape")


class _Frame(Protocol):
    """What zlib and zstandard give to unpack one stream of packed bytes."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """The unpacked bytes; some may be empty."""
    packed = iter(partial(getattr(file, "read1", file.read), _CHUNK_BYTES), b"")
    first = next(packed, b"")
    if first.startswith(_GZIP):
        yield from _unpacked(first, packed, partial(zlib.decompressobj, wbits=31), _GZIP_PIECE)
    elif first.startswith(_ZSTD):
        yield from _from_zstd(first, packed)
    else:
        yield from chain([first], packed)


def _from_zstd(first: bytes, packed: Iterable[bytes]) -> Iterator[bytes]:
    from zstandard import ZstdDecompressor, ZstdError

    try:
        yield from _unpacked(first, packed, ZstdDecompressor().decompressobj, _ZSTD_PIECE)
    except ZstdError as error:
        raise EOFError from error


def _unpacked(
    first: bytes, packed: Iterable[bytes], begin: Callable[[], _Frame], size: int
) -> Iterator[bytes]:
    """What one or more packed streams hold that stand one behind the other.

    Raises:
        EOFError: the last one is cut off.
        zlib.error, ZstdError: it is damaged.
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


# The bytes that no UTF-8 explains, as they were decoded.
_OLD_BYTES = re.compile("[\udc80-\udcff]+")


def _mended(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return _OLD_BYTES.sub(_from_windows_1252, text)
    return text


def _from_windows_1252(found: re.Match[str]) -> str:
    # Five bytes mean nothing there either.
    return found[0].encode("utf-8", "surrogateescape").decode("cp1252", errors="replace")
