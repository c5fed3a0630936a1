"""The list of public sets, `public.yaml`, with one entry per set."""

from functools import cache
from importlib.resources import files
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, PositiveInt, StringConstraints, model_validator

from gliascope.errors import DownloadError

TO_BE_CHECKED = "to be checked"
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Handle = Annotated[str, StringConstraints(pattern=r"^[\w-]+/[\w-]+(/versions/[1-9]\d*)?$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class PublicSet(BaseModel):
    """One public set. Fields that nobody has verified are None and shown as "to be checked".

    Parameters
    ----------
    name, title, home
        Its name here, its own title, and its web page.
    licence, note
        Its licence, and a remark.
    classes
        Classes, as the set names them.
    slices
        Number of 2-D images.
    megabytes
        Size of the download, in 10^6 bytes.
    overlaps
        By name of another set: how the two share slices.
    labels
        By folder name: the class that `scan --labels` must be given, or None to leave the folder out.
    kaggle
        Handle `owner/name` or `owner/name/versions/N`.
    figshare
        Article number. A set has either this or `kaggle`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    title: Text
    home: HttpUrl
    licence: Text | None = None
    classes: tuple[Text, ...] = Field(min_length=2)
    slices: PositiveInt | None = None
    megabytes: PositiveInt | None = None
    overlaps: dict[Name, Text] = {}
    note: Text = ""
    labels: dict[Text, Text | None] = {}
    kaggle: Handle | None = None
    figshare: PositiveInt | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.kaggle is None) == (self.figshare is None):
            raise ValueError("expected one of kaggle and figshare")
        return self


class Origin(PublicSet):
    """What `fetch` downloaded and when: the set as described then, its version, and an ISO 8601 time."""

    version: str
    fetched: str


@cache
def public_sets() -> dict[str, PublicSet]:
    """Return all public sets by name, in the order of the list."""
    import yaml

    text = (files(__package__) / "public.yaml").read_text(encoding="utf-8")
    return {name: PublicSet(name=name, **fields) for name, fields in yaml.safe_load(text).items()}


def find_public_set(name: str) -> PublicSet:
    """Return the set of this name; raise DownloadError with all names if there is none."""
    if name not in public_sets():
        raise DownloadError(f"unknown set {name!r}; choose from {', '.join(public_sets())}")
    return public_sets()[name]
