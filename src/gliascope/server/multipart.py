"""Files of a multipart body, written to numbered files on disk."""

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
    """Make a text of a client safe to show: one line of at most MAX_NAME_LENGTH characters, the last ones.

    Control characters, such as those that reverse the direction of writing, become U+FFFD.

    Examples
    --------
    >>> printable_name("head/a.png")
    'head/a.png'
    >>> printable_name("a" + chr(10) + "b") == "a" + chr(0xFFFD) + "b"
    True
    """
    visible = "".join(
        "\ufffd" if unicodedata.category(character)[0] in "CZ" and character != " " else character
        for character in name
    )
    return visible[-MAX_NAME_LENGTH:]


def _extended_name(disposition: bytes) -> bytes | None:
    """Return the file name that `filename*` gives, in UTF-8, or None if there is no `filename*`.

    Clients send `filename*` for names beyond Latin-1, with `filename` or alone. It takes precedence.

    Raises
    ------
    UploadError
        400 for an encoding other than UTF-8 and Latin-1.

    References
    ----------
    RFC 6266 (Content-Disposition) and RFC 5987 (encoding of parameters).
    """
    header = Message()
    header["Content-Disposition"] = disposition.decode("latin-1")
    # For a parameter with a star, the standard library gives a tuple: charset, language, Latin-1 text.
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
            "a file's name in `filename*` is not valid in its encoding; send it as UTF-8, or as `filename`"
        )
        raise UploadError(400, "bad_file_name", message) from None


class FilePartWriter:
    """Writes the files of a multipart body; gives `MultipartParser` its callbacks.

    The callbacks only buffer bytes. `flush`, which is called in another thread, writes them.

    Parameters
    ----------
    folder
        Folder of the files.
    max_files
        Most files in the body.
    max_file_bytes
        Most bytes of one file.

    Attributes
    ----------
    received
        Path and client's name of every file so far.
    buffered_bytes
        Number of bytes that are not written yet.
    complete
        Whether the last boundary has been read.
    """

    def __init__(self, folder: Path, max_files: int, max_file_bytes: int) -> None:
        self.folder = folder
        self.max_files = max_files
        self.max_file_bytes = max_file_bytes
        self.received: list[tuple[Path, str]] = []
        self.buffered_bytes = 0
        self.complete = False
        self._pending: list[tuple[Path, bytes]] = []
        self._open: tuple[Path, BinaryIO] | None = None
        self._size = 0
        self._header, self._value, self._disposition = b"", b"", b""

    def callbacks(self) -> Any:
        """Return the callbacks that MultipartParser takes."""
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_end": self._end,
        }
        return callbacks

    def flush(self) -> None:
        """Write the buffered bytes. Raises OSError."""
        for path, data in self._pending:
            if self._open is None or self._open[0] != path:
                self.close()
                self._open = path, create_private_file(path)
            self._open[1].write(data)
        if self._open is not None:
            self._open[1].flush()
        self._pending, self.buffered_bytes = [], 0

    def close(self) -> None:
        """Close the open file. Raises OSError."""
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
    """Create a file that only this user can read, and open it for writing. Raises FileExistsError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
