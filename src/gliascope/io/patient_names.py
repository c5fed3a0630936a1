"""Patients told by the names of folders and files, where the files themselves may not name them."""

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
_EXPORTED = re.compile(r"img?-\d{4}(?:-\d{4,5}){1,2}", re.IGNORECASE)  # OsiriX: series and slice, of anyone
_SHORT = re.compile(r"[a-z]{0,2}[-_ ]?\d+", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_MEASURE = re.compile(r"\d+x\d+(?:x\d+)?|\d+t|\d+(?:mm|px|hz)")  # a size, a field strength
# Words of folders that sort slices by something else than by patient.
_OTHER = frozenset(
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
_FEW, _FEW_NUMBERS, _FEW_WORDS = 3, 5, 10  # names a level needs: with digits, of digits alone, without any
_FILES, _SLICES = 500, 100  # files a patient has at most, in the middle of all: by folders, by names of files
_SLICE_PREFIX, _NUMBER_PREFIX = -1, -2  # levels of names of files


@dataclass(frozen=True, slots=True)
class PatientName:
    """A patient as written, in lower case, and what told it: "folder" or "file name".

    place: the patient's folder from the source on, where that folder's name is no identifier.
    """

    name: str
    source: str
    folder: str | None = None


class PatientNames:
    """Who the patients of some files are, as far as names tell.

    An identifier such as TCGA-DU-6404, BraTS-GLI-00000, sub-04 or patient01 counts wherever it stands. Else
    the outermost folder counts that names neither class, part, modality nor anything else slices are sorted
    by, if its level holds several such folders, of few files each; and last the names of files, up to the
    number of a slice: `0012_slice_3`, `P07_12`. Equal names below one source are one patient, whatever the
    class: that may join two people, but never parts one.

    doubtful: by source, folders that might be patients, as their names and numbers do not tell.

    paths: from the sources' names on, with forward slashes. Held are counts of names, not the paths.
    """

    def __init__(self, paths: Iterable[str], mapping: Mapping[str, str | None]) -> None:
        self._mapping = mapping
        self._free = lru_cache(1 << 12)(self._free_folders)
        levels: dict[tuple[str, int], Counter[str]] = {}
        for path in paths:
            source, folder, stem = _parts(path)
            for level, name in enumerate(self._free(folder)):
                levels.setdefault((source, level), Counter())[name] += 1
            if found := self._prefix(stem):
                level, name = found
                levels.setdefault((source, level), Counter())[name] += 1
        self._told = {key: _told(names, key[1]) for key, names in levels.items()}
        self.uncertain_folders = {
            source: sorted(names)[:3]
            for (source, level), names in levels.items()
            if level >= 0
            and len(names) >= _FEW
            and not self._told[source, level]
            and _few_files(names, _FILES)
        }

    def patient_of(self, path: str) -> PatientName | None:
        """The patient of one of these paths; None where names do not tell."""
        source, folder, stem = _parts(path)
        for part in (source, *PurePosixPath(folder).parts):
            whole = part is not source or _PATIENT.fullmatch(part)
            if found := _identified(part) or (_match(_PATIENT, part) if whole else None):
                return PatientName(found, "folder")
        if found := _identified(stem) or _numbered(stem):
            return PatientName(found, "file name")
        for level, (name, place) in enumerate(self._free(folder).items()):
            if name in self._told[source, level]:
                return PatientName(name, "folder", f"{source}/{place}")
        prefix = self._prefix(stem)
        return (
            PatientName(prefix[1], "file name", path)
            if prefix and prefix[1] in self._told[source, prefix[0]]
            else None
        )

    def _free_folders(self, folder: str) -> dict[str, str]:
        """Names of the folders below the source that may be patients, outermost first, and where each is."""
        free: dict[str, str] = {}
        parts = PurePosixPath(folder).parts
        for at, part in enumerate(parts, start=1):
            name = normalise_name(part)
            if not is_label_or_subset(part, self._mapping) and not _general(name):
                free.setdefault(name, "/".join(parts[:at]))
        return free

    def _prefix(self, stem: str) -> tuple[int, str] | None:
        """`0012` of `glioma_0012_flair_slice_3`, with its level."""
        if _EXPORTED.fullmatch(stem):
            return None
        for level, pattern in ((_SLICE_PREFIX, _SLICE), (_NUMBER_PREFIX, _NUMBER)):
            if match := pattern.match(stem):
                words = (normalise_name(word) for word in re.split(r"[-_ ]+", match[1]))
                left = [
                    word
                    for word in words
                    if not _general(word) and not is_label_or_subset(word, self._mapping)
                ]
                name = " ".join(left)
                return (level, name) if any(map(str.isdigit, name)) else None
        return None


def is_patient(folder: str) -> bool:
    """Whether a folder's name means a patient wherever it lies: `patient 7`, `sub-04`, `P007`, `12`."""
    if _general(normalise_name(folder)) or _YEAR.fullmatch(folder):
        return False
    return bool(_identified(folder) or _match(_PATIENT, folder) or _SHORT.fullmatch(folder))


def is_generic(folder: str) -> bool:
    """Whether a folder's name sorts slices by something else than by patient: `t1 post`, `images`."""
    return _general(normalise_name(folder))


def _parts(path: str) -> tuple[str, str, str]:
    """Source, folders below it, and the file's name without its ending."""
    source, _, below = path.partition("/")
    folder, _, name = below.rpartition("/")
    return source, folder, PurePosixPath(name.removesuffix(".gz")).stem


def _match(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return re.sub(r"[-_. ]+", "-", found[0].casefold()) if found else None


def _identified(text: str) -> str | None:
    return next((found for pattern in _IDENTIFIERS if (found := _match(pattern, text))), None)


def _numbered(stem: str) -> str | None:
    """`patient01` of `patient01_slice03`; a single number may be the slice's own."""
    found = _PATIENT.match(stem)
    return _match(_PATIENT, stem) if found and re.search(r"\d", stem[found.end() :]) else None


def _general(name: str) -> bool:
    """Whether each word is one that tells no patient: `t1 post`, `fold 3`, `256x256`."""
    words = [word for word in name.split() if not word.isdigit()]
    return bool(words) and all(
        word in _OTHER or word.rstrip("0123456789") in _OTHER or _MEASURE.fullmatch(word) for word in words
    )


def _told(names: Counter[str], level: int) -> frozenset[str]:
    """Which names of one level are patients: all or none of those with digits, and of those without."""
    words = {name for name in names if not any(map(str.isdigit, name))}
    bearing = {name for name in names if not _YEAR.fullmatch(name)} - words
    numbers_alone = all(name.replace(" ", "").isdigit() for name in bearing)
    # Numbers alone may be grades or classes; before a word for a slice they are not.
    weak = level == _NUMBER_PREFIX or (numbers_alone and level != _SLICE_PREFIX)
    told = set[str]()
    if len(bearing) >= (_FEW_NUMBERS if weak else _FEW):
        told |= bearing
    if len(words) >= _FEW_WORDS:
        told |= words
    few = _few_files({name: names[name] for name in told}, _FILES if level >= 0 else _SLICES)
    return frozenset(told) if few else frozenset()


def _few_files(names: Mapping[str, int], most: int) -> bool:
    return bool(names) and median(names.values()) <= most
