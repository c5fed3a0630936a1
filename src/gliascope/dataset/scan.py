"""Scan: catalogue every slice below some source folders."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from gliascope import classes
from gliascope.dataset.catalog import EXCLUDED_SCHEMA, SCHEMA, THUMBNAILS_SCHEMA, Catalog
from gliascope.dataset.groups import GroupsFile, attach_groups
from gliascope.dataset.identity import identify_patients
from gliascope.dataset.listing import SourceFile, SourceFiles, check_sources
from gliascope.dataset.merge import exclusion_reasons
from gliascope.dataset.scan_chunks import ChunkTables, join_tables, split_tables, thumbnails_of
from gliascope.errors import LayoutError, ReadError
from gliascope.io import read
from gliascope.io.kinds import EXCLUDED_CAPTURE, SECONDARY_CAPTURE
from gliascope.io.mask_files import FolderListings, check_mask
from gliascope.io.scales import SINGLE_SLICE_NOTE, SeriesScale
from gliascope.io.series import SeriesCollector, SeriesMember, pack_members, series_member, unpack_members
from gliascope.io.slices import Slice
from gliascope.preprocessing.head import moments_box
from gliascope.preprocessing.preprocess import to_grey
from gliascope.runtime.executors import Executor
from gliascope.runtime.folders import printable
from gliascope.runtime.process_pool import decoding_executor
from gliascope.runtime.progress import note
from gliascope.runtime.resumable_map import Chunk, resumable_map

THUMBNAIL_SIZE = 64
_ROWS = SCHEMA | EXCLUDED_SCHEMA  # a reject has a reason, a slice none


def scan(
    sources: Sequence[Path],
    labels: Path | None = None,
    *,
    groups: GroupsFile | None = None,
    resume_folder: Path | None = None,
    executor: Executor | None = None,
    patient_folders: bool = True,
) -> Catalog:
    """Catalogue every slice below source folders.

    The files of one series share one intensity scale, wherever they lie. Files whose own scale is another one
    are read a second time. Each note on how pixels were decoded is printed once, with the number of its
    slices.

    Parameters
    ----------
    sources
        Source folders, each with one subfolder per class unless `labels` is a table.
    labels
        YAML that maps folder names to classes, or a table with the class of each file.
    groups
        CSV with the patient, or another group, of each file.
    resume_folder
        Folder for the results of finished files, in which an interrupted scan finds them again. The
        thumbnails of the catalogue are read from there, so the caller deletes it after writing the catalogue.
        Without it, everything stays in memory.
    executor
        What reads the files; by default all cores of this machine.
    patient_folders
        Whether names of folders and files may identify patients.

    Returns
    -------
    Catalog
        Slices, and the files that could not be read.

    Raises
    ------
    LayoutError
        If a source is missing, empty or named twice, a class folder is unknown, there are fewer than two
        classes, or labels contradict each other.
    """
    files = SourceFiles.from_sources(sources, labels)
    mapping = files.mapping
    count = check_sources(files)
    tables, series = ChunkTables(resume_folder), SeriesCollector()

    def rows(files: SourceFiles, executor: Executor) -> Iterator[pl.DataFrame]:
        yield pl.DataFrame(schema=_ROWS)
        for key, content in resumable_map(
            files, partial(_scan_chunk, mapping=mapping), resume_folder, description="scan", executor=executor
        ):
            table, members = split_tables(content)
            tables.add(key, table)
            for one in unpack_members(members) if members else ():
                series.add(one)
            yield pl.read_ipc_stream(table, columns=list(_ROWS))

    with decoding_executor(executor, count) as them:
        found = pl.concat(rows(files, them), rechunk=True)
        members = list(series.scales())
        scales = {name: scale for name, alone, scale in members if scale != alone}
        if members:
            found = _not_alone(found, [name for name, _, _ in members])
        if scales:
            found = _again(found, pl.concat(rows(replace(files, scales=scales), them)), scales)
    frame, rejects = _without_captures(*_apart(found))
    frame = attach_groups(identify_patients(frame, mapping if patient_folders else None), groups)
    frame = frame.with_columns(exclusion_reason=exclusion_reasons(frame))
    catalog = Catalog(frame, rejects, partial(thumbnails_of, tables, frame["pixel_hash"]))
    _check_classes(catalog, sources)
    _say_notes(frame)
    return catalog


def _say_notes(frame: pl.DataFrame) -> None:
    """Print each note of the slices once, with the number of slices and one of their files."""
    noted = frame.drop_nulls("notes").with_columns(pl.col("notes").str.split("\n")).explode("notes")
    groups = noted.group_by("notes", maintain_order=True).agg(pl.len(), pl.col("path").first())
    for text, count, path in groups.iter_rows():
        note(f"{count} slice{'s' * (count > 1)}, {path} first: {text}")


def _apart(found: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide rows into slices and unreadable files."""
    is_slice = pl.col("reason").is_null()
    return found.filter(is_slice).select(list(SCHEMA)), found.filter(~is_slice).select(list(EXCLUDED_SCHEMA))


