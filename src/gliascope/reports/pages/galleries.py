"""Pictures on the audit page: the worst of each kind, one of a group, each kind of copy in turn."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gliascope.audit import Audit
from gliascope.audit.result import LABEL_ISSUE
from gliascope.dataset.catalog import Catalog
from gliascope.reports.pages.pictures import Album, Picture

MAX_PICTURES = 24
IDENTICAL = "identical"
_WORDS = {IDENTICAL: "the same pixels", "none": "as it is", "flip": "mirrored", "crop": "cropped"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two slices side by side, with the transform that makes them alike and the correlation under it."""

    first: Picture
    second: Picture
    correlation: float | None
    transform: str

    @property
    def description(self) -> str:
        """The transform in words: "mirrored, turned by 90°" for "flip, turn 90"."""
        return ", ".join(
            f"turned by {step.removeprefix('turn ')}°" if step.startswith("turn ") else _WORDS.get(step, step)
            for step in self.transform.split(", ")
        )


@dataclass(frozen=True, slots=True)
class CaptionedPicture:
    """One slice and its caption."""

    picture: Picture
    caption: str


class Galleries:
    """Pictures of the findings of an audit.

    A copy is a pair of the audit, or two slices with identical pixels. The methods that return tables of
    copies have columns row, row_other, group, correlation and transform, one copy of a group, the most alike
    first.
    """

    def __init__(self, audit: Audit, catalog: Catalog) -> None:
        self._audit = audit
        self.album = Album(catalog.with_thumbnails())
        numbers = audit.groups.with_row_index("pixels").select("pixels", "pixel_hash", group_number="group")
        self.slices = (
            catalog.frame.with_row_index("row")
            .join(numbers, on="pixel_hash", maintain_order="left")
            .select("row", "pixels", "path", "index", "source", "label", "official", group="group_number")
        )
        self._links = _links(audit.pairs, numbers)
        tested = pl.col("source").is_in(self.slices.filter(official="test")["source"].unique().implode())
        self._test = self.slices.filter(official="test")
        self._training = self.slices.filter(tested, pl.col("official").ne_missing("test"))

    def leaks(self) -> pl.DataFrame:
        """Copies within a source between its own test and training folders; the test slice is first."""
        return self._copies(self._test, self._training, pl.col("source") == pl.col("source_other"))

    def between_sources(self) -> pl.DataFrame:
        """Copies between two sources."""
        return self._copies(self.slices, self.slices, pl.col("source") < pl.col("source_other"))

    def count_shared_slices(self) -> int:
        """Count the slices that have a copy in another source."""
        sources = self.slices.select(b="pixels", source_other="source").unique()
        linked = self._links.select("a", "b").join(sources, on="b").select("a", "source_other").unique()
        slices = self.slices.select("row", "source", a="pixels")
        return (
            slices.join(linked, on="a").filter(pl.col("source") != pl.col("source_other"))["row"].n_unique()
        )

    def conflicts(self) -> pl.DataFrame:
        """Copies with two different labels."""
        return self._copies(self.slices, self.slices, pl.col("label") < pl.col("label_other"))

    def pairs(self, copies: pl.DataFrame, limit: int = MAX_PICTURES) -> list[Pair]:
        """Return pictures of the most alike copies; identical ones only where there are no others."""
        near = copies.filter(pl.col("transform") != IDENTICAL)
        turn = pl.int_range(pl.len()).over("transform")
        chosen = (copies if near.is_empty() else near).sort(turn, maintain_order=True).head(limit)
        return [
            Pair(self.album[row], self.album[other], correlation, transform)
            for row, other, correlation, transform in chosen.sort(
                "correlation", descending=True, maintain_order=True
            )
            .select("row", "row_other", "correlation", "transform")
            .iter_rows()
        ]

    def doubtful_pairs(self, limit: int = MAX_PICTURES) -> list[Pair]:
        """Pairs that the audit asks a person to decide on, one of any two groups."""
        one = self.slices.select("row", "path", "index", "group")
        other = one.select(row_other="row", other_path="path", other_index="index", group_other="group")
        asked = (
            self._audit.decisions.filter(kind="pair")
            .join(one, on=("path", "index"), maintain_order="left")
            .join(other, on=("other_path", "other_index"), maintain_order="left")
            .with_columns(both=pl.concat_list("group", "group_other").list.sort())
            .unique("both", keep="first", maintain_order=True)
        )
        rows = asked.select("row", "row_other", "evidence").head(limit).iter_rows()
        return [Pair(self.album[row], self.album[other], evidence, "") for row, other, evidence in rows]

    def label_issues(self, folders: Sequence[str]) -> list[tuple[str, int, list[CaptionedPicture]]]:
        """Slices with a label issue, the least probable label first, by folder.

        Parameters
        ----------
        folders
            Names of folders, as in `AuditFacts.label_issues`, that get a gallery of their own.

        Returns
        -------
        list of tuple
            Title, number of slices and the slices to show, of each of `folders` and of all others.
        """
        folder = pl.concat_str(
            "source", pl.lit(": "), "label", pl.lit("/"), pl.col("official").fill_null("all")
        )
        issues = self._audit.decisions.filter(kind=LABEL_ISSUE).drop("label")
        issues = self._with_rows(issues).sort("evidence", maintain_order=True).with_columns(folder=folder)
        galleries = [(name, issues.filter(folder=name)) for name in folders]
        others = issues.filter(~pl.col("folder").is_in(folders))
        galleries.append(("Other folders" if folders else "All folders", others))
        return [(name, one.height, self._likely_classes(one)) for name, one in galleries if one.height]

    def _likely_classes(self, issues: pl.DataFrame) -> list[CaptionedPicture]:
        rows = issues.head(MAX_PICTURES).select("row", "new_label").iter_rows()
        return [
            CaptionedPicture(self.album[row], f"probably {label}" if label else "") for row, label in rows
        ]

    def quality_issues(self, kind: str, limit: int = MAX_PICTURES // 2) -> list[CaptionedPicture]:
        """The first slices with one kind of quality issue."""
        issues = self._with_rows(self._audit.quality_issues.filter(kind=kind).head(limit))
        return [
            CaptionedPicture(self.album[row], detail or "")
            for row, detail in issues.select("row", "detail").iter_rows()
        ]

    def file_pictures(self, paths: Sequence[str]) -> list[Picture]:
        """The first slice of each file."""
        rows = dict(self.slices.unique("path", keep="first").select("path", "row").iter_rows())
        return [self.album[rows[path]] for path in paths if path in rows]

    def _with_rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Add the catalogue's columns to a table with columns path and index."""
        return frame.join(self.slices, on=("path", "index"), maintain_order="left")

    def _copies(self, first: pl.DataFrame, second: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
        """Copies between `first` and `second` that fulfil `where`: the most alike of each group."""
        what = ["pixels", "source", "label", "official"]
        left, right = (frame.unique(what, keep="first", maintain_order=True) for frame in (first, second))
        return (
            left.join(self._links, left_on="pixels", right_on="a")
            .join(right, left_on="b", right_on="pixels", suffix="_other")
            .filter(where)
            .sort("correlation", "row", "row_other", descending=(True, False, False))
            .unique("group", keep="first", maintain_order=True)
        )


def _links(pairs: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    """Pairs in both directions by number, and every number with itself: a, b, correlation, transform."""
    kinds = pl.Enum([IDENTICAL, *sorted(pairs["transform"].unique())])
    forth = (
        pairs.join(numbers, left_on="a", right_on="pixel_hash")
        .join(numbers, left_on="b", right_on="pixel_hash", suffix="_b")
        .select(
            a="pixels", b="pixels_b", correlation="correlation", transform=pl.col("transform").cast(kinds)
        )
    )
    back = forth.select(a="b", b="a", correlation="correlation", transform="transform")
    same = numbers.select(
        a="pixels", b="pixels", correlation=pl.lit(1.0), transform=pl.lit(IDENTICAL, dtype=kinds)
    )
    return pl.concat([forth, back, same])
