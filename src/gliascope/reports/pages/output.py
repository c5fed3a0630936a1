"""Writing of a page together with its numbers as JSON."""

from pathlib import Path

from gliascope.reports.document import Document, replace_unencodable
from gliascope.runtime.files import write_text


def write_document(folder: Path, document: Document, page: str) -> None:
    """Write a document and its page, NAME.json and NAME.html, into `folder`, each atomically.

    Raises
    ------
    OSError
        If `folder` cannot be written.
    """
    document.write(folder)
    write_text((folder / document.file).with_suffix(".html"), replace_unencodable(page))
