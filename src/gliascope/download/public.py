"""The catalogue of public sets: `public.yaml`, one entry a set."""

from functools import cache
from importlib.resources import files
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, PositiveInt, StringConstraints, model_validator

from gliascope.errors import FetchError

TO_BE_CHECKED = "to be checked"
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Handle = Annotated[str, StringConstraints(pattern=r"^[\w-]+/[\w-]+(/versions/[1-9]\d*)?$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class PublicSet(BaseModel):
    """One public set. What nobody of us has verified is None, and shown as "to be checked".

    classes: as the set names them. slices: 2-D images. megabytes: of the download, 10^6 bytes.
    overlaps: name of another set here, to how the two share slices.
    labels: folder names that `scan` must be told (`--labels`), to a class, or None to leave them out.
    kaggle: handle `owner/name`, or `owner/name/versions/N`. figshare: article number.
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
    """What `fetch` brought, and when: the set as it was described then, its version there, ISO 8601 time."""

    version: str
    fetched: str


@cache
def public_sets() -> dict[str, PublicSet]:
    """All sets of the catalogue by name, in its order."""
    import yaml

    text = (files(__package__) / "public.yaml").read_text(encoding="utf-8")
    return {name: PublicSet(name=name, **fields) for name, fields in yaml.safe_load(text).items()}


def find_public_set(name: str) -> PublicSet:
    """The set of this name. Raises FetchError that lists the names where there is none."""
    if name not in public_sets():
        raise FetchError(f"unknown set {name!r}; choose from {', '.join(public_sets())}")
    return public_sets()[name]
