"""Download a public set by its name to a folder that `scan` reads."""

import json
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from gliascope.download.public import Origin, PublicSet, find_public_set
from gliascope.errors import DownloadError
from gliascope.runtime.files import safe_name

LABELS_FILE = ".labels.yaml"  # hidden, so that `scan` passes over it
ORIGIN_FILE = ".source.json"


def fetch(name: str, out: Path) -> Path:
    """Download a public set to the folder `out`, which appears only when it is complete.

    An interrupted download is continued. In `out`, the file `.source.json` states the set, its licence and
    its version; `.labels.yaml`, if the set needs one, is for `scan --labels`.

    Parameters
    ----------
    name
        Name of the set in `public.yaml`.
    out
        A folder that does not exist or is empty.

    Returns
    -------
    pathlib.Path
        `out`.

    Raises
    ------
    DownloadError
        If the name is unknown, `out` holds something, a library is missing, or the download fails.
    """
    public = find_public_set(name)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DownloadError(f"{out}: already there; remove it, or choose another folder by --out")
    work = out.absolute().parent / safe_name(f".{out.name}.{name}.part")
    data = work / "data"
    if data.exists():  # of a try that got no further than unpacking
        shutil.rmtree(data)
    work.mkdir(parents=True, exist_ok=True)
    try:
        _describe(public, _download(public, work), data)
        if out.exists():
            out.rmdir()
        data.rename(out)
        shutil.rmtree(work)
    finally:
        with suppress(OSError):  # stays where it holds something to go on with
            work.rmdir()
    return out


def read_origin(folder: Path) -> Origin | None:
    """Read what `fetch` wrote on a folder; return None if `fetch` did not make the folder."""
    try:
        return Origin.model_validate_json((folder / ORIGIN_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def _download(public: PublicSet, work: Path) -> str:
    """Download and unpack a set into `work/data`, and return its version."""
    try:
        if public.kaggle:
            from gliascope.download.kaggle import download_dataset

            return download_dataset(public.kaggle, work, str(public.home))
        from gliascope.download.figshare import download_article

        return download_article(public.figshare or 0, work, str(public.home))
    except ModuleNotFoundError as error:
        if error.name not in ("kagglehub", "requests"):  # of something that these need
            raise
        raise DownloadError(f"{error.name} is missing: pip install 'gliascope[fetch]'") from None


def _describe(public: PublicSet, version: str, data: Path) -> None:
    """Write the origin of a set, and its labels, into its folder."""
    import yaml

    record = public.model_dump(mode="json", exclude={"labels"})
    record |= {"version": version, "fetched": datetime.now(UTC).isoformat(timespec="seconds")}
    (data / ORIGIN_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if public.labels:
        text = yaml.safe_dump(dict(public.labels), allow_unicode=True)
        (data / LABELS_FILE).write_text(text, encoding="utf-8")
