"""Class, subset and modality of a file from the names of its folders, and the user's `--labels` mapping."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from gliascope.classes import CLASS_OF_ALIAS, SEPARATORS, TUMOR_KINDS, canonical_class, nfc, normalise_name
from gliascope.errors import LayoutError

_SUBSETS = {
    "train": "train", "training": "train", "testing": "test", "test": "test",
    "val": "val", "valid": "val", "validation": "val",
}  # fmt: skip


_MODALITIES = {"ct": "CT", "mri": "MR", "mr": "MR"}


_COLLECTIONS = ("brain tumor", "brain tumors")  # such a folder may hold tumours, or all slices there are


@dataclass(frozen=True, slots=True)
class FolderLabels:
    """What the names of the folders above a file say of it.

    Attributes
    ----------
    label : str or None
        Class, in our vocabulary or the user's.
    raw_label : str or None
        Name of the folder that names the class, as written.
    subset : str or None
        train, val or test, where the source is divided already.
    modality : str or None
        MR or CT.
    excluded : bool
        Whether the user's mapping leaves the folder out.
    """

    label: str | None = None
    raw_label: str | None = None
    subset: str | None = None
    modality: str | None = None
    excluded: bool = False


def is_label_or_subset(folder: str, mapping: Mapping[str, str | None]) -> bool:
    """Whether a folder's name is that of a class, a subset or a modality."""
    name = normalise_name(folder)
    return name in mapping or name in CLASS_OF_ALIAS or name in _SUBSETS or name in _MODALITIES


def labels_of_folders(folders: tuple[str, ...], mapping: Mapping[str, str | None]) -> FolderLabels:
    """Read class, subset and modality from the names of the folders above a file.

    A class may be named at any depth: `glioma/patient 7/` is glioma. Where several folders name one:

    - folders in `mapping`, and those below the first of them, go before all others;
    - a kind of tumour refines `tumor`: `tumor/glioma/` is glioma;
    - `Brain Tumor/` above another class, or twice in a row, is the name of a collection and no class.

    The name of the source folder itself counts only where there is no folder below it.

    Parameters
    ----------
    folders
        Names of the folders, outermost (the source folder) first.
    mapping
        The user's mapping of folder names to classes, as `load_mapping` returns it.

    Raises
    ------
    LayoutError
        If folders name different classes.

    Examples
    --------
    >>> labels_of_folders(("kaggle", "Training", "glioma_tumor"), {})
    FolderLabels(label='glioma', raw_label='glioma_tumor', subset='train', modality=None, excluded=False)
    """
    subset = modality = None
    named: list[tuple[str, str]] = []  # folder as written, and as it is compared
    for depth, folder in enumerate(folders):
        name = normalise_name(folder)
        for word in re.findall(r"[^\W_]+", name):
            modality = _MODALITIES.get(word, modality)
        subset = _SUBSETS.get(name, subset)
        if (depth > 0 or len(folders) == 1) and (name in mapping or name in CLASS_OF_ALIAS):
            named.append((folder, name))
    excluded = [folder for folder, name in named if name in mapping and mapping[name] is None]
    if excluded:
        return FolderLabels(None, excluded[-1], subset, modality, excluded=True)
    first = next((at for at, (_, name) in enumerate(named) if name in mapping), None)
    known = {name: mapping.get(name) or CLASS_OF_ALIAS[name] for _, name in named}
    if first is None:
        named = _without_collections(folders, named)
    else:  # the user's mapping counts for the folders above, too
        named = [one for at, one in enumerate(named) if at >= first or one[1] in mapping]
    label, raw = _only_class(folders, named, known)
    return FolderLabels(label, raw, subset, modality)


def _without_collections(folders: tuple[str, ...], named: list[tuple[str, str]]) -> list[tuple[str, str]]:
    names = [normalise_name(folder) for folder in folders]
    repeated = {name for above, name in pairwise(names) if is_collection(above, name)}
    return [
        (folder, name)
        for at, (folder, name) in enumerate(named)
        if name not in _COLLECTIONS or (name not in repeated and at == len(named) - 1)
    ]


def is_collection(above: str, folder: str) -> bool:
    """Whether a folder repeats the name of the folder above it, and the name is that of a collection."""
    return normalise_name(folder) in _COLLECTIONS and normalise_name(above) == normalise_name(folder)


def _only_class(
    folders: tuple[str, ...], named: list[tuple[str, str]], class_of: Mapping[str, str]
) -> tuple[str, str] | tuple[None, None]:
    """Return the class that all these folders agree on, and the deepest folder that names it."""
    folder_of_class = {class_of[name]: folder for folder, name in named}
    if folder_of_class.keys() & set(TUMOR_KINDS):
        folder_of_class.pop("tumor", None)
    if len(folder_of_class) > 1:
        classes = " and ".join(f"{folder!r} says {label}" for label, folder in folder_of_class.items())
        raise LayoutError(
            f"{'/'.join(folders)}: {classes}; name the one that counts by --labels FILE.yaml, "
            "a line `folder name: class`"
        )
    return next(iter(folder_of_class.items()), (None, None))


def load_mapping(path: Path | None) -> dict[str, str | None]:
    """Read the file of `--labels FILE.yaml`, which maps folder names to classes.

    Parameters
    ----------
    path
        The file; None gives an empty mapping.

    Returns
    -------
    dict
        Class of each folder name, or None for folders to leave out. Names are as `normalise_name` makes them.

    Raises
    ------
    LayoutError
        If the file is no such mapping, or has a name twice.
    """
    if path is None:
        return {}
    pairs = _read_pairs(path)
    mapping: dict[str, str | None] = {}
    written: dict[str, str] = {}
    for key, value in pairs:
        name = normalise_name(key)
        if name in mapping:
            raise LayoutError(
                f"{path}: {written[name]!r} and {key!r} are one folder name; keep one line of them"
                if written[name] != key
                else f"{path}: has {key!r} twice; keep one line of it"
            )
        written[name] = key
        mapping[name] = None if value in ("", "~", "null", "Null", "NULL") else class_name(path, value)
    _check_spellings((value for _, value in pairs), f"{path}: classes")
    return mapping


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    """Read the keys and values of a YAML file as plain text."""
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
    return [(key.value, value.value) for key, value in pairs]


def class_name(path: Path, value: str) -> str:
    """Bring a class of a user's file to our vocabulary.

    Raises
    ------
    LayoutError
        If the class has a slash or a control character, because file names are made of classes.
    """
    label = canonical_class(value)
    if any(char in "/\\" or not char.isprintable() for char in label):
        raise LayoutError(f"{path}: {value!r} cannot name a class; leave out slashes and control characters")
    return label


def check_folder_names(folders: Iterable[str]) -> None:
    """Raise LayoutError for names that become equal only by normalising, like `Masse` and `Maße`."""
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
    """Return the name without separators and in lower case, which unlike case-folding keeps `ß`."""
    return "".join(SEPARATORS.sub(" ", nfc(name).lower()).split()).replace("tumour", "tumor")
