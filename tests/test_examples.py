"""Examples that people copy, run as they stand: all docstrings, README.md and docs/python.md."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest
import walkthrough

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/python.md")
SOURCE = ROOT / "src"
MODULES = sorted(
    ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for file in SOURCE.rglob("*.py")
    if ">>> " in file.read_text(encoding="utf-8")
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(walkthrough.write(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    outcome = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", PAGES)
def test_pages(page: str) -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:  # each goes on from those before it
        if ">>> " in block:
            test = doctest.DocTestParser().get_doctest(block, names, page, page, 0)
            runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
            assert runner.run(test, clear_globs=False).failed == 0
            names = test.globs
        else:
            exec(compile(block, page, "exec"), names)
