"""Predict over many files, and keep what came of it."""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gliascope.data.preprocess import seen
from gliascope.data.slices import Slice
from gliascope.errors import GliascopeError, ReadError
from gliascope.files import atomic_file
from gliascope.inference.bundle import Bundle
from gliascope.inference.finding import Finding
from gliascope.inference.overlay import overlay
from gliascope.inference.predict import list_files, predict


@dataclass(frozen=True, slots=True)
class Job:
    """Findings in the order of the files, and the files set aside."""

    findings: list[Finding]
    rejects: list[ReadError]


def predict_job(bundle: Bundle, paths: Sequence[Path], out: Path | None, explain: Path | None) -> Job:
    """Predict every slice under `paths`; write JSON Lines to `out` and overlays into `explain`.

    Raises GliascopeError where there is no file, none can be read, or the model gives no maps.
    """
    if explain and not bundle.info.activation_maps:
        raise GliascopeError("this bundle's head has no class activation maps; predict without --explain")
    files = list_files(paths)
    job = Job([], [])

    def save_overlay(item: Slice, finding: Finding) -> None:
        if explain and finding.map is not None:
            box = seen(item.pixels, bundle.info.preprocessing)
            with atomic_file(explain / _overlay_name(item)) as temporary:
                overlay(item.pixels, finding.map, box).save(temporary, format="png")

    with ExitStack() as stack:
        lines = None
        if out is not None:
            lines = stack.enter_context(stack.enter_context(atomic_file(out)).open("w", encoding="utf-8"))
        for finding in predict(bundle, files, job.rejects.append, save_overlay):
            job.findings.append(finding)
            if lines:
                lines.write(finding.to_json() + "\n")
        if not job.findings:
            raise (
                job.rejects[0]
                if len(files) == 1
                else GliascopeError(f"none of {len(files)} files can be read; the first: {job.rejects[0]}")
            )
    return job


def _overlay_name(item: Slice) -> str:
    # Files of one name from different folders must not overwrite each other.
    place = hashlib.blake2b(str(item.path.resolve()).encode(), digest_size=4).hexdigest()
    return f"{item.path.name.split('.')[0]}-{place}-{item.index:04d}.png"
