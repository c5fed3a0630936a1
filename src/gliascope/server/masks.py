"""Detection of masks among the files of one request, by `io.mask_files` and the client's file names."""

import asyncio
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath

from starlette.concurrency import run_in_threadpool

from gliascope.io.mask_files import PICTURE_MISSING, is_surely_mask, mask_error, may_be_mask, sorted_shape
from gliascope.io.mask_names import UploadedNames, candidate_pictures, mask_sort_key
from gliascope.io.slices import Slice
from gliascope.server.uploads import Upload


class MaskDetector:
    """Tells which files of a request are masks of others, while the files are decoded concurrently.

    Parameters
    ----------
    uploads
        All files of the request.

    Attributes
    ----------
    ordered_uploads
        The files in the order in which they must be decoded: as they were sent, but files whose names may be
        those of masks last. The check of a mask waits until its picture is decoded, and `name_order` puts a
        picture before its masks.
    """

    def __init__(self, uploads: Sequence[Upload]) -> None:
        self._named = {PurePosixPath(upload.name): upload.path for upload in uploads}
        self._entries: dict[PurePath, list[str]] = {}
        for name in self._named:
            for path in (name, *name.parents[:-1]):
                names = self._entries.setdefault(path.parent, [])
                if path.name not in names[-1:]:
                    names.append(path.name)
        self._sizes: dict[Path, asyncio.Future[list[int] | None]] = {}
        names_sent = UploadedNames(self._named)

        def order(upload: Upload) -> tuple[int, ...]:
            name = PurePosixPath(upload.name)
            return mask_sort_key(name) if names_sent.may_have_picture(name) else ()

        self.ordered_uploads = sorted(uploads, key=order)

    async def check(self, upload: Upload, slices: Sequence[Slice]) -> None:
        """Raise NotAnImageError if a file is a mask. Waits until the pictures it may belong to are decoded.

        Parameters
        ----------
        upload
            The file.
        slices
            The slices of the file.
        """
        name = PurePosixPath(upload.name)
        if not slices or not await run_in_threadpool(may_be_mask, name, slices):
            return
        for picture in candidate_pictures(name, lambda folder: self._entries.get(folder, [])):
            path = self._named.get(PurePosixPath(picture))
            if path and await self._size(path) == sorted_shape(slices):
                raise mask_error(upload.path, str(picture))
        if is_surely_mask(name, slices):
            raise mask_error(upload.path, PICTURE_MISSING)

    def record_decoded(self, upload: Upload, slices: Sequence[Slice]) -> None:
        """Record the slices of a decoded file; none of a file that cannot be read.

        It must be called for every file, since checks of masks wait for it.
        """
        size = self._size(upload.path)
        if not size.done():
            size.set_result(sorted_shape(slices) if slices else None)

    def _size(self, path: Path) -> "asyncio.Future[list[int] | None]":
        if path not in self._sizes:
            self._sizes[path] = asyncio.get_running_loop().create_future()
        return self._sizes[path]
