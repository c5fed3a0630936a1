"""Every error a user can cause. Each message is one line that names the file or value and the remedy."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError


class GliascopeError(Exception):
    """Base of all errors the command line turns into one line and exit code 2."""


class ReadError(GliascopeError):
    """A file that cannot be used. `reason` is one of a few short phrases, fit for counting."""

    def __init__(self, path: Path | str, reason: str, detail: str = "") -> None:
        self.path = Path(path) if isinstance(path, str) else path
        self.reason = reason
        self.detail = detail
        super().__init__(f"{path}: {reason}" + (f" ({detail})" if detail else ""))

    def __reduce__(self) -> "tuple[type[ReadError], tuple[Path, str, str]]":
        """Sent by another process of ours; by default the message alone would be."""
        return type(self), (self.path, self.reason, self.detail)


class NotAnImageError(ReadError):
    """The content is none of the formats `read` knows, or holds no pixels."""


class DamagedFileError(ReadError):
    """The format is known but the content is truncated, empty or inconsistent."""


class TooLargeError(ReadError):
    """The file is over a limit of `gliascope.io.limits`."""


class InputError(GliascopeError):
    """An object in memory that cannot be taken for one picture, or one study, without guessing."""


class ForkedError(GliascopeError):
    """A Model that was loaded before its process was forked, and is used in the child."""


class LayoutError(GliascopeError):
    """A source folder whose structure or class names are not understood."""


class FetchError(GliascopeError):
    """A public set that is unknown, or cannot be downloaded."""


class SplitError(GliascopeError):
    """A protocol that the catalogue cannot satisfy."""


class RecipeError(GliascopeError):
    """A recipe that is unknown or does not validate."""


class WeightsError(GliascopeError):
    """Pretrained weights that cannot be found or do not fit."""


class RunError(GliascopeError):
    """A run folder that is missing, damaged or made with other settings."""


class ReportError(GliascopeError):
    """A report, or another file of results, that is missing or not of this version."""


class BusyError(GliascopeError):
    """A folder that another process is at work in."""


class ExternalModelError(GliascopeError):
    """Predictions or a graph of someone else's model that fit neither the catalogue nor the options."""


class DivergedError(RunError):
    """Training whose loss is not finite any more. `slices`: of its first such batch, where it has one."""

    def __init__(self, message: str, slices: "Sequence[str]" = ()) -> None:
        self.slices = tuple(slices)
        super().__init__(message)


class BundleError(GliascopeError):
    """A bundle that is missing, damaged or from an incompatible version."""


def explain(error: "ValidationError") -> str:
    """The first thing wrong with a JSON or YAML document, in a few words."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
