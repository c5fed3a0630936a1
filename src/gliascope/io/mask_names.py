"""Names of mask files: which words mean a mask, and which file a mask of that name would belong to."""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice, takewhile
from pathlib import PurePath

ListFolder = Callable[[PurePath], Sequence[str]]
"""Returns the names of the files and folders in a folder; an empty sequence where it is no folder."""

_MASK_WORDS = frozenset(
    """
    mask masks label labels labelmap labelmaps lesion lesions roi rois gt groundtruth truth annotation
    annotations contour contours outline outlines ot segm segmentations segmented parcellation derivatives
    """.split()  # noqa: SIM905 (a list literal would take twenty-four lines)
)
_MASK_ENDINGS = ("mask", "masks", "seg", "segs", "segmentation", "segmentations")
_PICTURE_WORDS = frozenset(
    ["image", "images", "img", "imgs", "picture", "pictures", "scan", "scans", "tr", "ts"]
)
_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\x00-\x7f]+")
_VOLUME_ENDINGS = (".nii", ".nii.gz")
_FOLDERS_ABOVE = 4  # folders above a file whose names may say that they hold masks
_MAX_CANDIDATES = 4  # files that are read before a file counts as the mask of none


def name_says_mask(path: PurePath) -> bool:
    """Whether the name of the file itself has a word that means mask."""
    return _says_mask(_stem(path.name))


def path_says_mask(path: PurePath) -> bool:
    """Whether the name of the file, or of one of the folders closely above it, has a word that means mask."""
    return name_says_mask(path) or any(map(_says_mask, path.parent.parts[-_FOLDERS_ABOVE:]))


def mask_sort_key(path: PurePath) -> tuple[int, int]:
    """Return a key by which a mask is sorted behind the picture that it belongs to.

    Returns
    -------
    tuple of int
        Number of words in the path that mean mask, and number of all other words in the file's name.
    """
    words = _count_mask_words(path.name) + sum(map(_is_mask_word, _tokens(" ".join(path.parent.parts))))
    return words, len(_key(path.name))


def candidate_pictures(path: PurePath, list_folder: ListFolder) -> list[PurePath]:
    """List files that `path` may be a mask of, by their names.

    Parameters
    ----------
    path
        The file that may be a mask.
    list_folder
        Lists the files around it.

    Returns
    -------
    list of PurePath
        At most four files, the likeliest first. Where `path` says mask: files of the same name but for words
        like mask and image, in its own folder or where a folder of masks would have its pictures; for a
        volume, any volume there. Otherwise: files beside it whose name `path` continues with a word, as
        `7_m.png` does for `7.png`.
    """
    key, is_volume = _key(path.name), path.name.lower().endswith(_VOLUME_ENDINGS)
    if not path_says_mask(path):
        keys = {name: _key(name) for name in list_folder(path.parent) if not _count_mask_words(name)}
        shorter = (
            name
            for name, start in keys.items()
            if start and key[: len(start)] == start and _continues_with_word(key, start)
        )
        return [path.parent / name for name in islice(shorter, _MAX_CANDIDATES)]
    common_words: dict[PurePath, int] = {}
    for folder in _picture_folders(path, list_folder):
        max_mask_words = _count_mask_words(path.name) - (folder == path.parent)
        for name in list_folder(folder):
            other = _key(name)
            fits = other == key or (is_volume and name.lower().endswith(_VOLUME_ENDINGS))
            if fits and folder / name != path and _count_mask_words(name) <= max_mask_words:
                equal = takewhile(lambda pair: pair[0] == pair[1], zip(key, other, strict=False))
                common_words.setdefault(folder / name, len(list(equal)))
    return sorted(common_words, key=lambda picture: -common_words[picture])[:_MAX_CANDIDATES]


class UploadedNames:
    """Names of files that were uploaded together, to find those that may be masks of others.

    Parameters
    ----------
    paths
        Paths of the files, as the client names them.
    """

    def __init__(self, paths: Iterable[PurePath]) -> None:
        self._keys: dict[PurePath, set[tuple[str, ...]]] = {}
        for path in paths:
            if not _count_mask_words(path.name):
                self._keys.setdefault(path.parent, set()).add(tuple(_key(path.name)))

    def may_have_picture(self, path: PurePath) -> bool:
        """Whether `candidate_pictures` may find any for a file: a cheap test by its name alone."""
        if path_says_mask(path):
            return True
        key, beside = tuple(_key(path.name)), self._keys.get(path.parent, set())
        return any(key[:end] in beside and _continues_with_word(key, key[:end]) for end in range(1, len(key)))


def _continues_with_word(key: Sequence[str], start: Sequence[str]) -> bool:
    """Whether a name has a word after its start: `7_m` is a mask of `7`, but `7_2` is another picture."""
    return any(not token.isdigit() for token in key[len(start) :])


def _picture_folders(path: PurePath, list_folder: ListFolder) -> list[PurePath]:
    """List the file's own folder, and where each folder above it that says mask would have its pictures."""
    folders = [path.parent]
    parts = path.parent.parts
    for at in range(max(0, len(parts) - _FOLDERS_ABOVE), len(parts)):
        if _says_mask(parts[at]):
            above, below = path.parents[len(parts) - at], parts[at + 1 :]
            folders += [above.joinpath(*below), above.joinpath(*below[1:])]
            folders += [
                (above / name).joinpath(*below)
                for name in list_folder(above)
                if not _says_mask(name) and "." not in name
            ]
    return list(dict.fromkeys(folders))


def _stem(name: str) -> str:
    return name[: -len(".nii.gz")] if name.lower().endswith(".nii.gz") else PurePath(name).stem


def _tokens(text: str) -> list[str]:
    return [token.lower() for token in _TOKEN.findall(text)]


def _is_mask_word(token: str) -> bool:
    return token in _MASK_WORDS or token.endswith(_MASK_ENDINGS)


def _says_mask(text: str) -> bool:
    return any(map(_is_mask_word, _tokens(text)))


def _count_mask_words(name: str) -> int:
    return sum(map(_is_mask_word, _tokens(_stem(name))))


def _key(name: str) -> list[str]:
    """Words and numbers of a file's name, without words that mean mask or picture."""
    tokens = _tokens(_stem(name))
    return [token for token in tokens if not _is_mask_word(token) and token not in _PICTURE_WORDS]
