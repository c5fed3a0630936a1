"""Base of every result file; the same class writes and reads it."""

import json
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, Field, ValidationError

from gliascope import RESEARCH_USE, __version__
from gliascope.errors import ReportError, first_error
from gliascope.evaluation.estimate import FrozenModel
from gliascope.runtime.files import write_text


def replace_unencodable(text: str) -> str:
    """Replace what UTF-8 cannot hold by "?": file names that are not valid text on this system."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _replace_in_text(value: object) -> object:
    return replace_unencodable(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_replace_in_text)]
"""Text that may come from a file's name."""


class Document(FrozenModel):
    """A JSON file that a command writes beside its page.

    Attributes
    ----------
    file
        Name of the file in the folder of results.
    command
        Name of the command that writes it.
    """

    file: ClassVar[str]
    command: ClassVar[str]

    notice: str = Field(default=RESEARCH_USE, description="what the results may be used for")
    created: str = Field(description="ISO 8601 time")
    gliascope: str = Field(default=__version__, description="version that wrote the file")

    def write(self, folder: Path) -> None:
        """Write the file into `folder`, atomically.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        tree = self.model_dump(mode="json")
        write_text(folder / self.file, json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `write` wrote.

        Raises
        ------
        ReportError
            If it is missing, or was written by another version.
        """
        remedy = f"`gliascope {cls.command}`"
        try:
            found = cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ReportError(f"{path}: cannot be read ({error.strerror}); make it with {remedy}") from None
        except ValidationError as error:
            raise ReportError(
                f"{path}: not a {cls.__name__.lower()} of this version of gliascope "
                f"({first_error(error).removeprefix(': ')}); make it again with {remedy}"
            ) from None
        # `write` leaves nothing out: what is missing is of an older version, and a default would be a guess.
        if found.model_dump(exclude_unset=True) != found.model_dump():
            raise ReportError(
                f"{path}: lacks fields that this version of gliascope writes; make it again with {remedy}"
            )
        return found
