"""The Catalog: one row per slice, where it is, what it claims to be, its hashes; and their thumbnails."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from gliascope.dataset.merge import conflicts, exclusion_reasons
from gliascope.errors import GliascopeError
from gliascope.io import read
from gliascope.io.scales import SeriesScale
from gliascope.io.slices import Slice
from gliascope.runtime.files import atomic_file, atomic_folder, safe_name, write_text
from gliascope.runtime.paths import to_path

SCHEMA: dict[str, type[pl.DataType]] = {
    "path": pl.String,  # source folder's name and below, with forward slashes
    "root": pl.String,  # absolute folder that `path` starts from
    "index": pl.Int32,  # slice within the file
    "source": pl.String,
    "label": pl.String,
    "raw_label": pl.String,  # as the folder or file wrote it
    "official": pl.String,  # the source's own part: train, val or test
    "patient": pl.String,  # source and pseudonym
    "patient_from": pl.String,  # who told: file, folder, file name (several with "and"), or study
    "study": pl.String,
    "series": pl.String,
    "group": pl.String,  # from --groups
    "fold": pl.Int32,  # from --groups
    "modality": pl.String,
    "plane": pl.String,  # axial, coronal or sagittal
    "kind": pl.String,  # localizer or derived map; null for an ordinary slice
    "format": pl.String,
    "height": pl.Int32,
    "width": pl.Int32,
    "channels": pl.Int8,
    "mode": pl.String,  # Pillow's, of a raster file: L, RGB, P, RGBA, I;16 …
    "quantisation": pl.Float64,  # mean of a JPEG's luminance quantisation table
    "spacing_row": pl.Float64,  # mm
    "spacing_column": pl.Float64,  # mm
    "scale": pl.String,  # `Scale.text` of the grey scale that the series shares, null where the file decides
    "bytes": pl.Int64,
    "sha256": pl.String,  # of the file
    "pixel_hash": pl.String,  # BLAKE2b-128 of shape and decoded pixels
    "blank": pl.Boolean,  # of one grey
    "notes": pl.String,  # how the pixels came about, where the file says otherwise; a sentence a line
    "exclusion_reason": pl.String,  # why it is not part of the merged set, null where it is
}
THUMBNAILS_SCHEMA: dict[str, type[pl.DataType]] = {
    "pixel_hash": pl.String,
    "thumbnail": pl.Binary,  # 64x64 grey, row by row
    "head_thumbnail": pl.Binary,  # 64x64 grey of `head.mass_box`, which black borders do not move
}
EXCLUDED_SCHEMA: dict[str, type[pl.DataType]] = {
    "path": pl.String,
    "source": pl.String,
    "reason": pl.String,
    "detail": pl.String,
}
FILE_COLUMNS = ("root", "path", "scale")  # columns that `read_file` takes
PARQUET = ".parquet"
# Files of a table in parts, and what systems leave in folders.
_OURS = re.compile(r"part-\d{6}\.parquet|studies\.parquet|\.DS_Store|\._.*|\.nfs.*|Thumbs\.db")
ROWS_PER_FILE = 10_000  # slices a file: 80 MB of thumbnails while they wait


def side_files(path: Path) -> tuple[Path, Path, Path]:
    """What is written beside a catalogue: thumbnails (a folder), files set aside, contradicting labels.

    All are named after it, so that catalogues in one folder have each their own.
    """
    name = path.name.removesuffix(PARQUET)
    ends = (f"thumbnails{PARQUET}", f"rejects{PARQUET}", "conflicts.csv")
    thumbnails, rejects, contradicting = (path.with_name(safe_name(f"{name}.{end}")) for end in ends)
    return thumbnails, rejects, contradicting


def read_catalogued(root: str, path: str, scale: str | None) -> list[Slice]:
    """Read a file of a catalogue again, just as `scan` did: its rows' columns FILE. Raises ReadError."""
    return read(to_path(root) / path, SeriesScale.parse(scale) if scale else None)


