"""Files or pictures in, Findings out: the one way in which every part of Gliascope predicts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from gliascope.errors import BundleError, ReadError
from gliascope.evaluation.aggregation import OOD_LIMIT, aggregate, study_outlier_score
from gliascope.inference.bundle import Bundle, BundleInfo
from gliascope.inference.engine import Engine, Outputs
from gliascope.inference.finding import Finding, make_finding
from gliascope.io import read
from gliascope.io.kinds import EXCLUDED_CAPTURE, SECONDARY_CAPTURE, counted_slices
from gliascope.io.mask_files import FolderListings, check_mask
from gliascope.io.mask_names import ListFolder
from gliascope.io.memory import InMemory, Source
from gliascope.io.scales import SeriesScale
from gliascope.io.series import AnySource, series_scales
from gliascope.io.slices import Slice
from gliascope.preprocessing.preprocess import Preprocessing, preprocess
from gliascope.runtime.executors import map_in_order
from gliascope.uncertainty.calibrator import OUT_OF_SCOPE, UNCHECKED, Assessment, Calibrator, unchecked

BATCH = 16  # slices that the graph runs on at once


@dataclass(frozen=True, slots=True, eq=False)
class PreparedSlice:
    """A slice, and the graph's input of it: uint8, of shape `Preprocessing.shape`."""

    slice: Slice
    input: NDArray[np.uint8]


def prepare(
    file: Source,
    preprocessing: Preprocessing,
    scale: SeriesScale | None = None,
    list_folder: ListFolder = lambda _: (),
) -> list[PreparedSlice]:
    """Read and preprocess the slices of one file, or of a picture in memory.

    Parameters
    ----------
    file
        The file or picture.
    preprocessing
        The model's.
    scale
        Intensity scale of the series that the file belongs to; None for a scale of its own.
    list_folder
        Lists the files of a folder, to see whether the file is the mask of a picture beside it.

    Raises
    ------
    ReadError
        Where the file cannot be read, or is a mask.
    """
    slices = read(file, scale)
    check_mask(file.path if isinstance(file, InMemory) else file, slices, list_folder)
    if len(slices) > 1:  # a volume without identifiers is a study of its own
        slices = [item if item.study else replace(item, study=str(file)) for item in slices]
    return [PreparedSlice(item, preprocess(item.pixels, preprocessing)) for item in slices]


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A Bundle's graph, loaded into ONNX Runtime, and its Calibrator."""

    info: BundleInfo
    engine: Engine
    calibrator: Calibrator | None

    @classmethod
    def load(cls, bundle: Bundle) -> "Predictor":
        """Load a Bundle's graph. Raises BundleError where it cannot be loaded."""
        return cls(bundle.info, Engine(bundle), bundle.calibrator)

    def with_level(self, level: float) -> "Predictor":
        """Share the graph, at another level of prediction sets. Raises as `Bundle.with_level` does."""
        if self.calibrator is None:
            raise BundleError(
                "this bundle has no calibrator, and so no prediction sets; predict without a level"
            )
        return replace(self, calibrator=self.calibrator.with_level(level))

    def findings(self, batch: Sequence[PreparedSlice]) -> list[Finding]:
        """Predict a batch of slices: one Finding a slice, in order."""
        return self.assess(batch, self.engine(np.stack([one.input for one in batch])))

    def assess(self, batch: Sequence[PreparedSlice], outputs: Outputs) -> list[Finding]:
        """Turn the graph's outputs on a batch of slices into Findings, one a slice, in order."""
        if self.calibrator:
            assessment = self.calibrator.assess(outputs.logits, outputs.ood_features)
        else:
            assessment = unchecked(outputs.logits)
        findings = [
            make_finding(
                self.info.classes,
                assessment,
                row,
                file=one.slice.path,
                index=one.slice.index,
                study=one.slice.study,
                notes=one.slice.notes,
                maps=outputs.maps,
            )
            for row, one in enumerate(batch)
        ]
        return [replace(finding, kind=one.slice.kind) for one, finding in zip(batch, findings, strict=True)]

    def study_findings(self, findings: Sequence[Finding]) -> list[Finding]:
        """Make one Finding for each study of which `findings` holds several ordinary slices."""
        members: dict[str, list[Finding]] = {}
        for finding in findings:
            if finding.study:
                members.setdefault(finding.study, []).append(finding)
        counted = [counted_findings(slices) for slices in members.values()]
        return [self.study_finding(slices) for slices in counted if len(slices) > 1]

    def study_finding(self, findings: Sequence[Finding]) -> Finding:
        """Combine the findings of a study's slices into one, by the rule of `evaluation.aggregation`.

        Its verdict is `unchecked` or `out of scope`, and it has no prediction set, since none was calibrated
        on studies.
        """
        of_slices = np.array([list(finding.probabilities.values()) for finding in findings])
        scores = score = None
        if self.calibrator:
            scores = np.array([finding.outlier_score for finding in findings], dtype=np.float64)
            score = study_outlier_score(scores)
        probabilities = aggregate(of_slices, self.info.classes, outlier_scores=scores)
        beyond = score is not None and not score <= OOD_LIMIT
        assessment = Assessment(
            probabilities=probabilities[np.newaxis],
            sets=None,
            outlier_scores=None if score is None else np.array([score]),
            verdicts=[OUT_OF_SCOPE if beyond else UNCHECKED],
        )
        notes = tuple(dict.fromkeys(note for finding in findings for note in finding.notes))
        first = findings[0]
        return make_finding(
            self.info.classes, assessment, 0, file=first.file, index=None, study=first.study, notes=notes
        )


