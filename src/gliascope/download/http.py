"""Downloads that survive broken connections and continue where they stopped."""

import hashlib
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import requests

from gliascope import __version__
from gliascope.errors import DownloadError
from gliascope.runtime.files import safe_name
from gliascope.runtime.progress import progress

ATTEMPTS = 5
PAUSE = 1.0  # seconds before the second attempt, doubled before each further one
TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
HEADERS = {"User-Agent": f"gliascope/{__version__}", "Accept-Encoding": "identity"}
_PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,  # the next attempt asks for the whole
}
CHUNK = 2**16  # bytes; of what a broken connection brought, less than this is lost
_MIB = 2**20
Result = TypeVar("Result")


def retry(action: Callable[[], Result], target: str, remedies: dict[int, str]) -> Result:
    """Run an action again while it fails for a temporary reason, up to `ATTEMPTS` times.

    Parameters
    ----------
    action
        Makes the request.
    target
        What is requested, for error messages.
    remedies
        What the user can do about an HTTP status, by status.

    Raises
    ------
    DownloadError
        If the action fails for another reason, or too often.
    """
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except requests.HTTPError as error:
            status = error.response.status_code
            reason = f"HTTP {status}"
            if status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _PASSING:
                remedy = remedies.get(status, "look at the set's page")
                raise DownloadError(f"{target}: {reason}; {remedy}") from None
        except requests.RequestException as error:
            reason = type(error).__name__
        if attempt + 1 < ATTEMPTS:
            time.sleep(PAUSE * 2**attempt)
    raise DownloadError(
        f"{target}: no connection, or it broke ({reason}); check the network, then give the same command "
        "again, it goes on where it stopped"
    )


def get_json(url: str, remedies: dict[int, str]) -> Any:
    """Request `url` and decode its JSON. Parameters and errors as in `retry`."""

    def get() -> requests.Response:
        response = requests.get(url, headers=HEADERS, timeout=TIMEOUT)
        response.raise_for_status()
        return response

    response = retry(get, url, remedies)
    try:
        return response.json()
    except requests.JSONDecodeError:
        raise DownloadError(f"{url}: the answer is no JSON; try again later") from None


def download(url: str, path: Path, *, size: int, md5: str, remedies: dict[int, str]) -> None:
    """Download `url` to `path`, which appears only when its size and MD5 are right.

    An earlier, interrupted download is continued by HTTP Range (RFC 9110, section 14).

    Parameters
    ----------
    url
        What to download.
    path
        The file to write.
    size
        Expected size in bytes.
    md5
        Expected MD5, hexadecimal.
    remedies
        What the user can do about an HTTP status, by status.

    Raises
    ------
    DownloadError
        If the download fails, or the content is not what was expected.
    """
    if path.exists():
        return
    part = path.with_name(safe_name(f"{path.name}.part"))
    retry(lambda: _continue(url, part, size), url, remedies)
    with part.open("rb") as stream:
        found = hashlib.file_digest(stream, "md5").hexdigest()
    if found != md5:
        part.unlink()
        raise DownloadError(f"{url}: expected MD5 {md5} but got {found}; what came is removed, try again")
    part.rename(path)


def _continue(url: str, part: Path, size: int) -> None:
    """Append to `part` until it has `size` bytes; raise RequestException if the connection breaks."""
    part.touch()
    have = part.stat().st_size
    if have == size:
        return
    have = have if have < size else 0
    headers = HEADERS | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, timeout=TIMEOUT, stream=True) as response:
        goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        refused = response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if refused or (response.ok and not goes_on):  # a server in trouble costs nothing of what is here
            part.write_bytes(b"")
        response.raise_for_status()
        with part.open("ab") as stream, progress(f"{part.stem} (MiB)", -(-size // _MIB)) as advance:
            advance(stream.tell() // _MIB)
            for chunk in response.iter_content(CHUNK):
                before = stream.tell()
                stream.write(chunk)
                advance(stream.tell() // _MIB - before // _MIB)
                if stream.tell() > size:
                    stream.truncate(0)
                    raise requests.ConnectionError("more bytes than announced")
    if part.stat().st_size < size:
        raise requests.ConnectionError("fewer bytes than announced")
