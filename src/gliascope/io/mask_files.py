"""Files that are masks of other files, not slices: told by name or folder, by content, and by their picture.

A file is the mask of a picture if its name or one of its folders says mask, the picture has the same name but
for that (of volumes: lies where it would) and the same size, and the file has few levels. A real picture that
is merely named so is none, nor is one of few levels that has no picture beside it.

No scan has as few values as DRAWN. So a file of so few is a mask already where its own name says so, where it
is a volume, and where its name is that of a picture beside it and more: `7_tumour.png` beside `7.png`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice, takewhile
from pathlib import Path, PurePath

import numpy as np

from gliascope.errors import NotAnImageError, ReadError
from gliascope.io import read
from gliascope.io.arrays import MAX_MASK_LEVELS
from gliascope.io.slices import Slice

PICTURE_MISSING = "a picture that is not here"
ListFolder = Callable[[PurePath], Sequence[str]]
"""Names of the files and folders in a folder; empty where it is none."""

_WORDS = frozenset(
    [
        "mask",
        "masks",
        "label",
        "labels",
        "labelmap",
        "labelmaps",
        "lesion",
        "lesions",
        "roi",
        "rois",
        "gt",
        "groundtruth",
        "truth",
        "annotation",
        "annotations",
        "contour",
        "contours",
        "outline",
        "outlines",
        "ot",
        "segm",
        "segmentations",
        "segmented",
        "parcellation",
        "derivatives",
    ]
)
_ENDINGS = ("mask", "masks", "seg", "segs", "segmentation", "segmentations")
_PICTURE_WORDS = frozenset(
    ["image", "images", "img", "imgs", "picture", "pictures", "scan", "scans", "tr", "ts"]
)
_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\x00-\x7f]+")
_VOLUMES = (".nii", ".nii.gz")
_ABOVE = 4  # folders above a file that may say mask
_TRIED = 4  # pictures that are read before a file is none's mask
_LEVELS, _VOLUME_LEVELS = 16, 64
_NEAR, _MOST = (
    24,
    0.98,
)  # grey levels from black or white, and the share of pixels of a compressed mask so near


class FolderListings:
    """What lies in folders on disk, or at a URL; each is listed once."""

    def __init__(self) -> None:
        self._known: dict[PurePath, list[str]] = {}

    def __call__(self, folder: PurePath) -> Sequence[str]:
        """Names of what is in `folder`."""
        if folder not in self._known:
            try:
                self._known[folder] = sorted(path.name for path in folder.iterdir())  # type: ignore[attr-defined]
            except OSError:
                self._known[folder] = []
        return self._known[folder]


def check_mask(path: Path, slices: Sequence[Slice], list_folder: ListFolder) -> None:
    """Raise NotAnImageError where these slices of a file are masks of another one, which `entries` lists."""
    if any(item.kind == "segmentation" for item in slices):
        raise NotAnImageError(path, "segmentation, not a slice", "give the images that it was drawn on")
    if not may_be_mask(path, slices):
        return
    for picture in candidate_pictures(path, list_folder):
        if _is_of(slices, picture):
            raise mask_error(path, picture.name)
    if is_surely_mask(path, slices):
        raise mask_error(path, PICTURE_MISSING)


def mask_error(path: Path, picture: str) -> NotAnImageError:
    """What `path` is refused by as a mask of `picture`."""
    return NotAnImageError(path, "mask, not a slice", f"of {picture}")


def may_be_mask(path: PurePath, slices: Sequence[Slice]) -> bool:
    """Whether name or folders say so, and the levels are few; or it looks drawn, whatever it is called."""
    return has_few_levels(slices) if _is_named_mask(path) else _is_drawn(slices)


def is_surely_mask(path: PurePath, slices: Sequence[Slice]) -> bool:
    """Whether it is a mask although no picture of it is there."""
    drawn = _is_drawn(slices)
    if not _says_mask(_stem(path.name)):
        return drawn and len(slices) > 1
    return drawn or (_is_black_or_white(slices) and bool(slices[0].pixels.max() >= 255 - _NEAR))


def mask_sort_key(path: PurePath) -> tuple[int, int]:
    """Words of a path that say mask, and words of its name: a mask comes after its pictures by these."""
    words = _mask_words(path.name) + sum(map(_is_mask_word, _tokens(" ".join(path.parent.parts))))
    return words, len(_key(path.name))


def _is_named_mask(path: PurePath) -> bool:
    return _says_mask(_stem(path.name)) or any(map(_says_mask, path.parent.parts[-_ABOVE:]))


def _is_black_or_white(slices: Sequence[Slice]) -> bool:
    """Whether nearly all pixels of a picture are, as in a mask whose levels compression has blurred."""
    first = slices[0].pixels
    if len(slices) > 1 or first.ndim != 2:
        return False
    return bool((np.abs(first - 127.5) >= 127.5 - _NEAR).mean() >= _MOST)


def _is_drawn(slices: Sequence[Slice]) -> bool:
    """Whether all slices together have 2 to DRAWN levels."""
    found = np.zeros(256, np.bool_)
    for item in slices:
        found |= np.bincount(item.pixels.reshape(-1), minlength=256) > 0
        if np.count_nonzero(found) > MAX_MASK_LEVELS:
            return False
    return bool(np.count_nonzero(found) > 1)


def has_few_levels(slices: Sequence[Slice]) -> bool:
    """Whether all slices of a file together have no more levels, or colours, than a mask."""
    if _is_black_or_white(slices):
        return True
    most = _LEVELS if len(slices) == 1 else _VOLUME_LEVELS
    found: set[int] = set()
    for item in slices:
        colours = item.pixels.reshape(*item.pixels.shape[:2], -1).astype(np.int32)
        found.update(np.unique(colours @ (256 ** np.arange(colours.shape[2]))).tolist())
        if len(found) > most:
            return False
    return True


def sorted_shape(slices: Sequence[Slice]) -> list[int]:
    """Lengths of a file's axes in ascending order: a mask's header may lay its volume otherwise."""
    return sorted((len(slices), *slices[0].pixels.shape[:2]))


def candidate_pictures(path: PurePath, list_folder: ListFolder) -> list[PurePath]:
    """Files that `path` may be a mask of, the likeliest first."""
    key, volume = _key(path.name), path.name.lower().endswith(_VOLUMES)
    if not _is_named_mask(path):
        names = {name: _key(name) for name in list_folder(path.parent) if not _mask_words(name)}
        shorter = (
            name for name, own in names.items() if own and key[: len(own)] == own and _worded(key, own)
        )
        return [path.parent / name for name in islice(shorter, _TRIED)]
    found: dict[PurePath, int] = {}
    for folder in _picture_folders(path, list_folder):
        most = _mask_words(path.name) - (folder == path.parent)
        for name in list_folder(folder):
            other = _key(name)
            fits = other == key or (volume and name.lower().endswith(_VOLUMES))
            if fits and folder / name != path and _mask_words(name) <= most:
                alike = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(key, other, strict=False))))
                found.setdefault(folder / name, alike)
    return sorted(found, key=lambda picture: -found[picture])[:_TRIED]


class UploadedNames:
    """Names of files that were sent together, to tell at once which may be masks of others."""

    def __init__(self, paths: Iterable[PurePath]) -> None:
        self._keys: dict[PurePath, set[tuple[str, ...]]] = {}
        for path in paths:
            if not _mask_words(path.name):
                self._keys.setdefault(path.parent, set()).add(tuple(_key(path.name)))

    def may_have_picture(self, path: PurePath) -> bool:
        """Whether `pictures` may find any for a file, by its name: it says mask, or goes on from another."""
        if _is_named_mask(path):
            return True
        key, beside = tuple(_key(path.name)), self._keys.get(path.parent, set())
        return any(key[:end] in beside and _worded(key, key[:end]) for end in range(1, len(key)))


def _worded(key: Sequence[str], own: Sequence[str]) -> bool:
    """Whether a name goes on with a word behind a picture's, like `7_m`; `7_2` is another picture."""
    return any(not token.isdigit() for token in key[len(own) :])


