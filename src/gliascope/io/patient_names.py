"""Identify patients by the names of folders and files, because many files do not name their patient."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from statistics import median

from gliascope.classes import normalise_name
from gliascope.io.folder_labels import is_label_or_subset

# Identifiers that mean a patient wherever they stand. What follows is a visit, a sequence or a slice.
_IDENTIFIERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![a-z0-9])tcga[-_.][a-z0-9]{2}[-_.][a-z0-9]{4}(?![a-z0-9])",
        r"(?<![a-z0-9])brats-[a-z]+(?:-rt)?-\d+",  # BraTS-GLI-00000-000
        r"(?<![a-z0-9])brats(?:20)?21_\d+",
        r"(?<![a-z0-9])brats(?:20)?20_[a-z]+_\d+",  # BraTS20_Training_001
        r"(?<![a-z0-9])brats(?:20)?1\d_[a-z0-9]+_[a-z0-9]+",  # Brats17_TCIA_105_1
        r"(?<![a-z0-9])brats_[a-z0-9]+_pat\d+",  # brats_2013_pat0006_1
        r"(?<![a-z0-9])(?:upenn-gbm|ucsf-pdgm)-\d+",
        r"(?<![a-z0-9])c3[ln]-\d{5}",  # CPTAC
        r"(?<![a-z0-9])(?:ixi\d{3}|oas\d_\d{4}|oas\d{5})(?!\d)",  # IXI, OASIS: healthy heads
        r"^sub-[a-z0-9]+(?=[_.]|$)",  # BIDS
    )
)
_PATIENT = re.compile(r"^(?:patient|pat|pt|subject|subj|case)[-_ ]*(?:id[-_ ]*)?\d+", re.IGNORECASE)
_SLICE = re.compile(r"^(.+?)[-_ ]*(?:slice|slc|frame|z)[-_ ]*\d+$", re.IGNORECASE)
_NUMBER = re.compile(r"^(.*\d[^-_]*)[-_]+\d+$")
_OSIRIX_EXPORT = re.compile(r"img?-\d{4}(?:-\d{4,5}){1,2}", re.IGNORECASE)  # series and slice
_SHORT = re.compile(r"[a-z]{0,2}[-_ ]?\d+", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_MEASURE = re.compile(r"\d+x\d+(?:x\d+)?|\d+t|\d+(?:mm|px|hz)")  # a size, a field strength
# Words of folders that sort slices by something else than by patient.
_GENERIC_WORDS = frozenset(
    """
    axial ax sagittal sag coronal cor transversal plane planes view
    t1 t2 t1w t2w t1c t1ce t1gd t1n t2f t2star flair dwi adc swi pd gre post pre contrast native sequence seq
    png jpg jpeg bmp tif tiff webp dicom dcm nifti nii mat image images img imgs picture pictures
    mask masks seg segmentation label labels annotation annotations
    data dataset datasets database set subset original originals raw processed preprocessed
    augmented aug augmentation rotated rotation flipped flip cropped crop resized normalized normalised
    enhanced clahe noise batch part fold split folder group chunk archive zip
    site center centre hospital scanner institution clinic vendor source
    grade who stage type class category version v level slice slices series study session ses visit timepoint
    anat func perf output outputs result results new old copy misc other others
    hgg lgg high low left right male female d tesla t x brain tumor tumors cancer all and of the
    """.split()  # noqa: SIM905 (a list literal would take eighty lines)
)
# How many names a level of folders needs before they count as patients: names with digits, numbers alone,
# and names without digits.
_MIN_NAMES, _MIN_NUMBERS, _MIN_WORDS = 3, 5, 10
_MAX_FILES, _MAX_SLICES = 500, 100  # median of files a patient: by folders, by names of files
_SLICE_PREFIX, _NUMBER_PREFIX = -1, -2  # levels of names of files, beside those of folders (0, 1, …)


@dataclass(frozen=True, slots=True)
class PatientName:
    """The patient of a file, as a name tells it.

    Attributes
    ----------
    name : str
        The patient, in lower case.
    source : str
        Where the name stands: "folder" or "file name".
    folder : str or None
        Path of the patient's folder from the source on, or of the file where its name tells the patient. None
        where the name is an identifier, such as TCGA-DU-6404, that means one patient wherever it stands.
    """

    name: str
    source: str
    folder: str | None = None


class PatientNames:
    """Patients of files, as far as the names of folders and files tell.

    Three signs are tried, one after another:

    1. an identifier such as TCGA-DU-6404, BraTS-GLI-00000, sub-04 or patient01, wherever it stands;
    2. the outermost folder whose name is neither a class, a subset, a modality nor anything else by which
       slices are sorted, if there are several such folders at its level, with few files each;
    3. the start of the file's name, up to the number of the slice: `0012_slice_3`, `P07_12`.

    Equal names in one source are one patient, whatever the class. This may join two people, but never parts
    one. Only counts of names are held in memory, not the paths.

    Parameters
    ----------
    paths
        Paths of all files, each starting with the name of its source, with forward slashes.
    mapping
        The user's mapping of folder names to classes, as `folder_labels.load_mapping` returns it.

    Attributes
    ----------
    uncertain_folders : dict
        By source, up to three names of folders that may be patients but do not count as such.
    """

    def __init__(self, paths: Iterable[str], mapping: Mapping[str, str | None]) -> None:
        self._mapping = mapping
        self._candidates = lru_cache(1 << 12)(self._candidate_folders)
        levels: dict[tuple[str, int], Counter[str]] = {}
        for path in paths:
            source, folder, stem = _parts(path)
            for level, name in enumerate(self._candidates(folder)):
                levels.setdefault((source, level), Counter())[name] += 1
            if prefix := self._prefix(stem):
                level, name = prefix
                levels.setdefault((source, level), Counter())[name] += 1
        self._patients = {key: _patients_among(names, key[1]) for key, names in levels.items()}
        self.uncertain_folders = {
            source: sorted(names)[:3]
            for (source, level), names in levels.items()
            if level >= 0
            and len(names) >= _MIN_NAMES
            and not self._patients[source, level]
            and _has_few_files(names, _MAX_FILES)
        }

    def patient_of(self, path: str) -> PatientName | None:
        """Return the patient of one of the paths; None where no name tells."""
        source, folder, stem = _parts(path)
        for part in (source, *PurePosixPath(folder).parts):
            # The source's own name must say nothing else: `patient 7`, but not `patient 7 and others`.
            may_be_patient = part is not source or _PATIENT.fullmatch(part)
            if name := _find_identifier(part) or (_match(_PATIENT, part) if may_be_patient else None):
                return PatientName(name, "folder")
        if name := _find_identifier(stem) or _patient_and_slice(stem):
            return PatientName(name, "file name")
        for level, (name, below) in enumerate(self._candidates(folder).items()):
            if name in self._patients[source, level]:
                return PatientName(name, "folder", f"{source}/{below}")
        prefix = self._prefix(stem)
        return (
            PatientName(prefix[1], "file name", path)
            if prefix and prefix[1] in self._patients[source, prefix[0]]
            else None
        )

    def _candidate_folders(self, folder: str) -> dict[str, str]:
        """Map names of folders that may be patients to their paths below the source, outermost first."""
        candidates: dict[str, str] = {}
        parts = PurePosixPath(folder).parts
        for at, part in enumerate(parts, start=1):
            name = normalise_name(part)
            if not is_label_or_subset(part, self._mapping) and not _is_generic(name):
                candidates.setdefault(name, "/".join(parts[:at]))
        return candidates

    def _prefix(self, stem: str) -> tuple[int, str] | None:
        """Return what stands before a slice's number, with its level: `0012` for `glioma_0012_slice_3`."""
        if _OSIRIX_EXPORT.fullmatch(stem):
            return None
        for level, pattern in ((_SLICE_PREFIX, _SLICE), (_NUMBER_PREFIX, _NUMBER)):
            if match := pattern.match(stem):
                words = (normalise_name(word) for word in re.split(r"[-_ ]+", match[1]))
                remaining = [
                    word
                    for word in words
                    if not _is_generic(word) and not is_label_or_subset(word, self._mapping)
                ]
                name = " ".join(remaining)
                return (level, name) if any(map(str.isdigit, name)) else None
        return None


