"""Every error a user can cause. Each message is one line that names the file or value and the remedy."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError


class GliascopeError(Exception):
    """Base of all errors the command line turns into one line and exit code 2."""


class ReadError(GliascopeError):
    """A file that cannot be read as a slice or series.

    Parameters
    ----------
    path
        The file. A text is kept as a Path in `self.path`.
    reason
        One of a few short phrases, so that reasons can be counted.
    detail
        Whatever else is known, such as a decoder's own message.
    """

    def __init__(self, path: Path | str, reason: str, detail: str = "") -> None:
        self.path = Path(path) if isinstance(path, str) else path
        self.reason = reason
        self.detail = detail
        super().__init__(f"{path}: {reason}" + (f" ({detail})" if detail else ""))

    def __reduce__(self) -> "tuple[type[ReadError], tuple[Path, str, str]]":
        """Pickle all three arguments; by default only the message would reach another process."""
        return type(self), (self.path, self.reason, self.detail)


class NotAnImageError(ReadError):
    """A file that is in no format that `gliascope.io` reads, or that holds no pixels."""


class DamagedFileError(ReadError):
    """A file of a known format whose content is truncated, empty or inconsistent."""


class TooLargeError(ReadError):
    """A file that is over a limit of `gliascope.io.limits`."""


class InputError(GliascopeError):
    """An array or other object in memory that is not clearly one slice or one study."""


class ForkedError(GliascopeError):
    """A Model that was loaded before a fork and is used in the forked process."""


class LayoutError(GliascopeError):
    """A source folder whose structure or class names are not understood."""


class DownloadError(GliascopeError):
    """A public data set that is unknown or cannot be downloaded."""


class SplitError(GliascopeError):
    """A split protocol that the catalogue cannot satisfy."""


class RecipeError(GliascopeError):
    """A recipe that is unknown or does not validate."""


class WeightsError(GliascopeError):
    """Pretrained weights that cannot be found or do not fit."""


class RunError(GliascopeError):
    """A run folder that is missing, damaged or was made with other settings."""


class ReportError(GliascopeError):
    """A report or another file of results that is missing or of another version."""


class BusyError(GliascopeError):
    """A folder that another process is working in."""


class ExternalModelError(GliascopeError):
    """Predictions or an ONNX model from elsewhere that do not fit the catalogue or the options."""


class DivergedError(RunError):
    """Training whose loss is no longer finite.

    Parameters
    ----------
    message
        One line that names the run and the remedy.
    slices
        Keys of the slices in the first batch without a finite loss; empty where no batch is known.
    """

    def __init__(self, message: str, slices: "Sequence[str]" = ()) -> None:
        self.slices = tuple(slices)
        super().__init__(message)


class BundleError(GliascopeError):
    """A bundle that is missing, damaged or from an incompatible version."""


def first_error(error: "ValidationError") -> str:
    """Return the first error of a pydantic validation as `key: message`."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
