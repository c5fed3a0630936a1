"""Predict over many files, and keep what came of it."""

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
from gliascope.dataset.catalog import SUFFIX
from gliascope.errors import GliascopeError, ReadError
from gliascope.inference.bundle import Bundle
from gliascope.inference.finding import Finding, pack_findings, unpack_findings
from gliascope.inference.findings_table import write_findings
from gliascope.inference.overlay import draw_overlay
from gliascope.inference.predict import Predictor, exclude_captures, predict
from gliascope.io import may_be_in_series
from gliascope.io.scales import SeriesScale
from gliascope.io.series import SeriesCollector, measure_file, pack_members, unpack_members
from gliascope.io.slices import Slice
from gliascope.preprocessing.preprocess import visible_box
from gliascope.runtime.executors import Executor, ThreadExecutor
from gliascope.runtime.files import atomic_file, safe_name, write_text
from gliascope.runtime.folder_lock import file_lock, folder_lock
from gliascope.runtime.folders import list_files
from gliascope.runtime.resumable_map import Chunk, chunks, resumable_map

_Input = tuple[Path, SeriesScale | None]  # a file, and the scale of its series


@dataclass(frozen=True, slots=True)
class FilePredictions:
    """Findings in the order of the files, then those of studies, and the files set aside.

    Those that were written as Parquet are there and not here.
    """

    findings: list[Finding]
    unreadable: list[ReadError]


def predict_files(
    bundle: Bundle,
    paths: Sequence[Path],
    out: Path | None,
    overlay_folder: Path | None,
    executor: Executor | None = None,
) -> FilePredictions:
    """Predict every slice under `paths`; write findings to `out` and overlays into `explain`.

    out: a folder of Parquet files where it ends in .parquet, else JSON Lines. With it, the same call goes on
    after an interruption. workers: who predicts, by default this process; where they are other machines,
    `explain` must be a folder of all of them. Raises GliascopeError where there is no file, none can be read,
    `out` holds something else, or the model gives no maps; BusyError where another process writes there.
    """
    if overlay_folder and not bundle.info.activation_maps:
        raise GliascopeError("this bundle's head has no class activation maps; predict without --explain")
    if out and out.suffix != SUFFIX and out.is_dir():
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
    work, rejects = _Work(bundle, overlay_folder), list[ReadError]()
    own = [__version__, onnxruntime.__version__, bundle.info.model_dump_json(), str(overlay_folder)]
    with ExitStack() as stack:
        if overlay_folder:
            stack.enter_context(folder_lock(overlay_folder))
        kept = stack.enter_context(file_lock(out)) if out else None
        made = _Blocks(paths, json.dumps(own), _scales(paths, kept, executor))
        # Here one after the other: the graph takes all cores.
        contents = resumable_map(made, work, kept, "predict", executor or ThreadExecutor(1))
        findings = exclude_captures(_readable(contents, rejects), rejects)
        if out and out.suffix == SUFFIX:
            write_findings(out, findings, work.predictor)
            return FilePredictions([], rejects)
        job = FilePredictions(list(findings), rejects)
        job.findings.extend(work.predictor.study_findings(job.findings))
        if out:
            write_text(out, "".join(finding.to_json() + "\n" for finding in job.findings))
    return job


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Of the files below `paths`, listed anew each time: many million paths would fill the memory."""

    paths: Sequence[Path]
    made_by: str
    scales: Mapping[str, SeriesScale] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Chunk[_Input]]:
        files = ((file, self.scales.get(str(file))) for file in list_files(self.paths))
        return chunks(files, lambda one: one[0], self.made_by, lambda one: one[1] and one[1].text)


def _scales(paths: Sequence[Path], kept: Path | None, workers: Executor | None) -> dict[str, SeriesScale]:
    """Of each file that is one of several of its series: one pass over those that may be of one."""
    if len(list(islice(list_files(paths), 2))) == 1:
        return {}
    series = SeriesCollector()
    made = _Blocks(paths, json.dumps([__version__, "series"]))
    for _, content in resumable_map(made, _measure, kept, "grey scales of series", workers):
        for member in unpack_members(content) if content else ():
            series.add(member)
    return {name: scale for name, _, scale in series.scales()}


def _measure(block: Chunk[_Input]) -> bytes:
    """What a block's files say of the scales of their series."""
    members = [measure_file(file) for file, _ in block.items if may_be_in_series(file)]
    return pack_members(filter(None, members)) if any(members) else b""


def _readable(contents: Iterator[tuple[str, bytes]], rejects: list[ReadError]) -> Iterator[Finding]:
    """Findings of all blocks; what could not be read goes to `rejects`. Raises where that is all."""
    some = False
    for _, content in contents:
        findings, rejected = unpack_findings(content)
        some = some or bool(findings)
        rejects.extend(rejected)
        yield from findings
    if not some:
        raise (
            rejects[0]
            if len(rejects) == 1
            else GliascopeError(f"none of {len(rejects)} files can be read; the first: {rejects[0]}")
        )


class _Work:
    """Findings of a block, packed. Another process is sent the Bundle, and loads the graph once."""

    def __init__(self, bundle: Bundle, explain: Path | None) -> None:
        self.bundle, self.explain = bundle, explain
        self.predictor = Predictor.load(bundle)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Work, (self.bundle, self.explain)

    def __call__(self, block: Chunk[_Input]) -> bytes:
        rejects: list[ReadError] = []
        files = [file for file, _ in block.items]
        scales = {file: scale for file, scale in block.items if scale}
        findings = list(predict(self.predictor, files, rejects.append, self.save_overlay, scales))
        return pack_findings(findings, rejects)

    def save_overlay(self, item: Slice, finding: Finding) -> None:
        if self.explain and finding.map is not None:
            box = visible_box(item.pixels, self.bundle.info.preprocessing)
            with atomic_file(self.explain / _overlay_name(item)) as temporary:
                draw_overlay(item.pixels, finding.map, box).save(temporary, format="png")


def _overlay_name(item: Slice) -> str:
    # Files of one name from different folders must not overwrite each other.
    where = str(item.path.resolve()).encode("utf-8", "surrogateescape")
    place = hashlib.blake2b(where, digest_size=8).hexdigest()
    return safe_name(f"{item.path.name.split('.')[0]}-{place}-{item.index:04d}.png")
