"""Names of classes, as public data sets write them, brought to one vocabulary."""

import re
import unicodedata
from collections.abc import Iterable

from gliascope.errors import LayoutError

# Names of each class in public data sets, as `normalise_name` makes them.
ALIASES: dict[str, tuple[str, ...]] = {
    "glioma": ("glioma", "gliomas", "glioma tumor", "brain glioma"),
    "meningioma": ("meningioma", "meningiomas", "meningioma tumor", "brain menin", "brain meningioma"),
    "pituitary": ("pituitary", "pituitary tumor", "pituitary adenoma", "brain pituitary"),
    "no_tumor": ("no tumor", "notumor", "no", "healthy", "normal", "negative", "brain healthy", "control"),
    "tumor": ("tumor", "tumors", "yes", "positive", "brain tumor", "brain tumors", "tumorous"),
}
# What the classes are, for readers of reports and model cards. No medical advice.
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
CLASS_OF_ALIAS = {alias: label for label, aliases in ALIASES.items() for alias in aliases}
# A hyphen counts between words and alone; at an end it is a minus.
SEPARATORS = re.compile(r"[\s_.]+|(?<=[^\s_.-])-+(?=[^\s_.-])|(?<![^\s_.])-+(?![^\s_.])")


def normalise_name(name: str) -> str:
    """Bring a name to the form in which names are compared.

    Upper and lower case are equal, as are the ways Unicode has of writing one letter (NFC) and the spellings
    tumour and tumor. Words are separated by one space; space, `_`, `.` and a `-` between words separate them.
    Nothing else is deleted, so `MGMT+`, `MGMT-` and `MGMT` are three names.

    Examples
    --------
    >>> normalise_name("Brain_Tumour-2"), normalise_name("MGMT-")
    ('brain tumor 2', 'mgmt-')
    """
    folded = nfc(nfc(name).casefold())
    words = " ".join(SEPARATORS.sub(" ", folded).split())
    return words.replace("tumour", "tumor") or folded


def nfc(text: str) -> str:
    """Return text in the canonical composition of Unicode (NFC)."""
    return unicodedata.normalize("NFC", text)


def are_exclusive(label: str, other: str) -> bool:
    """Whether no slice can be of both classes. False for classes outside our vocabulary."""
    kinds = {label, other} & set(TUMOR_KINDS)
    return label != other and {label, other} <= ALIASES.keys() and not ("tumor" in {label, other} and kinds)


def canonical_class(label: str) -> str:
    """Return a class in our vocabulary; one that it lacks is written in lower case with underscores.

    Examples
    --------
    >>> canonical_class("Glioma Tumor"), canonical_class("Grade II")
    ('glioma', 'grade_ii')
    """
    name = normalise_name(label)
    return CLASS_OF_ALIAS.get(name, name.replace(" ", "_"))


def describe_classes(labels: Iterable[str]) -> dict[str, str]:
    """Describe each class of our vocabulary in a sentence or two; other classes are left out."""
    return {label: DESCRIPTIONS[label] for label in labels if label in DESCRIPTIONS}


def check_tumor_kinds(labels: set[str]) -> None:
    """Raise LayoutError for `tumor` beside its kinds, because a slice would then have two true labels."""
    kinds = sorted(labels.intersection(TUMOR_KINDS))
    if "tumor" in labels and kinds:
        example = ", ".join(f"{kind}: tumor" for kind in kinds)
        raise LayoutError(
            f"labels mix 'tumor' with its kinds ({', '.join(kinds)}); "
            f"scan the sources apart, or merge the kinds by --labels FILE.yaml with {example}"
        )