def counted_findings(slices: Sequence[Finding]) -> list[Finding]:
    """Select the findings of slices that count in their study's finding, by `io.kinds.counted_slices`."""
    counted = counted_slices([finding.kind for finding in slices])
    return [finding for finding, counts in zip(slices, counted, strict=True) if counts]


def predict(
    predictor: Predictor,
    files: Sequence[Path],
    on_unreadable: Callable[[ReadError], None],
    *,
    on_slice: Callable[[Slice, Finding], None] = lambda _slice, _finding: None,
    scales: Mapping[Path, SeriesScale] | None = None,
) -> Iterator[Finding]:
    """Yield a Finding for every slice of the files, in order.

    Parameters
    ----------
    predictor
        The model.
    files
        The files to read.
    on_unreadable
        Called with the error of each file that cannot be read; prediction continues with the next file.
    on_slice
        Called with each slice, whose pixels are still in memory, and its finding.
    scales
        Intensity scales of series, by file; by default measured on these files.
    """

    def readable() -> Iterator[PreparedSlice]:
        for one in prepare_all(files, predictor.info.preprocessing, scales):
            if isinstance(one, ReadError):
                on_unreadable(one)
            else:
                yield from one

    for one, finding in predict_batches(predictor, readable()):
        on_slice(one.slice, finding)
        yield finding


def prepare_all(
    files: Sequence[AnySource],
    preprocessing: Preprocessing,
    scales: Mapping[AnySource, SeriesScale] | None = None,
) -> Iterator[list[PreparedSlice] | ReadError]:
    """Yield the prepared slices of each file, or its error, in order; threads read several files at once.

    Parameters
    ----------
    files
        Files or pictures in memory.
    preprocessing
        The model's.
    scales
        Intensity scales of series, by file; by default measured on these files.
    """
    known, folders = series_scales(files) if scales is None else scales, FolderListings()

    def prepare_or_error(file: AnySource) -> list[PreparedSlice] | ReadError:
        entries: ListFolder = _no_entries if isinstance(file, InMemory) else folders
        try:
            return prepare(file, preprocessing, known.get(file), entries)
        except ReadError as error:
            return error

    return map_in_order(prepare_or_error, files)


def predict_batches(
    predictor: Predictor, slices: Iterable[PreparedSlice]
) -> Iterator[tuple[PreparedSlice, Finding]]:
    """Yield each slice with its Finding, in order; the graph runs on BATCH slices at once."""
    slices = iter(slices)
    while batch := list(islice(slices, BATCH)):
        yield from zip(batch, predictor.findings(batch), strict=True)


def exclude_captures(findings: Iterable[Finding], excluded: list[ReadError]) -> Iterator[Finding]:
    """Exclude secondary captures of studies that also have acquired slices.

    Other findings are yielded first, in order, and then the captures that are left. The files of excluded
    captures are added to `excluded` once the iterator ends.
    """
    acquired, captures = set[str | None](), list[Finding]()
    for finding in findings:
        if finding.kind == SECONDARY_CAPTURE and finding.study:
            captures.append(finding)
        else:
            acquired.add(finding.study)
            yield finding
    files = dict.fromkeys(finding.file for finding in captures if finding.study in acquired)
    excluded.extend(ReadError(file, *EXCLUDED_CAPTURE) for file in files)
    yield from (finding for finding in captures if finding.study not in acquired)


def _no_entries(_folder: PurePath) -> Sequence[str]:
    return ()
