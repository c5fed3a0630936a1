"""Classes of files from a table, instead of class folders."""

from collections.abc import Sequence
from pathlib import Path

from gliascope import classes
from gliascope.dataset.table_file import PATH_COLUMNS, TableFile, parse_number
from gliascope.errors import LayoutError
from gliascope.io import folder_labels
from gliascope.runtime.folders import files_below
from gliascope.runtime.progress import note

LABEL_COLUMNS = ("label", "class", "target", "diagnosis", "category", "class name")
_SUFFIXES = (".csv", ".tsv")
_OTHERS = (".txt", ".xls", ".xlsx", ".ods")  # may be meant for one
_YES_NO = {0.0: classes.NO_TUMOR, 1.0: "tumor"}

LabelsByFile = dict[str, tuple[str, str]]  # by file name from the source on: class, and as written


def is_table(path: Path) -> bool:
    """Return whether a file's suffix is one of a table."""
    return path.suffix.lower() in _SUFFIXES


def resembles_table(path: Path) -> bool:
    """Return whether the file of `--labels` is meant as a table rather than as YAML."""
    return path.suffix.lower() in (*_SUFFIXES, *_OTHERS)


def load_label_table(path: Path, roots: Sequence[Path]) -> LabelsByFile:
    """Read the class of each file from a table.

    The table has a column of `table_file.PATH_COLUMNS` and one of `LABEL_COLUMNS`. Rows without a class are
    ignored. Numbers other than 0 (no_tumor) and 1 (tumor) are refused.

    Parameters
    ----------
    path
        The table.
    roots
        Source folders.

    Returns
    -------
    dict
        By file name from the source folder on: the class, and the class as the table writes it.

    Raises
    ------
    LayoutError
        If the table lacks these columns, names no file of the sources, or gives two classes to one file.
    """
    table = TableFile.read(path)
    paths, column = table.find_column(PATH_COLUMNS), table.find_column(LABEL_COLUMNS)
    if paths is None or column is None:
        raise LayoutError(
            f"{path}: expected a column {' or '.join(PATH_COLUMNS[:4])} and one "
            f"{' or '.join(LABEL_COLUMNS[:3])} but got {table.column_names}"
        )
    files = [
        (str(root.parent), file.relative_to(root.parent).as_posix())
        for root in roots
        for file in files_below(root)
        if not is_table(file)
    ]
    cells = table.cells(column)
    class_of = _classes(path, cells)
    found: LabelsByFile = {}
    for line, at, cell in zip(table.lines, table.match_files(paths, files), cells, strict=True):
        if at is None or not cell:
            continue
        name, labels = files[at][1], (class_of[cell], cell)
        if found.setdefault(name, labels)[0] != labels[0]:
            raise LayoutError(f"{path}, line {line}: {name} is {cell} here and {found[name][1]} before")
    return found


def labels_in_source(path: Path, root: Path) -> LabelsByFile:
    """Read a table that lies in a source folder; return an empty dict if it is no table of classes."""
    try:
        return load_label_table(path, [root])
    except LayoutError:
        return {}


def _classes(path: Path, cells: Sequence[str]) -> dict[str, str]:
    """Return the class of each distinct cell."""
    distinct = sorted(set(filter(None, cells)))
    numbers = {cell: parse_number(cell) for cell in distinct}
    if distinct and all(value in _YES_NO for value in numbers.values()):
        meanings = ", ".join(
            f"{cell} as {_YES_NO[value]}" for cell, value in numbers.items() if value in _YES_NO
        )
        note(f"{path}: read {meanings}; write names in place of numbers if they mean something else")
        return {cell: _YES_NO[value] for cell, value in numbers.items() if value in _YES_NO}
    some = [cell for cell, value in numbers.items() if value is not None]
    if some:
        raise LayoutError(f"{path}: {some[0]!r} is not the name of a class; write names in place of numbers")
    folder_labels.check_folder_names(distinct)
    return {cell: folder_labels.class_name(path, cell) for cell in distinct}
