"""Download an article's files from figshare by its public API, version 2 (https://docs.figshare.com)."""

import zipfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gliascope.download.http import download, get_json
from gliascope.download.unpack import unpack
from gliascope.errors import DownloadError, first_error

API = "https://api.figshare.com/v2"
PAGE_SIZE = 1000


class _File(BaseModel):
    name: str
    size: int
    computed_md5: str
    download_url: str


def download_article(article: int, work: Path, home: str) -> str:
    """Download an article's files to `work` and unpack them into `work/data`.

    Parameters
    ----------
    article
        Number of the article.
    work
        Folder for unfinished downloads, which a later call continues.
    home
        Web page of the set, for error messages.

    Returns
    -------
    str
        The version of the article.

    Raises
    ------
    DownloadError
        If the article or a file cannot be downloaded, or a file differs from what figshare states.
    """
    remedies = {404: f"the article or a file of it is gone, look at {home}"}
    about = get_json(f"{API}/articles/{article}", remedies)
    files = _files(article, remedies)
    archives, data = work / "files", work / "data"
    archives.mkdir(exist_ok=True)
    for file in files:
        download(
            file.download_url, archives / file.name, size=file.size, md5=file.computed_md5, remedies=remedies
        )
    data.mkdir()
    for file in files:
        path = archives / file.name
        if zipfile.is_zipfile(path):
            unpack(path, data / path.stem)
        else:
            path.replace(data / file.name)
    return str(about.get("version", ""))


def _files(article: int, remedies: dict[int, str]) -> list[_File]:
    """List the files of an article, page by page."""
    found: list[Any] = []
    page = 1
    while len(found) == (page - 1) * PAGE_SIZE:
        found += get_json(f"{API}/articles/{article}/files?page={page}&page_size={PAGE_SIZE}", remedies)
        page += 1
    try:
        files = [_File.model_validate(item) for item in found]
    except ValidationError as error:
        raise DownloadError(
            f"figshare article {article}: its list of files is odd ({first_error(error)})"
        ) from None
    names = [file.name for file in files]
    usable = all(name == Path(name).name and name not in ("", "..") for name in names)
    if not files or len(set(names)) < len(names) or not usable:
        raise DownloadError(f"figshare article {article}: no files, or names that cannot be used: {names}")
    return files
