"""What a multipart parser finds, written to numbered files."""

import os
import unicodedata
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.multipart import parse_options_header

from gliascope.server.api_error import UploadError, too_large

MAX_NAME_LENGTH = 255
FILES_FIELD = b"files"
_CHARSETS = {"utf-8": "utf-8", "iso-8859-1": "latin-1"}


def printable_name(name: str) -> str:
    """A client's name of a file as it may be shown: one line of at most MAX_NAME characters.

    Whatever is no visible character, such as marks that turn the direction of writing, becomes U+FFFD.
    """
    visible = "".join(
        "\ufffd" if unicodedata.category(one)[0] in "CZ" and one != " " else one for one in name
    )
    return visible[-MAX_NAME_LENGTH:]


def _extended_name(disposition: bytes) -> bytes | None:
    """The name that `filename*` gives (RFC 6266, RFC 5987), in UTF-8; None where there is none.

    It is for names beyond Latin letters, beside `filename` or alone, and comes first where both are there.
    Raises UploadError for another encoding than UTF-8 and Latin-1, which RFC 5987 allows.
    """
    header = Message()
    header["Content-Disposition"] = disposition.decode("latin-1")
    # Of what is written with a star, the standard library makes a tuple: charset, language, Latin-1 text.
    extended: list[Any] = [
        value
        for name, value in header.get_params([], "Content-Disposition")
        if name.lower() == "filename" and isinstance(value, tuple)
    ]
    if not extended:
        return None
    charset, _, text = extended[0]
    try:
        encoded: bytes = text.encode("latin-1")
        return encoded.decode(_CHARSETS[(charset or "utf-8").lower()]).encode()
    except (KeyError, UnicodeError):
        message = (
            "a file's name in `filename*` is not the UTF-8 that it says; send it as UTF-8, or `filename`"
        )
        raise UploadError(400, "bad_file_name", message) from None


class FilePartWriter:
    """Callbacks for `MultipartParser`. They only keep bytes; `flush`, called in a thread, writes them.

    found: (path, the client's name) of every file so far. waiting: bytes not written yet.
    ended: whether the last boundary was met.
    """

    def __init__(self, folder: Path, files: int, file_bytes: int) -> None:
        self.folder = folder
        self.max_files = files
        self.max_file_bytes = file_bytes
        self.received: list[tuple[Path, str]] = []
        self.buffered_bytes = 0
        self.complete = False
        self._pending: list[tuple[Path, bytes]] = []
        self._open: tuple[Path, BinaryIO] | None = None
        self._size = 0
        self._header, self._value, self._disposition = b"", b"", b""

    def callbacks(self) -> Any:
        """As MultipartParser takes them."""
        found: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_end": self._end,
        }
        return found

    def flush(self) -> None:
        """Write what is waiting. Raises OSError."""
        for path, data in self._pending:
            if self._open is None or self._open[0] != path:
                self.close()
                self._open = path, create_private_file(path)
            self._open[1].write(data)
        if self._open is not None:
            self._open[1].flush()
        self._pending, self.buffered_bytes = [], 0

    def close(self) -> None:
        """Close the file last written to. Raises OSError."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _begin(self) -> None:
        self._header, self._value, self._disposition, self._size = b"", b"", b"", 0

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        given = _extended_name(self._disposition)
        given = options.get(b"filename") if given is None else given
        if options.get(b"name") != FILES_FIELD or given is None:
            message = "expected files in the field `files` but got another field; options go in the query"
            raise UploadError(400, "unexpected_field", message)
        if len(self.received) == self.max_files:
            raise too_large(f"a request may hold {self.max_files:,} files; send fewer at a time")
        number = len(self.received)
        name = printable_name(given.decode("utf-8", "replace")) or f"file {number + 1}"
        path = self.folder / f"file-{number}"
        self.received.append((path, name))
        self._pending.append((path, b""))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self.max_file_bytes:
            raise too_large(f"a file may hold {self.max_file_bytes:,} bytes")
        self._pending.append((self.received[-1][0], data[start:end]))
        self.buffered_bytes += end - start

    def _end(self) -> None:
        self.complete = True


def create_private_file(path: Path) -> BinaryIO:
    """Create a file that only this user can read. Raises FileExistsError rather than follow a link."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
