"""Kinds of DICOM objects: ordinary slices, slices of a kind to mark, and objects that are no slices.

Slices to mark (localizers, derived maps, secondary captures) are read, and `Slice.kind` names their kind.
Objects that are no slices of MR or CT are refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom import Dataset

from gliascope.errors import NotAnImageError

LOCALIZER, DERIVED_MAP, SECONDARY_CAPTURE = "localizer", "derived map", "secondary capture"

# Storage SOP classes (PS3.4 B.5) below 1.2.840.10008.5.1.4.1.1; each entry includes the classes below it.
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_CAPTURES = "7"
_CLASSES = {
    "1": "X-ray image", "12": "X-ray image", "13": "X-ray image", "3": "ultrasound image",
    "6": "ultrasound image", "14": "optical image", "20": "nuclear medicine image", "128": "PET image",
    "130": "PET image", "77": "photograph or microscopy", "9": "waveform", "11": "presentation state",
    "88": "structured report", "104": "document", "30": "parametric map", "66": "registration or surface",
    "66.4": "segmentation", "66.7": "segmentation", "481": "radiotherapy object", "481.1": "X-ray image",
    "481.2": "dose map", "481.3": "structure set", "481.5": "radiotherapy plan",
}  # fmt: skip
# Defined terms of Modality (PS3.3 C.7.3.1.1.1) of other objects. OT and a missing Modality may be anything.
_MODALITIES = {
    "SEG": "segmentation", "RTDOSE": "dose map", "RTSTRUCT": "structure set", "RTPLAN": "radiotherapy plan",
    "RTRECORD": "radiotherapy object", "RTIMAGE": "X-ray image", "PR": "presentation state",
    "SR": "structured report", "KO": "structured report", "DOC": "document", "REG": "registration or surface",
    "FID": "registration or surface", "PT": "PET image", "NM": "nuclear medicine image",
    "US": "ultrasound image", "IVUS": "ultrasound image", "CR": "X-ray image", "DX": "X-ray image",
    "DR": "X-ray image", "RG": "X-ray image", "RF": "X-ray image", "XA": "X-ray image", "MG": "X-ray image",
    "IO": "X-ray image", "PX": "X-ray image", "OPT": "optical image", "OCT": "optical image",
    "IVOCT": "optical image", "OP": "photograph or microscopy", "SM": "photograph or microscopy",
    "GM": "photograph or microscopy", "ES": "photograph or microscopy", "XC": "photograph or microscopy",
    "ECG": "waveform", "EPS": "waveform", "EEG": "waveform", "HD": "waveform",
}  # fmt: skip
_REMEDIES = {
    "mosaic of many slices": "convert the series to NIfTI or enhanced DICOM, e.g. by dcm2niix",
    "segmentation": "give the images that the segmentation was drawn on",
    "dose map": "give the images that the dose was planned on",
}

_LOCALIZER_TYPES = {"LOCALIZER", "SCOUT", "SURVEY", "TOPOGRAM"}
_LOCALIZER_WORDS = re.compile(
    r"lo[ck]ali[sz](?:er|ator|ateur|ador|zatore)|^(?:loc|pilot)(?![a-z])|scout|survey|topogram|surview|scanogram"
    r"|\b(?:3|three|tri)[ _-]?(?:pl|planes?)\b.*\bloc\b|\bplane[ _]loc\b",
    re.IGNORECASE,
)
# Values of ImageType that mean a derived map, and values that do so only together with DERIVED, since an
# acquired series may be PERFUSION, too. A reformatted slice (MPR) is an ordinary slice.
_MAP_TYPES = {
    "ADC", "EADC", "DADC", "FA", "TRACEW", "CBF", "CBV", "MTT", "TTP", "TMAX", "RELCBF", "RELCBV", "RELMTT",
    "RELCCBV", "RCBF", "RCBV", "PBP", "GBP", "K2", "T1MAP", "T2MAP", "T2STARMAP", "R2STARMAP",
    "T1 MAP", "T2 MAP", "T2_STAR MAP", "T2STAR MAP", "MIP", "MINIP", "MNIP", "MIN IP", "PROJECTION IMAGE",
}  # fmt: skip
_DERIVED_MAP_TYPES = {
    "PERFUSION", "DIFFUSION", "TENSOR", "SUBTRACTION", "SUBTRACT", "SUB", "FMRI", "MEAN_PERFUSION",
}  # fmt: skip
_MAP_WORDS = re.compile(
    r"(?<![a-z])[ed]?adc(?![a-z])|apparent diffusion|fractional aniso|(?<![a-z])fa[ _-]?map"
    r"|(?<![a-z])(?:r|rel)?(?:cbf|cbv|mtt|ttp)(?![a-z])|(?<![a-z])tmax(?![a-z])"
    r"|(?<![a-z])[tr][12][ _*-]*(?:star)?[ _-]*map|(?<![a-z])subtract|(?<![a-z])(?:mip|min[ _]?ip)(?![a-z])",
    re.IGNORECASE,
)


def check_kind(path: Path, dataset: Dataset) -> None:
    """Raise NotAnImageError for an object that is no slice of MR or CT; its reason names the kind."""
    kind = unsupported_kind(dataset)
    if kind:
        remedy = _REMEDIES.get(kind, "only slices of MR and CT are classified")
        raise NotAnImageError(path, kind if "slices" in kind else f"{kind}, not a slice", remedy)


def unsupported_kind(dataset: Dataset) -> str | None:
    """Return the kind of an object that is no slice of MR or CT, such as "dose map"; None for a slice."""
    types = set(_values(dataset, "ImageType"))
    if "MOSAIC" in types or _siemens_mosaic(dataset):
        return "mosaic of many slices"
    if any(value.startswith(("SCREEN", "DOSE REPORT", "DOSE_INFO")) for value in types):
        return "screenshot"
    components = _storage(dataset).split(".")
    for end in range(len(components), 0, -1):
        if kind := _CLASSES.get(".".join(components[:end])):
            return kind
    return _MODALITIES.get(_text(dataset, "Modality").upper())


def frame_kind(dataset: Dataset, index: int) -> str | None:
    """Return the kind of a frame, for `Slice.kind`.

    The kind is told by ImageType (in an enhanced object, also by the frame's FrameType). Many devices leave
    these unspecific, so the words of SeriesDescription and ProtocolName count, too. The values DERIVED and
    SECONDARY alone mean nothing, since software that exports or anonymises a slice may write them.

    Parameters
    ----------
    dataset
        The data set.
    index
        The frame, from 0.

    Returns
    -------
    str or None
        LOCALIZER, DERIVED_MAP or SECONDARY_CAPTURE; None for an ordinary slice.
    """
    types = {value for values in _frame_types(dataset, index) for value in values}
    described = " ".join(_text(dataset, name) for name in ("SeriesDescription", "ProtocolName"))
    if types & _LOCALIZER_TYPES or _LOCALIZER_WORDS.search(described):
        return LOCALIZER
    derived = "DERIVED" in types
    if types & _MAP_TYPES or (derived and types & _DERIVED_MAP_TYPES):
        return DERIVED_MAP
    if "ORIGINAL" not in types and _MAP_WORDS.search(_text(dataset, "SeriesDescription")):
        return DERIVED_MAP
    storage = _storage(dataset)
    capture = storage == _CAPTURES or storage.startswith(f"{_CAPTURES}.")
    return SECONDARY_CAPTURE if capture else None


def _siemens_mosaic(dataset: Dataset) -> bool:
    """Whether Siemens' private element states a mosaic; anonymised files may keep it and lose ImageType."""
    creator: Any = dataset.get((0x0051, 0x0010))
    note: Any = dataset.get((0x0051, 0x1016))
    return creator is not None and note is not None and "MOSAIC" in str(note.value).upper()


def _storage(dataset: Dataset) -> str:
    """Return the SOP class without the prefix of storage classes; empty for any other class."""
    meta = getattr(dataset, "file_meta", None) or Dataset()
    identifier = _text(dataset, "SOPClassUID") or _text(meta, "MediaStorageSOPClassUID")
    return identifier.removeprefix(_STORAGE) if identifier.startswith(_STORAGE) else ""


def _frame_types(dataset: Dataset, index: int) -> Iterator[list[str]]:
    """Yield ImageType, and each FrameType that applies to the frame."""
    yield _values(dataset, "ImageType")
    for name, position in (
        ("PerFrameFunctionalGroupsSequence", index),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        items = dataset.get(name) or []
        if position < len(items):
            for group in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence"):
                yield from (_values(item, "FrameType") for item in items[position].get(group) or [])


def _values(dataset: Dataset, name: str) -> list[str]:
    """Return the values of a text element in upper case; empty where it is absent or cannot be read."""
    value: Any = _get(dataset, name)
    values = [] if value is None else [value] if isinstance(value, str) else value
    try:
        return [str(value).strip(" \0").upper() for value in values]
    except TypeError:
        return []


def _text(dataset: Dataset, name: str) -> str:
    value = _get(dataset, name)
    return "" if value is None else str(value).strip(" \0")


def _get(dataset: Dataset, name: str) -> Any:
    try:
        return dataset.get(name)
    except Exception:  # a malformed value: the pixels may be readable all the same
        return None
