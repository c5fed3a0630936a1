"""The catalogue: a table with one row per slice, and the thumbnails of those slices."""

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
    "official": pl.String,  # the source's own subset: train, val or test
    "patient": pl.String,  # source and pseudonym
    "patient_from": pl.String,  # file, folder, file name (several with "and") or study
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
# Files of a table, and what systems leave in folders.
_OURS = re.compile(r"part-\d{6}\.parquet|studies\.parquet|\.DS_Store|\._.*|\.nfs.*|Thumbs\.db")
ROWS_PER_FILE = 10_000  # slices a file: 80 MB of thumbnails while they wait


def side_files(path: Path) -> tuple[Path, Path, Path]:
    """Return the paths of the files that are written beside a catalogue.

    They are named after the catalogue, so that several catalogues fit in one folder.

    Parameters
    ----------
    path
        The catalogue.

    Returns
    -------
    thumbnails, unreadable, conflicts
        The folder of thumbnails, the table of unreadable files, and the list of contradicting labels.
    """
    name = path.name.removesuffix(PARQUET)
    ends = (f"thumbnails{PARQUET}", f"rejects{PARQUET}", "conflicts.csv")
    thumbnails, rejects, contradicting = (path.with_name(safe_name(f"{name}.{end}")) for end in ends)
    return thumbnails, rejects, contradicting


def read_catalogued(root: str, path: str, scale: str | None) -> list[Slice]:
    """Read the slices of a catalogued file with the intensity scale that `scan` used.

    Parameters
    ----------
    root, path, scale
        The values of the catalogue's columns `FILE_COLUMNS`.

    Returns
    -------
    list of Slice
        The slices whose pixels have the hashes in the catalogue, unless the file has changed since.

    Raises
    ------
    ReadError
        If the file cannot be read.
    """
    return read(to_path(root) / path, SeriesScale.parse(scale) if scale else None)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The slices and the unreadable files below some source folders, as `scan` found them.

    Parameters
    ----------
    frame
        One row per slice, in the columns of `SCHEMA`.
    excluded
        One row per file that could not be read, in the columns of `EXCLUDED_SCHEMA`.
    thumbnails
        Function that yields tables in the columns of `THUMBNAILS_SCHEMA`. Together they hold every slice of
        `frame` at least once. Thumbnails take twenty times the memory of all other columns, so they are read
        only when a caller needs them.
    """

    frame: pl.DataFrame
    excluded: pl.DataFrame
    thumbnails: Callable[[], Iterable[pl.DataFrame]] = list

    def with_thumbnails(self, rows: pl.DataFrame | None = None) -> pl.DataFrame:
        """Add the columns `thumbnail` and `head_thumbnail` to rows of the catalogue.

        Parameters
        ----------
        rows
            Rows with a column `pixel_hash`; by default all rows of `frame`.

        Returns
        -------
        polars.DataFrame
            The rows in the same order, with thumbnails.

        Raises
        ------
        GliascopeError
            If the thumbnails beside the catalogue have been deleted.
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
        """Write the catalogue to the folder `path`, and its `side_files` beside it, each atomically.

        Raises
        ------
        GliascopeError
            If `path` holds something other than a catalogue.
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
        """Read a catalogue that `write` has written.

        Raises
        ------
        GliascopeError
            If the file is missing, or is no catalogue of this version.
        """
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
        """Draw at most `limit` slices of each source, class and official subset, always the same ones.

        Slices are drawn by a hash of their path, because a hash of their pixels would draw copies together.
        The column `exclusion_reason` is computed again, because the original of a copy may not be in the
        sample.
        """
        hashed = pl.concat_str("path", "index", separator="\t").map_elements(_hash, return_dtype=pl.String)
        rank = hashed.rank("ordinal").over("source", "label", "official")
        frame = self.frame.filter(rank <= limit)
        return replace(self, frame=frame.with_columns(exclusion_reason=exclusion_reasons(frame)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in alphabetical order, which is the order of every probability vector."""
        ordinary = self.frame.filter(pl.col("kind").is_null())
        return tuple(sorted(ordinary["label"].unique().to_list()))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _write_parts(tables: Iterable[pl.DataFrame], path: Path, schema: Mapping[str, type[pl.DataType]]) -> None:
    """Write tables as one folder of Parquet files with `ROWS_PER_FILE` rows each."""
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
    """Return the name of the Parquet file `number` of a table; names sort like their numbers."""
    return f"part-{number:06d}{PARQUET}"


def check_replaceable(path: Path) -> None:
    """Raise GliascopeError if `path` exists and is not a table that Gliascope wrote."""
    if path.exists() and not (
        path.is_dir() and all(_OURS.fullmatch(inside.name) for inside in path.iterdir())
    ):
        raise GliascopeError(f"{path}: holds something else; choose another name")


def check_catalog_replaceable(path: Path) -> None:
    """Raise GliascopeError if writing a catalogue to `path` would replace something else.

    Early versions wrote a catalogue as one file. Such a file may be replaced.
    """
    if path.is_file() and path.suffix == PARQUET:
        read_table(path, list(SCHEMA), "scan")
    else:
        check_replaceable(path)
    check_replaceable(side_files(path)[0])


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file atomically.

    Raises
    ------
    GliascopeError, OSError
        If the file cannot be written.
    """
    with atomic_file(path) as temporary:
        try:
            frame.write_parquet(temporary, compression="lz4")  # thumbnails: a fifth larger, four times faster
        except pl.exceptions.PolarsError as error:  # it wraps a full disk, too
            raise GliascopeError(
                f"{path}: cannot be written ({error}); free space or check permissions"
            ) from None


def read_table(path: Path, columns: list[str], verb: str) -> pl.DataFrame:
    """Read a Parquet file, or a folder of them, and check its columns.

    Parameters
    ----------
    path
        The file or folder.
    columns
        Columns that must be there.
    verb
        The command that makes this table, which error messages name.

    Raises
    ------
    GliascopeError
        If the table is missing, cannot be read or lacks a column.
    """
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
