"""Predict many files, write their findings and overlays, and resume after an interruption."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import onnxruntime

from gliascope import __version__
from gliascope.dataset.catalog import PARQUET
from gliascope.errors import GliascopeError, ReadError
from gliascope.inference.bundle import Bundle
from gliascope.inference.finding import Finding, pack_findings, unpack_findings
from gliascope.inference.findings_table import write_findings
from gliascope.inference.overlay import draw_overlay
from gliascope.inference.predict import Predictor, exclude_captures, predict
from gliascope.io import may_be_in_series
from gliascope.io.scales import SeriesScale
from gliascope.io.series import SeriesCollector, pack_members, read_member, unpack_members
from gliascope.io.slices import Slice
from gliascope.preprocessing.preprocess import visible_box
from gliascope.runtime.executors import Executor, ThreadExecutor
from gliascope.runtime.files import atomic_file, safe_name, write_text
from gliascope.runtime.folder_lock import file_lock, folder_lock
from gliascope.runtime.folders import list_files
from gliascope.runtime.resumable_map import Chunk, make_chunks, resumable_map

_Input = tuple[Path, SeriesScale | None]  # a file, and the scale of its series


@dataclass(frozen=True, slots=True)
class FilePredictions:
    """What `predict_files` returns.

    Attributes
    ----------
    findings : list of Finding
        Those of slices in the order of the files, then those of studies. Empty where they were written as
        Parquet, since they may be more than fit into memory.
    unreadable : list of ReadError
        Files that were excluded, with the reason of each.
    """

    findings: list[Finding]
    unreadable: list[ReadError]


def predict_files(
    bundle: Bundle,
    paths: Sequence[Path],
    out: Path | None = None,
    *,
    overlay_folder: Path | None = None,
    executor: Executor | None = None,
) -> FilePredictions:
    """Predict every slice of files and folders.

    Parameters
    ----------
    bundle
        The model.
    paths
        Files, and folders that are searched for files.
    out
        Where to write the findings: a folder of Parquet files where the name ends in .parquet, else a file of
        JSON Lines. With it, the same call resumes after an interruption.
    overlay_folder
        Where to write a picture of each slice with its class activation map. Where other machines predict, it
        has to be a folder that all of them share.
    executor
        What runs the predictions; by default this process.

    Returns
    -------
    FilePredictions
        The findings, and the files that were excluded.

    Raises
    ------
    GliascopeError
        Where there is no file, none can be read, `out` exists and holds something else, or overlays are
        wanted of a model without class activation maps.
    BusyError
        Where another process writes to `out` or `overlay_folder`.
    """
    if overlay_folder and not bundle.info.activation_maps:
        raise GliascopeError("this bundle's head has no class activation maps; predict without --explain")
    if out and out.suffix != PARQUET and out.is_dir():
        raise GliascopeError(
            f"{out}: is a folder; name a file for the findings, like {out / 'findings.jsonl'}"
        )
    for path in paths:
        if (
            overlay_folder
            and isinstance(path, Path)
            and overlay_folder.resolve().is_relative_to(path.resolve())
        ):
            raise GliascopeError(
                f"{overlay_folder}: lies in {path}, so overlays would be predicted; choose another"
            )
    work, excluded = _PredictChunk(bundle, overlay_folder), list[ReadError]()
    settings = [__version__, onnxruntime.__version__, bundle.info.model_dump_json(), str(overlay_folder)]
    with ExitStack() as stack:
        if overlay_folder:
            stack.enter_context(folder_lock(overlay_folder))
        results = stack.enter_context(file_lock(out)) if out else None
        chunked = _FileChunks(paths, json.dumps(settings), _scales(paths, results, executor))
        # One chunk at a time in this process, since the graph uses all cores.
        contents = resumable_map(
            chunked, work, results, description="predict", executor=executor or ThreadExecutor(1)
        )
        findings = exclude_captures(_findings(contents, excluded), excluded)
        if out and out.suffix == PARQUET:
            write_findings(out, findings, work.predictor)
            return FilePredictions([], excluded)
        predictions = FilePredictions(list(findings), excluded)
        predictions.findings.extend(work.predictor.study_findings(predictions.findings))
        if out:
            write_text(out, "".join(finding.to_json() + "\n" for finding in predictions.findings))
    return predictions


@dataclass(frozen=True, slots=True)
class _FileChunks:
    """Chunks of the files under `paths`, listed anew each time, since the list may not fit into memory."""

    paths: Sequence[Path]
    settings: str
    scales: Mapping[str, SeriesScale] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Chunk[_Input]]:
        files = ((file, self.scales.get(str(file))) for file in list_files(self.paths))
        return make_chunks(files, lambda one: one[0], self.settings, lambda one: one[1] and one[1].text)


def _scales(paths: Sequence[Path], results: Path | None, executor: Executor | None) -> dict[str, SeriesScale]:
    """Measure the intensity scale of each series of several files, by the names of the files."""
    if len(list(islice(list_files(paths), 2))) == 1:
        return {}
    series = SeriesCollector()
    chunked = _FileChunks(paths, json.dumps([__version__, "series"]))
    for _, content in resumable_map(
        chunked, _measure, results, description="grey scales of series", executor=executor
    ):
        for member in unpack_members(content) if content else ():
            series.add(member)
    return {name: scale for name, _, scale in series.scales()}


def _measure(chunk: Chunk[_Input]) -> bytes:
    """Measure a chunk's files, for the scales of their series."""
    members = [read_member(file) for file, _ in chunk.items if may_be_in_series(file)]
    return pack_members(filter(None, members)) if any(members) else b""


