"""What the names of folders above a file say of it, and the mapping of names to classes of the user's own."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from gliascope.classes import CLASS_OF_ALIAS, SEPARATORS, TUMOR_KINDS, canonical_class, nfc, normalise_name
from gliascope.errors import LayoutError

_PARTS = {
    "train": "train", "training": "train", "testing": "test", "test": "test",
    "val": "val", "valid": "val", "validation": "val",
}  # fmt: skip


_MODALITIES = {"ct": "CT", "mri": "MR", "mr": "MR"}


_COLLECTIONS = ("brain tumor", "brain tumors")  # such a folder may hold tumours, or all slices there are


@dataclass(frozen=True, slots=True)
class FolderLabels:
    """What the folders above a file say: class, class as written, official part, modality (each may be None).

    `excluded` is true for class folders that the user's mapping leaves out.
    """

    label: str | None = None
    raw_label: str | None = None
    subset: str | None = None
    modality: str | None = None
    excluded: bool = False


def is_label_or_subset(folder: str, mapping: Mapping[str, str | None]) -> bool:
    """Whether a folder's name says a class, a part or a modality."""
    name = normalise_name(folder)
    return name in mapping or name in CLASS_OF_ALIAS or name in _PARTS or name in _MODALITIES


def labels_of_folders(folders: tuple[str, ...], mapping: Mapping[str, str | None]) -> FolderLabels:
    """Read the folder names above a file, source folder first.

    A class may be named at any depth: `glioma/patient 7/` is glioma. Where several folders name one, those of
    `mapping` count and what is below them; a kind of tumour refines `tumor`. The source's own name counts
    only where no folder is below it. `Brain Tumor/` above another class, or twice in a row, is a collection.
    Raises LayoutError for folders that name different classes.
    """
    official = modality = None
    named: list[tuple[str, str]] = []  # folder, name
    for depth, folder in enumerate(folders):
        name = normalise_name(folder)
        for word in re.findall(r"[^\W_]+", name):
            modality = _MODALITIES.get(word, modality)
        official = _PARTS.get(name, official)
        if (depth > 0 or len(folders) == 1) and (name in mapping or name in CLASS_OF_ALIAS):
            named.append((folder, name))
    excluded = [folder for folder, name in named if name in mapping and mapping[name] is None]
    if excluded:
        return FolderLabels(None, excluded[-1], official, modality, excluded=True)
    first = next((at for at, (_, name) in enumerate(named) if name in mapping), None)
    known = {name: mapping.get(name) or CLASS_OF_ALIAS[name] for _, name in named}
    if first is None:
        named = _without_collections(folders, named)
    else:  # the user's word counts for all above it
        named = [one for at, one in enumerate(named) if at >= first or one[1] in mapping]
    label, raw = _only_class(folders, named, known)
    return FolderLabels(label, raw, official, modality)


def _without_collections(folders: tuple[str, ...], named: list[tuple[str, str]]) -> list[tuple[str, str]]:
    names = [normalise_name(folder) for folder in folders]
    repeated = {name for above, name in pairwise(names) if is_collection(above, name)}
    return [
        (folder, name)
        for at, (folder, name) in enumerate(named)
        if name not in _COLLECTIONS or (name not in repeated and at == len(named) - 1)
    ]


def is_collection(above: str, folder: str) -> bool:
    """Whether a folder repeats the name above it, as archives do, and the name is one of a collection."""
    return normalise_name(folder) in _COLLECTIONS and normalise_name(above) == normalise_name(folder)


def _only_class(
    folders: tuple[str, ...], named: list[tuple[str, str]], class_of: Mapping[str, str]
) -> tuple[str, str] | tuple[None, None]:
    """The class that all these folders agree on, and the deepest folder that names it."""
    found = {class_of[name]: folder for folder, name in named}
    if found.keys() & set(TUMOR_KINDS):
        found.pop("tumor", None)
    if len(found) > 1:
        said = " and ".join(f"{folder!r} says {label}" for label, folder in found.items())
        raise LayoutError(
            f"{'/'.join(folders)}: {said}; name the one that counts by --labels FILE.yaml, "
            "a line `folder name: class`"
        )
    return next(iter(found.items()), (None, None))


def load_mapping(path: Path | None) -> dict[str, str | None]:
    """Read `--labels FILE.yaml`: folder name to class name, or to null to leave the folder out.

    Raises LayoutError if the file is no such mapping, or holds a name twice.
    """
    if path is None:
        return {}
    import yaml

    try:
        # As plain text: YAML would read the folder names yes and no as true and false.
        node = yaml.compose(path.read_bytes(), Loader=yaml.BaseLoader)
    except OSError as error:
        raise LayoutError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        raise LayoutError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None
    pairs = node.value if isinstance(node, yaml.MappingNode) else None
    if pairs is None or not all(isinstance(one, yaml.ScalarNode) for pair in pairs for one in pair):
        raise LayoutError(f"{path}: expected one `folder name: class name` (or null) a line")
    mapping: dict[str, str | None] = {}
    written: dict[str, str] = {}
    for key, value in ((key.value, value.value) for key, value in pairs):
        name = normalise_name(key)
        if name in mapping:
            raise LayoutError(
                f"{path}: {written[name]!r} and {key!r} are one folder name; keep one line of them"
                if written[name] != key
                else f"{path}: has {key!r} twice; keep one line of it"
            )
        written[name] = key
        mapping[name] = None if value in ("", "~", "null", "Null", "NULL") else class_name(path, value)
    _check_spellings((value.value for _, value in pairs), f"{path}: classes")
    return mapping


def class_name(path: Path, value: str) -> str:
    """A class of a user's file, in our words. Raises LayoutError for what cannot be part of a file's name."""
    label = canonical_class(value)
    if any(char in "/\\" or not char.isprintable() for char in label):
        raise LayoutError(f"{path}: {value!r} cannot name a class; leave out slashes and control characters")
    return label


def check_folder_names(folders: Iterable[str]) -> None:
    """Refuse names that are equal only by accident, like `Masse` and `Maße`. Raises LayoutError."""
    _check_spellings(folders, "folders")


def _check_spellings(names: Iterable[str], what: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if name in CLASS_OF_ALIAS.values() or normalise_name(name) in CLASS_OF_ALIAS:
            continue
        other = seen.setdefault(normalise_name(name), name)
        if _plain(other) != _plain(name):
            raise LayoutError(f"{what} {other!r} and {name!r} would be taken for one; rename one")


def _plain(name: str) -> str:
    """Without separators, in lower case, which unlike case-folding keeps `ß` and ligatures."""
    return "".join(SEPARATORS.sub(" ", nfc(name).lower()).split()).replace("tumour", "tumor")