def _not_alone(found: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Remove the note "read as a single slice" from files that turned out to be of a series."""
    notes = pl.col("notes").str.strip_suffix(SINGLE_SLICE_NOTE).str.strip_suffix("\n").replace("", None)
    return found.with_columns(notes=pl.when(pl.col("path").is_in(names)).then(notes).otherwise("notes"))


def _again(found: pl.DataFrame, again: pl.DataFrame, scales: Mapping[str, SeriesScale]) -> pl.DataFrame:
    """Replace the rows of files that were read a second time, and keep the order."""
    order = found.select("path", order=pl.int_range(pl.len())).unique("path", keep="first")
    once = found.filter(~pl.col("path").is_in(list(scales)))
    return (
        pl.concat([once, again])
        .join(order, on="path", how="left", maintain_order="left")
        .sort("order", maintain_order=True)
        .drop("order")
    )


def _without_captures(frame: pl.DataFrame, rejects: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Exclude secondary captures (screenshots) of studies that have acquired slices, too."""
    capture = (pl.col("kind") == SECONDARY_CAPTURE).fill_null(value=False)
    beside = capture & pl.col("study").is_not_null() & (~capture).any().over("study")
    gone = frame.filter(beside).unique("path", maintain_order=True)
    named = {"reason": pl.lit(EXCLUDED_CAPTURE[0]), "detail": pl.lit(EXCLUDED_CAPTURE[1])}
    kept = frame.filter(~beside).with_columns(kind=pl.when(~capture).then("kind"))
    return kept, pl.concat([rejects, gone.select("path", "source", **named)])


def _scan_chunk(chunk: Chunk[SourceFile], mapping: Mapping[str, str | None]) -> bytes:
    """Catalogue a chunk of files.

    Returns
    -------
    bytes
        The rows of slices and unreadable files, and the series members, as `join_tables` joins them.
    """
    rows, members = list[dict[str, Any]](), list[SeriesMember]()
    folders = FolderListings()
    for file in chunk.items:
        result = _catalogue(file, mapping, folders)
        if isinstance(result, ReadError):
            rows.append(_reject(file, result))
            continue
        rows += result[0]
        if result[1] and not file.scale:
            members.append(result[1])
    table = BytesIO()
    pl.DataFrame(rows, schema=_ROWS | THUMBNAILS_SCHEMA, orient="row").write_ipc_stream(table)
    return join_tables(table.getvalue(), pack_members(members) if members else b"")


def _reject(file: SourceFile, error: ReadError) -> dict[str, Any]:
    """Make the row of an unreadable file."""
    return {
        "path": printable(file.name),
        "source": printable(file.name.split("/")[0]),
        "reason": error.reason,
        "detail": error.detail,
    }


def _catalogue(
    file: SourceFile, mapping: Mapping[str, str | None], folders: FolderListings
) -> tuple[list[dict[str, Any]], SeriesMember | None] | ReadError:
    """Make the rows of one file's slices, and its member of a series if it is in one."""
    if printable(file.name) != file.name:
        return ReadError(printable(str(file.path)), "file name is not UTF-8", "rename it")
    try:
        slices = read(file.path, file.scale)
        check_mask(file.path, slices, folders)
        with file.path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        size = file.path.stat().st_size
        one = series_member(file.name, slices, tuple(file.name.split("/")[:-1]), mapping)
        wanted = (item for item in slices if not _left_out(item, mapping))
        return [_row(file, item, size=size, sha256=sha256, mapping=mapping, one=one) for item in wanted], one
    except ReadError as error:
        return error
    except OSError as error:
        return ReadError(file.path, "unreadable", error.strerror or type(error).__name__)


def _left_out(item: Slice, mapping: Mapping[str, str | None]) -> bool:
    """Return whether the user's mapping leaves out the class that the file itself states."""
    return item.label is not None and mapping.get(classes.normalise_name(item.label), "") is None


def _row(
    file: SourceFile,
    item: Slice,
    *,
    size: int,
    sha256: str,
    mapping: Mapping[str, str | None],
    one: SeriesMember | None,
) -> dict[str, Any]:
    """Make the row of one slice."""
    label = (
        mapping.get(classes.normalise_name(item.label), item.label)
        if item.label
        else file.folder_labels.label
    )
    source = file.name.split("/")[0]
    thumbnail, head_thumbnail = make_thumbnails(to_grey(item.pixels))
    return {
        "path": file.name,
        "root": str(file.root),
        "index": item.index,
        "source": source,
        "label": label,
        "raw_label": item.label or file.folder_labels.raw_label,
        "official": file.folder_labels.subset,
        # Two sources may both have a patient "1"; they are different people until someone says otherwise.
        "patient": f"{source}:{item.patient}" if item.patient else None,
        "patient_from": "file" if item.patient else None,
        "study": item.study,
        "series": item.series or (one.series if one else None),
        "modality": item.modality or file.folder_labels.modality,
        "plane": item.plane,
        "kind": item.kind,
        "format": item.format,
        "height": item.pixels.shape[0],
        "width": item.pixels.shape[1],
        "channels": 1 if item.pixels.ndim == 2 else 3,
        "mode": item.mode,
        "quantisation": item.quantisation,
        "spacing_row": item.spacing[0] if item.spacing else None,
        "spacing_column": item.spacing[1] if item.spacing else None,
        "scale": file.scale.text if file.scale else None,
        "bytes": size,
        "sha256": sha256,
        "pixel_hash": pixel_hash(item.pixels),
        "blank": thumbnail.count(thumbnail[:1]) == len(thumbnail),
        "notes": "\n".join(item.notes) or None,
        "thumbnail": thumbnail,
        "head_thumbnail": head_thumbnail,
    }


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """Return the BLAKE2b-128 hash of the shape and the pixels of a slice, as 32 hexadecimal digits."""
    content = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    content.update(np.ascontiguousarray(pixels).data)
    return content.hexdigest()


def make_thumbnails(grey: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """Reduce a slice to two pictures of 64 x 64 pixels, 4,096 bytes each: the whole slice, and its head.

    The second picture shows the box of `head.moments_box`, black beyond the slice. A copy whose black border
    was cut off or widened has nearly the same one.

    Parameters
    ----------
    grey
        uint8 (height, width).
    """
    image, size = Image.fromarray(grey), (THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    whole = image.resize(size, Image.Resampling.BILINEAR)
    top, bottom, left, right = moments_box(np.asarray(whole), *grey.shape)
    x, y = math.floor(left), math.floor(top)
    head = image.crop((x, y, math.ceil(right), math.ceil(bottom))).resize(
        size,
        Image.Resampling.BILINEAR,
        box=(left - x, top - y, right - x, bottom - y),
        reducing_gap=1.5,  # saves a quarter of the time; the thumbnails stay the same within noise
    )
    return whole.tobytes(), head.tobytes()


def _check_classes(catalog: Catalog, sources: Sequence[Path]) -> None:
    """Raise LayoutError if the catalogue cannot train a classifier."""
    names = ", ".join(str(source) for source in sources)
    if catalog.frame.is_empty():
        reasons = ", ".join(sorted(set(catalog.excluded["reason"].to_list())))
        raise LayoutError(f"{names}: none of {catalog.excluded.height} files can be read ({reasons})")
    unlabelled = catalog.frame.filter(pl.col("label").is_null())
    if unlabelled.height:
        raise LayoutError(f"{unlabelled['path'][0]} and {unlabelled.height - 1} more: in no class folder")
    classes.check_tumor_kinds(set(catalog.classes))
    if len(catalog.classes) < 2:
        raise LayoutError(
            f"{names}: only one class ({catalog.classes[0]}); a classifier needs two or more, "
            "add a source or a class folder"
        )