def _findings(contents: Iterator[tuple[str, bytes]], excluded: list[ReadError]) -> Iterator[Finding]:
    """Yield the findings of all chunks; unreadable files go to `excluded`. Raise if no file is readable."""
    empty = True
    for _, content in contents:
        findings, unreadable = unpack_findings(content)
        empty = empty and not findings
        excluded.extend(unreadable)
        yield from findings
    if empty and len(excluded) == 1:
        raise excluded[0]
    if empty:
        raise GliascopeError(f"none of {len(excluded)} files can be read; the first: {excluded[0]}")


class _PredictChunk:
    """Predicts a chunk of files. Pickled, it holds the Bundle, and the other process loads the graph."""

    def __init__(self, bundle: Bundle, overlay_folder: Path | None) -> None:
        self.bundle, self.overlay_folder = bundle, overlay_folder
        self.predictor = Predictor.load(bundle)

    def __reduce__(self) -> tuple[Any, ...]:
        return _PredictChunk, (self.bundle, self.overlay_folder)

    def __call__(self, chunk: Chunk[_Input]) -> bytes:
        unreadable: list[ReadError] = []
        files = [file for file, _ in chunk.items]
        scales = {file: scale for file, scale in chunk.items if scale}
        findings = list(
            predict(self.predictor, files, unreadable.append, on_slice=self.save_overlay, scales=scales)
        )
        return pack_findings(findings, unreadable)

    def save_overlay(self, item: Slice, finding: Finding) -> None:
        """Draw the class activation map over a slice, where the model gives one."""
        if self.overlay_folder and finding.map is not None:
            box = visible_box(item.pixels, self.bundle.info.preprocessing)
            with atomic_file(self.overlay_folder / _overlay_name(item)) as temporary:
                draw_overlay(item.pixels, finding.map, box).save(temporary, format="png")


def _overlay_name(item: Slice) -> str:
    # The digest keeps files of one name from different folders apart.
    where = str(item.path.resolve()).encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(where, digest_size=8).hexdigest()
    return safe_name(f"{item.path.name.split('.')[0]}-{digest}-{item.index:04d}.png")
