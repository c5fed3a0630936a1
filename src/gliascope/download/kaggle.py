"""Download from Kaggle by its own library, kagglehub, which continues downloads and checks their MD5."""

import logging
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kagglehub
from kagglehub.exceptions import DataCorruptionError

from gliascope.download.http import retry
from gliascope.errors import DownloadError

_SIGN_IN = (
    "Kaggle wants to know you: make an API token in your account's settings there, "
    "and put it in KAGGLE_API_TOKEN or in ~/.kaggle/access_token"
)
_DAMAGE = (DataCorruptionError, zipfile.BadZipFile, zlib.error, EOFError, tarfile.TarError, ValueError)


def download_dataset(handle: str, work: Path, home: str) -> str:
    """Download a Kaggle dataset to `work/data`.

    Parameters
    ----------
    handle
        `owner/name`, or `owner/name/versions/N`.
    work
        Folder for unfinished downloads, which a later call continues.
    home
        Web page of the set, for error messages.

    Returns
    -------
    str
        The version of the dataset.

    Raises
    ------
    DownloadError
        If Kaggle refuses, has no such set, or the archive is damaged.
    """
    logging.getLogger("kagglehub").setLevel(logging.ERROR)
    remedies = {401: _SIGN_IN, 403: f"{_SIGN_IN}, and consent to the terms on {home}", 404: f"look at {home}"}
    try:
        with _cache_in(work):
            found = Path(retry(lambda: kagglehub.dataset_download(handle), f"Kaggle {handle}", remedies))
    except _DAMAGE as error:
        shutil.rmtree(work)  # else the next try goes on with it
        reason = " ".join(str(error).split())
        raise DownloadError(
            f"Kaggle {handle}: not usable ({reason}); what came is removed, try again"
        ) from None
    found.rename(work / "data")
    return found.name


@contextmanager
def _cache_in(work: Path) -> Iterator[None]:
    """Let kagglehub keep its files in `work` instead of in its own cache, where they would stay as copies."""
    ours = {"KAGGLEHUB_CACHE": str(work), "DISABLE_KAGGLE_CACHE": "true", "DISABLE_COLAB_CACHE": "true"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