def is_patient(folder: str) -> bool:
    """Whether a folder's name means a patient wherever it lies: `patient 7`, `sub-04`, `P007` or `12`."""
    if _is_generic(normalise_name(folder)) or _YEAR.fullmatch(folder):
        return False
    return bool(_find_identifier(folder) or _match(_PATIENT, folder) or _SHORT.fullmatch(folder))


def is_generic(folder: str) -> bool:
    """Whether a folder's name sorts slices by something else than by patient: `t1 post`, `images`."""
    return _is_generic(normalise_name(folder))


def _parts(path: str) -> tuple[str, str, str]:
    """Split a path into source, folders below it, and the file's name without its ending."""
    source, _, below = path.partition("/")
    folder, _, name = below.rpartition("/")
    return source, folder, PurePosixPath(name.removesuffix(".gz")).stem


def _match(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return re.sub(r"[-_. ]+", "-", match[0].casefold()) if match else None


def _find_identifier(text: str) -> str | None:
    return next((name for pattern in _IDENTIFIERS if (name := _match(pattern, text))), None)


def _patient_and_slice(stem: str) -> str | None:
    """Return `patient01` for `patient01_slice03`; None without a second number, as one may be the slice's."""
    match = _PATIENT.match(stem)
    return _match(_PATIENT, stem) if match and re.search(r"\d", stem[match.end() :]) else None


def _is_generic(name: str) -> bool:
    """Whether no word of a normalised name can mean a patient: `t1 post`, `fold 3`, `256x256`."""
    words = [word for word in name.split() if not word.isdigit()]
    return bool(words) and all(
        word in _GENERIC_WORDS or word.rstrip("0123456789") in _GENERIC_WORDS or _MEASURE.fullmatch(word)
        for word in words
    )


def _patients_among(names: Counter[str], level: int) -> frozenset[str]:
    """Choose the names of one level that are patients: all or none with digits, all or none without."""
    words = {name for name in names if not any(map(str.isdigit, name))}
    with_digits = {name for name in names if not _YEAR.fullmatch(name)} - words
    only_numbers = all(name.replace(" ", "").isdigit() for name in with_digits)
    # Numbers alone may be grades or classes; before a word for a slice they are not.
    is_weak = level == _NUMBER_PREFIX or (only_numbers and level != _SLICE_PREFIX)
    patients = set[str]()
    if len(with_digits) >= (_MIN_NUMBERS if is_weak else _MIN_NAMES):
        patients |= with_digits
    if len(words) >= _MIN_WORDS:
        patients |= words
    max_files = _MAX_FILES if level >= 0 else _MAX_SLICES
    return (
        frozenset(patients)
        if _has_few_files({name: names[name] for name in patients}, max_files)
        else frozenset()
    )


def _has_few_files(names: Mapping[str, int], max_median: int) -> bool:
    return bool(names) and median(names.values()) <= max_median
