"""A page and the same numbers as JSON, side by side."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gliascope.reports.document import Document
from gliascope.runtime.files import write_text


def write_document(folder: Path, document: Document, page: str) -> None:
    """Write a document and its page, NAME.json and NAME.html, into `folder`, each atomically.

    Raises OSError if `folder` cannot be written.
    """
    document.write(folder)
    write_text((folder / document.file).with_suffix(".html"), _encodable(page))


def write_page(folder: Path | str, kind: str, tree: Mapping[str, Any], page: str) -> None:
    """Write `kind`.json and `kind`.html into `folder`, each atomically.

    Raises OSError if `folder` cannot be written.
    """
    data = json.dumps(_plain(tree), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(Path(folder) / f"{kind}.json", _encodable(data) + "\n")
    write_text(Path(folder) / f"{kind}.html", _encodable(page))


def _plain(value: Any) -> Any:
    """`value` as what JSON knows: maps, lists, text, numbers, None. Anything else becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item"):  # a NumPy number
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has neither NaN nor infinity
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _encodable(text: str) -> str:
    """`text` with "?" for what UTF-8 cannot hold: file names that are not valid text on this system."""
    return text.encode("utf-8", "replace").decode("utf-8")
