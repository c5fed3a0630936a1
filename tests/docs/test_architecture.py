"""docs/architecture.md names what is there, and imports go the way it says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
WALKS = re.findall(r"^## (From a .*?)\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)


def steps(walk: str) -> list[tuple[str, str]]:
    """File and name of each numbered step."""
    return re.findall(r"^\d+\. `([\w/]+\.py): (\w+)`", walk, re.MULTILINE)


def defined(file: Path) -> set[str]:
    """Functions and classes that a file defines."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_there_are_two_walks() -> None:
    assert [title for title, _ in WALKS] == ["From a file to its prediction", "From a folder to its report"]


@pytest.mark.parametrize(("title", "walk"), WALKS)
def test_each_walk_has_at_most_twelve_steps_that_exist(title: str, walk: str) -> None:
    found = steps(walk)
    assert 1 <= len(found) <= 12 and len(found) == len(re.findall(r"^\d+\. ", walk, re.MULTILINE))
    for file, name in found:
        assert name in defined(ROOT / "src" / "gliascope" / file), f"{title}: {file}: {name}"


def test_every_file_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:[a-z]\w*/)+\w+\.(?:py|yaml))", PAGE)
    assert named
    missing = [
        name
        for name in named
        if not any((ROOT / folder / name).exists() for folder in ("src/gliascope", "", "tests"))
    ]
    assert not missing


def test_the_table_of_layers_has_every_package() -> None:
    table = PAGE.split("## Layers")[1].split("## ")[0]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))))
    source = ROOT / "src" / "gliascope"
    packages = {path.parent.name for path in source.glob("*/__init__.py")} | {"classes", "errors"}
    assert named == packages
