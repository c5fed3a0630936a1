"""A user's table: text in columns as spreadsheets write it, and the files that its paths name."""

import codecs
import csv
import io
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gliascope.errors import GliascopeError, LayoutError
from gliascope.runtime.paths import absolute
from gliascope.runtime.progress import note

PATH_COLUMNS = (
    "path", "file", "filename", "image",
    "file name", "filepath", "file path", "image name", "image path", "image id",
)  # fmt: skip
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = ",;\t|"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table of text.

    Parameters
    ----------
    file
        Where it was read from.
    columns
        Names of the columns.
    rows
        Cells without surrounding spaces, as many per row as there are columns.
    lines
        Line number of each row in the file.
    error_class
        Exception that is raised for whatever is wrong with the table.
    """

    file: Path
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    error_class: type[GliascopeError] = LayoutError

    @classmethod
    def read(cls, file: Path, error: type[GliascopeError] = LayoutError) -> "TableFile":
        """Read text in columns whose first line names the columns.

        The separator is the one of comma, semicolon, tab and `|` that the first line has most of. The
        encoding is UTF-8, UTF-16 or UTF-32, else Windows-1252. Empty lines are ignored.

        Raises
        ------
        GliascopeError
            Of the given class, if the file is no such table.
        """
        try:
            text = _decode(file)
        except (OSError, ValueError) as problem:
            raise error(f"{file}: cannot be read as CSV ({_one_line(problem)})") from None
        shift = 0
        head = next((line for line in text.splitlines() if line.strip()), "")
        separator = max(_SEPARATORS, key=_unquoted(head).count)
        if head.lower() in {f"sep={one}" for one in _SEPARATORS}:  # a line of Excel's own
            separator, text, shift = head[4], text.partition("\n")[2], 1
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        rows, lines = list[list[str]](), list[int]()
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    rows.append([cell.strip() for cell in row])
                    lines.append(reader.line_num + shift)
        except csv.Error as problem:
            raise error(
                f"{file}, line {reader.line_num + shift}: cannot be read as CSV ({problem})"
            ) from None
        if not rows:
            raise error(f"{file}: cannot be read as CSV (it is empty); its first line names the columns")
        return cls._of(file, rows, lines, error)

    @classmethod
    def _of(
        cls, file: Path, rows: list[list[str]], lines: list[int], error: type[GliascopeError]
    ) -> "TableFile":
        """Check the columns of rows of cells, the first of which names the columns."""
        columns = rows[0]
        while columns and not columns[-1]:  # spreadsheets leave empty columns at the end
            columns.pop()
        twice = [name for name, count in Counter(map(_word, filter(None, columns))).items() if count > 1]
        if twice:
            raise error(f"{file}: has the column {twice[0]!r} twice; keep one")
        for line, row in zip(lines[1:], rows[1:], strict=True):
            if any(row[len(columns) :]):
                raise error(
                    f"{file}, line {line}: expected {len(columns)} cells but got {len(row)}; "
                    'put cells with a separator in them in "quotes"'
                )
        width = len(columns)
        rows = [(row + [""] * width)[:width] for row in rows]
        return cls(file, tuple(columns), rows[1:], lines[1:], error)

    def find_column(self, names: Iterable[str]) -> str | None:
        """Return the first column that has one of these names, whatever its case and separators."""
        wanted = set(map(_word, names))
        return next((column for column in self.columns if _word(column) in wanted), None)

    def cells(self, column: str) -> list[str]:
        """Return the cells of the column of exactly this name."""
        number = self.columns.index(column)
        return [row[number] for row in self.rows]

    @property
    def column_names(self) -> str:
        """The columns, as error messages show them."""
        return ", ".join(map(repr, self.columns)) or "none"

    def match_files(self, column: str, files: Sequence[tuple[str, str]]) -> list[int | None]:
        """Find the file that each cell of a column names.

        A cell may be the path from the root, the path from the table's folder, or any end of the whole path
        that belongs to one file only (or to one file only below the table's folder), with or without the
        file's suffix. Backslashes, `./` and Unicode normal forms do not matter. If no row fits, leading
        folders are taken for another machine's: the fewest folders without which a row fits are left out of
        all rows that start with them.

        Parameters
        ----------
        column
            Name of the column.
        files
            Root, and path from there, of each file.

        Returns
        -------
        list
            Index into `files` for each row, None if it names another file.

        Raises
        ------
        GliascopeError
            Of the class `error_class`, if a cell may be several files, or no cell names any of the files.
        """
        given = [_split(cell) for cell in self.cells(column)]
        index = _Index(files, self.file)
        found = [index.find(parts) for parts in given]
        beginning = [] if any(found) else index.foreign(given)
        if beginning:
            cut = len(beginning)
            found = [index.find(parts[cut:]) if parts[:cut] == beginning else [] for parts in given]
        for line, cell, numbers in zip(self.lines, self.cells(column), found, strict=True):
            if len(numbers) > 1:
                some = " and ".join("/".join(files[number]) for number in numbers[:2])
                raise self.error_class(
                    f"{self.file}, line {line}: {cell!r} may be any of several files, like {some}; "
                    "give longer paths"
                )
        matched = [numbers[0] if numbers else None for numbers in found]
        self._tell(column, matched, files, "/".join(beginning))
        return matched

    def _tell(
        self, column: str, matched: list[int | None], files: Sequence[tuple[str, str]], cut: str
    ) -> None:
        """Print or raise which rows name no file."""
        cells = self.cells(column)
        if not cells:
            raise self.error_class(f"{self.file}: has no line below its first, which names the columns")
        strangers = [
            f"line {line} {cell!r}"
            for line, cell, number in zip(self.lines, cells, matched, strict=True)
            if number is None
        ]
        example = f"paths there look like {files[0][1]}" if files else "which is empty"
        shown = ", ".join(strangers[:_SHOWN])
        if len(strangers) == len(cells):
            raise self.error_class(
                f"{self.file}: matches no slice; it names no file of the catalogue in {len(cells)} lines"
                f"{f' ({shown})' if shown else ''}; {example}"
            )
        if cut:
            note(f"{self.file}: paths were matched without their beginning {cut}/")
        if strangers:
            note(
                f"{self.file}: {len(cells) - len(strangers)} of {len(cells)} lines name a file of the "
                f"catalogue, others do not, like {shown}; {example}"
            )


def parse_number(cell: str) -> float | None:
    """Parse a cell as a number with a decimal point or comma; return None if it is no number."""
    try:
        return float(cell.replace(",", ".", 1) if "." not in cell else cell)
    except ValueError:
        return None


class _Index:
    """Files by the last name of their paths."""

    def __init__(self, files: Sequence[tuple[str, str]], table: Path) -> None:
        self.below = [_split(path) for _, path in files]
        self.whole = [_split(f"{root}/{path}") for root, path in files]
        self.folder = _split(str(absolute(table.parent)))
        self.by_name = defaultdict[str, list[int]](list)
        self.by_stem = defaultdict[str, list[int]](list)
        for at, parts in enumerate(self.below):
            self.by_name[parts[-1]].append(at)
            for stem in {_stem(parts[-1])} - {parts[-1]}:
                self.by_stem[stem].append(at)

    def find(self, given: list[str]) -> list[int]:
        """Return the numbers of the files that one path may mean: none if no file fits.

        given: the parts of the path, as `_split` returns them.
        """
        if not given:
            return []
        if given[0] in (".", ".."):  # from the table's folder
            given = _split(os.path.normpath("/".join([*self.folder, *given])))
        for names, ending in ((self.by_name, True), (self.by_stem, False)):
            ends = [at for at in names.get(given[-1], ()) if self._end(self.whole[at], given, ending)]
            if ends:
                return self._exact(ends, given) or ends
        return []

    def foreign(self, given: list[list[str]]) -> list[str]:
        """Return the folders to leave out: the fewest that make a row fit, and of those the commonest."""
        beginnings = Counter(
            tuple(parts[:cut])
            for parts in given
            if (cut := next((cut for cut in range(1, len(parts)) if self.find(parts[cut:])), 0))
        )
        counted = [(len(one), -count, one) for one, count in beginnings.items()]
        return list(min(counted)[2]) if counted else []

    @staticmethod
    def _end(whole: list[str], given: list[str], ending: bool) -> bool:
        own = whole if ending else [*whole[:-1], _stem(whole[-1])]
        return own[-len(given) :] == given

    def _exact(self, ends: list[int], given: list[str]) -> list[int]:
        """Choose the file whose path is complete from the root or from the table's folder."""
        beside = [*self.folder, *given]
        for paths, whole in ((self.below, given), (self.whole, beside)):
            exact = [at for at in ends if len(paths[at]) == len(whole) and paths[at][:-1] == whole[:-1]]
            if exact:
                return exact
        return [at for at in ends if self.whole[at][: len(self.folder)] == self.folder]


def _split(text: str) -> list[str]:
    parts = unicodedata.normalize("NFC", text.strip()).replace("\\", "/").split("/")
    kept = [part for part in parts if part not in ("", ".")]
    return [".", *kept] if parts[0] == "." else kept


def _stem(name: str) -> str:
    return Path(name.removesuffix(".gz")).stem


def _word(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())


def _unquoted(line: str) -> str:
    return "".join(line.split('"')[::2])


def _decode(file: Path) -> str:
    """Decode a file as UTF-8, UTF-16 or UTF-32, else as Windows-1252.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds no text.
    """
    content = file.read_bytes()
    if content[:4] == b"PK\3\4" or content[:4] == b"\xd0\xcf\x11\xe0":
        raise ValueError("a spreadsheet's own format; save it as CSV")
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding)
    head = content[:4096]
    if b"\0" in head:
        if head[1::2].count(0) > len(head) // 4:
            return content.decode("utf-16-le")
        if head[::2].count(0) > len(head) // 4:
            return content.decode("utf-16-be")
        raise ValueError("no text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        note(f"{file}: is not UTF-8; read as Windows-1252, save it as UTF-8 if names look wrong")
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _one_line(error: Exception) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error)).split())
