"""The one prediction path: files to Findings."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from gliascope.errors import BundleError, ReadError
from gliascope.evaluation.aggregation import OOD_LIMIT, aggregate, study_score
from gliascope.inference.bundle import Bundle, BundleInfo
from gliascope.inference.engine import Engine, Outputs
from gliascope.inference.finding import Finding, make_finding
from gliascope.io import read
from gliascope.io.kinds import EXCLUDED_CAPTURE, SECONDARY_CAPTURE, counted_slices
from gliascope.io.mask_files import FolderListings, ListFolder, check_mask
from gliascope.io.memory import InMemory, Source
from gliascope.io.scales import SeriesScale
from gliascope.io.series import AnySource, series_scales
from gliascope.io.slices import Slice
from gliascope.preprocessing.preprocess import Preprocessing, preprocess
from gliascope.runtime.executors import map_in_order
from gliascope.uncertainty.calibrator import OUT_OF_SCOPE, UNCHECKED, Assessment, Calibrator, unchecked

BATCH = 16


@dataclass(frozen=True, slots=True, eq=False)
class PreparedSlice:
    """A slice, and what the graph is given of it: uint8 of `Preprocessing.shape`."""

    slice: Slice
    input: NDArray[np.uint8]


def prepare(
    file: Source,
    preprocessing: Preprocessing,
    scale: SeriesScale | None = None,
    list_folder: ListFolder = lambda _: (),
) -> list[PreparedSlice]:
    """Read a file, or what is in memory instead, with the scale of its series; preprocess its slices.

    entries: what lies in folders, among which a mask has its picture. Raises ReadError where the file cannot
    be read, or is a mask.
    """
    slices = read(file, scale)
    check_mask(file.path if isinstance(file, InMemory) else file, slices, list_folder)
    if len(slices) > 1:  # a volume without identifiers is a study of its own
        slices = [item if item.study else replace(item, study=str(file)) for item in slices]
    return [PreparedSlice(item, preprocess(item.pixels, preprocessing)) for item in slices]


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A Bundle's graph, loaded, and its Calibrator."""

    info: BundleInfo
    engine: Engine
    calibrator: Calibrator | None

    @classmethod
    def load(cls, bundle: Bundle) -> "Predictor":
        """Load the graph. Raises BundleError where it cannot be."""
        return cls(bundle.info, Engine(bundle), bundle.calibrator)

    def with_level(self, level: float) -> "Predictor":
        """The same graph with prediction sets at another level. Raises as `Bundle.at` does."""
        if self.calibrator is None:
            raise BundleError(
                "this bundle has no calibrator, and so no prediction sets; predict without a level"
            )
        return replace(self, calibrator=self.calibrator.with_level(level))

    def findings(self, batch: Sequence[PreparedSlice]) -> list[Finding]:
        """A Finding for every slice of the batch, in order."""
        return self.assess(batch, self.engine(np.stack([one.input for one in batch])))

    def assess(self, batch: Sequence[PreparedSlice], outputs: Outputs) -> list[Finding]:
        """The same where the graph has already run: `outputs` are its answers on the batch."""
        if self.calibrator:
            assessment = self.calibrator.assess(outputs.logits, outputs.ood_features)
        else:
            assessment = unchecked(outputs.logits)
        places = ((one.slice.path, one.slice.index, one.slice.study, one.slice.notes) for one in batch)
        findings = [
            make_finding(self.info.classes, assessment, number, *place, outputs.maps)
            for number, place in enumerate(places)
        ]
        return [replace(found, kind=one.slice.kind) for one, found in zip(batch, findings, strict=True)]

    def study_findings(self, findings: Sequence[Finding]) -> list[Finding]:
        """A Finding for every study that several of the ordinary slices' findings belong to."""
        members: dict[str, list[Finding]] = {}
        for finding in findings:
            if finding.study:
                members.setdefault(finding.study, []).append(finding)
        heard = [counted_findings(slices) for slices in members.values()]
        return [self.study_finding(slices) for slices in heard if len(slices) > 1]

    def study_finding(self, findings: Sequence[Finding]) -> Finding:
        """What the findings of its slices say of a study, by the rule of `data.studies`.

        `unchecked` or `out of scope`, and without a prediction set: no study has calibrated one.
        """
        slices = np.array([list(finding.probabilities.values()) for finding in findings])
        scores = score = None
        if self.calibrator:
            scores = np.array([finding.outlier_score for finding in findings], dtype=np.float64)
            score = study_score(scores)
        told = aggregate(slices, self.info.classes, outlier_scores=scores)
        beyond = score is not None and not score <= OOD_LIMIT
        assessment = Assessment(
            probabilities=told[np.newaxis],
            sets=None,
            outlier_scores=None if score is None else np.array([score]),
            verdicts=[OUT_OF_SCOPE if beyond else UNCHECKED],
        )
        notes = tuple(dict.fromkeys(note for finding in findings for note in finding.notes))
        return make_finding(
            self.info.classes, assessment, 0, findings[0].file, None, findings[0].study, notes
        )


def counted_findings(slices: Sequence[Finding]) -> list[Finding]:
    """Those that have a say in their study's finding."""
    say = counted_slices([finding.kind for finding in slices])
    return [finding for finding, heard in zip(slices, say, strict=True) if heard]


def predict(
    predictor: Predictor,
    files: Sequence[Path],
    on_unreadable: Callable[[ReadError], None],
    on_slice: Callable[[Slice, Finding], None] = lambda _slice, _finding: None,
    scales: Mapping[Path, SeriesScale] | None = None,
) -> Iterator[Finding]:
    """Yield a Finding for every slice, in order.

    scales: of the series that files are of; by default found among these files. A file that cannot be read
    goes to `on_reject` and the rest goes on. `on_slice` sees each slice with its finding while its pixels are
    at hand.
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
    """Yield the slices of each file, or why there are none, in order; several are read at once.

    scales: of the series that files are of; by default found among these files.
    """
    known, folders = series_scales(files) if scales is None else scales, FolderListings()

    def prepare_or_reject(file: AnySource) -> list[PreparedSlice] | ReadError:
        entries: ListFolder = _no_entries if isinstance(file, InMemory) else folders
        try:
            return prepare(file, preprocessing, known.get(file), entries)
        except ReadError as error:
            return error

    return map_in_order(prepare_or_reject, files)


def predict_batches(
    predictor: Predictor, slices: Iterable[PreparedSlice]
) -> Iterator[tuple[PreparedSlice, Finding]]:
    """Yield each slice with its Finding, in order; the graph runs on BATCH of them at once."""
    slices = iter(slices)
    while batch := list(islice(slices, BATCH)):
        yield from zip(batch, predictor.findings(batch), strict=True)


def exclude_captures(findings: Iterable[Finding], excluded: list[ReadError]) -> Iterator[Finding]:
    """Set secondary captures aside where their study has acquired slices, too. Captures come last."""
    acquired, captures = set[str | None](), list[Finding]()
    for finding in findings:
        if finding.kind == SECONDARY_CAPTURE and finding.study:
            captures.append(finding)
        else:
            acquired.add(finding.study)
            yield finding
    gone = dict.fromkeys(finding.file for finding in captures if finding.study in acquired)
    excluded.extend(ReadError(file, *EXCLUDED_CAPTURE) for file in gone)
    yield from (finding for finding in captures if finding.study not in acquired)


def _no_entries(_folder: PurePath) -> Sequence[str]:
    return ()
