"""Which of the files sent together are masks of others: `data.mask_files`, by the names the client gave."""

import asyncio
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath

from starlette.concurrency import run_in_threadpool

from gliascope.io.mask_files import (
    PICTURE_MISSING,
    UploadedNames,
    candidate_pictures,
    is_surely_mask,
    mask_error,
    may_be_mask,
    name_order,
    sorted_shape,
)
from gliascope.io.slices import Slice
from gliascope.server.uploads import Upload


class MaskDetector:
    """Of one order, whose files are decoded side by side.

    in_order: the files in the order to decode them in, which is also that of the answer: as they were sent,
    but those last whose name says that they may be masks of others. A mask waits for the size of its
    pictures, which have fewer words that say mask than it has, or else shorter names, and so come before it.
    """

    def __init__(self, uploads: Sequence[Upload]) -> None:
        self._named = {PurePosixPath(upload.name): upload.path for upload in uploads}
        self._below: dict[PurePath, list[str]] = {}
        for name in self._named:
            for one in (name, *name.parents[:-1]):
                names = self._below.setdefault(one.parent, [])
                if one.name not in names[-1:]:
                    names.append(one.name)
        self._sizes: dict[Path, asyncio.Future[list[int] | None]] = {}
        together = UploadedNames(self._named)

        def place(upload: Upload) -> tuple[int, ...]:
            name = PurePosixPath(upload.name)
            return name_order(name) if together.may_have_picture(name) else ()

        self.ordered_uploads = sorted(uploads, key=place)

    async def check(self, upload: Upload, slices: Sequence[Slice]) -> None:
        """Raise NotAnImageError where these are the slices of a mask."""
        name = PurePosixPath(upload.name)
        if not slices or not await run_in_threadpool(may_be_mask, name, slices):
            return
        for picture in candidate_pictures(name, lambda folder: self._below.get(folder, [])):
            path = self._named.get(PurePosixPath(picture))
            if path and await self._size(path) == sorted_shape(slices):
                raise mask_error(upload.path, str(picture))
        if is_surely_mask(name, slices):
            raise mask_error(upload.path, PICTURE_MISSING)

    def record_decoded(self, upload: Upload, slices: Sequence[Slice]) -> None:
        """Of every file, also of one that cannot be read: it has no slices."""
        size = self._size(upload.path)
        if not size.done():
            size.set_result(sorted_shape(slices) if slices else None)

    def _size(self, path: Path) -> "asyncio.Future[list[int] | None]":
        if path not in self._sizes:
            self._sizes[path] = asyncio.get_running_loop().create_future()
        return self._sizes[path]
