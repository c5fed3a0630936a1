"""Class names and folder layouts in the wild, brought to one vocabulary."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gliascope.errors import LayoutError

ALIASES: dict[str, tuple[str, ...]] = {
    "glioma": ("glioma", "gliomas", "glioma tumor", "brain glioma"),
    "meningioma": ("meningioma", "meningiomas", "meningioma tumor", "brain menin", "brain meningioma"),
    "pituitary": ("pituitary", "pituitary tumor", "pituitary adenoma", "brain pituitary"),
    "no_tumor": ("no tumor", "notumor", "no", "healthy", "normal", "negative", "brain healthy", "control"),
    "tumor": ("tumor", "tumors", "yes", "positive", "brain tumor", "tumorous"),
}
# What the names stand for, for readers of reports and model cards. No medical advice.
DESCRIPTIONS = {
    "glioma": "A tumour that grows from the supporting cells of the brain itself. "
    "On slices its edge is often blurred and the tissue around it swollen.",
    "meningioma": "A tumour of the membranes that wrap the brain. "
    "It lies along the skull or between the halves of the brain, mostly with a clear edge, and pushes the "
    "brain aside.",
    "pituitary": "A tumour of the pituitary gland, which hangs below the middle of the brain. "
    "On slices it lies in or above the small hollow of the bone there.",
    "no_tumor": "A slice that its source says shows no tumour. "
    "It may be of a healthy head, of one with another disease, or of a patient above or below the tumour.",
    "tumor": "A slice that its source says shows a tumour, of whatever kind.",
}
TUMOR_KINDS = ("glioma", "meningioma", "pituitary")
NO_TUMOR = "no_tumor"
_CLASS_OF = {alias: label for label, aliases in ALIASES.items() for alias in aliases}
_PARTS = {
    "train": "train", "training": "train", "testing": "test", "test": "test",
    "val": "val", "valid": "val", "validation": "val",
}  # fmt: skip
_MODALITIES = {"ct": "CT", "mri": "MR", "mr": "MR"}


@dataclass(frozen=True, slots=True)
class Place:
    """What the folders above a file say: class, class as written, official part, modality (each may be None).

    `excluded` is true for class folders that the user's mapping leaves out.
    """

    label: str | None = None
    raw_label: str | None = None
    official: str | None = None
    modality: str | None = None
    excluded: bool = False


def normalise(name: str) -> str:
    """Bring a folder name to lower-case words: `Glioma_Tumour` and `glioma tumor` are the same."""
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).split()
    return " ".join(words).replace("tumour", "tumor")


def place(folders: tuple[str, ...], mapping: Mapping[str, str | None]) -> Place:
    """Read the folder names above a file, source folder first.

    The deepest folder that names a class wins, so that `glioma/patient 7/` is glioma. The source's own
    name counts only where no folder is below it: `Brain Tumor/` is usually the name of a collection.
    """
    label = raw = official = modality = None
    excluded = False
    for depth, folder in enumerate(folders):
        name = normalise(folder)
        for word in name.split():
            modality = _MODALITIES.get(word, modality)
        official = _PARTS.get(name, official)
        if depth == 0 and len(folders) > 1:
            continue
        if name in mapping:
            label, raw = mapping[name], folder
            excluded = excluded or label is None
        elif name in _CLASS_OF:
            label, raw = _CLASS_OF[name], folder
    return Place(label, raw, official, modality, excluded)


def load_mapping(path: Path | None) -> dict[str, str | None]:
    """Read `--labels FILE.yaml`: folder name to class name, or to null to leave the folder out.

    Raises LayoutError if the file is no such mapping.
    """
    if path is None:
        return {}
    import yaml

    try:
        # As plain text: YAML would read the folder names yes and no as true and false.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 (makes text only)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LayoutError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise LayoutError(f"{path}: expected one `folder name: class name` (or null) a line")
    return {normalise(k): None if v in ("", "~", "null") else canonical(v) for k, v in content.items()}


def canonical(label: str) -> str:
    """A class name in our vocabulary, or, where it knows none, in lower case with underscores."""
    name = normalise(label)
    return _CLASS_OF.get(name, name.replace(" ", "_"))


def describe(labels: Iterable[str]) -> dict[str, str]:
    """A sentence or two on each class that we know; others are left out."""
    return {label: DESCRIPTIONS[label] for label in labels if label in DESCRIPTIONS}


def check_vocabulary(labels: set[str]) -> None:
    """Refuse `tumor` beside its kinds: a slice would then have two true labels. Raises LayoutError."""
    kinds = sorted(labels.intersection(TUMOR_KINDS))
    if "tumor" in labels and kinds:
        example = ", ".join(f"{kind}: tumor" for kind in kinds)
        raise LayoutError(
            f"labels mix 'tumor' with its kinds ({', '.join(kinds)}); "
            f"scan the sources apart, or merge the kinds by --labels FILE.yaml with {example}"
        )