@dataclass(frozen=True, slots=True)
class Catalog:
    """`frame`: slices found by `scan`, columns of SCHEMA; `rejects`: files set aside, of REJECTS_SCHEMA.

    thumbnails: gives tables of THUMBNAILS_SCHEMA that hold those of all slices, at least once. They take
    twenty times the memory of all else, so they stay where they are until they are asked for.
    """

    frame: pl.DataFrame
    excluded: pl.DataFrame
    thumbnails: Callable[[], Iterable[pl.DataFrame]] = list

    def with_thumbnails(self, rows: pl.DataFrame | None = None) -> pl.DataFrame:
        """Rows with a pixel_hash, by default those of `frame`, and their thumbnails.

        Raises GliascopeError where those are not there any more.
        """
        rows = self.frame if rows is None else rows
        wanted = rows.select("pixel_hash").unique()
        tables = (table.join(wanted, on="pixel_hash", how="semi") for table in self.thumbnails())
        found = pl.concat([pl.DataFrame(schema=THUMBNAILS_SCHEMA), *tables]).unique("pixel_hash")
        if found.height < wanted.height:
            raise GliascopeError(
                f"{wanted.height - found.height} thumbnails are gone from beside the catalogue; make both "
                "again with `gliascope scan`"
            )
        return rows.join(found, on="pixel_hash", how="left", maintain_order="left")

    def write(self, path: Path) -> None:
        """Write the folder `path` and what is `beside` it, each atomically.

        Raises GliascopeError rather than replace what is no catalogue.
        """
        check_catalog_replaceable(path)
        thumbnails, rejects, contradicting = side_files(path)
        _write_parts(self.thumbnails(), thumbnails, THUMBNAILS_SCHEMA)
        write_table(self.excluded, rejects)
        listed = conflicts(self.frame)
        if listed.is_empty():
            contradicting.unlink(missing_ok=True)
        else:
            write_text(contradicting, listed.write_csv())
        _write_parts([self.frame], path, SCHEMA)

    @classmethod
    def load(cls, path: Path) -> "Catalog":
        """Read what `write` wrote. Raises GliascopeError where it is missing or is something else."""
        thumbnails, rejects, _ = side_files(path)
        return cls(
            read_table(path, list(SCHEMA), "scan").select(list(SCHEMA)),
            read_table(rejects, list(EXCLUDED_SCHEMA), "scan")
            if rejects.exists()
            else pl.DataFrame(schema=EXCLUDED_SCHEMA),
            lambda: (
                read_table(part, list(THUMBNAILS_SCHEMA), "scan")
                for part in sorted(thumbnails.glob("*.parquet"))
            ),
        )

    def sample_slices(self, limit: int) -> "Catalog":
        """At most `limit` slices of each source, class and part of the source's own, the same every time.

        Drawn by a hash of where a slice is, not of its pixels: those would draw copies together. What is set
        aside is told anew: the slice that another is a copy of may not be drawn.
        """
        hashed = pl.concat_str("path", "index", separator="\t").map_elements(_hash, return_dtype=pl.String)
        place = hashed.rank("ordinal").over("source", "label", "official")
        frame = self.frame.filter(place <= limit)
        return replace(self, frame=frame.with_columns(exclusion_reason=exclusion_reasons(frame)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in alphabetical order, the order of every probability vector."""
        ordinary = self.frame.filter(pl.col("kind").is_null())
        return tuple(sorted(ordinary["label"].unique().to_list()))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _write_parts(tables: Iterable[pl.DataFrame], path: Path, schema: Mapping[str, type[pl.DataType]]) -> None:
    """The same rows as a folder of Parquet files of PART each."""
    number, waiting = 0, pl.DataFrame(schema=schema)
    with atomic_folder(path) as folder:
        for table in tables:
            waiting = pl.concat([waiting, table])
            while waiting.height >= ROWS_PER_FILE:
                write_table(waiting.head(ROWS_PER_FILE), folder / chunk_name(number))
                number, waiting = number + 1, waiting.slice(ROWS_PER_FILE)
        if waiting.height or not number:
            write_table(waiting, folder / chunk_name(number))


def chunk_name(number: int) -> str:
    """Of a file of a table in parts; they sort as their numbers."""
    return f"part-{number:06d}{PARQUET}"


def check_replaceable(path: Path) -> None:
    """Raise GliascopeError where `path` is neither new nor a table of ours."""
    if path.exists() and not (
        path.is_dir() and all(_OURS.fullmatch(inside.name) for inside in path.iterdir())
    ):
        raise GliascopeError(f"{path}: holds something else; choose another name")


def check_catalog_replaceable(path: Path) -> None:
    """The same for a catalogue and its thumbnails. Once, a catalogue was one file: that may be replaced."""
    if path.is_file() and path.suffix == PARQUET:
        read_table(path, list(SCHEMA), "scan")
    else:
        check_replaceable(path)
    check_replaceable(side_files(path)[0])


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file, atomically. Raises GliascopeError or OSError where that fails."""
    with atomic_file(path) as temporary:
        try:
            frame.write_parquet(temporary, compression="lz4")  # thumbnails: a fifth larger, four times faster
        except pl.exceptions.PolarsError as error:  # it wraps a full disk, too
            raise GliascopeError(
                f"{path}: cannot be written ({error}); free space or check permissions"
            ) from None


def read_table(path: Path, columns: list[str], verb: str) -> pl.DataFrame:
    """Read a Parquet file and check its columns. Raises GliascopeError naming the verb that makes it."""
    try:
        # By name: systems leave files of their own in folders.
        parts = sorted(path.glob(f"part-*{PARQUET}")) if path.is_dir() else path
        frame = pl.read_parquet(parts, glob=False)
    except FileNotFoundError:
        raise GliascopeError(f"{path}: not found; make it with `gliascope {verb}`") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise GliascopeError(f"{path}: not a readable Parquet file ({reason})") from None
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise GliascopeError(
            f"{path}: lacks {', '.join(missing)}; another version made it: make it again with "
            f"`gliascope {verb}`"
        )
    return frame