def _picture_folders(path: PurePath, entries: ListFolder) -> list[PurePath]:
    """Its own folder, and those that lie to a folder that says mask as its pictures' would."""
    folders = [path.parent]
    parts = path.parent.parts
    for at in range(max(0, len(parts) - _ABOVE), len(parts)):
        if _says_mask(parts[at]):
            above, below = path.parents[len(parts) - at], parts[at + 1 :]
            folders += [above.joinpath(*below), above.joinpath(*below[1:])]
            folders += [
                (above / name).joinpath(*below)
                for name in entries(above)
                if not _says_mask(name) and "." not in name
            ]
    return list(dict.fromkeys(folders))


def _is_of(slices: Sequence[Slice], picture: PurePath) -> bool:
    try:
        shown = read(picture)  # type: ignore[arg-type]
    except ReadError:
        return False
    return sorted_shape(shown) == sorted_shape(slices)


def _stem(name: str) -> str:
    return name[: -len(".nii.gz")] if name.lower().endswith(".nii.gz") else PurePath(name).stem


def _tokens(text: str) -> list[str]:
    return [token.lower() for token in _TOKEN.findall(text)]


def _is_mask_word(token: str) -> bool:
    return token in _WORDS or token.endswith(_ENDINGS)


def _says_mask(text: str) -> bool:
    return any(map(_is_mask_word, _tokens(text)))


def _mask_words(name: str) -> int:
    return sum(map(_is_mask_word, _tokens(_stem(name))))


def _key(name: str) -> list[str]:
    """Words and numbers of a file's name without those that say mask or picture."""
    tokens = _tokens(_stem(name))
    return [token for token in tokens if not _is_mask_word(token) and token not in _PICTURE_WORDS]
