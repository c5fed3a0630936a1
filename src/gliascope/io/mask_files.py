"""Recognise files that are masks of other files, not slices.

A file is a mask if three things hold: its name or one of its folders says mask; it has few grey levels; and
there is a picture of the same size that it belongs to by its name. A scan that is merely named like a mask is
none, nor is a file of few levels without a picture.

No scan has as few levels as MAX_MASK_LEVELS. A file with so few is a mask in these cases, too: its own name
says mask; it is a volume; or its name continues that of a picture beside it, as `7_tumour.png` does `7.png`.
"""

from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np

from gliascope.errors import NotAnImageError, ReadError
from gliascope.io import read
from gliascope.io.arrays import MAX_MASK_LEVELS
from gliascope.io.mask_names import ListFolder, candidate_pictures, name_says_mask, path_says_mask
from gliascope.io.slices import Slice

PICTURE_MISSING = "a picture that is not here"
"""What `mask_error` names where the picture of a mask was not found."""

_MAX_LEVELS, _MAX_VOLUME_LEVELS = 16, 64  # grey levels, or colours, of a mask: one slice, and a volume
# A compressed mask has more levels, but this share of its pixels is so near to black or white.
_NEAR_LEVELS, _NEAR_SHARE = 24, 0.98


class FolderListings:
    """Lists folders on disk or at a URL, each only once."""

    def __init__(self) -> None:
        self._names: dict[PurePath, list[str]] = {}

    def __call__(self, folder: PurePath) -> Sequence[str]:
        """Return the names of the files and folders in a folder, sorted; none where it cannot be listed."""
        if folder not in self._names:
            try:
                self._names[folder] = sorted(path.name for path in folder.iterdir())  # type: ignore[attr-defined]
            except OSError:
                self._names[folder] = []
        return self._names[folder]


def check_mask(path: Path, slices: Sequence[Slice], list_folder: ListFolder) -> None:
    """Refuse a file that is a mask.

    Parameters
    ----------
    path
        The file.
    slices
        Its slices.
    list_folder
        Lists the files around it, among which its picture is sought.

    Raises
    ------
    NotAnImageError
        If the slices are those of a mask.
    """
    if any(item.kind == "segmentation" for item in slices):
        raise NotAnImageError(path, "segmentation, not a slice", "give the images that it was drawn on")
    if not may_be_mask(path, slices):
        return
    for picture in candidate_pictures(path, list_folder):
        if _has_same_shape(slices, picture):
            raise mask_error(path, picture.name)
    if is_surely_mask(path, slices):
        raise mask_error(path, PICTURE_MISSING)


def mask_error(path: Path, picture: str) -> NotAnImageError:
    """Make the error that refuses `path` as a mask of `picture`."""
    return NotAnImageError(path, "mask, not a slice", f"of {picture}")


def may_be_mask(path: PurePath, slices: Sequence[Slice]) -> bool:
    """Whether a file is a mask if there is a picture of it, which remains to be found."""
    return has_few_levels(slices) if path_says_mask(path) else _has_mask_levels(slices)


def is_surely_mask(path: PurePath, slices: Sequence[Slice]) -> bool:
    """Whether a file is a mask even if there is no picture of it."""
    if not name_says_mask(path):
        return len(slices) > 1 and _has_mask_levels(slices)
    has_white = slices[0].pixels.max() >= 255 - _NEAR_LEVELS
    return _has_mask_levels(slices) or (_is_black_and_white(slices) and bool(has_white))


def has_few_levels(slices: Sequence[Slice]) -> bool:
    """Whether all slices of a file together have no more grey levels, or colours, than a mask."""
    if _is_black_and_white(slices):
        return True
    max_levels = _MAX_LEVELS if len(slices) == 1 else _MAX_VOLUME_LEVELS
    levels: set[int] = set()
    for item in slices:
        channels = item.pixels.reshape(*item.pixels.shape[:2], -1).astype(np.int32)
        levels.update(np.unique(channels @ (256 ** np.arange(channels.shape[2]))).tolist())
        if len(levels) > max_levels:
            return False
    return True


def sorted_shape(slices: Sequence[Slice]) -> list[int]:
    """Return number of slices, height and width in ascending order.

    A mask and its picture agree in this even where the mask's header lays its volume otherwise.
    """
    return sorted((len(slices), *slices[0].pixels.shape[:2]))


def _is_black_and_white(slices: Sequence[Slice]) -> bool:
    """Whether nearly all pixels of a single slice are nearly black or white, as in a compressed mask."""
    first = slices[0].pixels
    if len(slices) > 1 or first.ndim != 2:
        return False
    return bool((np.abs(first - 127.5) >= 127.5 - _NEAR_LEVELS).mean() >= _NEAR_SHARE)


def _has_mask_levels(slices: Sequence[Slice]) -> bool:
    """Whether all slices together have 2 to MAX_MASK_LEVELS levels."""
    occurs = np.zeros(256, np.bool_)
    for item in slices:
        occurs |= np.bincount(item.pixels.reshape(-1), minlength=256) > 0
        if np.count_nonzero(occurs) > MAX_MASK_LEVELS:
            return False
    return bool(np.count_nonzero(occurs) > 1)


def _has_same_shape(slices: Sequence[Slice], picture: PurePath) -> bool:
    try:
        other = read(picture)  # type: ignore[arg-type]
    except ReadError:
        return False
    return sorted_shape(other) == sorted_shape(slices)
