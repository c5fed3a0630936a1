"""Write phantoms as a source folder in the layout of the public sets."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gliascope.errors import GliascopeError
from gliascope.runtime.executors import map_with_progress
from gliascope.runtime.files import atomic_folder
from gliascope.synthetic.atlas import atlas
from gliascope.synthetic.lesions import LESIONS
from gliascope.synthetic.patient import LABELS, Patient, generator

COMMENT = "synthetic: gliascope phantom"
SOURCE = "synthetic"
"""Name of the source folder, and so of the source in every table and report."""
_NOTICE = """\
These images are synthetic. They show no patient: Gliascope computed every one of them.
They serve demonstrations and tests, and say nothing about how well a model works on real images.

synthetic/ is a source folder; groups.csv says which of its slices share a simulated patient, and masks.csv
where in masks/ the outline of a slice's lesion is.

The anatomy is bent out of the ICBM 152 average brain (2009a, symmetric), distributed with nilearn:
Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute,
McGill University. Permission to use, copy, modify, and distribute this software and its documentation for
any purpose and without fee is hereby granted, provided that the above copyright notice appear in all copies.
The authors and McGill University make no representations about the suitability of this software for any
purpose. It is provided "as is" without express or implied warranty.
"""
_TEST_SHARE = 0.2
_SLICES = 4  # a patient, at most
_PATIENTS = 1_000_000  # a class, at most; keeps the patients of different seeds apart


@dataclass(frozen=True)
class _Job:
    """One patient to write: `count` slices into the folder `subset`, numbered from `first`."""

    label: str
    seed: int
    subset: str
    first: int
    count: int

    @property
    def group(self) -> str:
        """Name of the simulated patient."""
        return f"{self.label}-{self.seed}"

    def names(self) -> list[str]:
        """Return the paths of the slices in the folder that is written."""
        return [f"{SOURCE}/{stem}.jpg" for stem in self._stems()]

    def masks(self) -> list[str]:
        """Return the paths of the masks of their lesions; none without tumour."""
        return [f"masks/{stem}.png" for stem in self._stems()] if self.label in LESIONS else []

    def _stems(self) -> list[str]:
        numbers = range(self.first, self.first + self.count)
        return [f"{self.subset}/{self.label}/phantom-{self.label}-{number:05d}" for number in numbers]


def write_phantoms(folder: Path | str, per_class: int, seed: int = 0, size: int = 240) -> None:
    """Write synthetic slices to a new folder, a fifth of them for testing.

    The folder holds the source folder `synthetic/` with `Training/<class>/phantom-<class>-<number>.jpg` and
    `Testing/...`; `groups.csv` (path, group); for `explain`, `masks.csv` (path, mask, label, group) and the
    lesions in `masks/`; and NOTICE.txt. A simulated patient has two to four slices, all in one subset.

    Parameters
    ----------
    folder
        A new folder, an empty one, or one with phantoms, which is replaced.
    per_class
        Slices of each class, 2 or more.
    seed
        Another seed gives other patients.
    size
        Rows and columns of a slice.

    Raises
    ------
    GliascopeError
        If `folder` holds anything but phantoms, or `per_class` is less than 2.
    """
    folder = Path(folder)
    if per_class < 2:
        raise GliascopeError(
            f"{per_class} phantoms a class cannot be split into training and testing; ask for 2 or more"
        )
    if folder.exists() and not _replaceable(folder):
        raise GliascopeError(f"{folder}: holds something other than phantoms; name a new folder")
    atlas()  # once, before threads ask for it
    jobs = [job for label in LABELS for job in _jobs(label, per_class, seed)]
    with atomic_folder(folder) as target:
        for job in jobs:
            for name in job.names()[:1] + job.masks()[:1]:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
        for _ in map_with_progress(lambda job: _write(target, job, size), jobs, "Phantoms"):
            pass
        (target / "NOTICE.txt").write_text(_NOTICE, encoding="utf-8")
        groups = [(name, job.group) for job in jobs for name in job.names()]
        _write_table(target / "groups.csv", ("path", "group"), groups)
        masks = [
            (name, mask, job.label, job.group)
            for job in jobs
            for name, mask in zip(job.names(), job.masks(), strict=False)
        ]
        _write_table(target / "masks.csv", ("path", "mask", "label", "group"), masks)


def _write_table(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def _replaceable(folder: Path) -> bool:
    """Return whether a folder is empty or holds only phantoms from before."""
    notice = folder / "NOTICE.txt"
    if notice.exists():
        written = notice.read_text(encoding="utf-8", errors="replace")
        return written.startswith(_NOTICE.splitlines()[0])
    return folder.is_dir() and not any(folder.iterdir())


def _jobs(label: str, per_class: int, seed: int) -> Iterator[_Job]:
    """Yield the patients of one class: first those for testing, until they have their share."""
    rng = generator(label, seed, 4)
    testing = max(1, round(per_class * _TEST_SHARE))
    first = patient = 0
    while first < per_class:
        subset, end = ("Testing", testing) if first < testing else ("Training", per_class)
        count = min(int(rng.integers(2, _SLICES + 1)), end - first)
        yield _Job(label, seed * _PATIENTS + patient, subset, first, count)
        first, patient = first + count, patient + 1


def _write(folder: Path, job: _Job, size: int) -> None:
    quality = int(generator(job.label, job.seed, 5).integers(80, 95))
    slices = Patient.draw(job.label, job.seed).slices(job.count, size)
    for name, one in zip(job.names(), slices, strict=True):
        Image.fromarray(one.pixels).save(folder / name, quality=quality, comment=COMMENT)
    for name, one in zip(job.masks(), slices, strict=False):
        Image.fromarray(one.mask).save(folder / name)
