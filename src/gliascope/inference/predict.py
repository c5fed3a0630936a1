"""The one prediction path: files to Findings."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliascope.data.folders import files_below
from gliascope.data.parallel import parallel_map
from gliascope.data.preprocess import preprocess
from gliascope.data.read import read
from gliascope.data.slices import Slice
from gliascope.data.studies import aggregate
from gliascope.errors import GliascopeError, ReadError
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.inference.finding import Finding, make_finding
from gliascope.inference.judge import UNCHECKED, Judge, Judgement, unchecked

BATCH = 16


def list_files(paths: Sequence[Path]) -> list[Path]:
    """Files as given, folders searched, hidden files left out. Raises GliascopeError where there is none."""
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise GliascopeError(f"{path}: not found; give files or folders of slices")
        files += files_below(path) if path.is_dir() else [path]
    if not files:
        raise GliascopeError(f"{', '.join(map(str, paths))}: holds no file; give files or folders of slices")
    return files


def predict(
    bundle: Bundle,
    files: Sequence[Path],
    on_reject: Callable[[ReadError], None],
    on_slice: Callable[[Slice, Finding], None] = lambda _slice, _finding: None,
) -> Iterator[Finding]:
    """Yield a Finding for every slice, in order; after them, one for every study of several slices.

    A file that cannot be read goes to `on_reject` and the rest goes on.
    `on_slice` sees each slice with its finding while its pixels are at hand.
    """
    engine, judge = Engine(bundle), bundle.judge
    studies: dict[str, list[Finding]] = {}

    def prepare(file: Path) -> list[tuple[Slice, NDArray[np.uint8]]] | ReadError:
        try:
            slices = read(file)
            if len(slices) > 1:  # a volume without identifiers is a study of its own
                slices = [item if item.study else replace(item, study=str(file)) for item in slices]
            return [(item, preprocess(item.pixels, bundle.info.preprocessing)) for item in slices]
        except ReadError as error:
            return error

    batch: list[tuple[Slice, NDArray[np.uint8]]] = []
    for prepared in chain(parallel_map(prepare, files, "predict"), [None]):
        if isinstance(prepared, ReadError):
            on_reject(prepared)
            continue
        batch += prepared or []
        while len(batch) >= BATCH or (prepared is None and batch):
            for item, finding in _findings(engine, bundle, judge, batch[:BATCH]):
                on_slice(item, finding)
                if finding.study:
                    studies.setdefault(finding.study, []).append(finding)
                yield finding
            batch = batch[BATCH:]
    yield from (_study(bundle, judge, findings) for findings in studies.values() if len(findings) > 1)


def _findings(
    engine: Engine, bundle: Bundle, judge: Judge | None, batch: list[tuple[Slice, NDArray[np.uint8]]]
) -> Iterator[tuple[Slice, Finding]]:
    outputs = engine(np.stack([pixels for _, pixels in batch]))
    judgement = judge(outputs.logits, outputs.looks) if judge else unchecked(outputs.logits)
    for number, (item, _) in enumerate(batch):
        place = item.path, item.index, item.study
        yield item, make_finding(bundle.info.classes, judgement, number, *place, outputs.maps)


def _study(bundle: Bundle, judge: Judge | None, findings: list[Finding]) -> Finding:
    """The slices' probabilities put together, which promises no coverage, and the median of their scores."""
    slices = np.array([list(finding.probabilities.values()) for finding in findings])
    told = aggregate(slices, bundle.info.classes)[np.newaxis]
    if judge:
        scores = [finding.outlier_score for finding in findings]
        judgement = judge.weigh(told, np.median(np.array(scores, dtype=np.float64), keepdims=True))
    else:
        judgement = Judgement(told, None, None, [UNCHECKED])
    return make_finding(bundle.info.classes, judgement, 0, findings[0].file, None, findings[0].study)
