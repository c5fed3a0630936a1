from pathlib import Path

import pytest

from gliascope.dataset.table_file import TableFile, parse_number
from gliascope.errors import LayoutError

FILES = [("/data", f"set/{label}/{n:03d}.png") for label in ("yes", "no") for n in (1, 2)]
TABLE = "path,group\nset/yes/001.png,p1\nset/no/002.png,p2\n"


def matched(folder: Path, text: str | bytes, files: list[tuple[str, str]] = FILES) -> list[int | None]:
    (folder / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    table = TableFile.read(folder / "t.csv")
    column = table.find_column(["path"])
    assert column is not None
    return table.match_files(column, files)


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        TABLE.replace(",", "|"),
        "sep=;\n" + TABLE.replace(",", ";"),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        TABLE.encode("utf-16-le"),
        TABLE.replace("\n", "\r\n").encode("utf-16"),
        TABLE.replace("path,group", " Path , Group "),
        TABLE.replace("\n", ",,\n\n"),
        TABLE.replace("set/", "./set/").replace("./", ""),
        TABLE.replace("/", "\\"),
        TABLE.replace("set/", "/data/set/"),
        TABLE.replace("set/", "C:\\Users\\me\\set\\"),
        TABLE.replace("set/", "/home/me/renamed/"),
        TABLE.replace("set/", ""),
        TABLE.replace("set/", "D:/x/set/").replace("path,group\n", "path,group\n,\n"),
        TABLE.replace(".png", ""),
        '"path","group"\n"set/yes/001.png","a,b"\n"set/no/002.png","p2"\n',
        "note,path,group\nGrüße,set/yes/001.png,p1\n,set/no/002.png,p2\n".encode("cp1252"),
    ],
)
def test_tables_as_programs_write_them(tmp_path: Path, text: str | bytes) -> None:
    assert matched(tmp_path, text) == [0, 3]


def test_numbers_stay_text_and_unicode_forms_are_one(tmp_path: Path) -> None:
    assert matched(tmp_path, "path\n001\n002\n", [("/d", "s/a/001.png"), ("/d", "s/a/002.png")]) == [0, 1]
    assert matched(tmp_path, "path\ns/Mu\u0308ller.png\n", [("/d", "s/M\u00fcller.png")]) == [0]


def test_a_path_beside_the_table_or_given_in_full_is_not_ambiguous(tmp_path: Path) -> None:
    folder = str(tmp_path)
    files = [(folder, "a/001.png"), (folder, "a/deep/a/001.png"), (folder, "001.png")]
    assert matched(tmp_path, "path\na/001.png\n001.png\n./a/deep/a/001.png\n", files) == [0, 2, 1]


def test_what_is_ambiguous_or_of_others_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LayoutError, match=r"line 2: '001\.png' may be any of several files"):
        matched(tmp_path, "path\n001.png\n")
    with pytest.raises(
        LayoutError, match=r"line 2 'x/1\.png', line 4 'x/2\.png'.*look like set/yes/001\.png"
    ):
        matched(tmp_path, "path\nx/1.png\n\nx/2.png\n")
    assert matched(tmp_path, "path\nset/yes/001.png\nelsewhere/9.png\n") == [0, None]
    assert "1 of 2 lines name a file of the catalogue, others do not, like line 3 'elsewhere" in (
        " ".join(capsys.readouterr().err.split())
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"PK\3\4rest", "save it as CSV"),
        (bytes(range(256)), "no text"),
        (b"path,group\na, b.png,1\n", r"line 2: expected 2 cells but got 3"),
        (b"path,group,Path\na,b,c\n", "'path' twice"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(LayoutError, match=f"t.csv.*{message}"):
        TableFile.read(tmp_path / "t.csv")


def test_a_table_without_lines_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,group\n")
    with pytest.raises(LayoutError, match=r"t\.csv: has no line below its first"):
        TableFile.read(tmp_path / "t.csv").match_files("path", [("/data", "set/1.png")])


def test_numbers_have_a_point_or_a_comma() -> None:
    assert [parse_number(cell) for cell in ("0.5", "0,5", "1e-3", "3", "", "1.000,5")] == [
        0.5, 0.5, 0.001, 3.0, None, None,
    ]  # fmt: skip


def test_another_machines_folders_are_the_same_for_all_lines(tmp_path: Path) -> None:
    text = "path\nD:/x/other/yes/001.png\nD:/x/other/no/002.png\nD:/x/set/yes/001.png\nodd\n"
    assert matched(tmp_path, text) == [None, None, 0, None]
